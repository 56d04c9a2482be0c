# SPDX-License-Identifier: Apache-2.0
"""Pictures of a calibration: what people look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.overlay import AFTER, before_after, draw_outline, estimate_of
from calib_all_ros.pictures.results import LARGEST_WIDTH_PX, DrawnScene, frame_overlay
from calib_all_ros.pictures.track_picture import draw_track
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.raw_view import raw_silhouette
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.display import Display
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.solving.mark import MarkTrack
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import View, make_view, match_joints

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

_TINT = 0.3
_MOST_PATH_POINTS = 500
# A line of one pixel at this width, thicker in larger images.
_THIN_LINE_WIDTH_PX = 640
# A mark that was seen from directions closer to each other has no known distance.
_SMALLEST_PARALLAX_RAD = 0.02
_FRUSTUM_SHARE = 0.15
_FRUSTUM_DEPTHS_M = (0.05, 0.5)


def make_display(
    calibration: Calibration,
    evidence: Evidence,
    recording: Recording,
    robot: Robot,
    link: str | None = None,
) -> Display:
    """Draw a result.

    Args:
        calibration: The result.
        evidence: What was seen in the images.
        recording: What it was calibrated from.
        robot: The robot, with the base frame of the calibration.
        link: The end-effector; None takes the one that most joints move.

    Raises:
        RobotError: There is no such link.
    """
    scene = DrawnScene.of(calibration, recording, robot)
    row = best_row(calibration)
    frame = calibration.frames[row]
    raw = recording.images[frame.index]
    camera = scene.estimate.camera(recording.camera)
    full = make_view(recording.camera, LARGEST_WIDTH_PX)
    view = evidence.view
    outline = scene.masks(row, view.camera, [calibration.T_camera_base])[0]
    link = link or _tip(recording, robot)
    track = evidence.track
    return Display(
        camera=camera,
        stamp_ns=frame.stamp_ns,
        overlay=_overlay(scene, row, camera, raw),
        before_after=frame_overlay(scene, row, frame, full, raw),
        mask=before_after(
            view.image(raw),
            None,
            outline,
            evidence.masks[row],
            f"frame {frame.index}: the robot as seen "
            + ("(recorded mask)" if recording.masks is not None else "(found in the images)"),
        ),
        track=None if track is None else _track(calibration, evidence, track, recording, robot),
        track_stamp_ns=0 if track is None else int(recording.image_stamps_ns[track.mark.frame]),
        frustum=_frustum(view.camera, calibration.T_base_camera),
        path=_path(calibration, recording, robot, link),
        path_link=link,
    )


def expected_mark(
    calibration: Calibration,
    view: View,
    track: MarkTrack,
    recording: Recording,
    robot: Robot,
) -> Points | None:
    """Return (T, 2) where the final pose puts a mark in the images of ``view``.

    Returns:
        None where the mark was seen from one side only: its distance is not known then.
    """
    motion = _motion(recording, robot, track.frames)
    link = robot.kinematics.link_names.index(track.mark.link)
    estimate = estimate_of(calibration, robot.kinematics)
    T_camera_link = calibration.T_camera_base @ estimate.link_poses(motion)[:, link]
    camera = estimate.camera(view.camera)
    seen = track.seen
    point = _point_on_link(T_camera_link[seen], camera.rays(track.pixels[seen]))
    if point is None:
        return None
    return camera.project(se3.transform(T_camera_link, point[None])[:, 0])


def best_row(calibration: Calibration) -> int:
    """Return the used frame that agrees best; any frame counts where none was used."""
    frames = calibration.frames
    rows = [row for row, frame in enumerate(frames) if frame.used] or list(range(len(frames)))
    return max(rows, key=lambda row: np.nan_to_num(frames[row].iou or 0.0))


def _overlay(scene: DrawnScene, row: int, camera: Camera, raw: Image) -> Image:
    T_camera_link = scene.calibration.T_camera_base @ scene.T_base_link[row]
    mask = raw_silhouette(scene.surface, T_camera_link, camera)
    drawn: Image = raw.copy()
    drawn[mask] = (1 - _TINT) * drawn[mask] + _TINT * np.array(AFTER)
    thickness = max(1, round(camera.width / _THIN_LINE_WIDTH_PX))
    return draw_outline(drawn, mask, AFTER, thickness)


def _track(
    calibration: Calibration,
    evidence: Evidence,
    track: MarkTrack,
    recording: Recording,
    robot: Robot,
) -> Image:
    return draw_track(
        evidence.view.image(recording.images[track.mark.frame]),
        track.pixels,
        int(np.searchsorted(track.frames, track.mark.frame)),
        expected_mark(calibration, evidence.view, track, recording, robot),
        f"mark on {track.mark.link}, image {track.mark.frame}: {evidence.mark_summary}",
    )


def _point_on_link(T_camera_link: NDArray[np.float64], rays: Points) -> Points | None:
    """Return the point of a link nearest to the rays it was seen along.

    Args:
        T_camera_link: (N, 4, 4) the link's poses.
        rays: (N, 3) in the optical frame, through the camera's centre.

    Returns:
        (3,) in the link's frame, None where the link was seen from one side only.
    """
    if len(rays) == 0:
        return None
    T_link_camera = se3.invert(T_camera_link)
    directions = np.einsum("nij,nj->ni", T_link_camera[:, :3, :3], rays)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = across.mean(axis=0)
    if np.linalg.eigvalsh(normal)[0] < _SMALLEST_PARALLAX_RAD**2:
        return None
    target = np.einsum("nij,nj->i", across, T_link_camera[:, :3, 3]) / len(rays)
    return np.asarray(np.linalg.solve(normal, target))


def _frustum(camera: Camera, T_base_camera: NDArray[np.float64]) -> Points:
    right, bottom = camera.width - 1.0, camera.height - 1.0
    corners = camera.rays([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])
    distance_m = float(np.linalg.norm(T_base_camera[:3, 3]))
    depth_m = float(np.clip(_FRUSTUM_SHARE * distance_m, *_FRUSTUM_DEPTHS_M))
    return se3.transform(T_base_camera, np.concatenate([np.zeros((1, 3)), depth_m * corners]))


def _path(calibration: Calibration, recording: Recording, robot: Robot, link: str) -> Points:
    names = robot.kinematics.link_names
    if link not in names:
        raise RobotError(f"no link '{link}' in the robot description; it has: {', '.join(names)}")
    step = -(-len(recording) // _MOST_PATH_POINTS)
    motion = _motion(recording, robot, np.arange(0, len(recording), step))
    estimate = estimate_of(calibration, robot.kinematics)
    return np.asarray(estimate.link_poses(motion)[:, names.index(link), :3, 3])


def _tip(recording: Recording, robot: Robot) -> str:
    """Return the link that most joints move, of those whose pose was recorded."""
    unknown = match_joints(robot.kinematics, recording.joints).unknown_links
    known = [name for name in robot.kinematics.link_names if name not in unknown]
    return max(known, key=lambda name: len(robot.kinematics.moving_joints(name)))


def _motion(recording: Recording, robot: Robot, frames: NDArray[np.intp]) -> RobotMotion:
    matched = match_joints(robot.kinematics, recording.joints)
    stamps_ns = recording.image_stamps_ns[frames]
    return RobotMotion(robot.kinematics, recording.joints, stamps_ns, matched.assumed)
