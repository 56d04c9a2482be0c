# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording, RecordingError
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import Joint, Kinematics
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.observations import make_view, match_joints, prepare

FEW = FrameSettings(count=6, background_count=12)


def chain(*names: str) -> Kinematics:
    """base - a - link_a - b - link_b - ..., every joint revolute."""
    links = ["base", *(f"link_{name}" for name in names)]
    joints = [
        Joint(name, "revolute", links[i], links[i + 1], lower=-1.0, upper=1.0)
        for i, name in enumerate(names)
    ]
    return Kinematics(links, joints)


def without(recording: Recording, *joints: str) -> Recording:
    kept = {name: recording.joints.series(name) for name in recording.joints.names}
    for name in joints:
        del kept[name]
    return replace(recording, joints=JointTrajectory.from_series(kept))


def test_joints_are_matched_by_name_in_any_order() -> None:
    matched = match_joints(chain("a", "b", "c"), ("c", "a", "b"))
    assert matched.recorded == ("a", "b", "c")
    assert not matched.assumed and not matched.unknown_links and not matched.notes


def test_joints_of_another_machine_are_passed_over() -> None:
    assert match_joints(chain("a", "b"), ("a", "b", "rail")).notes == ()


def test_an_unreported_gripper_is_left_out() -> None:
    matched = match_joints(chain("a", "b", "finger"), ("a", "b", "gripper_width"))
    assert matched.recorded == ("a", "b")
    assert matched.assumed == {"finger": 0.0}
    assert matched.unknown_links == ("link_finger",)
    assert "link_finger" in matched.notes[0] and "finger" in matched.notes[0]
    assert "gripper_width" in matched.notes[1]


def limited(arm: float, gripper: float) -> Kinematics:
    """An arm of two joints that turn, with a finger that slides, as far as the limits go."""
    links = ["base", "upper", "lower", "finger"]
    joints = [
        Joint("a", "revolute", "base", "upper", lower=-arm, upper=arm),
        Joint("b", "revolute", "upper", "lower", lower=-arm, upper=arm),
        Joint("f", "prismatic", "lower", "finger", lower=0.0, upper=gripper),
    ]
    return Kinematics(links, joints)


def trajectory(*largest: float) -> JointTrajectory:
    """Joints a, b and f that go from zero to a largest position."""
    stamps = np.arange(20) * 10**8
    return JointTrajectory(("a", "b", "f"), stamps, np.linspace(0, 1, 20)[:, None] * largest)


def test_a_gripper_in_percent_counts_as_not_recorded() -> None:
    matched = match_joints(limited(2.9, 0.04), trajectory(1.0, 1.0, 80.0))
    assert matched.recorded == ("a", "b") and matched.unknown_links == ("finger",)
    assert "'f' reads 0 to 80" in matched.notes[0] and "0 to 0.04 m" in matched.notes[0]
    # What a driver may well report is believed: a turn too many, a gripper forced a little open.
    believed = match_joints(limited(2.9, 0.04), trajectory(2.9 + 6.0, 1.0, 0.06))
    assert believed.recorded == ("a", "b", "f") and not believed.notes


@pytest.mark.parametrize("largest", [(150.0, 90.0, 0.02), (150.0, 90.0, 40.0), (1.0, 90.0, 0.02)])
def test_an_arm_in_degrees_is_an_error_that_names_a_joint(largest: tuple[float, ...]) -> None:
    name = "a" if largest[0] > 9 else "b"
    with pytest.raises(RecordingError, match=f"'{name}' reads 0 to .*degrees.*: convert"):
        match_joints(limited(2.9, 0.04), trajectory(*largest))


def test_assumed_positions_respect_the_limits() -> None:
    links = ["base", "arm", "finger"]
    joints = [
        Joint("a", "revolute", "base", "arm"),
        Joint("f", "prismatic", "arm", "finger", lower=0.01, upper=0.08),
    ]
    assert match_joints(Kinematics(links, joints), ("a",)).assumed == {"f": 0.01}


@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_missing_joint_in_the_middle_is_an_error_that_lists_both(missing: str) -> None:
    recorded = tuple(name for name in ("a", "b", "c") if name != missing)
    with pytest.raises(RecordingError) as caught:
        match_joints(chain("a", "b", "c"), recorded)
    message = str(caught.value)
    assert f"'{missing}'" in message
    assert f"the recording has {', '.join(recorded)}" in message
    assert "the URDF has a, b, c" in message


@pytest.mark.parametrize("recorded", [(), ("x", "y")])
def test_nothing_in_common_is_an_error_that_lists_both(recorded: tuple[str, ...]) -> None:
    listed = ", ".join(recorded) or "none"
    with pytest.raises(RecordingError, match=f"recording has {listed}; the URDF has a, b"):
        match_joints(chain("a", "b"), recorded)


