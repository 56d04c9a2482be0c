# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

from calib_all_ros.geometry import se3
from calib_all_ros.marks.references import MarkError
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings, MarkSettings, Settings
from calib_all_ros.solving.mark import Mark, check_mark, start_from_mark
from calib_all_ros.solving.mask_measurer import MaskMeasurer
from calib_all_ros.solving.observations import prepare
from calib_all_ros.solving.pipeline import find_pose
from calib_all_ros.tracking.track import ImageSequence, Track


@dataclass
class Told:
    """A tracker that says what it is told to, and remembers what it was asked."""

    pixels: np.ndarray
    most_images: int = 600
    longest_step_s: float = 0.0
    name: str = "a fortune teller"
    asked: list[tuple[int, int, np.ndarray]] = field(default_factory=list)

    def __call__(self, images: ImageSequence, pixel: ArrayLike, start: int) -> Track:
        self.asked.append((len(images), start, np.asarray(pixel)))
        visible = np.isfinite(self.pixels).all(axis=1)
        return Track(self.pixels, visible, visible.astype(float))


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        (Mark((320.0, 10.0), 0, "hand"), "outside the image of 320x240"),
        (Mark((10.0, -1.0), 0, "hand"), "v from 0 to 239"),
        (Mark((float("nan"), 10.0), 0, "hand"), "outside the image"),
        (Mark((10.0, 10.0), 20, "hand"), "images 0 to 19"),
        (Mark((10.0, 10.0), -1, "hand"), "images 0 to 19"),
        (Mark((10.0, 10.0), 0, "haand"), "there are: base_link, .*hand"),
        (Mark((10.0, 10.0), 0, "base_link"), "does not move"),
    ],
)
def test_impossible_marks_are_refused(
    mark: Mark, complaint: str, simulated_recording: Recording, demo_robot: Robot
) -> None:
    with pytest.raises(MarkError, match=complaint):
        check_mark(mark, simulated_recording, demo_robot)


def test_a_mark_in_the_last_corner_is_one(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    check_mark(Mark((319.0, 239.0), 19, "hand"), simulated_recording, demo_robot)


def dotted(recording: Recording, robot: Robot) -> tuple[Recording, np.ndarray]:
    """Images with a textured dot painted where a point of the hand is, and its pixels."""
    point = np.array([[0.0, 0.0, 0.05]])
    positions, _ = recording.joints.at(recording.image_stamps_ns, robot.kinematics.joint_names)
    link = robot.kinematics.link_names.index("hand")
    T = recording.reference_T_camera_base @ robot.kinematics.forward(positions)[:, link]
    pixels = recording.camera.project(se3.transform(T, point))[:, 0]
    offsets_u, offsets_v = np.meshgrid(np.arange(320), np.arange(240))
    colours = np.random.default_rng(0).uniform(0, 255, (6, 6, 3))
    images = []
    for i, (u, v) in enumerate(pixels):
        image = recording.images[i].astype(float)
        du, dv = offsets_u - u, offsets_v - v
        inside = (np.abs(du) < 14) & (np.abs(dv) < 14)
        # Bilinear texture, so that the dot moves by fractions of a pixel.
        x, y = (du[inside] + 14) / 28 * 4.99, (dv[inside] + 14) / 28 * 4.99
        i0, j0 = y.astype(int), x.astype(int)
        a, b = (y - i0)[:, None], (x - j0)[:, None]
        top = (1 - b) * colours[i0, j0] + b * colours[i0, j0 + 1]
        low = (1 - b) * colours[i0 + 1, j0] + b * colours[i0 + 1, j0 + 1]
        image[inside] = (1 - a) * top + a * low
        images.append(image.astype(np.uint8))
    return replace(recording, images=FrameList(images), masks=None), pixels


@pytest.mark.parametrize("method", ["robust", "epnp"])
def test_a_mark_that_can_be_followed_leads_near_the_camera(
    method: str, simulated_recording: Recording, demo_robot: Robot
) -> None:
    recording, pixels = dotted(simulated_recording, demo_robot)
    observations = prepare(recording, demo_robot, FrameSettings(count=5))
    mark = Mark((float(pixels[10, 0]), float(pixels[10, 1])), 10, "hand")
    outcome = start_from_mark(mark, recording, observations, MarkSettings(method=method))
    assert "followed through" in outcome.summary and "of 20 images" in outcome.summary
    truth = recording.reference_T_camera_base
    assert truth is not None
    assert outcome.start is not None and outcome.start.source == "mark"
    angle_deg, distance_m = se3.difference(outcome.start.T_camera_base, truth)
    assert angle_deg < 15.0 and distance_m < 0.25
    assert outcome.point_in_link is not None
    assert np.linalg.norm(outcome.point_in_link) < 0.15
    track = outcome.track
    assert track.mark == mark and track.frames.tolist() == list(range(20)) and track.seen[10]
    assert f"followed through {track.seen.sum()} of 20" in outcome.summary
    np.testing.assert_allclose(track.pixels[track.seen], pixels[track.seen], atol=3.0)


def test_a_mark_that_is_lost_is_no_error(simulated_recording: Recording, demo_robot: Robot) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (240, 320, 3)).astype(np.uint8) for _ in range(20)]
    recording = replace(simulated_recording, images=FrameList(noise), masks=None)
    observations = prepare(recording, demo_robot, FrameSettings(count=5))
    mark = Mark((100.0, 100.0), 0, "hand")
    outcome = start_from_mark(mark, recording, observations, MarkSettings())
    assert outcome.start is None and outcome.point_in_link is None
    assert "not used" in outcome.summary
    assert outcome.track.seen.tolist() == [True] + [False] * 19


