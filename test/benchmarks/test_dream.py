# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.camera_stretches import SHORTEST, still_by_annotations, still_by_images
from benchmarks.dream import main, simulated_set
from benchmarks.dream_evaluation import (
    ANNOTATIONS,
    NONE,
    EvaluationOptions,
    evaluate,
    without_clock,
)
from benchmarks.dream_metric import add_metrics, average_distance, keypoints_in_frame
from benchmarks.keypoint_fit import fitted_poses, keypoints_of
from benchmarks.ndds import NddsError, read_sequence
from benchmarks.ndds_writing import MASKS, write_ndds
from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.recording.image_coding import png
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import Robot, demo_urdf_path
from calib_all_ros.settings import RefinementSettings, Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate

TAKE = SimulationSettings(frames=16, rate_hz=2.0, width=320, height=240, focal_px=280.0, seed=1)
QUICK = "frames: {count: 8}\nsearch: {hypotheses: 2000, candidates: 8, finalists: 2, attempts: 1}\n"


@pytest.fixture(scope="module")
def takes(demo_robot: Robot) -> tuple[SimulatedRecording, SimulatedRecording]:
    """Two recordings of one camera in two places."""
    return simulate(demo_robot, TAKE), simulate(demo_robot, replace(TAKE, seed=2))


@pytest.fixture
def sequence(
    tmp_path: Path, demo_robot: Robot, takes: tuple[SimulatedRecording, SimulatedRecording]
) -> Path:
    """A sequence in metres whose camera is moved after the first 16 frames."""
    return written(tmp_path / "moved", demo_robot, takes)


def written(
    folder: Path, robot: Robot, takes: tuple[SimulatedRecording, ...], units_per_metre: float = 1.0
) -> Path:
    write_ndds(
        folder,
        robot,
        takes,
        robot.kinematics.link_names,
        robot_class="arm",
        units_per_metre=units_per_metre,
    )
    return folder


def change_frames(folder: Path, change: Any) -> None:
    for path in folder.glob("[0-9]*.json"):
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))


def test_area_of_frames_by_hand() -> None:
    every = np.array([7, 7, 7])
    # 10,000 thresholds 0, 0.00001, ..., 0.09999; the trapezoids leave out half of the last one.
    assert add_metrics(np.zeros(3), every).auc == pytest.approx(0.9999, abs=1e-12)
    # Of a frame between the thresholds 0.01 and 0.01001 m 8,999 thresholds are above it.
    add_m = np.array([0.010005, 0.2, np.nan])
    metrics = add_metrics(add_m, every)
    assert metrics.auc == pytest.approx((8999 - 0.5) / 10_000 / 3, abs=1e-12)
    assert metrics.mean_m == pytest.approx(0.1050025)
    assert (metrics.frames, metrics.found, metrics.possible) == (3, 2, 3)
    metrics = add_metrics(np.array([0.0300051, 0.010005, 0.050005]), every)
    assert metrics.median_m == pytest.approx(0.0300051)
    by_hand = (8998.5 + 6998.5 + 4998.5) / 30_000
    assert metrics.auc == pytest.approx(by_hand, abs=1e-12)


def test_frames_that_hardly_show_the_robot_are_not_in_the_divisor() -> None:
    add_m = np.array([0.010005, 0.2, np.nan])
    metrics = add_metrics(add_m, np.array([3, 4, 7]))
    assert metrics.auc == pytest.approx(8998.5 / 10_000 / 2, abs=1e-12)
    assert add_metrics(add_m, np.array([3, 0, 3])).auc is None


def test_without_any_pose_there_is_no_mean_and_no_area() -> None:
    metrics = add_metrics(np.full(4, np.nan), np.full(4, 7))
    assert (metrics.mean_m, metrics.median_m, metrics.auc) == (None, None, 0.0)


def test_distance_is_the_mean_over_keypoints() -> None:
    annotated = np.zeros((2, 2, 3))
    estimated = np.array([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    np.testing.assert_allclose(average_distance(estimated, annotated), [3.0, 1.0])


def test_keypoints_on_the_edge_are_out_of_the_image() -> None:
    pixels = np.array([[[0.0, 5.0], [0.1, 5.0], [9.9, 7.9], [10.0, 5.0], [5.0, 8.0]]])
    assert keypoints_in_frame(pixels, 10, 8).tolist() == [2]


def test_fitted_pose_is_the_one_that_moved_the_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 7, 3))
    points[10:, :, 2] = 0.0  # in a plane, where a reflection would fit as well
    vectors = rng.normal(size=(20, 2, 3))
    T = np.stack([se3.from_rotvec(rotvec, shift) for rotvec, shift in vectors])
    np.testing.assert_allclose(fitted_poses(points, se3.transform(T, points)), T, atol=1e-9)


