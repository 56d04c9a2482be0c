# SPDX-License-Identifier: Apache-2.0
"""Read any kind of recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

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

_SECOND_NS = 1_000_000_000


def load_recording(
    path: Path | str,
    *,
    image_topic: str | None = None,
    camera_info_topic: str | None = None,
    joint_topics: Sequence[str] | None = None,
    joint_prefixes: Mapping[str, str] | None = None,
    masks: Path | str = "auto",
    camera: Path | str | None = None,
    urdf: Path | str | None = None,
    joint_names: Sequence[str] | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Recording:
    """Read a bag (rosbag2, rosbag1), a folder of images, a ManiUniCon .npz, or a LeRobot episode.

    Args:
        path: Bag file or folder, recording folder, .npz file, or the address of an episode and
            camera of a LeRobot dataset (see `lerobot.address`).
        image_topic: Images of a bag, or camera of a LeRobot dataset; found by type if there is
            only one camera.
        camera_info_topic: Found next to the image topic by default.
        joint_topics: All topics of type JointState by default.
        joint_prefixes: What goes before the names of the joints on a topic, by the topic: tells two
            arms apart whose joints have the same names.
        masks: "auto" for none from the recording (masks are then made from the images),
            "recorded" for the recording's own, a topic of a bag, or a folder of mask images.
        camera: Camera file (camera.json or ROS camera_info YAML) to use instead of the
            recording's own intrinsics.
        urdf: URDF file or XML text, to name the joints of an .npz and to choose those of a LeRobot
            dataset; `Recording.urdf` stays what the recording itself holds.
        joint_names: Names of the joints of an .npz or a LeRobot dataset, in the order of their
            columns.
        start_s: Use images from here on, in seconds after the first image.
        end_s: Use images up to here, in seconds after the first image.

    Raises:
        RecordingError: The recording cannot be read, or fewer than two images are left.
    """
    path = Path(path)
    address = find_address(path)
    if address is None and not path.exists():
        raise RecordingError(
            f"{path} does not exist: give a bag, a recording folder, an .npz or a LeRobot dataset"
        )
    camera_file = None if camera is None else read_camera_file(Path(camera))
    mask_folder = _mask_folder(path if address is None else address.path, masks)
    if address is not None:
        others = [topic for topic in (camera_info_topic, *(joint_topics or ())) if topic]
        address = with_topics(address, image_topic, others)
        recording = load_address(address, camera_file, joint_names, urdf)
    elif path.suffix == ".npz" and path.is_file():
        recording = load_npz(path, camera_file, joint_names, urdf)
    elif (path / FRAMES_FOLDER).is_dir():
        recording = load_folder(path, camera_file)
    elif is_bag(path):
        recording = load_bag(
            path,
            image_topic=image_topic,
            camera_info_topic=camera_info_topic,
            joint_topics=joint_topics,
            joint_prefixes=joint_prefixes or {},
            mask_topic=None if str(masks) == "auto" or mask_folder else str(masks),
            camera=camera_file,
            start_s=start_s,
            end_s=end_s,
        )
    else:
        raise RecordingError(
            f"{path} is no recording: give a bag (.mcap, .db3, .bag or their folder), a folder "
            f"with {FRAMES_FOLDER}/, an .npz, or a LeRobot dataset"
        )
    if mask_folder is not None:
        found = masks_from_folder(mask_folder, _frame_names(recording), recording.camera)
        recording = replace(recording, masks=found)
    recording = _cut(recording, start_s, end_s)
    if len(recording) < 2:
        raise RecordingError(
            f"{path} has only {len(recording)} image{'s' * (len(recording) != 1)}"
            f"{_between(start_s, end_s)}: a calibration needs several, with the robot in different "
            "poses"
        )
    # Decoding one image now finds a wrong size or encoding before any work is done.
    recording.images[0]
    return recording


def _mask_folder(path: Path, masks: Path | str) -> Path | None:
    """Return the folder of mask images that is meant, None for a topic or no masks."""
    if str(masks) == "auto":
        return None
    bag = (is_bag(path) if path.is_dir() else is_storage_file(path)) and not (
        path / FRAMES_FOLDER
    ).is_dir()
    folder = path / MASKS_FOLDER if str(masks) == "recorded" else Path(masks)
    if folder.is_dir():
        return folder
    if not bag:
        raise RecordingError(f"no masks at {folder}: give a folder of mask images, or 'auto'")
    return None


def _frame_names(recording: Recording) -> tuple[str, ...]:
    if isinstance(recording.images, ImageFiles):
        return tuple(path.stem for path in recording.images.paths)
    return tuple(str(stamp) for stamp in recording.image_stamps_ns)


def _cut(recording: Recording, start_s: float | None, end_s: float | None) -> Recording:
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


def _between(start_s: float | None, end_s: float | None) -> str:
    if start_s is None and end_s is None:
        return ""
    return f" between {start_s or 0} s and {'its end' if end_s is None else f'{end_s} s'}"
