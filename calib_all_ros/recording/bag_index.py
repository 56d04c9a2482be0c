# SPDX-License-Identifier: Apache-2.0
"""One pass over a bag: where its images are, and everything small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.geometry.se3 import from_quaternion_xyzw
from calib_all_ros.recording.bag import Bag
from calib_all_ros.recording.bag_storage import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    STRING,
    RawMessage,
)
from calib_all_ros.recording.camera_info import CameraInfo
from calib_all_ros.recording.joint_topics import JointMessage
from calib_all_ros.recording.recording import RecordingError


class ImageEntry(NamedTuple):
    """Where one image is: its stamp, and how to find its message again."""

    stamp_ns: int
    log_ns: int
    ordinal: int


@dataclass
class BagIndex:
    """What one pass over a bag has found.

    Attributes:
        images: Entries of each image topic, ordered by stamp, each stamp once.
        camera_infos: Stamp and content of each message that differs from the one before.
        joints: Joint states of each topic.
        joint_log_times_ns: When each of them was recorded.
        descriptions: Last text of each robot description topic.
        static_transforms: By child frame, the last one each.
        warnings: What is odd about the stamps.
        notes: What is left out.
    """

    images: dict[str, list[ImageEntry]] = field(default_factory=dict)
    camera_infos: list[tuple[int, CameraInfo]] = field(default_factory=list)
    joints: dict[str, list[JointMessage]] = field(default_factory=dict)
    joint_log_times_ns: dict[str, list[int]] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    static_transforms: dict[str, StaticTransform] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_index(bag: Bag, topics: Sequence[str]) -> BagIndex:
    """Read these topics of a bag; images are only located.

    Raises:
        DamagedFileError: See `Bag.messages`.
        RecordingError: A message is broken.
    """
    index = BagIndex()
    broken = 0
    for raw in bag.messages(topics):
        try:
            _add(index, bag, raw)
        except RecordingError:
            # What was recovered without checksums may be garbage; elsewhere the user must know.
            if not bag.is_damaged:
                raise
            broken += 1
    broken += len(bag.unreadable)
    if broken:
        index.notes.append(f"{broken} damaged messages are left out")
    for topic, messages in index.joints.items():
        index.joints[topic] = _stamped(index, topic, messages)
    for topic, entries in index.images.items():
        index.images[topic] = _ordered(index, topic, entries)
    return index


def _add(index: BagIndex, bag: Bag, raw: RawMessage) -> None:
    kind = bag.topics[raw.topic]
    if kind in (IMAGE, COMPRESSED_IMAGE):
        _add_image(index.images.setdefault(raw.topic, []), bag, raw)
    elif kind == JOINT_STATE:
        message = bag.decode(raw)
        state = (
            bag.header_stamp_ns(raw),
            tuple(message.name),
            np.array(message.position, dtype=np.float64),
        )
        index.joints.setdefault(raw.topic, []).append(state)
        index.joint_log_times_ns.setdefault(raw.topic, []).append(raw.log_ns)
    elif kind == CAMERA_INFO:
        info = CameraInfo.from_message(bag.decode(raw))
        if not index.camera_infos or info.differs_from(index.camera_infos[-1][1]):
            index.camera_infos.append((bag.header_stamp_ns(raw), info))
    elif kind == STRING:
        index.descriptions[raw.topic] = str(bag.decode(raw).data)
    else:
        for message in bag.decode(raw).transforms:
            _add_static_transform(index, message)


def _add_image(entries: list[ImageEntry], bag: Bag, raw: RawMessage) -> None:
    # Messages come in the order of log time: those of the same time follow each other.
    repeated = bool(entries) and entries[-1].log_ns == raw.log_ns
    ordinal = entries[-1].ordinal + 1 if repeated else 0
    entries.append(ImageEntry(bag.header_stamp_ns(raw), raw.log_ns, ordinal))


def _ordered(index: BagIndex, topic: str, entries: list[ImageEntry]) -> list[ImageEntry]:
    """Return entries with strictly increasing stamps."""
    if all(entry.stamp_ns == 0 for entry in entries):
        index.warnings.append(
            f"the images on {topic} have no stamps: the time of recording is used, which is late "
            "by the transport"
        )
        entries = [entry._replace(stamp_ns=entry.log_ns) for entry in entries]
    by_stamp = {entry.stamp_ns: entry for entry in sorted(entries, reverse=True)}
    if len(by_stamp) < len(entries):
        index.notes.append(
            f"{len(entries) - len(by_stamp)} images on {topic} repeat a stamp and are left out"
        )
    return [by_stamp[stamp] for stamp in sorted(by_stamp)]


def _stamped(index: BagIndex, topic: str, messages: list[JointMessage]) -> list[JointMessage]:
    """Return the joint states with the time of recording where they have no stamps."""
    if any(stamp for stamp, _, _ in messages):
        return messages
    index.warnings.append(
        f"the joint states on {topic} have no stamps: the time of recording is used"
    )
    times = index.joint_log_times_ns[topic]
    return [(t, names, row) for t, (_, names, row) in zip(times, messages, strict=True)]


def _add_static_transform(index: BagIndex, message: Any) -> None:
    t, q = message.transform.translation, message.transform.rotation
    parent, child = (str(f).lstrip("/") for f in (message.header.frame_id, message.child_frame_id))
    quaternion: NDArray[np.float64] = np.array([q.x, q.y, q.z, q.w])
    translation: NDArray[np.float64] = np.array([t.x, t.y, t.z])
    if not np.isfinite([*quaternion, *translation]).all() or not quaternion.any():
        index.notes.append(f"the static transform from {parent} to {child} is broken: left out")
        return
    T_parent_child = from_quaternion_xyzw(quaternion, translation)
    index.static_transforms[child] = StaticTransform(parent, child, T_parent_child)