@pytest.mark.parametrize(("units_per_metre", "unit"), [(1.0, "m"), (100.0, "cm")])
def test_annotations_agree_with_our_kinematics_in_either_unit(
    tmp_path: Path,
    demo_robot: Robot,
    takes: tuple[SimulatedRecording, SimulatedRecording],
    units_per_metre: float,
    unit: str,
) -> None:
    folder = written(tmp_path / "sequence", demo_robot, takes, units_per_metre)
    change_frames(folder, with_prefixed_joints)
    sequence = read_sequence(folder)
    assert sequence.robot_class == "arm" and len(sequence) == 32
    keypoints = keypoints_of(sequence, demo_robot)
    assert keypoints.unit == unit
    assert keypoints.misfit_m.max() < 1e-9
    np.testing.assert_allclose(keypoints.T_camera_base[3], takes[0].T_camera_base, atol=1e-9)
    np.testing.assert_allclose(keypoints.T_camera_base[-1], takes[1].T_camera_base, atol=1e-9)
    assert still_by_annotations(keypoints.T_camera_base) == [range(16), range(16, 32)]


def with_prefixed_joints(document: Any) -> None:
    for joint in document["sim_state"]["joints"]:
        joint["name"] = f"arm/{joint['name']}"


def test_recording_has_images_joints_and_camera_but_not_the_truth(
    sequence: Path, takes: tuple[SimulatedRecording, SimulatedRecording]
) -> None:
    read = read_sequence(sequence)
    recording = read.recording(rate_hz=25.0, masks=MASKS)
    assert recording.reference_T_camera_base is None
    assert np.diff(recording.image_stamps_ns).tolist() == [40_000_000] * 31
    np.testing.assert_allclose(recording.camera.K, takes[0].camera.K)
    assert recording.images[20].shape == (240, 320, 3)
    assert np.abs(recording.images[20].astype(int) - takes[1].images[4]).mean() < 5.0
    assert recording.masks is not None
    np.testing.assert_array_equal(recording.masks[20], takes[1].masks[4])


def test_annotations_of_another_robot_are_refused(sequence: Path, demo_robot: Robot) -> None:
    read = read_sequence(sequence)
    with pytest.raises(NddsError, match="neither a metre nor a centimetre"):
        keypoints_of(replace(read, locations=1000.0 * read.locations), demo_robot)
    bent = read.locations.copy()
    bent[:, ::2] += [0.2, 0.0, 0.0]
    with pytest.raises(NddsError, match="off the kinematics of the URDF"):
        keypoints_of(replace(read, locations=bent), demo_robot)
    with pytest.raises(NddsError, match="elbow_of_nobody"):
        names = ("elbow_of_nobody", *read.keypoint_names[1:])
        keypoints_of(replace(read, keypoint_names=names), demo_robot)


def test_broken_sequences_are_named(sequence: Path, tmp_path: Path) -> None:
    with pytest.raises(NddsError, match="0 annotated frames"):
        read_sequence(tmp_path)
    with pytest.raises(NddsError, match="keypoints"):
        read_sequence(sequence, ["no_such_keypoint"])
    (sequence / "000003.rgb.jpg").unlink()
    with pytest.raises(NddsError, match=r"has no image 000003\.rgb"):
        read_sequence(sequence)
    (sequence / "000002.json").write_text('{"objects": [')
    with pytest.raises(NddsError, match=r"000002\.json cannot be read"):
        read_sequence(sequence)
    (sequence / "000002.json").write_text('{"objects": []}')
    with pytest.raises(NddsError, match=r"000002\.json cannot be used"):
        read_sequence(sequence)
    (sequence / "_camera_settings.json").write_text("{}")
    with pytest.raises(NddsError, match="captured_image_size"):
        read_sequence(sequence)


def test_numbers_that_are_none_are_refused(sequence: Path) -> None:
    def without_a_number(document: Any) -> None:
        document["objects"][0]["keypoints"][0]["location"] = [0.0, float("nan"), 1.0]

    change_frames(sequence, without_a_number)
    with pytest.raises(NddsError, match="other than numbers"):
        read_sequence(sequence)


def rolled(shifts: list[int], recording: Recording) -> Recording:
    """The first image over and over, displaced sideways."""
    image = recording.images[0]
    images = [np.roll(image, shift, axis=1) for shift in shifts]
    stamps = np.arange(len(images), dtype=np.int64)
    return replace(recording, images=FrameList(images), image_stamps_ns=stamps)


@pytest.mark.parametrize(
    ("shifts", "stretches"),
    [
        ([0] * 40, [range(40)]),
        ([0] * 17 + [5] * 23, [range(17), range(17, 40)]),
        ([0] * 15 + [*range(0, 40, 4)] + [40] * 15, [range(16), range(25, 40)]),
        ([0] * 20 + [9] * (SHORTEST - 1) + [0] * 20, [range(49)]),
        ([2 * i for i in range(40)], []),
    ],
    ids=["still", "bumped", "carried", "pushed for a moment", "always moving"],
)
def test_stretches_of_a_still_camera_are_found_to_the_image(
    simulated_recording: Recording, shifts: list[int], stretches: list[range]
) -> None:
    assert still_by_images(rolled(shifts, simulated_recording), step=8) == stretches


