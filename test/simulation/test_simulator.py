# SPDX-License-Identifier: Apache-2.0
"""Whole simulations of small images."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera, CameraError
from calib_all_ros.geometry.rectification import Rectification
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate

SMALL = SimulationSettings(frames=3, rate_hz=2.0, width=160, height=120, focal_px=140.0, seed=3)
DISTORTION = (-0.3, 0.1, 0.001, -0.002, 0.0)


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot(demo_urdf_path())


@pytest.fixture(scope="module")
def recording(robot: Robot) -> SimulatedRecording:
    return simulate(robot, SMALL)


def positions_at(
    recording: SimulatedRecording, stamps_ns: NDArray[np.int64]
) -> NDArray[np.float64]:
    zero = recording.joint_stamps_ns[0]
    columns = [
        np.interp(stamps_ns - zero, recording.joint_stamps_ns - zero, x)
        for x in recording.joint_positions.T
    ]
    return np.stack(columns, axis=1)


def projected_hulls(
    robot: Robot, recording: SimulatedRecording, q: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Masks of a robot whose links are convex shapes, drawn from projected corners, 8x finer."""
    scale = 8
    camera = recording.camera.scaled(scale)
    masks = []
    for T_base_link in robot.kinematics.forward(q):
        canvas = np.zeros((camera.height, camera.width), np.uint8)
        for link in np.unique(robot.surface.link_of_vertex):
            vertices = robot.surface.vertices[robot.surface.link_of_vertex == link]
            T = recording.T_camera_base @ T_base_link[link]
            pixels = np.round(camera.project(se3.transform(T, vertices))).astype(np.int32)
            cv2.fillConvexPoly(canvas, cv2.convexHull(pixels), 1)
        # The centre of a pixel of the image lies between the middle two of each 8.
        size = canvas.shape[0] // scale, scale, canvas.shape[1] // scale, scale
        masks.append(canvas.reshape(size)[:, 3:5, :, 3:5].mean(axis=(1, 3)) > 0.5)
    return np.stack(masks)


CONVEX = """<robot name="convex">
<link name="base"><visual><geometry><box size="0.3 0.2 0.1"/></geometry></visual></link>
<link name="ball"><visual><origin xyz="0.35 0 0.2"/><geometry><sphere radius="0.12"/></geometry>
</visual></link>
<joint name="turn" type="revolute"><parent link="base"/><child link="ball"/>
<origin xyz="0 0 0.2"/><axis xyz="0 0 1"/><limit lower="-2" upper="2"/></joint></robot>"""


@pytest.mark.parametrize("lag_s", [0.0, 0.2])
def test_masks_are_the_projected_shapes(lag_s: float) -> None:
    convex = load_robot(CONVEX)
    recording = simulate(convex, replace(SMALL, lag_s=lag_s, seed=1))
    lag_ns = round(lag_s * 1e9)
    q = positions_at(recording, recording.image_stamps_ns - lag_ns)
    expected = projected_hulls(convex, recording, q)
    wrong = (expected != recording.masks).sum(axis=(1, 2))
    outline = sum(len(c) for m in expected for c in cv2.findContours(
        m.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])  # fmt: skip
    assert expected.mean() > 0.02
    # A shift by half a pixel would make half of the outline wrong.
    assert wrong.sum() < 0.08 * outline
    if lag_s:
        unlagged = projected_hulls(
            convex, recording, positions_at(recording, recording.image_stamps_ns)
        )
        assert (unlagged != recording.masks).sum() > 3 * wrong.sum()


