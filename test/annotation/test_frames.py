# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import (
    AnnotatedRecording,
    annotated_recording,
)
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.simulation.simulator import SimulatedRecording

DATA = {
    "d1": "panda/panda.urdf",
    "d2": "ur5e/ur5e_robotiq85.urdf",
    "d3": "xarm7/xarm7_gripper.urdf",
    "d4": "panda/panda.urdf",
}


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_masks_are_those_of_a_ray_tracer(
    annotations: list[FrameAnnotation], simulated: SimulatedRecording
) -> None:
    for annotation in annotations:
        mask = simulated.masks[annotation.index]
        assert overlap(annotation.links >= 0, mask) > 0.999
        assert np.array_equal(annotation.depth_m > 0, annotation.links >= 0)


def test_links_and_depth_are_those_of_a_ray_tracer(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation], demo_robot: Robot
) -> None:
    annotation = annotations[1]
    camera = annotated.camera
    v, u = np.nonzero(annotation.links >= 0)
    caster = RayCaster(demo_robot.surface)
    T = annotated.estimate.T_camera_base @ annotated.estimate.link_poses(
        annotated.motion.subset(np.array([annotation.index]))
    )
    everywhere = {
        int(link): np.ones(len(u), bool) for link in np.unique(demo_robot.surface.link_of_face)
    }
    rays = camera.rays(np.stack([u, v], axis=1))
    hits = caster.first_hits(np.zeros(3), rays, T[0], everywhere)
    same = hits.link == annotation.links[v, u]
    assert same.mean() > 0.999
    # Rays have z = 1, so their multiple is the depth along the optical axis.
    off_m = np.abs(annotation.depth_m[v, u] - hits.distance)[same]
    assert np.median(off_m) < 1e-6
    assert np.percentile(off_m, 99) < 1e-4


def test_gripper_is_the_pixels_of_its_links(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    gripper = [annotated.link_names.index(n) for n in ("hand", "left_finger", "right_finger")]
    assert annotated.end_effector.gripper_links == ("hand", "left_finger", "right_finger")
    for annotation in annotations:
        assert np.array_equal(annotation.gripper, np.isin(annotation.links, gripper))
    assert any(annotation.gripper.any() for annotation in annotations)


def test_end_effector_is_where_kinematics_and_camera_put_it(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation], simulated: SimulatedRecording
) -> None:
    link = annotated.link_names.index("hand")
    for annotation in annotations:
        stamp = simulated.image_stamps_ns[annotation.index]
        row = int(np.flatnonzero(simulated.joint_stamps_ns == stamp)[0])
        positions = simulated.joint_positions[row : row + 1]
        T_base_eef = annotated.motion.kinematics.forward(positions)[0, link]
        eef = annotation.eef
        np.testing.assert_allclose(eef.T_base_eef, T_base_eef, atol=1e-9)
        np.testing.assert_allclose(
            eef.T_camera_eef, simulated.T_camera_base @ T_base_eef, atol=1e-9
        )
        x, y, z = eef.T_camera_eef[:3, 3]
        assert eef.depth_m == pytest.approx(z)
        K = simulated.camera.K
        expected = [K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]]
        np.testing.assert_allclose(eef.pixel, expected)


