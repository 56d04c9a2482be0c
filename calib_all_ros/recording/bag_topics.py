# SPDX-License-Identifier: Apache-2.0
"""Choice of a bag's topics, where the user does not say."""

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
from calib_all_ros.recording.image_coding import is_depth
from calib_all_ros.recording.joint_topics import JointMessage
from calib_all_ros.recording.recording import RecordingError

_COMPRESSED = "/compressed"


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


def image_topics(bag: Bag) -> list[str]:
    """Return the topics of colour or grey images, sorted; depth is left out."""
    return [topic for topic in bag.of_type(IMAGE, COMPRESSED_IMAGE) if not _is_depth(bag, topic)]


def choose_image_topic(
    bag: Bag, named: str | None, masks: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return the image topic to use and notes.

    Of a raw topic and its compressed twin the raw one is taken. A topic that has a camera_info
    next to it goes before one that has none; topics called masks are not cameras.

    Args:
        bag: The bag.
        named: The topic, or its name without image_transport's suffix; None to find it.
        masks: The topic that the masks are taken from, which is left out.

    Raises:
        RecordingError: The named topic is not there, there are no images, or several cameras.
    """
    available = [topic for topic in image_topics(bag) if topic != masks]
    if named is not None:
        for topic in (named, f"{named}{_COMPRESSED}"):
            if topic in available:
                return topic, ()
        raise no_topic(bag, named, "image", available)
    if not available:
        raise lacks(bag, "no images")
    candidates = [t for t in available if image_base(t) == t or image_base(t) not in available]
    seen = [t for t in candidates if "mask" not in t.lower()]
    if not seen:
        raise RecordingError(
            f"{bag.path} has no images but what is called a mask ({', '.join(candidates)}): record "
            "the camera's images too, or name the image topic"
        )
    infos = bag.of_type(CAMERA_INFO)
    candidates = [t for t in seen if _beside(t, infos)] or seen
    if len(candidates) > 1:
        raise RecordingError(
            f"{bag.path} has several image topics: {', '.join(candidates)}; name one of them as "
            "the image topic"
        )
    others = [t for t in available if image_base(t) != image_base(candidates[0])]
    if not others:
        return candidates[0], ()
    note = f"images are taken from {candidates[0]}; not used: {', '.join(others)}"
    return candidates[0], (note,)


def choose_mask_topic(bag: Bag, named: str) -> str:
    """Return the mask topic of that name, or for "recorded" the one that is called a mask.

    Raises:
        RecordingError: It is not there, or several are called masks.
    """
    available = image_topics(bag)
    if named == "recorded":
        called = [topic for topic in available if "mask" in topic.lower()]
        if len({image_base(topic) for topic in called}) != 1:
            raise RecordingError(
                f"{bag.path} has {len(called)} topics called masks "
                f"({', '.join(called) or 'none'}): name the mask topic, or 'auto'; it has: "
                f"{', '.join(available)}"
            )
        return called[0]
    for topic in (named, f"{named}{_COMPRESSED}"):
        if topic in available:
            return topic
    raise no_topic(bag, named, "mask image", available)


def choose_camera_info_topic(
    bag: Bag, image_topic: str, named: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return the CameraInfo topic that belongs to an image topic, and warnings.

    Raises:
        RecordingError: There is none, or it is not clear which.
    """
    available = bag.of_type(CAMERA_INFO)
    if named is not None:
        if named not in available:
            raise no_topic(bag, named, "CameraInfo", available)
        return named, ()
    beside = _beside(image_topic, available)
    if beside is not None:
        return beside, ()
    beside = camera_info_beside(image_topic)
    if len(available) == 1:
        return available[0], (
            f"no camera info on {beside}: {available[0]} is taken for {image_topic}",
        )
    if not available:
        raise RecordingError(
            f"{bag.path} has no CameraInfo topic for {image_topic}: record {beside} too, or give "
            "a camera file"
        )
    raise RecordingError(
        f"{bag.path} has no {beside} for {image_topic} but has: {', '.join(available)}; name the "
        "camera info topic"
    )


def choose_robot_description(
    descriptions: dict[str, str],
) -> tuple[str | None, tuple[str, ...]]:
    """Return the URDF of /robot_description, or else of the only topic of that name elsewhere.

    Args:
        descriptions: Topic -> XML text.

    Returns:
        The URDF, None if there is none or it is not clear which, and notes.
    """
    if "/robot_description" in descriptions:
        return descriptions["/robot_description"], ()
    if len(set(descriptions.values())) == 1:
        return next(iter(descriptions.values())), ()
    if descriptions:
        return None, (
            f"several robot descriptions ({', '.join(sorted(descriptions))}): none is used, give "
            "the URDF",
        )
    return None, ()


def robot_description_topics(bag: Bag) -> list[str]:
    """Return the topics that may hold a URDF."""
    return [topic for topic in bag.of_type(STRING) if topic.endswith("/robot_description")]


def image_base(topic: str) -> str:
    """Return the image topic without image_transport's suffix."""
    return topic.removesuffix(_COMPRESSED)


def camera_info_beside(image_topic: str) -> str:
    """Return where image_transport puts the camera info of an image topic."""
    return f"{image_base(image_topic).rpartition('/')[0]}/camera_info"


def _beside(image_topic: str, infos: Sequence[str]) -> str | None:
    # Some drivers publish a bare /front/compressed with /front/camera_info.
    for topic in (camera_info_beside(image_topic), f"{image_base(image_topic)}/camera_info"):
        if topic in infos:
            return topic
    return None


def is_rectified(image_topic: str) -> bool:
    """Return whether the topic's name says that its images are rectified."""
    return "image_rect" in image_base(image_topic).rpartition("/")[2]


def no_topic(bag: Bag, named: str, kind: str, available: Sequence[str]) -> RecordingError:
    """Return the error for a named topic that is not there."""
    return RecordingError(
        f"{bag.path} has no {kind} topic '{named}'; it has: {', '.join(available) or 'none'}"
    )


def lacks(bag: Bag, what: str) -> RecordingError:
    """Return the error for a bag that lacks a kind of message, and why if it is damaged."""
    damage = f" ({'; '.join(bag.warnings)})" if bag.warnings else ""
    return RecordingError(
        f"{bag.path} has {what}{damage}; of the types that are read it has: "
        f"{', '.join(sorted(bag.topics)) or 'none'}: record images, camera info and joint states "
        "together"
    )


def _is_depth(bag: Bag, topic: str) -> bool:
    first = bag.first(topic)
    if first is None:
        return True
    return is_depth(first.encoding if bag.topics[topic] == IMAGE else first.format)