def test_recording_is_complete(recording: SimulatedRecording, robot: Robot) -> None:
    assert recording.images.shape == (3, 120, 160, 3)
    assert recording.images.dtype == np.uint8
    assert recording.masks.shape == (3, 120, 160)
    np.testing.assert_array_equal(np.diff(recording.image_stamps_ns), 500_000_000)
    np.testing.assert_array_equal(np.diff(recording.joint_stamps_ns), 10_000_000)
    assert recording.joint_stamps_ns[0] < recording.image_stamps_ns[0]
    assert recording.joint_stamps_ns[-1] > recording.image_stamps_ns[-1]
    assert recording.joint_names == robot.kinematics.joint_names
    assert recording.joint_positions.shape == (len(recording.joint_stamps_ns), 8)
    assert recording.base_frame == "base_link"
    assert not (recording.masks[0] == recording.masks[2]).all()


def test_robot_stands_out_and_background_stands_still(recording: SimulatedRecording) -> None:
    images = recording.images.astype(float)
    never = ~recording.masks.any(axis=0)
    differences = np.abs(images[0] - images[1])[never]
    assert np.median(differences) < 6.0  # noise; shadows move
    assert images[0][~recording.masks[0]].std() > 15  # textured
    colours = [images[0][region].mean(axis=0) for region in (recording.masks[0], never)]
    assert np.abs(colours[0] - colours[1]).max() > 25


def test_the_same_seed_gives_the_same_recording(
    robot: Robot, recording: SimulatedRecording
) -> None:
    again = simulate(robot, SMALL)
    np.testing.assert_array_equal(again.images, recording.images)
    np.testing.assert_array_equal(again.masks, recording.masks)
    np.testing.assert_array_equal(again.T_camera_base, recording.T_camera_base)
    other = simulate(robot, replace(SMALL, seed=4))
    assert np.abs(other.T_camera_base - recording.T_camera_base).max() > 0.05


def test_distorted_images_rectify_to_those_of_a_pinhole(
    robot: Robot, recording: SimulatedRecording
) -> None:
    quiet = replace(SMALL, frames=1, noise_sigma=0.0, T_camera_base=recording.T_camera_base)
    lens = replace(quiet, distortion_model="plumb_bob", distortion=DISTORTION)
    straight, curved = simulate(robot, quiet), simulate(robot, lens)
    rectification = Rectification(curved.camera)
    image, mask = rectification.image(curved.images[0]), rectification.mask(curved.masks[0])
    shift = rectification.camera.K[:2, 2] - straight.camera.K[:2, 2]
    warp = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    size = rectification.camera.width, rectification.camera.height
    expected = cv2.warpAffine(straight.images[0], warp, size).astype(float)
    wanted = cv2.warpAffine(straight.masks[0].astype(np.float32), warp, size) > 0.5
    seen = cv2.warpAffine(np.ones((120, 160), np.float32), warp, size) > 0.999
    assert np.abs(curved.images[0].astype(float) - straight.images[0]).mean() > 5.0
    assert np.abs(image.astype(float) - expected)[seen].mean() < 3.0
    assert (mask & wanted & seen).sum() / ((mask | wanted) & seen).sum() > 0.95


def test_given_camera_pose_and_progress_are_used(robot: Robot) -> None:
    T = se3.make(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 2.0]))
    calls: list[tuple[int, int]] = []
    settings = replace(SMALL, frames=2, T_camera_base=T, shadows=False, supersample=1, blur_px=0.0)
    recording = simulate(robot, settings, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(recording.T_camera_base, T)
    assert calls == [(1, 2), (2, 2)]
    assert recording.masks.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "frames"),
        ({"rate_hz": -1.0}, "rate_hz"),
        ({"noise_sigma": -1.0}, "noise_sigma"),
        ({"jpeg_quality": 101}, "jpeg_quality"),
        ({"T_camera_base": np.eye(3)}, "4x4"),
    ],
)
def test_settings_check_themselves(change: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        SimulationSettings(**change)  # type: ignore[arg-type]


def test_distortion_must_fit_its_model() -> None:
    with pytest.raises(CameraError, match="takes"):
        SimulationSettings(distortion_model="equidistant", distortion=(0.1,)).camera()
    assert isinstance(SimulationSettings().camera(), Camera)
