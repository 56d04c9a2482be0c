# SPDX-License-Identifier: Apache-2.0
"""Recordings of any kind, by the reader of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.lerobot.address import find_address, with_topics
from calib_all_ros.lerobot.episodes import load_address
from calib_all_ros.recording.bag_loading import load_bag
from calib_all_ros.recording.bag_storage import is_bag, is_storage_file
from calib_all_ros.recording.camera_info import read_camera_file
from calib_all_ros.recording.folder import (
    FRAMES_FOLDER,
    MASKS_FOLDER,
    ImageFiles,
    load_folder,
)
from calib_all_ros.recording.masks import masks_from_folder
from calib_all_ros.recording.npz import load_npz
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.robot.description import load_kinematics, read_description

_SECOND_NS = 1_000_000_000


def load_recording(source: RecordingSource | Path | str) -> Recording:
    """Read a bag (rosbag2, rosbag1), a folder of images, a ManiUniCon .npz, or a LeRobot episode.

    Args:
        source: What to read; a path alone takes the defaults of `RecordingSource`.

    Raises:
        RecordingError: The recording cannot be read, or fewer than two images are left.
    """
    if not isinstance(source, RecordingSource):
        source = RecordingSource(source)
    path = Path(source.path)
    address = find_address(path)
    if address is None and not path.exists():
        raise RecordingError(
            f"{path} does not exist: give a bag, a recording folder, an .npz or a LeRobot dataset"
        )
    camera_file = None if source.camera is None else read_camera_file(Path(source.camera))
    mask_folder = _mask_folder(path if address is None else address.path, str(source.masks))
    if address is not None:
        others = (source.camera_info_topic, *(source.joint_topics or ()))
        address = with_topics(address, source.image_topic, [topic for topic in others if topic])
        recording = load_address(address, camera_file, source.joint_names, source.urdf)
    elif path.suffix == ".npz" and path.is_file():
        movable = None
        if source.urdf is not None and source.joint_names is None:
            movable = load_kinematics(read_description(source.urdf)).joint_names
        recording = load_npz(path, camera_file, source.joint_names, movable)
    elif (path / FRAMES_FOLDER).is_dir():
        recording = load_folder(path, camera_file)
    elif is_bag(path):
        masks = None if str(source.masks) == "auto" or mask_folder else str(source.masks)
        recording = load_bag(source, camera_file, masks)
    else:
        raise RecordingError(
            f"{path} is no recording: give a bag (.mcap, .db3, .bag or their folder), a folder "
            f"with {FRAMES_FOLDER}/, an .npz, or a LeRobot dataset"
        )
    if mask_folder is not None:
        found = masks_from_folder(mask_folder, _frame_names(recording), recording.camera)
        recording = replace(recording, masks=found)
    recording = _cut(recording, source)
    if len(recording) < 2:
        raise RecordingError(
            f"{path} has only {len(recording)} image{'s' * (len(recording) != 1)}"
            f"{_between(source)}: a calibration needs several, with the robot in different "
            "poses"
        )
    # Decoding one image now finds a wrong size or encoding before any work is done.
    recording.images[0]
    return recording


def _mask_folder(path: Path, masks: str) -> Path | None:
    """Return the folder of mask images that is meant, None for a topic or no masks."""
    if masks == "auto":
        return None
    bag = (is_bag(path) if path.is_dir() else is_storage_file(path)) and not (
        path / FRAMES_FOLDER
    ).is_dir()
    folder = path / MASKS_FOLDER if masks == "recorded" else Path(masks)
    if folder.is_dir():
        return folder
    if not bag:
        raise RecordingError(f"no masks at {folder}: give a folder of mask images, or 'auto'")
    return None


def _frame_names(recording: Recording) -> tuple[str, ...]:
    if isinstance(recording.images, ImageFiles):
        return tuple(path.stem for path in recording.images.paths)
    return tuple(str(stamp) for stamp in recording.image_stamps_ns)


def _cut(recording: Recording, source: RecordingSource) -> Recording:
    start_s, end_s = source.start_s, source.end_s
    if start_s is None and end_s is None:
        return recording
    stamps = recording.image_stamps_ns
    if not stamps.size:
        return recording
    after_ns = stamps - stamps[0]
    inside = np.ones(len(stamps), dtype=bool)
    if start_s is not None:
        inside &= after_ns >= round(start_s * _SECOND_NS)
    if end_s is not None:
        inside &= after_ns <= round(end_s * _SECOND_NS)
    return recording.subset(inside)


def _between(source: RecordingSource) -> str:
    start_s, end_s = source.start_s, source.end_s
    if start_s is None and end_s is None:
        return ""
    return f" between {start_s or 0} s and {'its end' if end_s is None else f'{end_s} s'}"