def test_late_images_show_the_robot_of_earlier(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    """Images stamped 0.25 s late are annotated as those that were stamped right."""
    late = replace(
        simulated_recording, image_stamps_ns=simulated_recording.image_stamps_ns + 250_000_000
    )
    right = list(
        annotated_recording(simulated_recording, demo_robot, calibration).every(3).annotations()
    )
    lagging = list(
        annotated_recording(late, demo_robot, replace(calibration, lag_ms=250.0))
        .every(3)
        .annotations()
    )
    wrong = list(
        annotated_recording(late, demo_robot, replace(calibration, lag_ms=-250.0))
        .every(3)
        .annotations()
    )
    assert [a.index for a in lagging] == [a.index for a in right]
    for first, second in zip(right, lagging, strict=True):
        assert np.array_equal(first.links, second.links)
        np.testing.assert_allclose(first.eef.T_camera_eef, second.eef.T_camera_eef, atol=1e-9)
    assert overlap(right[1].links >= 0, wrong[1].links >= 0) < 0.95


def test_joint_offsets_and_focal_scale_are_applied(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    joints = simulated_recording.joints
    names = joints.names
    shifted = JointTrajectory.from_series(
        {
            name: (joints.series(name)[0], joints.series(name)[1] - 0.1 * (name == "joint_4"))
            for name in names
        }
    )
    K = calibration.camera.K.copy()
    K[0, 0] /= 1.05
    K[1, 1] /= 1.05
    wrong = replace(
        simulated_recording, joints=shifted, camera=replace(simulated_recording.camera, K=K)
    )
    corrected = replace(calibration, joint_offsets={"joint_4": 0.1}, focal_scale=1.05)
    expected = next(annotated_recording(simulated_recording, demo_robot, calibration).annotations())
    found = next(annotated_recording(wrong, demo_robot, corrected).annotations())
    assert np.array_equal(found.links, expected.links)
    np.testing.assert_allclose(found.eef.pixel, expected.eef.pixel)
    uncorrected = next(annotated_recording(wrong, demo_robot, calibration).annotations())
    assert abs(uncorrected.eef.depth_m - expected.eef.depth_m) > 0.02


def test_distortion_moves_masks_depth_and_points_alike(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    """Every pixel of the distorted image shows what lies on its own ray."""
    pinhole = simulated_recording.camera
    bent = Camera(pinhole.K, 320, 240, np.array([-0.3, 0.1, 0.001, -0.002, 0.0]), "plumb_bob")
    recording = replace(simulated_recording, camera=bent)
    calibrated = replace(calibration, camera=bent)
    whole = annotated_recording(recording, demo_robot, calibrated)
    straight = next(annotated_recording(simulated_recording, demo_robot, calibration).annotations())
    found = next(whole.annotations())
    assert overlap(found.links >= 0, straight.links >= 0) < 0.97
    np.testing.assert_allclose(
        found.eef.pixel, bent.project(found.eef.T_camera_eef[:3, 3]), atol=1e-9
    )
    v, u = np.nonzero(found.links >= 0)
    caster = RayCaster(demo_robot.surface)
    T = whole.estimate.T_camera_base @ whole.estimate.link_poses(whole.motion.subset(np.array([0])))
    everywhere = {
        int(link): np.ones(len(u), bool) for link in np.unique(demo_robot.surface.link_of_face)
    }
    hits = caster.first_hits(np.zeros(3), bent.rays(np.stack([u, v], 1)), T[0], everywhere)
    same = hits.link == found.links[v, u]
    assert same.mean() > 0.985
    off_m = np.abs(found.depth_m[v, u] - hits.distance)[same]
    assert np.median(off_m) < 1e-5
    assert np.percentile(off_m, 95) < 1e-3


def test_visibility_is_what_a_ray_to_the_end_effector_meets(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    caster = RayCaster(demo_robot.surface)
    names = demo_robot.surface.link_names
    rng = np.random.default_rng(5)
    states = []
    for number in range(20):
        annotated = annotated_recording(simulated_recording, demo_robot, calibration)
        hand = annotated.eef_poses(annotated.motion.stamps_ns[number : number + 1])[0][0, :3, 3]
        away = rng.standard_normal(3)
        position = hand + 1.3 * away / np.linalg.norm(away)
        moved = replace(
            calibration, T_camera_base=_looking(position, hand + np.array([0.0, 0.0, 0.05]))
        )
        annotated = annotated_recording(simulated_recording, demo_robot, moved)
        found = next(annotated.annotations([number]))
        point = found.eef.T_camera_eef[:3, 3]
        poses = annotated.estimate.link_poses(annotated.motion.subset(np.array([number])))[0]
        others = {
            link: np.ones(1, bool)
            for link in np.unique(demo_robot.surface.link_of_face).tolist()
            if names[link] not in annotated.end_effector.own_links
        }
        hits = caster.first_hits(np.zeros(3), point[None], moved.T_camera_base @ poses, others)
        hidden = hits.distance[0] * point[2] < point[2] - 0.005
        assert found.eef.in_image
        assert found.eef.hidden_by == (names[hits.link[0]] if hidden else "")
        assert found.eef.visible == (not hidden)
        states.append(found.eef.visible)
    assert 2 < sum(states) < 18


def test_end_effector_outside_the_image_is_not_visible(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    annotated = annotated_recording(simulated_recording, demo_robot, calibration)
    hand = next(annotated.annotations([0])).eef.T_base_eef[:3, 3]
    aside = hand + np.array([1.0, 0.0, 0.0])
    for target in (hand + np.array([0.0, 1.0, 0.0]), hand + np.array([2.0, 0.3, 0.0])):
        moved = replace(calibration, T_camera_base=_looking(aside, target))
        other = annotated_recording(simulated_recording, demo_robot, moved)
        eef = next(other.annotations([0])).eef
        assert not eef.in_image and not eef.visible
    assert np.isnan(eef.pixel).all()  # the last camera has it behind itself


def _looking(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    z = (target - position) / np.linalg.norm(target - position)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    return se3.invert(se3.make(np.stack([x, np.cross(z, x), z], axis=1), position))


def test_frames_without_joint_states_are_left_out_and_said(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    stamps = simulated_recording.image_stamps_ns
    cut = {}
    for name in simulated_recording.joints.names:
        times, values = simulated_recording.joints.series(name)
        kept = (times >= stamps[3]) & ~((times > stamps[8]) & (times < stamps[10]))
        cut[name] = times[kept], values[kept]
    recording = replace(simulated_recording, joints=JointTrajectory.from_series(cut))
    annotated = annotated_recording(recording, demo_robot, calibration)
    expected = [i for i in range(20) if i >= 3 and i != 9]
    assert annotated.frames.tolist() == expected
    assert any("4 of 20 images are left out" in note for note in annotated.notes)
    assert annotated.every(2).frames.tolist() == [i for i in expected if i % 2 == 0]


def test_states_that_come_with_the_images_are_no_gaps(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    """Four states a second, as datasets for learning have them, and a lag of 12 ms."""
    stamps, joints = simulated_recording.image_stamps_ns, simulated_recording.joints
    slow = JointTrajectory(joints.names, stamps, joints.at(stamps)[0])
    recording = replace(simulated_recording, joints=slow)
    annotated = annotated_recording(recording, demo_robot, replace(calibration, lag_ms=12.0))
    assert annotated.frames.tolist() == list(range(20))
    assert any("1 image(s) at the ends" in n and "12 ms outside" in n for n in annotated.notes)
    much = annotated_recording(recording, demo_robot, replace(calibration, lag_ms=400.0))
    assert much.frames.tolist() == list(range(1, 20))


def test_links_of_joints_that_were_not_recorded_are_not_drawn(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    joints = simulated_recording.joints
    arm = {n: joints.series(n) for n in joints.names if n != "finger_joint"}
    recording = replace(simulated_recording, joints=JointTrajectory.from_series(arm))
    annotated = annotated_recording(recording, demo_robot, calibration)
    assert "left_finger" not in annotated.drawn_links
    assert any("left_finger" in note for note in annotated.notes)
    with pytest.raises(AnnotationError, match="joints that move left_finger were not recorded"):
        annotated_recording(recording, demo_robot, calibration, eef_link="left_finger")


def test_what_does_not_belong_together_is_refused(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    other = replace(calibration, robot=replace(calibration.robot, base_frame="world"))
    with pytest.raises(AnnotationError, match="base frame 'world'"):
        annotated_recording(simulated_recording, demo_robot, other)
    large = replace(calibration, camera=replace(calibration.camera, width=640))
    with pytest.raises(AnnotationError, match="320x240, the calibration is of a camera with 640"):
        annotated_recording(simulated_recording, demo_robot, large)


def test_any_order_gives_the_same(annotated: AnnotatedRecording) -> None:
    forward = list(annotated.annotations([1, 2]))
    backward = list(annotated.annotations([2, 1]))
    assert [a.index for a in backward] == [2, 1]
    assert np.array_equal(forward[0].depth_m, backward[1].depth_m)


def test_instants_between_images_and_after_the_joint_states(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    stamps = annotated.motion.stamps_ns
    poses, known = annotated.eef_poses(np.array([stamps[2], stamps[-1] + 10_000_000_000]))
    assert known.tolist() == [True, False]
    np.testing.assert_allclose(poses[0], annotations[2].eef.T_base_eef, atol=1e-12)


@pytest.mark.parametrize("name", sorted(DATA))
def test_path_traced_recordings(
    shared_data: Path,
    name: str,
    true_calibration: Callable[[Recording, Robot], Calibration],
) -> None:
    """Masks, links and depth as a path tracer has them that shares nothing with this project."""
    recording = load_recording(RecordingSource(shared_data / name, masks="recorded"))
    urdf = shared_data / "robots" / DATA[name]
    robot = load_robot(urdf, base_frame=recording.base_frame, mesh_paths=[urdf.parent])
    calibration = true_calibration(recording, robot)
    annotated = annotated_recording(recording, robot, calibration)
    assert recording.masks is not None
    found = list(annotated.annotations([0, 23]))
    for annotation in found:
        mask = recording.masks[annotation.index]
        assert mask is not None
        assert overlap(annotation.links >= 0, mask) > 0.9995
    T_camera_link = calibration.T_camera_base @ annotated.estimate.link_poses(
        annotated.motion.subset(np.array([0]))
    )
    marks = json.loads((shared_data / name / "eef.json").read_text())["marks_on_other_links"]
    for mark in marks:
        u, v = (round(x) for x in mark["pixel"])
        link = annotated.link_names.index(mark["link"])
        assert found[0].links[v, u] == link
        depth_m = se3.transform(T_camera_link[0, link], np.array([mark["point_in_link"]]))[0, 2]
        assert found[0].depth_m[v, u] == pytest.approx(depth_m, abs=2e-5)


def test_frames_are_read_only_when_drawn(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> None:
    """Annotating needs no image at all."""
    blind = replace(simulated_recording, images=FrameList([]))
    assert (
        len(list(annotated_recording(blind, demo_robot, calibration).every(10).annotations())) == 2
    )
