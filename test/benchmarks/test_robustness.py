# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm_models import arm_models
from benchmarks.faults import IMAGES, MASKS
from benchmarks.robustness import run_grid_trial
from benchmarks.robustness_grid import (
    AMPLITUDE,
    BLOCK,
    DRIFT,
    FACTORS,
    MARK,
    MASK_QUALITY,
    SCATTERED,
    SOUND,
    TRACK,
    Factor,
    GridRow,
    GridTrial,
    cells,
    evenly_spaced,
    grid_take,
    grid_trials,
    read_grid_rows,
)
from benchmarks.robustness_report import robustness_sections
from benchmarks.track_trials import spoiled_track, track_attempt
from benchmarks.trial_scenes import BaseScene, SceneSpec, link_labels
from benchmarks.trials import append_row
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.motion import RobotMotion

SPEC = SceneSpec("demo", 1)


@pytest.fixture(scope="module")
def scene(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> BaseScene:
    labels = link_labels(demo_robot, simulated_motion, simulated.camera, simulated.T_camera_base)
    return BaseScene(
        SPEC,
        demo_robot,
        simulated.camera,
        simulated.T_camera_base,
        simulated.images,
        labels,
        simulated.image_stamps_ns,
        simulated_motion.joints,
    )


def trial(factor: str, level: float, frames: int = 5, route: str = MASKS) -> GridTrial:
    return GridTrial(route, factor, level, frames, SPEC)


def row(factor: str, level: float, position_mm: float | None, **changes: object) -> GridRow:
    values: dict[str, object] = {
        "trial": f"{factor} {level:g} {position_mm}",
        "route": MASKS,
        "robot": "demo",
        "scene": "demo",
        "scene_seed": 1,
        "fault": factor,
        "cause": "",
        "strength": level,
        "detail": "",
        "status": "accepted",
        "position_mm": position_mm,
        "rotation_deg": None if position_mm is None else 0.1,
        "frames": 5,
    }
    return GridRow(**{**values, **changes})  # type: ignore[arg-type]


def test_trials_have_unique_ids_and_a_beginning_with_every_cell_in_it() -> None:
    robots, tried = len(arm_models()), cells()
    trials = list(grid_trials(rounds=2))
    assert len({one.id for one in trials}) == len(trials) == 2 * robots * len(tried)
    first = {(t.route, t.factor, t.level, t.frames) for t in islice(trials, len(tried))}
    assert len(first) == len(tried)
    in_round = trials[: robots * len(tried)]
    lag = {one.scene.robot for one in in_round if (one.factor, one.level) == ("lag", 60.0)}
    assert lag == set(arm_models())
    assert all(one.scene.amplitude == one.level for one in trials if one.factor == AMPLITUDE)


@pytest.mark.parametrize(
    "factor", [f for f in FACTORS if TRACK not in f.frames], ids=lambda factor: factor.name
)
def test_only_the_factor_changes_with_its_level(factor: Factor, scene: BaseScene) -> None:
    sound = grid_take(trial(SOUND, 0.0), scene)
    take = grid_take(trial(factor.name, factor.levels[-1]), scene)
    changed = {
        "images": not np.array_equal(take.images, sound.images),
        "masks": not np.array_equal(take.masks, sound.masks),
        "stamps": not np.array_equal(take.image_stamps_ns, sound.image_stamps_ns),
        "K": not np.array_equal(take.camera.K, sound.camera.K),
    }
    expected = {
        SOUND: set(),
        AMPLITUDE: set(),  # another scene
        MASK_QUALITY: {"masks"},
        "visible share of the robot": {"images", "masks", "K"},
        "image noise": {"images"},
        "lag": {"stamps"},
        "focal error": {"K"},
        MARK: {"images", "masks", "stamps"},  # all images, to follow the mark through
    }
    assert {name for name, differs in changed.items() if differs} >= expected[factor.name] - {"K"}
    assert {name for name, differs in changed.items() if differs} <= expected[factor.name]
    assert (take.mark is not None) == (factor.name == MARK)


def test_recordings_hold_as_many_images_as_the_cell_says(scene: BaseScene) -> None:
    assert len(grid_take(trial(SOUND, 0.0, frames=3), scene)) == 3
    assert evenly_spaced(40, 1).tolist() == [20]
    assert evenly_spaced(40, 4).tolist() == [5, 15, 25, 35]
    assert evenly_spaced(30, 30).tolist() == list(range(30))


def test_a_track_is_lost_in_places_or_in_one_stretch_or_drifts() -> None:
    pixels = np.full((20, 2), 100.0)
    _, scattered = spoiled_track(trial(SCATTERED, 0.25, route=TRACK), pixels)
    _, stretch = spoiled_track(trial(BLOCK, 0.25, route=TRACK), pixels)
    assert np.count_nonzero(~scattered) == np.count_nonzero(~stretch) == 5
    assert np.ptp(np.flatnonzero(~stretch)) == 4
    steady, seen = spoiled_track(trial(DRIFT, 0.0, route=TRACK), pixels)
    away, _ = spoiled_track(trial(DRIFT, 40.0, route=TRACK), pixels)
    distances = np.linalg.norm(away - steady, axis=1)
    assert seen.all() and np.allclose(distances, np.linspace(0.0, 40.0, 20))


def test_a_whole_track_leads_near_the_camera_and_a_short_one_is_refused(scene: BaseScene) -> None:
    whole = track_attempt(trial(SCATTERED, 0.0, len(scene.images), TRACK), scene)
    assert whole["position_mm"] < 150.0
    short = track_attempt(trial(SCATTERED, 0.0, 3, TRACK), scene)
    assert short["status"] == "refused" and "choose a mark" in short["reasons"][0]


def test_one_image_without_masks_is_refused_and_the_row_survives_its_file(
    scene: BaseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.robustness.base_scene", lambda spec, folder: scene)
    refused = run_grid_trial(trial(SOUND, 0.0, 1, IMAGES), tmp_path)
    assert refused.status == "refused" and "record the robot" in refused.reasons[0]
    append_row(tmp_path / "rows.jsonl", refused)
    (read,) = read_grid_rows(tmp_path / "rows.jsonl")
    assert (read.trial, read.frames) == (refused.trial, 1)
    assert list(read.reasons) == list(refused.reasons)


def test_report_counts_right_poses_and_lists_wrong_ones_that_were_accepted() -> None:
    rows = [
        row(SOUND, 0.0, 1.0),
        row("lag", 60.0, 3.0),
        row("lag", 60.0, 25.0, trial="wrong one"),
        row("lag", 60.0, None, status="refused", reasons=("only 1 image",)),
        row(DRIFT, 5.0, 50.0, route=TRACK, status="converged", frames=30),
    ]
    text = "\n\n".join(robustness_sections(rows))
    assert "Of 4 calibrations 3 ended with verdict 'accepted'; 1 of these" in text
    assert "- wrong one ():" in text and "- only 1 image" in text
    assert "| masks | 5 | 0 ms | 1 | 1 |" in text
    assert "| masks | 5 | 60 ms | 3 | 2 |  |  | 1 | 33 % | 14.0 |" in text
    assert "| 30 | 5 px | 1 | 1 |  |  |  | 0 % | 100 % | 50.0 |" in text