def test_masks_limit_the_frames_to_those_fitted_and_held_out(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    seen = prepare(simulated_recording, demo_robot, FEW)
    assert len(seen.solve) == 6 and (np.diff(seen.frames) > 0).all()
    # The others are predicted, to see whether the pose holds for images that it was not fitted to.
    others = seen.held_out()
    assert len(others) == 8 and not set(others) & set(seen.solve)
    assert len(seen.frames) == 14
    assert seen.masks is not None
    for i, frame in enumerate(seen.frames):
        np.testing.assert_array_equal(seen.images[i], simulated_recording.images[int(frame)])
        assert simulated_recording.masks is not None
        np.testing.assert_array_equal(seen.masks[i], simulated_recording.masks[int(frame)])
    np.testing.assert_array_equal(
        seen.motion.stamps_ns, simulated_recording.image_stamps_ns[seen.frames]
    )


def test_more_frames_serve_the_background(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    seen = prepare(replace(simulated_recording, masks=None), demo_robot, FEW)
    assert len(seen.frames) == 14 and len(seen.solve) == 6
    assert (np.diff(seen.frames) > 0).all() and seen.masks is None
    few = seen.spread(3)
    assert len(few) == 3 and set(few) <= set(seen.solve)


def test_fitted_frames_differ_more_than_neighbours(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    seen = prepare(simulated_recording, demo_robot, FEW)
    chosen = seen.motion.subset(seen.solve).positions()
    apart = min(np.linalg.norm(a - b) for i, a in enumerate(chosen) for b in chosen[:i])
    dense = simulated_recording.joints.at(
        simulated_recording.image_stamps_ns, demo_robot.kinematics.joint_names
    )[0]
    neighbours = np.linalg.norm(np.diff(dense, axis=0), axis=1)
    assert apart > np.median(neighbours)


def test_frames_without_a_robot_in_the_mask_are_left_out(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    assert simulated_recording.masks is not None
    masks = [simulated_recording.masks[i] for i in range(len(simulated_recording))]
    masks[2], masks[7] = None, np.zeros_like(masks[7])
    recording = replace(simulated_recording, masks=FrameList(masks))
    seen = prepare(recording, demo_robot, FrameSettings(count=20))
    assert seen.frames.tolist() == [i for i in range(20) if i not in (2, 7)]
    assert any("1 of 19 masks show no robot" in note for note in seen.notes)


@pytest.mark.parametrize("empty", [None, np.zeros((240, 320), bool)])
def test_a_recording_without_any_mask_in_it_is_an_error(
    simulated_recording: Recording, demo_robot: Robot, empty: np.ndarray | None
) -> None:
    recording = replace(simulated_recording, masks=FrameList([empty] * 20))
    with pytest.raises(RecordingError, match="a mask with a robot in it"):
        prepare(recording, demo_robot, FEW)


def test_one_frame_is_enough_only_with_a_mask(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    single = simulated_recording.subset([3])
    assert len(prepare(single, demo_robot, FEW).solve) == 1
    with pytest.raises(RecordingError, match="record the robot in several poses"):
        prepare(replace(single, masks=None), demo_robot, FEW)


def test_a_robot_at_rest_is_an_error(simulated_recording: Recording, demo_robot: Robot) -> None:
    names = simulated_recording.joints.names
    stamps = simulated_recording.image_stamps_ns
    still = JointTrajectory(names, stamps, np.full((len(stamps), len(names)), 0.1))
    settings = FrameSettings(max_joint_gap_s=1.0)
    with pytest.raises(RecordingError, match="does not move"):
        prepare(replace(simulated_recording, joints=still), demo_robot, settings)


def test_images_in_gaps_of_the_joint_states_are_not_used(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    stamps = simulated_recording.image_stamps_ns
    start, end = stamps[8] - 100_000_000, stamps[11] + 100_000_000
    series = {}
    for name in simulated_recording.joints.names:
        at, values = simulated_recording.joints.series(name)
        kept = (at < start) | (at > end)
        series[name] = (at[kept], values[kept])
    recording = replace(simulated_recording, joints=JointTrajectory.from_series(series))
    seen = prepare(recording, demo_robot, FrameSettings(count=20))
    assert seen.frames.tolist() == [i for i in range(20) if not 8 <= i <= 11]
    assert any("4 in gaps" in note for note in seen.notes)


def test_links_of_unknown_pose_are_not_compared(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    seen = prepare(without(simulated_recording, "finger_joint"), demo_robot, FEW)
    shown = {seen.surface.link_names[i] for i in np.unique(seen.surface.link_of_face)}
    assert "left_finger" not in shown and "right_finger" not in shown and "hand" in shown
    assert seen.motion.assumed_positions.keys() == {"finger_joint"}


def test_wide_images_are_reduced(simulated_recording: Recording, demo_robot: Robot) -> None:
    seen = prepare(simulated_recording, demo_robot, FrameSettings(count=3, working_width_px=160))
    assert seen.images.shape == (11, 120, 160, 3)
    assert seen.masks is not None and seen.masks.shape == (11, 120, 160)
    assert (seen.camera.width, seen.camera.height) == (160, 120)


@pytest.mark.parametrize(
    ("model", "distortion"),
    [("pinhole", []), ("plumb_bob", [-0.25, 0.08, 0.001, -0.001, 0.0])],
)
def test_raw_pixels_are_found_again_in_the_view(model: str, distortion: list[float]) -> None:
    """A picture of one bright blob: its raw pixel maps to where the blob is in the view."""
    K = np.array([[420.0, 0, 318.0], [0, 421.0, 243.0], [0, 0, 1]])
    camera = Camera(K, 640, 480, np.array(distortion), model)
    view = make_view(camera, 320)
    assert view.camera.width == 320 and view.camera.is_pinhole
    ray = np.array([0.28, -0.2, 1.0])
    raw = camera.project(ray)
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    blob = np.exp(-((u - raw[0]) ** 2 + (v - raw[1]) ** 2) / (2 * 4.0**2))
    seen = view.image((255 * blob).astype(np.uint8)).astype(float)
    row, column = (np.indices(seen.shape) * seen).sum(axis=(1, 2)) / seen.sum()
    pixel = view.pixels(raw[None])[0]
    np.testing.assert_allclose(pixel, view.camera.project(ray), atol=1e-3)
    np.testing.assert_allclose([column, row], pixel, atol=0.1)
    mask = view.mask(blob > 0.5)
    centre = np.mean(np.nonzero(mask), axis=1)[::-1]
    np.testing.assert_allclose(centre, pixel, atol=0.25)
