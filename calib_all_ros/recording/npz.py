# SPDX-License-Identifier: Apache-2.0
"""Recordings as the .npz that ManiUniCon's tools/calibration/save_diff_optim_data.py writes."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calib_all_ros.geometry.joint_trajectory import JointTrajectory, JointTrajectoryError
from calib_all_ros.recording.camera_info import CameraFile
from calib_all_ros.recording.folder import check_size
from calib_all_ros.recording.recording import FrameList, Recording, RecordingError, fingerprint

IMAGES_KEY = "rgb_images"
JOINTS_KEY = "captured_joint_values"
_SECOND_NS = 1_000_000_000


def load_npz(
    path: Path,
    camera: CameraFile | None,
    joint_names: Sequence[str] | None,
    movable: Sequence[str] | None,
) -> Recording:
    """Read the images and joint positions of robot poses at rest.

    The file holds neither stamps nor names: the frames are put one second apart, and the joints
    are named by the caller or by the URDF.

    Args:
        path: The file, with rgb_images (N, H, W, 3) and captured_joint_values (N, J).
        camera: Intrinsics; required.
        joint_names: (J,) names in the order of the columns.
        movable: Movable joints of the robot, the first J of which stand in for missing names.

    Raises:
        RecordingError: Something is missing or does not fit together.
    """
    if camera is None:
        raise RecordingError(
            f"{path} holds no camera intrinsics: give a camera file (camera.json or ROS "
            "camera_info YAML)"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in (IMAGES_KEY, JOINTS_KEY) if key not in archive.files]
            if missing:
                raise RecordingError(
                    f"{path} has no {' and no '.join(missing)}; it has: {', '.join(archive.files)}"
                )
            images, positions = archive[IMAGES_KEY], archive[JOINTS_KEY]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path} cannot be read: {error}; save it again") from None
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise RecordingError(
            f"{path}: {IMAGES_KEY} is {images.dtype} {images.shape}, it must be uint8 (N, H, W, 3)"
        )
    if positions.ndim != 2 or len(positions) != len(images):
        raise RecordingError(
            f"{path}: {JOINTS_KEY} has shape {positions.shape}, it must be ({len(images)}, J), a "
            "row per image"
        )
    if len(images):
        check_size(images[0], camera.camera, f"{path} ({IMAGES_KEY})")
    stamps = np.arange(len(images), dtype=np.int64) * _SECOND_NS
    names = _names(path, positions.shape[1], joint_names, movable)
    try:
        joints = JointTrajectory(names, stamps, positions)
    except JointTrajectoryError as error:
        raise RecordingError(f"{path}: {error}") from None
    return Recording(
        source=str(path),
        camera=camera.camera,
        image_stamps_ns=stamps,
        images=FrameList(list(images)),
        joints=joints,
        warnings=(f"{path.name} has no stamps: its frames are taken as one second apart",),
        reference_T_camera_base=camera.T_camera_base,
        base_frame=camera.base_frame,
        fingerprint=fingerprint([path]),
    )


def _names(
    path: Path, count: int, joint_names: Sequence[str] | None, movable: Sequence[str] | None
) -> tuple[str, ...]:
    if joint_names is not None:
        if len(joint_names) != count:
            raise RecordingError(
                f"{path} has {count} joints but {len(joint_names)} names were given: "
                f"{', '.join(joint_names)}"
            )
        return tuple(joint_names)
    if movable is None:
        raise RecordingError(
            f"{path} does not name its {count} joints: give joint names or the robot's URDF"
        )
    if len(movable) < count:
        raise RecordingError(
            f"{path} has {count} joints but the URDF moves only {len(movable)}: "
            f"{', '.join(movable)}; give the joint names"
        )
    return tuple(movable[:count])
