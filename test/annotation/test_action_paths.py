# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.annotation.action_paths import (
    EXECUTED,
    ActionPath,
    executed_path,
    path_errors,
    path_of_table,
    seen_path,
)
from calib_all_ros.annotation.action_table import ActionTable
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.simulation.simulator import SimulatedRecording


def table(**columns: list[float]) -> ActionTable:
    return ActionTable("pi0", "pi0.csv", {n: np.array(c) for n, c in columns.items()})


def test_positions_follow_each_other_at_the_rate() -> None:
    path = path_of_table(table(x=[1, 2], y=[3, 4], z=[5, 6]), rate_hz=10.0, first_stamp_ns=None)
    assert path.times_s.tolist() == [0.0, 0.1]
    assert path.positions.tolist() == [[1, 3, 5], [2, 4, 6]]


def test_times_and_stamps_count_where_they_are_given() -> None:
    timed = table(time_s=[-0.5, 0.5, 0.7], x=[1, 2, 3], y=[0] * 3, z=[0] * 3)
    path = path_of_table(timed, rate_hz=10.0, first_stamp_ns=10)
    assert path.times_s.tolist() == [0.5, 0.7] and path.positions[:, 0].tolist() == [2, 3]
    stamped = replace(
        timed, columns={**timed.columns, "stamp_ns": np.array([0, 2, 4]) * 10**9 + 10}
    )
    path = path_of_table(stamped, rate_hz=10.0, first_stamp_ns=2 * 10**9 + 10)
    assert path.times_s.tolist() == [0.0, 2.0] and path.positions[:, 0].tolist() == [2, 3]


def test_joint_values_go_through_the_kinematics(
    annotated: AnnotatedRecording, simulated: SimulatedRecording
) -> None:
    kinematics = annotated.motion.kinematics
    rows = simulated.joint_positions[[10, 60]]
    columns = {n: rows[:, i] for i, n in enumerate(simulated.joint_names) if n != "finger_joint"}
    actions = ActionTable("pi0", "pi0.csv", columns)
    path = path_of_table(
        actions, rate_hz=1.0, first_stamp_ns=None, kinematics=kinematics, eef_link="hand"
    )
    link = kinematics.link_names.index("hand")
    expected = kinematics.forward(rows)[:, link, :3, 3]
    np.testing.assert_allclose(path.positions, expected, atol=1e-12)
    shifted = {**columns, "joint_2": columns["joint_2"] - 0.2}
    corrected = path_of_table(
        ActionTable("pi0", "pi0.csv", shifted),
        rate_hz=1.0,
        first_stamp_ns=None,
        kinematics=kinematics,
        eef_link="hand",
        joint_offsets={"joint_2": 0.2},
    )
    np.testing.assert_allclose(corrected.positions, expected, atol=1e-12)


def test_executed_way_is_that_of_the_frames(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    path = executed_path(annotated, 1, np.array([0.0, 0.25, 0.5, 1000.0]))
    assert path.name == EXECUTED and path.times_s.tolist() == [0.0, 0.25, 0.5]
    expected = [a.eef.T_base_eef[:3, 3] for a in annotations[1:4]]
    np.testing.assert_allclose(path.positions, expected, atol=1e-12)


def test_executed_way_of_late_images_is_that_of_earlier(annotated: AnnotatedRecording) -> None:
    late = replace(annotated, estimate=replace(annotated.estimate, lag_s=0.25))
    np.testing.assert_allclose(
        executed_path(late, 2, np.array([0.0])).positions,
        executed_path(annotated, 1, np.array([0.0])).positions,
        atol=1e-12,
    )


def test_errors_are_distances_at_equal_times(annotated: AnnotatedRecording) -> None:
    times_s = np.array([0.0, 0.25, 0.5, 1000.0])
    executed = executed_path(annotated, 0, times_s)
    away = np.array([[0.03, 0.0, 0.0], [0.0, 0.0, -0.01], [0.0, 0.05, 0.0]])
    positions = np.concatenate([executed.positions + away, [[9.0, 9.0, 9.0]]])
    T, camera = annotated.estimate.T_camera_base, annotated.camera
    predicted = seen_path(ActionPath("pi0", times_s, positions), camera, T)
    errors = path_errors(predicted, annotated, 0)
    assert errors is not None and errors.steps == 3
    assert errors.mean_m == pytest.approx(0.03) and errors.final_m == pytest.approx(0.05)
    right = seen_path(executed, camera, T)
    off_px = np.linalg.norm(predicted.pixels[:3] - right.pixels, axis=1)
    assert errors.mean_px == pytest.approx(off_px.mean())
    assert errors.final_px == pytest.approx(off_px[-1])
    late = seen_path(ActionPath("pi0", times_s + 5000.0, positions), camera, T)
    assert path_errors(late, annotated, 0) is None


def test_way_behind_the_robot_is_hidden_and_before_it_is_not(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    annotation = annotations[0]
    T = annotated.estimate.T_camera_base
    base = annotated.link_names.index("base_link")
    v, u = (int(np.median(axis)) for axis in np.nonzero(annotation.links == base))
    assert annotation.links[v, u] == base
    ray, depth = annotated.camera.rays([u, v]), float(annotation.depth_m[v, u])
    beside = annotated.camera.rays([2, 2])
    points = np.stack([0.9 * depth * ray, 1.5 * depth * ray, 1.5 * depth * beside])
    positions = (points - T[:3, 3]) @ T[:3, :3]
    poses = T @ annotated.estimate.link_poses(annotated.motion.subset(np.array([0])))[0]
    path = ActionPath("pi0", np.arange(3.0), positions)
    seen = seen_path(path, annotated.camera, T, Occluders.of(annotated.surface), poses)
    assert seen.hidden_by == ("", "base_link", "")
    np.testing.assert_allclose(seen.pixels, [[u, v], [u, v], [2, 2]], atol=1e-6)
    assert seen.in_image.all()
    assert seen_path(path, annotated.camera, T).hidden_by == ("", "", "")


def test_tables_that_do_not_fit_are_told(annotated: AnnotatedRecording) -> None:
    kinematics = annotated.motion.kinematics
    with pytest.raises(AnnotationError, match=r"no positions .* for joint values give the robot"):
        path_of_table(table(joint_1=[0.0]), rate_hz=1.0, first_stamp_ns=None)
    with pytest.raises(AnnotationError, match="nor the joint joint_2, which moves hand"):
        path_of_table(
            table(joint_1=[0.0]),
            rate_hz=1.0,
            first_stamp_ns=None,
            kinematics=kinematics,
            eef_link="hand",
        )
    positions = {"x": [0.0, 0.0], "y": [0.0, 0.0], "z": [0.0, 0.0]}
    with pytest.raises(AnnotationError, match="do not ascend"):
        path_of_table(table(time_s=[1.0, 0.5], **positions), rate_hz=1.0, first_stamp_ns=None)
    with pytest.raises(AnnotationError, match="ends before the image"):
        path_of_table(table(time_s=[-2.0, -1.0], **positions), rate_hz=1.0, first_stamp_ns=None)
