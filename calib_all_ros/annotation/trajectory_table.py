# SPDX-License-Identifier: Apache-2.0
"""Table of the end-effector's way through the image and through space, one row a frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np

from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.geometry import se3

COLUMNS: dict[str, str] = {
    "frame": "number of the image in the recording, from 0",
    "stamp_ns": "stamp of the image, nanoseconds",
    "time_s": "seconds after the recording's first image",
    "u_px": "column of the end-effector in the raw image, pixel centres at integers; may lie "
    "outside; empty where the lens shows it nowhere",
    "v_px": "row of it",
    "depth_m": "its distance along the optical axis, metres",
    "in_image": "1 where (u_px, v_px) lies in the image",
    "visible": "1 where it is in the image and no other link is in front of it",
    "hidden_by": "the link in front of it, empty for none; links of the gripper do not count",
    "camera_x_m": "its position in the camera's optical frame (x right, y down, z forward), metres",
    "camera_y_m": "",
    "camera_z_m": "",
    "camera_qx": "its orientation there, a quaternion",
    "camera_qy": "",
    "camera_qz": "",
    "camera_qw": "",
    "base_x_m": "its position in the robot's base frame when the image was taken, metres",
    "base_y_m": "",
    "base_z_m": "",
    "base_qx": "its orientation there, a quaternion",
    "base_qy": "",
    "base_qz": "",
    "base_qw": "",
}
"""Columns and what they mean; no text where the one above speaks of several."""


def row_of(annotation: FrameAnnotation, first_stamp_ns: int) -> dict[str, int | float | str]:
    """Return the row of a frame, by column."""
    eef = annotation.eef
    camera, base = eef.T_camera_eef, eef.T_base_eef
    poses = [
        *camera[:3, 3],
        *se3.quaternion_xyzw(camera),
        *base[:3, 3],
        *se3.quaternion_xyzw(base),
    ]
    known = bool(np.isfinite(eef.pixel).all())
    values: list[int | float | str] = [
        annotation.index,
        annotation.stamp_ns,
        (annotation.stamp_ns - first_stamp_ns) / 1e9,
        *((float(eef.pixel[0]), float(eef.pixel[1])) if known else ("", "")),
        eef.depth_m,
        int(eef.in_image),
        int(eef.visible),
        eef.hidden_by,
        *map(float, poses),
    ]
    return dict(zip(COLUMNS, values, strict=True))


def as_csv(rows: Iterable[dict[str, int | float | str]]) -> str:
    """Return rows under the names of their columns; floats are written to a micrometre or finer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [f"{value:.9g}" if isinstance(value, float) else value for value in row.values()]
        )
    return text.getvalue()
