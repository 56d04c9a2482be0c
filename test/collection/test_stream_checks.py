# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.collection.serialised import MessageReader, header_stamp_ns
from calib_all_ros.collection.stream_checks import StreamChecks
from calib_all_ros.recording.bag_storage import CAMERA_INFO, IMAGE, JOINT_STATE
from calib_all_ros.robot.description import Robot

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def checked(scene: Any, messages: Iterable[Any]) -> StreamChecks:
    reader = MessageReader()
    checks = StreamChecks(scene.ros)
    for message in messages:
        if message.kind == IMAGE:
            checks.add_image(message.topic, header_stamp_ns(message.data), message.log_ns)
        elif message.kind == JOINT_STATE:
            sample = reader.joint_state(message.data)
            checks.add_joint_state(message.topic, sample, message.log_ns)
        elif message.kind == CAMERA_INFO:
            checks.camera_info.add(message.topic, message.data, message.log_ns)
    return checks


def said(
    checks: StreamChecks, seconds: float, robot: Robot | None = None, level: str | None = None
) -> str:
    kinematics = robot.kinematics if robot else None
    found: list[RecordingIssue] = checks.findings(
        START_NS + round(seconds * SECOND_NS), (64, 48), kinematics
    )
    return " | ".join(f.sentence for f in found if level in (None, f.level))


def still(seconds: float) -> Any:
    return np.zeros(7)


def test_streams_that_go_together(scene: Any, demo_robot: Robot) -> None:
    checks = checked(scene, scene.stream(still, 4.0))
    assert said(checks, 4.0, demo_robot, "error") == said(checks, 4.0, demo_robot, "warn") == ""
    # The gripper's joint is not reported, which is common and does little harm.
    assert "joints finger_joint were not recorded" in said(checks, 4.0, demo_robot, "note")


def test_images_that_stop(scene: Any) -> None:
    checks = checked(scene, scene.stream(still, 4.0))
    assert "no images on /cam/image_raw for 3 s" in said(checks, 7.0, level="error")


def test_joint_states_that_stop(scene: Any) -> None:
    messages = [m for m in scene.stream(still, 6.0) if m.kind != JOINT_STATE or
                m.log_ns < START_NS + 4 * SECOND_NS]  # fmt: skip
    checks = checked(scene, messages)
    assert said(checks, 4.5, level="error") == ""
    assert "no joint states of joint_1, joint_2, joint_3, … on /joint_states for 2 s" in said(
        checks, 6.0, level="error"
    )


def test_joint_states_that_stopped_for_a_while(scene: Any) -> None:
    pause = (START_NS + 2 * SECOND_NS, START_NS + 4 * SECOND_NS)
    messages = [m for m in scene.stream(still, 6.0) if m.kind != JOINT_STATE or
                not pause[0] < m.log_ns < pause[1]]  # fmt: skip
    checks = checked(scene, messages)
    assert said(checks, 6.0, level="error") == ""
    assert "joint states on /joint_states are missing (longest gap 2.00 s)" in said(checks, 6.0)


def test_no_joint_states_at_all(scene: Any) -> None:
    checks = checked(scene, (m for m in scene.stream(still, 4.0) if m.kind != JOINT_STATE))
    assert "there are images but no joint states: start the robot's driver" in said(checks, 4.0)


def test_two_publishers_on_one_topic_do_not_disturb_each_other(scene: Any) -> None:
    messages = [
        *scene.stream(still, 4.0),
        *(scene.joints(0.1 * i + 0.003, [0.0], ["finger_joint"]) for i in range(40)),
    ]
    checks = checked(scene, sorted(messages, key=lambda m: m.log_ns))
    assert len(checks.joints) == 2
    assert said(checks, 4.0) == ""


def test_joints_of_another_robot(scene: Any, demo_robot: Robot) -> None:
    names = [f"ur_{i}" for i in range(6)]
    messages = [scene.joints(0.01 * i, np.zeros(6), names) for i in range(300)]
    assert "no recorded joint is a joint of the URDF" in said(
        checked(scene, messages), 3.0, demo_robot, "error"
    )


def test_joint_in_the_middle_is_missing(scene: Any, demo_robot: Robot) -> None:
    names = [f"joint_{i}" for i in (1, 2, 4, 5, 6, 7)]
    messages = [scene.joints(0.01 * i, np.zeros(6), names) for i in range(300)]
    assert "joint 'joint_3' of the URDF, which moves recorded joints" in said(
        checked(scene, messages), 3.0, demo_robot, "error"
    )
    # The other publisher may only be late.
    assert said(checked(scene, messages[:150]), 1.5, demo_robot, "error") == ""


@pytest.mark.parametrize(("offset_s", "level"), [(0.06, None), (5.0, "error"), (-5.0, "error")])
def test_clocks(scene: Any, offset_s: float, level: str | None) -> None:
    messages = [
        scene.image((m.log_ns - START_NS) / SECOND_NS, stamp_offset_s=offset_s)
        if m.kind == IMAGE
        else m
        for m in scene.stream(still, 4.0)
    ]
    text = said(checked(scene, messages), 4.0, level=level)
    assert ("synchronise the clocks" in text) == (level is not None)


def test_beginning_forgets_what_was_before(scene: Any) -> None:
    checks = checked(scene, [scene.image(0.0), scene.image(5.0), scene.info(0.0)])
    checks.begin()
    assert checks.images.count == 0
    assert checks.camera_info.latest is not None
    assert said(checks, 100.0) == ""


def test_names_that_change_all_the_time_fill_no_memory(scene: Any) -> None:
    messages = (scene.joints(0.01 * i, [0.0], [f"j{i}"]) for i in range(100))
    assert len(checked(scene, messages).joints) == 16
