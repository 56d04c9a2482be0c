# SPDX-License-Identifier: Apache-2.0
"""Loading of a bag as a Recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.recording.bag import Bag
from calib_all_ros.recording.bag_storage import JOINT_STATE, TF_MESSAGE, DamagedFileError
from calib_all_ros.recording.bag_topics import (
    BagIndex,
    ImageEntry,
    choose_camera_info_topic,
    choose_image_topic,
    choose_mask_topic,
    choose_robot_description,
    is_rectified,
    lacks,
    no_topic,
    read_index,
    robot_description_topics,
)
from calib_all_ros.recording.camera_info import (
    DEFAULT_OPTICAL_FRAME,
    CameraFile,
    CameraInfo,
    camera_of,
)
from calib_all_ros.recording.folder import check_size
from calib_all_ros.recording.image_coding import decode_message
from calib_all_ros.recording.joint_topics import merge_joint_topics, with_prefixes
from calib_all_ros.recording.masks import mask_from_image, match_by_stamp
from calib_all_ros.recording.recording import Mask, Recording, RecordingError, RgbImage, fingerprint

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class BagImages:
    """RGB uint8 (H, W, 3) images of a topic, read from the bag on access.

    Holding raw images of a long recording would take gigabytes.
    """

    bag: Bag
    topic: str
    entries: tuple[ImageEntry, ...]
    camera: Camera

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.entries)

    def __getitem__(self, index: int) -> RgbImage:
        """Read and decode image ``index`` and check that its size is the camera's."""
        entry = self.entries[index]
        where = f"{self.topic} at stamp {entry.stamp_ns} ns"
        image = decode_message(self.bag.message(self.topic, entry.log_ns, entry.ordinal), where)
        check_size(image, self.camera, where)
        return image


@dataclass(frozen=True)
class BagMasks:
    """Bool (H, W) masks of a topic, matched to images; None where an image has no mask."""

    source: BagImages
    chosen: tuple[int | None, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.chosen)

    def __getitem__(self, index: int) -> Mask | None:
        """Read and decode the mask of image ``index``."""
        chosen = self.chosen[index]
        if chosen is None:
            return None
        where = f"{self.source.topic} at stamp {self.source.entries[chosen].stamp_ns} ns"
        return mask_from_image(self.source[chosen], where)


@dataclass(frozen=True)
class _Topics:
    """The topics that are read."""

    image: str
    camera_info: str | None
    joints: tuple[str, ...]
    masks: str | None


def load_bag(
    source: RecordingSource, camera: CameraFile | None, mask_topic: str | None
) -> Recording:
    """Read a bag of ROS 1 or ROS 2.

    The cut from start_s to end_s is not made here: only the camera info has to stay the same
    within it.

    Args:
        source: What to read.
        camera: Content of the camera file to use instead of the bag's camera info.
        mask_topic: Topic of robot masks, "recorded" to find it, None for no masks.

    Raises:
        RecordingError: A topic is missing or ambiguous, or its messages cannot be used.
    """
    path = Path(source.path)
    bag = Bag(path)
    # Each round that fails puts what is left in place of one damaged file.
    while True:
        try:
            topics, notes, warnings = _choose_topics(bag, source, mask_topic, camera is None)
            wanted = [topics.image, topics.camera_info, topics.masks, *topics.joints]
            statics = [t for t in bag.of_type(TF_MESSAGE) if t.endswith("/tf_static")]
            index = read_index(
                bag, [t for t in wanted if t] + robot_description_topics(bag) + statics
            )
            break
        except DamagedFileError as error:
            bag.salvage(error)
    entries = tuple(index.images.get(topics.image, ()))
    if not entries:
        raise lacks(bag, f"no images on {topics.image}")
    if not index.joints:
        raise lacks(bag, f"no joint states on {', '.join(topics.joints)}")
    stamps = np.array([entry.stamp_ns for entry in entries], dtype=np.int64)
    camera_used, more = _camera(bag, index, topics, camera, source, stamps)
    images = BagImages(bag, topics.image, entries, camera_used)
    messages = with_prefixes(index.joints, source.joint_prefixes)
    joints, joint_notes = merge_joint_topics(messages, named=source.joint_topics or ())
    urdf, urdf_notes = choose_robot_description(index.descriptions)
    masks = None
    if topics.masks is not None:
        mask_entries = tuple(index.images.get(topics.masks, ()))
        mask_stamps = np.array([entry.stamp_ns for entry in mask_entries], dtype=np.int64)
        mask_images = BagImages(bag, topics.masks, mask_entries, camera_used)
        masks = BagMasks(mask_images, match_by_stamp(stamps, mask_stamps, topics.masks))
    return Recording(
        source=str(path),
        camera=camera_used,
        image_stamps_ns=stamps,
        images=images,
        joints=joints,
        urdf=urdf,
        masks=masks,
        static_transforms=tuple(index.static_transforms.values()),
        warnings=(*warnings, *index.warnings, *more),
        notes=(*notes, *bag.warnings, *index.notes, *joint_notes, *urdf_notes),
        reference_T_camera_base=camera.T_camera_base if camera else None,
        base_frame=camera.base_frame if camera else None,
        fingerprint=fingerprint(bag.files),
    )


