# SPDX-License-Identifier: Apache-2.0
"""The whole way from a simulated recording to a verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.calibration import calibrate
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.marks.references import MarkError
from calib_all_ros.recording.recording import FrameList, Recording, RecordingError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate
from calib_all_ros.solving.mark import Mark

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 10, "background_count": 20},
        "search": {"hypotheses": 2500, "candidates": 16, "finalists": 2, "attempts": 1},
    }
)
# Where the search need not succeed, or succeeds with less.
LITTLE = replace(QUICK, search=replace(QUICK.search, hypotheses=600, candidates=6))


def errors(calibration: Calibration, truth: np.ndarray) -> tuple[float, float]:
    return se3.difference(calibration.T_camera_base, truth)


def read(simulated: SimulatedRecording) -> Recording:
    joints = JointTrajectory(
        simulated.joint_names, simulated.joint_stamps_ns, simulated.joint_positions
    )
    return Recording(
        source="simulated",
        camera=simulated.camera,
        image_stamps_ns=simulated.image_stamps_ns,
        images=FrameList(list(simulated.images)),
        joints=joints,
        masks=FrameList(list(simulated.masks)),
        reference_T_camera_base=simulated.T_camera_base,
    )


def mirrored(recording: Recording) -> Recording:
    """Joint positions as a driver with the opposite sign convention reports them."""
    names = recording.joints.names
    series = {}
    for name in names:
        stamps, values = recording.joints.series(name)
        series[name] = (stamps, -values)
    return replace(recording, joints=JointTrajectory.from_series(series))


def true_masks(recording: Recording, calibration: Calibration) -> np.ndarray:
    """Return the recorded masks of the images that a pose was fitted to."""
    assert recording.masks is not None
    return np.stack([recording.masks[row.index] for row in calibration.frames])


@pytest.fixture(scope="module")
def truth(simulated: SimulatedRecording) -> np.ndarray:
    return simulated.T_camera_base


@pytest.fixture(scope="module")
def from_masks(simulated_recording: Recording, demo_robot: Robot) -> Calibration:
    return calibrate(simulated_recording, demo_robot, settings=QUICK).calibration


def test_masks_lead_to_an_accepted_pose(from_masks: Calibration, truth: np.ndarray) -> None:
    angle_deg, distance_m = errors(from_masks, truth)
    assert angle_deg < 0.1 and distance_m < 0.003
    assert from_masks.verdict.status == "accepted", from_masks.verdict.reasons
    assert from_masks.quality["iou_median"] > 0.97
    assert from_masks.lag_ms == pytest.approx(0.0, abs=5.0)


def test_the_result_says_what_it_rests_on(
    from_masks: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> None:
    assert from_masks.camera is simulated_recording.camera
    assert from_masks.robot.base_frame == demo_robot.kinematics.base_frame
    assert from_masks.robot.description_hash == demo_robot.description_hash
    numbers = [row.index for row in from_masks.frames]
    assert numbers == sorted(numbers) and len(numbers) == 10
    assert from_masks.provenance.frames_used == tuple(numbers)
    stamps = simulated_recording.image_stamps_ns
    assert [row.stamp_ns for row in from_masks.frames] == [int(stamps[i]) for i in numbers]
    assert from_masks.provenance.settings == QUICK.to_mapping()
    assert {"prepare", "search", "refine"} <= set(from_masks.provenance.stage_times_s)
    assert set(from_masks.stages) == {"coarse", "refined"}
    np.testing.assert_array_equal(from_masks.stages["refined"], from_masks.T_camera_base)
    assert from_masks.focal_scale is None and from_masks.point_offset_m is None


def test_covariance_is_positive_and_of_the_right_size(
    from_masks: Calibration, truth: np.ndarray
) -> None:
    assert from_masks.covariance is not None
    matrix = from_masks.covariance.matrix
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0
    sigma_m = np.sqrt(np.trace(matrix[:3, :3]))
    assert errors(from_masks, truth)[1] < 5 * sigma_m
    assert sigma_m < 0.01


def test_the_same_seed_gives_the_same_result(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    first, second = (
        calibrate(simulated_recording, demo_robot, settings=LITTLE).calibration for _ in range(2)
    )
    np.testing.assert_array_equal(first.T_camera_base, second.T_camera_base)
    assert first.quality == second.quality and first.verdict == second.verdict


def test_images_alone_lead_to_the_pose(
    simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray
) -> None:
    heard: list[tuple[str, float]] = []
    run = calibrate(
        replace(simulated_recording, masks=None),
        demo_robot,
        settings=QUICK,
        on_progress=lambda stage, share: heard.append((stage, share)),
    )
    found, evidence = run.calibration, run.evidence
    angle_deg, distance_m = errors(found, truth)
    assert angle_deg < 0.2 and distance_m < 0.006
    assert found.verdict.status != "rejected", found.verdict.reasons
    assert [stage for stage, _ in heard][:2] == ["prepare", "search"] and heard[-1] == ("done", 1.0)
    assert all(0.0 <= share <= 1.0 for _, share in heard)
    true = true_masks(simulated_recording, found)
    overlap = (evidence.masks & true).sum() / (evidence.masks | true).sum()
    assert evidence.masks.shape == true.shape and overlap > 0.9
    assert evidence.track is None


@pytest.mark.parametrize("with_masks", [True, False])
def test_mirrored_joints_are_not_accepted(
    with_masks: bool, simulated_recording: Recording, demo_robot: Robot
) -> None:
    recording = mirrored(simulated_recording)
    if not with_masks:
        recording = replace(recording, masks=None)
    found = calibrate(recording, demo_robot, settings=LITTLE).calibration
    assert found.verdict.status != "accepted"
    assert found.verdict.reasons


def test_a_wrong_focal_length_is_refused_and_named(
    simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray
) -> None:
    """The outlines agree all the same: only what no distance can make up for tells."""
    K = simulated_recording.camera.K.copy()
    K[[0, 1], [0, 1]] *= 1.06
    recording = replace(simulated_recording, camera=replace(simulated_recording.camera, K=K))
    found = calibrate(recording, demo_robot, settings=QUICK).calibration
    assert errors(found, truth)[1] > 0.03 and found.quality["outline_share"] > 0.9
    assert found.verdict.status == "rejected"
    assert found.verdict.causes[0] == "wrong_intrinsics"
    assert "% shorter than camera_info says" in found.verdict.reasons[0]
    free = replace(QUICK, refinement=replace(QUICK.refinement, focal_scale=True))
    repaired = calibrate(recording, demo_robot, settings=free).calibration
    assert repaired.focal_scale == pytest.approx(1 / 1.06, abs=0.01)
    assert errors(repaired, truth)[1] < 0.02
    assert repaired.verdict.status != "rejected", repaired.verdict.reasons


def test_what_is_known_of_the_pose_is_told(from_masks: Calibration, truth: np.ndarray) -> None:
    quality = from_masks.quality
    assert quality["held_out_frames"] >= 1 and quality["held_out_outline_share"] > 0.9
    assert quality["starts_agreeing"] >= 2 and quality["rival_share"] < 0.96
    assert quality["leave_some_out_position_mm"] < 3.0
    angle_deg, distance_m = errors(from_masks, truth)
    assert 1e3 * distance_m < quality["expected_position_mm"] < 30.0
    assert angle_deg < quality["expected_rotation_deg"] < 2.0


def test_a_mark_is_checked_before_any_work(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    heard: list[str] = []
    with pytest.raises(MarkError, match="no link 'hook'"):
        calibrate(
            simulated_recording,
            demo_robot,
            mark=Mark((10.0, 10.0), 0, "hook"),
            on_progress=lambda stage, _: heard.append(stage),
        )
    assert set(heard) <= {"prepare"}


def test_a_mark_that_is_lost_is_recorded_and_does_no_harm(
    simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray
) -> None:
    mark = Mark((3.0, 3.0), 0, "hand")
    run = calibrate(simulated_recording, demo_robot, mark=mark, settings=LITTLE)
    found, evidence = run.calibration, run.evidence
    assert errors(found, truth)[1] < 0.003
    assert found.robot.eef_link == "hand"
    assert evidence.track is not None and evidence.track.mark == mark
    assert evidence.track.frames.tolist() == list(range(20))
    np.testing.assert_array_equal(evidence.track.pixels[0], mark.pixel)
    assert "followed through" in evidence.mark_summary
    np.testing.assert_array_equal(evidence.masks, true_masks(simulated_recording, found))


def test_masks_without_robot_are_an_error(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    empty = FrameList([np.zeros((240, 320), bool)] * 20)
    with pytest.raises(RecordingError, match="mask with a robot"):
        calibrate(replace(simulated_recording, masks=empty), demo_robot, settings=QUICK)


def test_masks_of_noise_are_rejected(simulated_recording: Recording, demo_robot: Robot) -> None:
    rng = np.random.default_rng(0)
    noise = FrameList([rng.random((240, 320)) < 0.1 for _ in range(20)])
    found = calibrate(
        replace(simulated_recording, masks=noise), demo_robot, settings=LITTLE
    ).calibration
    assert found.verdict.status == "rejected"


def test_the_result_survives_the_way_through_its_file(from_masks: Calibration, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "calibration.yaml"
    from_masks.save(path)
    again = Calibration.load(path)
    np.testing.assert_array_equal(again.T_camera_base, from_masks.T_camera_base)
    assert again.verdict == from_masks.verdict


def test_a_distorted_camera_that_lags(demo_robot: Robot) -> None:
    settings = SimulationSettings(
        frames=12, rate_hz=4.0, width=320, height=240, focal_px=260.0, seed=4, lag_s=0.06,
        distortion_model="plumb_bob", distortion=(-0.28, 0.09, 0.001, -0.002, 0.0),
    )  # fmt: skip
    simulated = simulate(demo_robot, settings)
    found = calibrate(read(simulated), demo_robot, settings=LITTLE).calibration
    angle_deg, distance_m = errors(found, simulated.T_camera_base)
    assert angle_deg < 0.2 and distance_m < 0.006
    assert found.lag_ms == pytest.approx(60.0, abs=10.0)
    assert found.verdict.status == "accepted", found.verdict.reasons
