# SPDX-License-Identifier: Apache-2.0
"""Which evidence a calibration rests on, with models that say what the test has them say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros import calibration as calibration_module
from calib_all_ros.calibration import calibrate
from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.masks.segmentation import SegmentationError, UncertainMasksError
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import MaskSettings, Settings
from calib_all_ros.solution import Solution, solve
from calib_all_ros.solving.mark import Mark
from calib_all_ros.solving.observations import Observations

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 10, "background_count": 20},
        "search": {"hypotheses": 2500, "candidates": 16, "finalists": 2, "attempts": 1},
    }
)
Scripted = Callable[..., Any]


@pytest.fixture(scope="module")
def without_masks(simulated_recording: Recording) -> Recording:
    return replace(simulated_recording, masks=None)


@pytest.fixture(scope="module", autouse=True)
def images_are_solved_once() -> Iterator[None]:
    """What the images alone say is the same in all tests; only what is beside them differs."""
    solved: list[Solution] = []

    def solve_once(observations: Observations, *arguments: Any) -> Solution:
        if observations.masks is not None:
            return solve(observations, *arguments)
        if not solved:
            solved.append(solve(observations, *arguments))
        return solved[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_module, "solve", solve_once)
        yield


@pytest.fixture(scope="module")
def from_images(without_masks: Recording, demo_robot: Robot) -> Calibration:
    settings = replace(QUICK, masks=MaskSettings(source="images"))
    return calibrate(without_masks, demo_robot, settings=settings).calibration


def choice(calibration: Calibration, part: str) -> tuple[str, str]:
    (found,) = (c for c in calibration.provenance.evidence if c.part == part)
    return found.used, found.why


def error_m(calibration: Calibration, truth: NDArray[np.float64]) -> float:
    return se3.difference(calibration.T_camera_base, truth)[1]


def test_exact_masks_of_a_model_win(
    simulated_recording: Recording,
    without_masks: Recording,
    demo_robot: Robot,
    from_images: Calibration,
    scripted: Scripted,
) -> None:
    masks, truth = simulated_recording.masks, simulated_recording.reference_T_camera_base
    assert masks is not None and truth is not None
    sources, made = scripted(lambda number: masks[number])
    calibration = calibrate(without_masks, demo_robot, settings=QUICK, sources=sources).calibration
    used, why = choice(calibration, "masks")
    assert used == "grounded_sam2" and "scripted masks" in why and "the images alone" in why
    assert calibration.verdict.status == "accepted", calibration.verdict.reasons
    assert error_m(calibration, truth) < min(error_m(from_images, truth), 0.002)
    # The model saw the robot drawn with the pose from the images, on the images' own pixels.
    (maker,) = made
    overlaps = [
        np.count_nonzero(guess & masks[number]) / np.count_nonzero(guess | masks[number])
        for guess, number in zip(maker.guesses, maker.numbers, strict=True)
    ]
    assert min(overlaps) > 0.9


def elsewhere(number: int) -> NDArray[np.bool_]:
    """A thing that stands still beside the robot."""
    mask = np.zeros((240, 320), dtype=bool)
    mask[150:220, 20:90] = True
    return mask


def failing(number: int) -> NDArray[np.bool_]:
    raise RuntimeError("CUDA out of memory.\n Tried to allocate 2 GiB")


def no_such_image(number: int) -> NDArray[np.bool_]:
    raise SegmentationError("a click is in image 99, but the last image is 19")


def unsure(number: int) -> NDArray[np.bool_]:
    raise UncertainMasksError("no box is sure enough")


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        (elsewhere, "the images alone gave the better result"),
        (lambda number: None, "no image of simulated has both joint states and a mask"),
        (failing, "Grounded SAM 2 failed: CUDA out of memory. Tried to allocate 2 GiB"),
        (unsure, "no box is sure enough"),
        (None, "torch is not installed"),
    ],
    ids=["wrong_thing", "no_masks", "failing", "unsure", "unavailable"],
)
def test_poor_masks_do_no_harm(
    masks: Any,
    reason: str,
    without_masks: Recording,
    demo_robot: Robot,
    from_images: Calibration,
    scripted: Scripted,
) -> None:
    sources, _ = scripted(masks)
    calibration = calibrate(without_masks, demo_robot, settings=QUICK, sources=sources).calibration
    used, why = choice(calibration, "masks")
    assert used == "images" and reason in why
    assert np.array_equal(calibration.T_camera_base, from_images.T_camera_base)
    assert calibration.verdict == from_images.verdict


def test_a_model_asked_for_by_name_has_to_be_there(
    without_masks: Recording, demo_robot: Robot, scripted: Scripted
) -> None:
    sources, _ = scripted(None)
    settings = replace(QUICK, masks=MaskSettings(source="grounded_sam2"))
    with pytest.raises(ModelUnavailableError, match="torch is not installed"):
        calibrate(without_masks, demo_robot, settings=settings, sources=sources)


def test_the_descent_says_that_it_needs_masks(
    without_masks: Recording, demo_robot: Robot, scripted: Scripted
) -> None:
    sources, _ = scripted(None)
    settings = replace(QUICK, refinement=replace(QUICK.refinement, method="adam"))
    with pytest.raises(ModelUnavailableError, match=r"adam.*folder of masks.*torch is not"):
        calibrate(without_masks, demo_robot, settings=settings, sources=sources)


def test_the_descent_starts_where_the_images_lead(
    simulated_recording: Recording, without_masks: Recording, demo_robot: Robot, scripted: Scripted
) -> None:
    masks, truth = simulated_recording.masks, simulated_recording.reference_T_camera_base
    assert masks is not None and truth is not None
    settings = replace(
        QUICK,
        refinement=replace(QUICK.refinement, method="adam"),
        adam=replace(QUICK.adam, steps=30),
    )
    sources, _ = scripted(lambda number: masks[number])
    calibration = calibrate(
        without_masks, demo_robot, settings=settings, sources=sources
    ).calibration
    assert choice(calibration, "masks")[0] == "grounded_sam2"
    assert error_m(calibration, truth) < 0.01


@dataclass
class FailingTracker:
    """A model that breaks down at the first image."""

    name: str = "Model"
    most_images: int = 100
    longest_step_s: float = 0.1

    def __call__(self, images: Any, pixel: Any, start: int) -> Any:
        raise TypeError("forward() got an unexpected argument")


def test_a_mark_that_a_model_loses_is_followed_without_it(
    without_masks: Recording, demo_robot: Robot, from_images: Calibration, scripted: Scripted
) -> None:
    sources, _ = scripted(None)
    sources = replace(sources, tracker=lambda: (FailingTracker(), "it is installed"))
    mark = Mark((150.0, 110.0), 0, "hand")
    calibration = calibrate(
        without_masks, demo_robot, mark=mark, settings=QUICK, sources=sources
    ).calibration
    used, why = choice(calibration, "track")
    assert used == "Lucas-Kanade"
    assert "Model did not lead to a pose: Model failed: forward() got an unexpected" in why
    assert np.array_equal(calibration.T_camera_base, from_images.T_camera_base)


@pytest.mark.parametrize(
    ("masks", "masking", "error"),
    [
        (failing, {"source": "grounded_sam2"}, "Grounded SAM 2 failed: CUDA out of memory"),
        (no_such_image, {"clicks": ("1,1@99",)}, "a click is in image 99"),
    ],
    ids=["asked_for_by_name", "clicks_that_cannot_be_used"],
)
def test_what_the_user_asked_for_and_cannot_be_had_is_an_error(
    masks: Any,
    masking: dict[str, Any],
    error: str,
    without_masks: Recording,
    demo_robot: Robot,
    scripted: Scripted,
) -> None:
    sources, _ = scripted(masks)
    settings = replace(QUICK, masks=MaskSettings(**masking))
    with pytest.raises(CalibAllError, match=error):
        calibrate(without_masks, demo_robot, settings=settings, sources=sources)


def test_recorded_masks_go_before_models(
    simulated_recording: Recording, demo_robot: Robot, scripted: Scripted
) -> None:
    sources, made = scripted(failing)
    calibration = calibrate(
        simulated_recording, demo_robot, settings=QUICK, sources=sources
    ).calibration
    assert choice(calibration, "masks") == ("recorded", "the recording brings them")
    assert made == []


def test_a_mark_that_cannot_be_looked_for_is_said(from_images: Calibration) -> None:
    """With default sources on a machine without checkpoints."""
    used, why = choice(from_images, "mark")
    assert used == "none" and "calib_all mark add" in why
