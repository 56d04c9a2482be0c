# SPDX-License-Identifier: Apache-2.0
"""Two arms: described by two files with joint states on two topics, and one that stands still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from calib_all_ros.calibration import calibrate
from calib_all_ros.cli import parse
from calib_all_ros.commands.options import CommandError
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import InputFiles
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.recording.writing import JointSamples, write_bag
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.second_arm import join_descriptions, joined_description, second_base_pose
from calib_all_ros.settings import FrameSettings, SearchEffort, Settings
from calib_all_ros.simulation import simulator
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate
from calib_all_ros.solve_job import load_inputs

BESIDE = (0.1, 0.75, 0.0, 0.0, 0.0, 1.2)
TINY = SimulationSettings(
    frames=10, rate_hz=3.0, width=240, height=180, focal_px=210.0, supersample=1, shadows=False,
    seed=2,
)  # fmt: skip
QUICK = Settings(
    frames=FrameSettings(count=8),
    search=SearchEffort(hypotheses=1000, candidates=4, finalists=1, attempts=1),
)


@pytest.fixture(scope="module")
def dual() -> Robot:
    """Two demo arms in one description."""
    urdf = demo_urdf_path()
    pose = second_base_pose(BESIDE)
    return load_robot(join_descriptions(urdf, urdf, pose, prefix="l_", second_prefix="r_"))


def write_dual_bag(path: Path, view: SimulatedRecording) -> None:
    """Both arms call their joints alike, on /joint_states and /right/joint_states."""
    ros = RosMessages(is_ros2=True)
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for arm, topic_of_joints in (("l_", "/joint_states"), ("r_", "/right/joint_states")):
            own = [i for i, name in enumerate(view.joint_names) if name.startswith(arm)]
            names = tuple(view.joint_names[i].removeprefix(arm) for i in own)
            part = path.with_name(f"{path.name}_{arm}")
            write_bag(
                part,
                images=view.images,
                image_stamps_ns=view.image_stamps_ns,
                joints=JointSamples(
                    names,
                    view.joint_stamps_ns,
                    np.ascontiguousarray(view.joint_positions[:, own]),
                ),
                camera=view.camera,
                urdf=demo_urdf_path().read_text(encoding="utf-8"),
                masks=view.masks,
            )
            with Reader(part) as reader:
                for connection, stamp_ns, data in reader.messages():
                    topic = connection.topic
                    if topic == "/joint_states":
                        topic = topic_of_joints
                    elif arm == "r_":
                        continue  # all but the joints is in the bag already
                    if topic not in connections:
                        connections[topic] = writer.add_connection(
                            topic, connection.msgtype, typestore=ros.typestore
                        )
                    writer.write(connections[topic], stamp_ns, bytes(data))


def test_two_descriptions_and_two_topics(dual: Robot, tmp_path: Path) -> None:
    view = simulate(dual, TINY)
    write_dual_bag(tmp_path / "bag", view)
    files = InputFiles(
        tmp_path / "bag",
        second_urdf=demo_urdf_path(),
        second_base=BESIDE,
        prefix="l_",
        second_prefix="r_",
        joint_topics=("/joint_states",),
        second_joint_topics=("/right/joint_states",),
        masks="recorded",
    )
    recording, robot = load_inputs(files)
    assert robot.kinematics.joint_names == dual.kinematics.joint_names
    assert set(recording.joints.names) == set(dual.kinematics.joint_names)
    calibration = calibrate(recording, robot, settings=QUICK).calibration
    assert calibration.verdict.status != "rejected"
    degrees, metres = se3.difference(calibration.T_camera_base, view.T_camera_base)
    assert degrees < 0.2
    assert metres < 0.004
    # Without one of the arms the outline would be another.
    assert calibration.quality["iou_median"] > 0.97


def test_one_arm_may_stand_still(dual: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.array([name.startswith("r_") for name in dual.kinematics.joint_names])
    moving = simulator.random_motion

    def half_still(robot: Robot, duration_s: float, seed: int) -> Any:
        motion = moving(robot, duration_s, seed)
        held = np.asarray(motion(np.array([0.5 * duration_s])))[0]
        return lambda times: np.where(right, held, np.asarray(motion(times)))

    monkeypatch.setattr(simulator, "random_motion", half_still)
    view = simulate(dual, TINY)
    assert np.ptp(view.joint_positions[:, right], axis=0).max() == 0.0
    recording = Recording(
        source="simulated",
        camera=view.camera,
        image_stamps_ns=view.image_stamps_ns,
        images=FrameList(list(view.images)),
        joints=JointTrajectory(view.joint_names, view.joint_stamps_ns, view.joint_positions),
        masks=FrameList(list(view.masks)),
    )
    calibration = calibrate(recording, dual, settings=QUICK).calibration
    assert calibration.verdict.status != "rejected"
    degrees, metres = se3.difference(calibration.T_camera_base, view.T_camera_base)
    assert degrees < 0.2
    assert metres < 0.004


@pytest.mark.parametrize("command", ["calibrate", "cameras"])
def test_arguments_of_the_commands(command: str) -> None:
    given = "bag --out o --second-urdf r.urdf --second-base -0.1,0.75,0,0,0,1.2 --prefix l_"
    words = [command, *given.split()]
    options = parse([*words, "--joint-topic", "/l", "--second-joint-topic", "/r"])[1]
    assert options.second_base == (-0.1, 0.75, 0.0, 0.0, 0.0, 1.2)
    assert (options.prefix, options.second_prefix) == ("l_", "second_")
    assert (options.joint_topics, options.second_joint_topics) == (("/l",), ("/r",))
    with pytest.raises(CommandError, match="7 numbers"):
        parse([*words[:-3], "1,2,3", *words[-2:]])


def test_angles_and_quaternions_are_the_same_poses() -> None:
    roll, pitch, yaw = 0.3, -0.7, 2.1
    T = second_base_pose((1.0, 2.0, 3.0, roll, pitch, yaw))
    np.testing.assert_allclose(
        second_base_pose((1.0, 2.0, 3.0, *se3.quaternion_xyzw(T))), T, atol=1e-12
    )
    # Yaw last, about the fixed z axis.
    turned = second_base_pose((0.0, 0.0, 0.0, 0.0, 0.0, yaw))[:3, :3]
    np.testing.assert_allclose(turned @ [1, 0, 0], [np.cos(yaw), np.sin(yaw), 0], atol=1e-12)
    np.testing.assert_allclose(
        T[:3, :3], turned @ second_base_pose((0.0, 0.0, 0.0, roll, pitch, 0.0))[:3, :3], atol=1e-12
    )


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0.0,) * 5, "has 5 numbers"),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0), "length 2.000"),
    ],
)
def test_poses_that_are_none(numbers: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(RobotError, match=sentence):
        second_base_pose(numbers)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"second_base": BESIDE}, "give --second-urdf"),
        ({"second_joint_topics": ("/right/joint_states",)}, "give --second-urdf"),
        ({"prefix": "l_"}, "there is but one"),
        ({"second_urdf": Path("right.urdf")}, "needs --second-base"),
        (
            {
                "second_urdf": Path("right.urdf"),
                "second_base": BESIDE,
                "second_joint_topics": ("/right/joint_states",),
            },
            "needs --joint-topic",
        ),
    ],
)
def test_what_is_not_complete(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RobotError, match=sentence):
        joined_description(InputFiles(Path("bag"), **given), None)


def test_a_single_arm_is_as_it_was() -> None:
    assert joined_description(InputFiles(Path("bag")), "<robot/>") == "<robot/>"
    urdf = Path("arm.urdf")
    assert joined_description(InputFiles(Path("bag"), urdf=urdf), "<robot/>") == urdf


AT_ANGLE = se3.from_rotvec([0.3, -0.8, 1.4], [0.1, 0.9, 0.2])


@pytest.fixture(scope="module")
def dual_arm() -> Robot:
    """Two demo arms."""
    urdf = demo_urdf_path()
    return load_robot(
        join_descriptions(urdf, urdf, AT_ANGLE, prefix="left_", second_prefix="right_")
    )


def test_each_arm_keeps_its_kinematics(dual_arm: Robot, demo_robot: Robot) -> None:
    single, both = demo_robot.kinematics, dual_arm.kinematics
    names = [f"{side}_{name}" for side in ("left", "right") for name in single.joint_names]
    assert list(both.joint_names) == names
    assert both.base_frame == "left_base_link"
    np.testing.assert_array_equal(both.lower, np.tile(single.lower, 2))
    rng = np.random.default_rng(0)
    q = rng.uniform(-1.0, 1.0, (3, 2, len(single.joint_names)))
    T = both.forward(q.reshape(3, -1))
    for arm, (side, T_base_arm) in enumerate((("left", np.eye(4)), ("right", AT_ANGLE))):
        alone = single.forward(q[:, arm])
        for link, name in enumerate(single.link_names):
            found = T[:, both.link_names.index(f"{side}_{name}")]
            np.testing.assert_allclose(found, T_base_arm @ alone[:, link], atol=1e-9)
    assert both.moving_joints("right_hand")[0] == "right_joint_1"


def test_each_arm_keeps_its_surface(dual_arm: Robot, demo_robot: Robot) -> None:
    assert len(dual_arm.surface.faces) == 2 * len(demo_robot.surface.faces)
    assert dual_arm.surface.link_names == dual_arm.kinematics.link_names
    right = {n for n in dual_arm.surface.link_names if n.startswith("right_")}
    drawn = {dual_arm.surface.link_names[i] for i in np.unique(dual_arm.surface.link_of_face)}
    assert len(drawn & right) == len(drawn) / 2


def arm_with_mesh(folder: Path, size_m: float) -> Path:
    folder.mkdir()
    trimesh.creation.box(extents=[size_m] * 3).export(folder / "body.stl")
    path = folder / "arm.urdf"
    path.write_text(
        '<robot name="arm"><link name="base"><visual><geometry><mesh filename="body.stl"/>'
        '</geometry></visual></link><link name="tip"/><link name="finger"/>'
        '<joint name="turn" type="revolute"><parent link="base"/><child link="tip"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
        '<joint name="follow" type="revolute"><parent link="tip"/><child link="finger"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/>'
        '<mimic joint="turn"/></joint></robot>'
    )
    return path


def test_meshes_of_one_name_are_those_of_their_own_folders(tmp_path: Path) -> None:
    first, second = arm_with_mesh(tmp_path / "a", 0.1), arm_with_mesh(tmp_path / "b b", 0.4)
    robot = load_robot(join_descriptions(first, second, np.eye(4)))
    surface = robot.surface
    sizes = {
        surface.link_names[link]: float(np.ptp(surface.vertices[surface.link_of_vertex == link]))
        for link in np.unique(surface.link_of_vertex)
    }
    assert sizes == pytest.approx({"base": 0.1, "second_base": 0.4})


def test_followers_follow_their_own_arm(tmp_path: Path) -> None:
    urdf = arm_with_mesh(tmp_path / "a", 0.1)
    kinematics = load_robot(join_descriptions(urdf, urdf, np.eye(4))).kinematics
    assert kinematics.joint_names == ("turn", "second_turn")
    assert kinematics.moving_joints("second_finger") == ("second_turn",)


def test_the_second_arm_may_stand_on_another_link_of_the_first() -> None:
    urdf = demo_urdf_path()
    xml = join_descriptions(urdf, urdf, AT_ANGLE, base_frame="hand")
    kinematics = load_robot(xml).kinematics
    assert kinematics.parent("second_base_link") == "hand"
    with pytest.raises(RobotError, match=r"no link 'torso'.*base_link"):
        join_descriptions(urdf, urdf, AT_ANGLE, base_frame="torso")


def test_names_that_both_arms_have_are_an_error() -> None:
    urdf = demo_urdf_path()
    with pytest.raises(RobotError, match=r"both arms have a link 'base_link'.*--second-prefix"):
        join_descriptions(urdf, urdf, AT_ANGLE, second_prefix="")
