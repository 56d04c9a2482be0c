# SPDX-License-Identifier: Apache-2.0
"""Ways of the end-effector: predicted by a policy, and executed in a recording.

CalibAll, section 4.8: drawn in the image, predicted actions tell more than their squared error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.action_table import (
    POSITION_COLUMNS,
    STAMP_COLUMN,
    TIME_COLUMN,
    ActionTable,
)
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording, in_image
from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.kinematics import Kinematics

EXECUTED = "executed"


@dataclass(frozen=True, eq=False)
class ActionPath:
    """Where the end-effector is meant to be, or was.

    Attributes:
        name: What it is called.
        times_s: (S,) seconds after the image that is drawn on, ascending.
        positions: (S, 3) in the base frame, metres.
    """

    name: str
    times_s: NDArray[np.float64]
    positions: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SeenPath:
    """A way as a camera sees it.

    Attributes:
        path: The way.
        pixels: (S, 2) in the raw image, also outside; NaN where the lens shows them nowhere.
        depth_m: (S,) distance along the optical axis.
        in_image: (S,) whether the pixel is one of the image's.
        hidden_by: The link in front of each point, "" for none.
    """

    path: ActionPath
    pixels: NDArray[np.float64]
    depth_m: NDArray[np.float64]
    in_image: NDArray[np.bool_]
    hidden_by: tuple[str, ...]


@dataclass(frozen=True)
class PathErrors:
    """How far a predicted way is from the executed one at the same times.

    Attributes:
        steps: Steps that could be compared.
        mean_m: Mean distance in space.
        final_m: Distance at the last of these steps.
        mean_px: Mean distance in the image, of the steps that the lens shows somewhere.
        final_px: Distance at the last of those.
    """

    steps: int
    mean_m: float
    final_m: float
    mean_px: float
    final_px: float


def path_of_table(
    table: ActionTable,
    *,
    rate_hz: float,
    first_stamp_ns: int | None,
    kinematics: Kinematics | None = None,
    eef_link: str | None = None,
    joint_offsets: Mapping[str, float] | None = None,
) -> ActionPath:
    """Return the way that a table describes.

    Positions are taken as they are; joint values go through the forward kinematics. Rows without
    times follow each other at ``rate_hz``, the first at the image that is drawn on; rows of before
    it are left out.

    Args:
        table: The table.
        rate_hz: Steps per second.
        first_stamp_ns: Stamp of the image that is drawn on; None where it has none.
        kinematics: The robot; needed for joint values.
        eef_link: The end-effector; needed for joint values.
        joint_offsets: What to add to joint values, by name, as the calibration found it.

    Raises:
        AnnotationError: Columns are missing, times do not ascend, or no row is left.
    """
    times_s = _times(table, rate_hz, first_stamp_ns)
    kept = times_s >= 0.0
    if not kept.any():
        raise AnnotationError(
            f"{table.source} ends before the image that is drawn on: name another one (--frame)"
        )
    if (np.diff(times_s) < 0).any():
        raise AnnotationError(f"the times of {table.source} do not ascend: sort its rows")
    names = table.position_columns()
    if names is not None:
        positions = table.stacked(names)
    else:
        positions = _by_kinematics(table, kinematics, eef_link, joint_offsets or {})
    return ActionPath(table.name, times_s[kept], positions[kept])


def executed_path(
    annotated: AnnotatedRecording, frame: int, times_s: NDArray[np.float64]
) -> ActionPath:
    """Return the way that the end-effector took after a frame.

    Args:
        annotated: The recording.
        frame: Number of the frame.
        times_s: (S,) seconds after it; those without joint states are left out.
    """
    instants = annotated.motion.stamps_ns[frame] + np.rint(1e9 * times_s).astype(np.int64)
    poses, known = annotated.eef_poses(instants)
    return ActionPath(EXECUTED, times_s[known], poses[known, :3, 3])


def seen_path(
    path: ActionPath,
    camera: Camera,
    T_camera_base: NDArray[np.float64],
    occluders: Occluders | None = None,
    T_camera_link: NDArray[np.float64] | None = None,
) -> SeenPath:
    """Project a way into an image.

    Args:
        path: The way.
        camera: The camera of the image.
        T_camera_base: (4, 4).
        occluders: Links that may hide it; None where the robot's pose is not known.
        T_camera_link: (L, 4, 4) poses of the robot's links in the image.
    """
    points = se3.transform(T_camera_base, path.positions)
    pixels = camera.project(points)
    hidden = [""] * len(points)
    if occluders is not None and T_camera_link is not None:
        hidden = occluders.in_front_of(points, T_camera_link)
    return SeenPath(path, pixels, points[:, 2], in_image(camera, pixels), tuple(hidden))


def path_errors(
    predicted: SeenPath, annotated: AnnotatedRecording, frame: int
) -> PathErrors | None:
    """Compare a predicted way with the executed one; None where their times do not overlap."""
    path = predicted.path
    executed = executed_path(annotated, frame, path.times_s)
    # Both ascend, and the executed times are some of the predicted ones.
    same = np.isin(path.times_s, executed.times_s)
    if not same.any():
        return None
    away_m = np.linalg.norm(path.positions[same] - executed.positions, axis=1)
    seen = seen_path(executed, annotated.camera, annotated.estimate.T_camera_base)
    away_px = np.linalg.norm(predicted.pixels[same] - seen.pixels, axis=1)
    away_px = away_px[np.isfinite(away_px)]
    return PathErrors(
        steps=int(same.sum()),
        mean_m=float(away_m.mean()),
        final_m=float(away_m[-1]),
        mean_px=float(away_px.mean()) if len(away_px) else float("nan"),
        final_px=float(away_px[-1]) if len(away_px) else float("nan"),
    )


def _times(table: ActionTable, rate_hz: float, first_stamp_ns: int | None) -> NDArray[np.float64]:
    if STAMP_COLUMN in table.columns and first_stamp_ns is not None:
        stamps: NDArray[np.int64] = np.asarray(table.columns[STAMP_COLUMN], dtype=np.int64)
        return np.asarray((stamps - first_stamp_ns) / 1e9)
    if TIME_COLUMN in table.columns:
        return np.asarray(table.columns[TIME_COLUMN], dtype=np.float64)
    return np.arange(len(table)) / rate_hz


def _by_kinematics(
    table: ActionTable,
    kinematics: Kinematics | None,
    eef_link: str | None,
    joint_offsets: Mapping[str, float],
) -> NDArray[np.float64]:
    columns = ", ".join(table.columns)
    wanted = " or ".join(",".join(names) for names in POSITION_COLUMNS)
    if kinematics is None or eef_link is None:
        raise AnnotationError(
            f"{table.source} has no positions ({wanted}) but {columns}; for joint values give the "
            "robot, too (--urdf)"
        )
    needed = kinematics.moving_joints(eef_link)
    if missing := [name for name in needed if name not in table.columns]:
        raise AnnotationError(
            f"{table.source} has neither positions ({wanted}) nor the joint {missing[0]}, which "
            f"moves {eef_link}; it has: {columns}"
        )
    # Joints that do not move the end-effector may stay where they are.
    values = np.zeros((len(table), len(kinematics.joint_names)))
    for place, name in enumerate(kinematics.joint_names):
        if name in needed:
            values[:, place] = table.stacked([name])[:, 0] + joint_offsets.get(name, 0.0)
    poses = kinematics.forward(values)
    return np.asarray(poses[:, kinematics.link_names.index(eef_link), :3, 3])