def test_images_without_background_say_nothing_of_the_camera(
    simulated_recording: Recording,
) -> None:
    plain = FrameList([np.full((240, 320, 3), 90, np.uint8)] * 20)
    with pytest.raises(NddsError, match="--segments annotations"):
        still_by_images(replace(simulated_recording, images=plain), step=4)


def test_a_moving_robot_is_not_a_moving_camera(simulated_recording: Recording) -> None:
    assert still_by_images(simulated_recording, step=3) == [range(len(simulated_recording))]


def test_nothing_is_estimated_that_needs_a_clock() -> None:
    asked = Settings(refinement=RefinementSettings(lag=True, joint_offsets=True))
    refinement = without_clock(asked).refinement
    assert (refinement.lag, refinement.joint_offsets) == (False, False)


def test_whole_benchmark_on_a_camera_that_was_moved(
    sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(16, 32):
        nothing = np.zeros((240, 320), dtype=bool)
        (sequence / MASKS / f"{number:06d}.png").write_bytes(png(nothing))
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    out, table = tmp_path / "out.json", tmp_path / "out.md"
    inputs = [str(sequence), str(tmp_path / "nothing"), "--urdf", str(demo_urdf_path())]
    how = ["--masks", MASKS, "--config", str(config), "--frames", "6", "--every", "2"]
    main([*inputs, *how, "--json", str(out), "--out", str(table)])
    printed = capsys.readouterr().out
    assert table.read_text().strip() in printed
    document = json.loads(out.read_text())
    assert "annotated frames" in document["not_evaluated"]["nothing"]
    (result,) = document["sequences"]
    first, second = result["segments"]
    assert [(s["first"], s["last"]) for s in (first, second)] == [
        ("000000", "000015"),
        ("000016", "000031"),
    ]
    assert first["status"] == "accepted" and first["mean_m"] < 0.005
    assert second["status"] == "refused" and "mask with a robot" in second["reasons"][0]
    assert (second["found"], second["mean_m"], second["auc"]) == (0, None, 0.0)
    add_m = np.array([np.nan if v is None else v for v in result["add_m"].values()])
    assert result["auc"] == add_metrics(add_m, np.full(32, 7)).auc
    assert result["accepted"]["frames"] == 16
    assert result["accepted"]["auc"] == first["auc"] > 0.95
    assert result["auc"] == pytest.approx(first["auc"] / 2, rel=1e-9)
    assert f"| moved | 32 | 16 | {1e3 * first['mean_m']:.2f} |" in printed
    assert "- moved, 000016-000031, refused: " in printed


def test_simulated_set_is_one_still_and_one_moved_camera(tmp_path: Path, demo_robot: Robot) -> None:
    settings = SimulationSettings(frames=3, width=80, height=60, focal_px=70.0, supersample=1)
    still, moved = (read_sequence(path) for path in simulated_set(tmp_path, demo_robot, settings))
    assert (len(still), len(moved)) == (3, 6)
    assert still.keypoint_names == demo_robot.kinematics.link_names
    poses = keypoints_of(moved, demo_robot).T_camera_base
    assert np.ptp(poses[:3], axis=0).max() < 1e-9 < 0.01 < np.abs(poses[3] - poses[2]).max()


@pytest.mark.parametrize(
    "arguments", [[], ["somewhere", "--simulated"], ["somewhere"], ["--simulated", "--every", "0"]]
)
def test_calls_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("told_by", "stretches"), [(NONE, [range(32)]), (ANNOTATIONS, [range(16), range(16, 32)])]
)
def test_annotations_can_tell_the_segments_and_reveal_a_motion_within_one(
    sequence: Path,
    demo_robot: Robot,
    monkeypatch: pytest.MonkeyPatch,
    told_by: str,
    stretches: list[range],
) -> None:
    solved = []

    def refuse(recording: Recording, *_: Any, **__: Any) -> None:
        solved.append(len(recording))
        raise CalibAllError("no calibration today")

    monkeypatch.setattr("benchmarks.dream_evaluation.calibrate", refuse)
    options = EvaluationOptions(Settings(), every=3, segments=told_by)
    evaluation = evaluate(read_sequence(sequence), demo_robot, options)
    assert [segment.frames for segment in evaluation.segments] == stretches
    assert solved == [-(-len(stretch) // 3) for stretch in stretches]
    motions = [segment.annotated_motion_mm for segment in evaluation.segments]
    assert all((motion > 100.0) == (told_by == NONE) for motion in motions)
    assert evaluation.metrics.found == 0 and not evaluation.accepted.any()
