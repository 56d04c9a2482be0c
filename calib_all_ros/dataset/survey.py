# SPDX-License-Identifier: Apache-2.0
"""A first look at an episode: what it takes to decide with which others it is solved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.dataset.background import background_of
from calib_all_ros.dataset.episodes import DatasetSelection, EpisodeRef
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.bag_files import find_bag_files
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.results.atomic_file import write_atomically

BACKGROUND_NAME = "background.png"
_INFO = "meta/info.json"


@dataclass(frozen=True)
class Surveyed:
    """What is known of an episode before anything is solved.

    Attributes:
        stream: Camera and robot in one hash: only episodes of one stream can share a setup.
        fingerprint: Of the recording's content.
        first_stamp_ns: Of its first image.
        frames: Number of its images.
        masked: Whether it brings masks.
    """

    stream: str
    fingerprint: str
    first_stamp_ns: int
    frames: int
    masked: bool


def survey(ref: EpisodeRef, selection: DatasetSelection, folder: Path) -> Surveyed:
    """Look at an episode and put its background into ``folder``.

    Raises:
        CalibAllError: It cannot be read.
    """
    recording, robot = ref.load(selection)
    picture = cv2.imencode(".png", background_of(recording))[1].tobytes()
    write_atomically(folder / BACKGROUND_NAME, picture)
    masked = recording.masks is not None
    camera, base = camera_identity(recording.camera), robot.kinematics.base_frame
    identity = (str(ref.camera), camera, robot.description_hash, base, str(masked))
    return Surveyed(
        stream=hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16],
        fingerprint=recording.fingerprint,
        first_stamp_ns=int(recording.image_stamps_ns[0]),
        frames=len(recording),
        masked=masked,
    )


def camera_identity(camera: Camera) -> str:
    """Return intrinsics and frame of a camera as text, equal for what may be one camera."""
    numbers = [camera.width, camera.height, *camera.K.ravel(), *camera.distortion]
    rounded = ",".join(f"{value:.6g}" for value in numbers)
    return f"{camera.frame_id}:{camera.model}:{rounded}"


def read_background(folder: Path) -> NDArray[np.uint8]:
    """Return the (h, w) background that `survey` has put there.

    Raises:
        RecordingError: It is not there.
    """
    image = cv2.imread(str(folder / BACKGROUND_NAME), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise RecordingError(
            f"{folder / BACKGROUND_NAME} is missing or broken: give --redo to look at the "
            "episodes again"
        )
    return np.asarray(image, dtype=np.uint8)


def source_state(ref: EpisodeRef) -> str:
    """Return names, sizes and times of an episode's files in one hash, without reading them."""
    files = _files_of(ref)
    digest = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
        except OSError:
            digest.update(f"{file.name}\0missing\0".encode())
        else:
            digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def _files_of(ref: EpisodeRef) -> list[Path]:
    if ref.kind == "lerobot":
        return [ref.path / _INFO]
    if ref.kind == "bag":
        try:
            return list(find_bag_files(ref.path).files)
        except RecordingError:
            return [ref.path]
    if ref.path.is_dir():
        # A folder's own time changes with the files in it, not with what is in them.
        folders = [path for path in ref.path.iterdir() if path.is_dir()]
        return sorted([*folders, *(path for path in ref.path.iterdir() if path.is_file())])
    return [ref.path]
