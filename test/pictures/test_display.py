# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.geometry import se3
from calib_all_ros.pictures.display import make_display
from calib_all_ros.pictures.overlay import AFTER, TARGET
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import FrameQuality, Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.solving.mark import Mark, MarkTrack
from calib_all_ros.solving.observations import make_view

NUMBERS = (2, 7, 11)
IOU = (0.9, 0.95, 0.99)
POINT = np.array([0.02, 0.01, 0.05])


@pytest.fixture
def calibration(simulated_recording: Recording, demo_robot: Robot) -> Calibration:
    """The true pose; the frame that agrees best was not used."""
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    return Calibration(
        T_camera_base=truth,
        camera=simulated_recording.camera,
        robot=RobotRecord(demo_robot.name, demo_robot.kinematics.base_frame),
        verdict=Verdict("accepted"),
        provenance=Provenance("simulated", "", "0"),
        frames=tuple(
            FrameQuality(n, int(simulated_recording.image_stamps_ns[n]), iou, used=iou != 0.99)
            for n, iou in zip(NUMBERS, IOU, strict=True)
        ),
        stages={"coarse": truth, "refined": truth},
    )


@pytest.fixture
def evidence(simulated_recording: Recording) -> Evidence:
    view = make_view(simulated_recording.camera, 960)
    assert simulated_recording.masks is not None
    masks = [simulated_recording.masks[n] for n in NUMBERS]
    return Evidence(view, np.stack([m for m in masks if m is not None]), None, "")


def pixels_of(point: np.ndarray, recording: Recording, robot: Robot) -> np.ndarray:
    """Where a point of the hand is seen in all images."""
    positions, _ = recording.joints.at(recording.image_stamps_ns, robot.kinematics.joint_names)
    link = robot.kinematics.link_names.index("hand")
    T = recording.reference_T_camera_base @ robot.kinematics.forward(positions)[:, link]
    return recording.camera.project(se3.transform(T, point[None])[:, 0])


def like(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(np.abs(picture.astype(int) - colour).max(axis=2) < 40)


def test_overlay_is_the_best_used_image_as_recorded(
    calibration: Calibration, evidence: Evidence, simulated_recording: Recording, demo_robot: Robot
) -> None:
    display = make_display(calibration, evidence, simulated_recording, demo_robot)
    assert display.stamp_ns == simulated_recording.image_stamps_ns[7]
    assert display.camera.K.tolist() == simulated_recording.camera.K.tolist()
    raw, mask = simulated_recording.images[7], evidence.masks[1]
    assert display.overlay.shape == raw.shape
    changed = (display.overlay != raw).any(axis=2)
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0
    assert not (changed & ~grown).any()
    assert (changed & mask).sum() > 0.97 * mask.sum()


def test_mask_and_before_after_stand_below_captions(
    calibration: Calibration, evidence: Evidence, simulated_recording: Recording, demo_robot: Robot
) -> None:
    display = make_display(calibration, evidence, simulated_recording, demo_robot)
    height = simulated_recording.camera.height
    assert display.before_after.shape[0] > height and display.mask.shape[0] > height
    assert like(display.before_after[-height:], AFTER).sum() > 100
    tinted = display.mask[-height:].astype(int) - simulated_recording.images[7]
    inside = cv2.erode(evidence.masks[1].astype(np.uint8), np.ones((9, 9))) > 0
    towards = np.sign(np.array(TARGET) - simulated_recording.images[7].astype(int))
    assert (tinted * towards)[inside].mean() > 5.0
    assert display.track is None


def test_an_estimated_focal_length_goes_with_the_overlay(
    calibration: Calibration, evidence: Evidence, simulated_recording: Recording, demo_robot: Robot
) -> None:
    scaled = replace(calibration, focal_scale=1.01)
    display = make_display(scaled, evidence, simulated_recording, demo_robot)
    assert display.camera.K[0, 0] == pytest.approx(1.01 * simulated_recording.camera.K[0, 0])


def test_frustum_is_what_the_camera_sees(
    calibration: Calibration, evidence: Evidence, simulated_recording: Recording, demo_robot: Robot
) -> None:
    display = make_display(calibration, evidence, simulated_recording, demo_robot)
    np.testing.assert_allclose(display.frustum[0], calibration.T_base_camera[:3, 3])
    camera = simulated_recording.camera
    corners = se3.transform(calibration.T_camera_base, display.frustum[1:])
    right, bottom = camera.width - 1, camera.height - 1
    np.testing.assert_allclose(
        camera.project(corners), [[0, 0], [right, 0], [right, bottom], [0, bottom]], atol=1e-6
    )
    assert np.ptp(corners[:, 2]) < 1e-9 and 0.05 <= corners[0, 2] <= 0.5


def test_path_of_the_end_effector(
    calibration: Calibration, evidence: Evidence, simulated_recording: Recording, demo_robot: Robot
) -> None:
    display = make_display(calibration, evidence, simulated_recording, demo_robot, "hand")
    camera = simulated_recording.camera
    seen = camera.project(se3.transform(calibration.T_camera_base, display.path))
    origin = pixels_of(np.zeros(3), simulated_recording, demo_robot)
    np.testing.assert_allclose(seen, origin, atol=1e-6)
    by_itself = make_display(calibration, evidence, simulated_recording, demo_robot)
    moved_by = [len(demo_robot.kinematics.moving_joints(link)) for link in
                demo_robot.kinematics.link_names]  # fmt: skip
    assert len(demo_robot.kinematics.moving_joints(by_itself.path_link)) == max(moved_by)
    with pytest.raises(RobotError, match="no link 'hook'"):
        make_display(calibration, evidence, simulated_recording, demo_robot, "hook")


@pytest.mark.parametrize(("followed", "predicted"), [(12, True), (1, False)])
def test_a_lost_mark_is_drawn_where_the_pose_puts_it(
    calibration: Calibration,
    evidence: Evidence,
    simulated_recording: Recording,
    demo_robot: Robot,
    followed: int,
    predicted: bool,
) -> None:
    truth = pixels_of(POINT, simulated_recording, demo_robot)
    pixels = truth.copy()
    pixels[followed:] = np.nan
    mark = Mark((float(truth[0, 0]), float(truth[0, 1])), 0, "hand")
    track = MarkTrack(mark, np.arange(20), pixels)
    marked = replace(evidence, track=track, mark_summary="followed for a while")
    display = make_display(calibration, marked, simulated_recording, demo_robot)
    assert display.track is not None
    assert display.track_stamp_ns == simulated_recording.image_stamps_ns[0]
    height, width = simulated_recording.images[0].shape[:2]
    red = like(display.track[-height:], (255, 70, 70))
    u, v = np.rint(truth[-1]).astype(int)
    assert 0 <= u < width and 0 <= v < height
    assert red[v, u] == predicted