def _choose_topics(
    bag: Bag, source: RecordingSource, mask_topic: str | None, needs_camera_info: bool
) -> tuple[_Topics, tuple[str, ...], tuple[str, ...]]:
    """Return the topics to read, notes and warnings."""
    masks = None if mask_topic is None else choose_mask_topic(bag, mask_topic)
    image, notes = choose_image_topic(bag, source.image_topic, masks)
    info = None
    warnings: tuple[str, ...] = ()
    if needs_camera_info:
        info, warnings = choose_camera_info_topic(bag, image, source.camera_info_topic)
    states = bag.of_type(JOINT_STATE)
    for name in source.joint_topics or ():
        if name not in states:
            raise no_topic(bag, name, "JointState", states)
    if not states:
        raise lacks(bag, "no joint states")
    return _Topics(image, info, tuple(source.joint_topics or states), masks), notes, warnings


def _camera(
    bag: Bag,
    index: BagIndex,
    topics: _Topics,
    given: CameraFile | None,
    source: RecordingSource,
    stamps: Any,
) -> tuple[Camera, tuple[str, ...]]:
    """Return the camera of the images and warnings about its frame."""
    header_frame = str(bag.first(topics.image).header.frame_id).lstrip("/")
    if given is not None:
        camera = given.camera
        frame = camera.frame_id if given.names_frame else header_frame
    else:
        where = topics.camera_info or ""
        info = _constant_info(index.camera_infos, where, source, int(stamps[0]))
        camera = camera_of(info, rectified=is_rectified(topics.image), where=where)
        frame = info.frame_id or header_frame
    warnings: tuple[str, ...] = ()
    if not frame:
        frame = DEFAULT_OPTICAL_FRAME
        warnings = (f"neither image nor camera info names a frame: '{frame}' is assumed",)
    elif not frame.endswith("optical_frame"):
        warnings = (
            f"the camera's frame '{frame}' is taken as an optical frame (z forward, x right), "
            "although its name does not say so",
        )
    return replace(camera, frame_id=frame), warnings


def _constant_info(
    infos: list[tuple[int, CameraInfo]],
    where: str,
    source: RecordingSource,
    first_image_ns: int,
) -> CameraInfo:
    """Return the camera info that holds in the window; infos lists the changes.

    Raises:
        RecordingError: It changes within, or there is none.
    """
    if not infos:
        raise RecordingError(f"{where} holds no camera info: record it too, or give a camera file")
    start_ns = first_image_ns + round((source.start_s or 0.0) * _SECOND_NS)
    before = [info for stamp, info in infos if stamp <= start_ns]
    current = before[-1] if before else infos[0][1]
    for stamp, info in infos:
        inside = stamp > start_ns and (
            source.end_s is None or stamp <= first_image_ns + source.end_s * _SECOND_NS
        )
        change = info.differs_from(current) if inside else None
        if change:
            after_s = (stamp - first_image_ns) / _SECOND_NS
            raise RecordingError(
                f"the camera info on {where} changes at stamp {stamp} ns ({change}): use the part "
                f"before or after {after_s:.3f} s, or record with fixed focus and resolution"
            )
    return current