def hand_pixels(recording: Recording, robot: Robot) -> np.ndarray:
    """Where a point of the hand is in the images."""
    return dotted(recording, robot)[1]


def test_any_tracker_serves(simulated_recording: Recording, demo_robot: Robot) -> None:
    pixels = hand_pixels(simulated_recording, demo_robot)
    tracker = Told(pixels)
    observations = prepare(simulated_recording, demo_robot, FrameSettings(count=5))
    mark = Mark((float(pixels[3, 0]), float(pixels[3, 1])), 3, "hand")
    outcome = start_from_mark(mark, simulated_recording, observations, MarkSettings(), tracker)
    assert outcome.start is not None and outcome.start.source == "mark"
    assert outcome.summary.startswith("followed through 20 of 20 images by a fortune teller; ")
    ((count, start, pixel),) = tracker.asked
    assert (count, start) == (20, 3)
    np.testing.assert_allclose(pixel, pixels[3])
    np.testing.assert_array_equal(outcome.track.pixels, pixels)


@pytest.mark.parametrize(
    ("frame", "step_s", "expected"),
    [
        (0, 0.0, range(8)),
        (9, 0.0, range(5, 13)),
        (18, 0.3, range(12, 20)),
        # The recording has 4 images a second.
        (9, 0.5, range(1, 17, 2)),
        (19, 0.5, range(5, 20, 2)),
        # Every third covers the whole recording.
        (7, 2.0, range(1, 20, 3)),
    ],
)
def test_a_tracker_gets_as_many_images_as_it_takes(
    frame: int,
    step_s: float,
    expected: range,
    simulated_recording: Recording,
    demo_robot: Robot,
) -> None:
    pixels = hand_pixels(simulated_recording, demo_robot)
    tracker = Told(pixels[list(expected)], most_images=8, longest_step_s=step_s)
    observations = prepare(simulated_recording, demo_robot, FrameSettings(count=5))
    mark = Mark((float(pixels[frame, 0]), float(pixels[frame, 1])), frame, "hand")
    outcome = start_from_mark(mark, simulated_recording, observations, MarkSettings(), tracker)
    assert outcome.track.frames.tolist() == list(expected)
    assert tracker.asked[0][:2] == (len(expected), expected.index(frame))
    assert f"of {len(expected)} images" in outcome.summary


def test_a_short_recording_is_not_thinned(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    pixels = hand_pixels(simulated_recording, demo_robot)
    tracker = Told(pixels, most_images=20, longest_step_s=10.0)
    observations = prepare(simulated_recording, demo_robot, FrameSettings(count=5))
    mark = Mark((float(pixels[5, 0]), float(pixels[5, 1])), 5, "hand")
    outcome = start_from_mark(mark, simulated_recording, observations, MarkSettings(), tracker)
    assert outcome.track.frames.tolist() == list(range(20))


LITTLE = Settings.from_mapping(
    {
        "frames": {"count": 5},
        "search": {"hypotheses": 800, "candidates": 6, "finalists": 1, "attempts": 1},
    }
)


@pytest.fixture(scope="module")
def without_mark(simulated_recording: Recording, demo_robot: Robot) -> np.ndarray:
    """The pose that masks alone give."""
    observations = prepare(simulated_recording, demo_robot, LITTLE.frames)
    return find_pose(MaskMeasurer(observations, LITTLE.search), LITTLE).estimate.T_camera_base


@pytest.mark.parametrize("wrong", ["mirrored", "backwards", "scattered"])
def test_a_wildly_wrong_track_is_one_start_more_and_does_no_harm(
    wrong: str,
    simulated_recording: Recording,
    demo_robot: Robot,
    without_mark: np.ndarray,
) -> None:
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    pixels = hand_pixels(simulated_recording, demo_robot)
    scattered = np.random.default_rng(0).uniform((0, 0), (319, 239), pixels.shape)
    told = {"mirrored": [319, 239] - pixels, "backwards": pixels[::-1], "scattered": scattered}
    observations = prepare(simulated_recording, demo_robot, LITTLE.frames)
    mark = Mark((float(pixels[0, 0]), float(pixels[0, 1])), 0, "hand")
    outcome = start_from_mark(
        mark, simulated_recording, observations, LITTLE.mark, Told(told[wrong])
    )
    starts = () if outcome.start is None else (outcome.start,)
    for start in starts:
        angle_deg, distance_m = se3.difference(start.T_camera_base, truth)
        assert angle_deg > 30.0 or distance_m > 0.3
    result = find_pose(MaskMeasurer(observations, LITTLE.search), LITTLE, starts)
    assert result.start.source == "search"
    np.testing.assert_array_equal(result.estimate.T_camera_base, without_mark)
    assert se3.difference(without_mark, truth)[1] < 0.003
