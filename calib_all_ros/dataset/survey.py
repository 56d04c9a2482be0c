# SPDX-License-Identifier: Apache-2.0
"""A first look at an episode: what it takes to decide with which others it is solved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.dataset.background import background_of
from calib_all_ros.dataset.episodes import DatasetSelection, EpisodeRef
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.lerobot.address import RANGES_SUFFIX
from calib_all_ros.recording.bag_storage import find_bag_files
from calib_all_ros.recording.camera_info import read_document
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.results.atomic_file import write_atomically

BACKGROUND_NAME = "background.png"
_INFO = "meta/info.json"


@dataclass(frozen=True)
class Surveyed:
    """What is known of an episode before anything is solved.

    Attributes:
        stream: Camera and robot in one hash: only episodes of one stream can share a setup.
        fingerprint: Of the recording's content, and of the joint states as they were understood.
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
        fingerprint=_fingerprint(recording),
        first_stamp_ns=int(recording.image_stamps_ns[0]),
        frames=len(recording),
        masked=masked,
    )


def _fingerprint(recording: Recording) -> str:
    """Return the recording's, with its joint states: files beside it may tell their units."""
    digest = hashlib.sha256(recording.fingerprint.encode())
    for name in recording.joints.names:
        stamps_ns, positions = recording.joints.series(name)
        digest.update(name.encode() + stamps_ns.tobytes() + positions.tobytes())
    return digest.hexdigest()


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
    """Return names, sizes and times of an episode's files in one hash, without reading them.

    Among them are those that its address names, and those that a table of robots names.
    """
    files = [*_files_of(ref), *_files_of_reading(dict(ref.reading))]
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


def _files_of_reading(reading: dict[str, str]) -> Iterator[Path]:
    units, robots = reading.get("units", ""), reading.get("robots")
    if units.endswith(RANGES_SUFFIX):
        yield Path(units)
    if robots is None:
        return
    table = Path(robots)
    yield table
    if table.is_file():
        texts = _texts(table, table.stat().st_mtime_ns)
        named = (table.parent / Path(text).expanduser() for text in texts)
        yield from (path for path in named if path.is_file())


@lru_cache(8)
def _texts(table: Path, modified_ns: int) -> tuple[str, ...]:
    """Return what may be names of files in a table of robots, see `lerobot.robots`.

    Args:
        table: The file; it is asked for with every episode.
        modified_ns: When it was written, so that a later one is read again.
    """
    try:
        document = read_document(table)
    except RecordingError:
        # Loading the episode says what is wrong with it.
        return ()
    entries = document.values() if isinstance(document, dict) else ()
    fields = [entry.values() if isinstance(entry, dict) else (entry,) for entry in entries]
    return tuple(text for values in fields for text in values if isinstance(text, str))
