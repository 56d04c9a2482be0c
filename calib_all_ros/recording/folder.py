# SPDX-License-Identifier: Apache-2.0
"""Recordings that are a folder of images with joint states, camera and stamps in text files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory, JointTrajectoryError
from calib_all_ros.recording.camera_info import CameraFile, read_camera_file, read_document
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.recording.recording import Recording, RecordingError, RgbImage, fingerprint

FRAMES_FOLDER = "frames"
MASKS_FOLDER = "masks"
URDF_FILE = "robot.urdf"
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class ImageFiles:
    """RGB uint8 (H, W, 3) images in files, read on access."""

    paths: tuple[Path, ...]
    camera: Camera

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> RgbImage:
        """Read image ``index`` and check that its size is the camera's."""
        path = self.paths[index]
        image = decode_compressed(read_bytes(path), str(path))
        check_size(image, self.camera, str(path))
        return image


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        RecordingError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; check the file") from error


def check_size(image: NDArray[Any], camera: Camera, where: str) -> None:
    """Raise RecordingError unless an (H, W, ...) image has the size that the camera says."""
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise RecordingError(
            f"the image on {where} is {width}x{height} but its camera info is for "
            f"{camera.width}x{camera.height}: give the intrinsics of this resolution"
        )


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return the JPEG and PNG files of a folder, sorted by name.

    Raises:
        RecordingError: There are none.
    """
    paths = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES))
    if not paths:
        raise RecordingError(f"{folder} holds no .jpg or .png files: put the images there")
    return paths


def load_folder(folder: Path, camera: CameraFile | None) -> Recording:
    """Read a folder with frames/, joint_states, camera and timestamps.

    joint_states may be .json or .yaml (names, stamps_ns, positions) or .csv (first column
    stamp_ns, then one column per joint); camera .json or .yaml; timestamps .json or .yaml
    (image_stamps_ns). A robot.urdf is taken if it is there.

    Args:
        folder: The folder.
        camera: Camera to use instead of the folder's own.

    Raises:
        RecordingError: A file is missing or broken.
    """
    paths = image_files(folder / FRAMES_FOLDER)
    joint_file = _find(folder, "joint_states", (".json", ".yaml", ".yml", ".csv"))
    stamp_file = _find(folder, "timestamps", (".json", ".yaml", ".yml"))
    used = [*paths, joint_file, stamp_file]
    if camera is None:
        camera_path = _find(folder, "camera", (".json", ".yaml", ".yml"), "camera_info")
        camera = read_camera_file(camera_path)
        used.append(camera_path)
    stamps = _read_stamps(stamp_file, len(paths))
    order = np.argsort(stamps, kind="stable")
    images = ImageFiles(tuple(paths[i] for i in order), camera.camera)
    urdf_file = folder / URDF_FILE
    warnings: tuple[str, ...] = ()
    if not camera.names_frame:
        warnings = (
            f"the camera file names no optical frame: '{camera.camera.frame_id}' is assumed",
        )
    return Recording(
        source=str(folder),
        camera=camera.camera,
        image_stamps_ns=stamps[order],
        images=images,
        joints=_read_joints(joint_file),
        urdf=urdf_file.read_text(encoding="utf-8") if urdf_file.is_file() else None,
        warnings=warnings,
        reference_T_camera_base=camera.T_camera_base,
        base_frame=camera.base_frame,
        fingerprint=fingerprint(used),
    )


def _find(folder: Path, stem: str, suffixes: tuple[str, ...], *other_stems: str) -> Path:
    candidates = [folder / f"{s}{suffix}" for s in (stem, *other_stems) for suffix in suffixes]
    for path in candidates:
        if path.is_file():
            return path
    raise RecordingError(
        f"{folder} has no {stem} file: add one of {', '.join(p.name for p in candidates)}"
    )


def _read_stamps(path: Path, frames: int) -> NDArray[np.int64]:
    document = read_document(path)
    values = document.get("image_stamps_ns") if isinstance(document, dict) else document
    if not isinstance(values, list) or not all(type(v) is int for v in values):
        raise RecordingError(f"{path} needs image_stamps_ns, a list of integer nanoseconds")
    if len(values) != frames:
        raise RecordingError(
            f"{path} has {len(values)} stamps but {path.parent / FRAMES_FOLDER} holds {frames} "
            "images: give one stamp per image, in the order of the file names"
        )
    if len(set(values)) != len(values):
        raise RecordingError(f"{path} gives two images the same stamp: give each its own")
    return np.array(values, dtype=np.int64)


def _read_joints(path: Path) -> JointTrajectory:
    try:
        if path.suffix == ".csv":
            return _joints_from_csv(path)
        document = read_document(path)
        return JointTrajectory(document["names"], document["stamps_ns"], document["positions"])
    except JointTrajectoryError as error:
        raise RecordingError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(
            f"{path} cannot be read ({error}); it needs names, stamps_ns and positions (a row per "
            "stamp, a column per joint)"
        ) from None


def _joints_from_csv(path: Path) -> JointTrajectory:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    if not header or header[0].strip() != "stamp_ns":
        raise RecordingError(
            f"{path} must start with a header line 'stamp_ns,JOINT,JOINT,…', it starts with "
            f"'{','.join(header)}'"
        )
    names = [name.strip() for name in header[1:]]
    positions = np.array([row[1:] for row in rows], dtype=float)
    return JointTrajectory(names, [int(row[0]) for row in rows], positions)
