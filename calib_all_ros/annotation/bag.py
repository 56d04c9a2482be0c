# SPDX-License-Identifier: Apache-2.0
"""A new bag: all messages of the recorded one as they are, and the annotations beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer

from calib_all_ros.annotation.bag_topics import AnnotationTopics, BagMessage, camera_name
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import (
    FrameTree,
    FrameTreeError,
    StaticTransform,
    edge_to_publish,
)
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.recording.bag_loading import BagImages
from calib_all_ros.recording.bag_storage import TF_MESSAGE, find_bag_files, is_compressed_file
from calib_all_ros.recording.recording import FrameSource, FrameSubset
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.recording.writing import LATCHED

Progress = Callable[[str, float], None]

STATIC_TF = "/tf_static"
# What a type's hash is called that the recorder has not stored; players do not look at it.
_NO_HASH = "RIHS01_" + 64 * "0"


def write_annotated_bag(
    out: Path, annotated: AnnotatedRecording, on_progress: Progress | None = None
) -> tuple[str, ...]:
    """Copy a bag and add the annotations of its images, the calibration's static TF included.

    Messages keep their bytes, their log times and their topics' quality of service; an annotation
    gets the log time of its image. The bag is a rosbag2 in an .mcap file; it appears whole or not
    at all.

    Args:
        out: Folder of the new bag; must not exist.
        annotated: A recording that was read from a rosbag2.
        on_progress: Called with "bag" and the finished share.

    Returns:
        What was not written, one sentence each.

    Raises:
        AnnotationError: The recording is no rosbag2, is damaged, or ``out`` exists.
        ResultError: ``out`` cannot be written.
    """
    images, numbers = _bag_images(annotated.recording.images, len(annotated.recording))
    if not images.bag.is_ros2:
        raise AnnotationError(
            f"{images.bag.path} is a bag of ROS 1: convert it first, e.g. with rosbags-convert"
        )
    out = out.expanduser().absolute()
    if out.exists():
        raise AnnotationError(f"{out} exists already: name a new bag")
    wanted = set(annotated.frames.tolist())
    frames = {
        (entry.log_ns, entry.ordinal): number
        for number, entry in zip(numbers, images.entries, strict=True)
        if number in wanted
    }
    edge, notes = _static_edge(annotated)
    source = images.bag.path
    with (
        whole_or_nothing(out.parent) as folder,
        _readers(source) as readers,
        _writing(folder / out.name, source) as copy,
    ):
        copy.run(readers, images.topic, frames, annotated, edge, on_progress)
    return notes


class _Copy:
    """The new bag while it is written."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._ros = RosMessages(is_ros2=True)
        self._topics: dict[tuple[str, str], Any] = {}

    def run(
        self,
        readers: list[Any],
        image_topic: str,
        frames: Mapping[tuple[int, int], int],
        annotated: AnnotatedRecording,
        edge: StaticTransform | None,
        on_progress: Progress | None,
    ) -> None:
        """Write everything."""
        camera = annotated.camera
        topics = AnnotationTopics(
            f"/calib_all/{camera_name(image_topic)}",
            camera.frame_id,
            len(annotated.link_names),
            self._ros,
        )
        # Images are met in the order of their log times, which need not be that of their stamps.
        upcoming = _Upcoming(annotated.annotations([frames[key] for key in sorted(frames)]))
        for connection in (c for reader in readers for c in reader.connections):
            if connection.topic.startswith(f"{topics.namespace}/"):
                raise AnnotationError(
                    f"the bag has annotations of this camera already ({connection.topic}): give "
                    "the bag that it was made from"
                )
            self._add_topic(connection)
        begun, done, last, ordinal = edge is None, 0, -1, 0
        for reader in readers:
            for connection, log_ns, data in reader.messages():
                if not begun and edge is not None:
                    message = self._ros.static_transform(log_ns, edge)
                    content = self._ros.serialised(message, TF_MESSAGE)
                    self._write(log_ns, BagMessage(STATIC_TF, TF_MESSAGE, content))
                    begun = True
                self._writer.write(self._topics[connection.topic, connection.msgtype], log_ns, data)
                if connection.topic != image_topic:
                    continue
                ordinal = ordinal + 1 if log_ns == last else 0
                last = log_ns
                if (log_ns, ordinal) in frames:
                    annotation = upcoming.frame(frames[log_ns, ordinal])
                    for added in topics.messages(annotation):
                        self._write(log_ns, added)
                    done += 1
                    if on_progress:
                        on_progress("bag", done / len(frames))

    def _add_topic(self, connection: Any) -> None:
        key = connection.topic, connection.msgtype
        if key in self._topics:
            return
        typestore = self._ros.typestore
        known = connection.msgtype in typestore.types
        definition, digest = connection.msgdef.data, connection.digest
        if known:
            # Recorders of before ROS 2 Iron stored neither the definitions nor their hashes.
            definition = definition or typestore.generate_msgdef(key[1], ros_version=2)[0]
            digest = digest or typestore.hash_rihs01(key[1])
        self._topics[key] = self._writer.add_connection(
            *key,
            msgdef=definition,
            rihs01=digest or _NO_HASH,
            serialization_format=connection.ext.serialization_format,
            offered_qos_profiles=connection.ext.offered_qos_profiles,
        )

    def _write(self, log_ns: int, message: BagMessage) -> None:
        key = message.topic, message.kind
        if key not in self._topics:
            latched = [LATCHED] if message.topic == STATIC_TF else []
            self._topics[key] = self._writer.add_connection(
                *key, typestore=self._ros.typestore, offered_qos_profiles=latched
            )
        self._writer.write(self._topics[key], log_ns, message.data)


class _Upcoming:
    """Annotations one after the other, nearly in order: the files of a bag may overlap."""

    def __init__(self, annotations: Iterator[FrameAnnotation]) -> None:
        self._annotations = annotations
        self._passed: dict[int, FrameAnnotation] = {}

    def frame(self, number: int) -> FrameAnnotation:
        """Return the annotation of a frame, once."""
        while number not in self._passed:
            annotation = next(self._annotations)
            self._passed[annotation.index] = annotation
        return self._passed.pop(number)


def _bag_images(images: FrameSource, count: int) -> tuple[BagImages, list[int]]:
    """Return the images of a bag, and the number that each has in the recording."""
    if isinstance(images, FrameSubset) and isinstance(images.source, BagImages):
        whole, chosen = images.source, images.indices
        entries = tuple(whole.entries[i] for i in chosen)
        return BagImages(whole.bag, whole.topic, entries, whole.camera), list(range(count))
    if isinstance(images, BagImages):
        return images, list(range(count))
    raise AnnotationError(
        "--bag copies a bag, and this recording is none: give a bag, or take the folder (--out)"
    )


def _static_edge(annotated: AnnotatedRecording) -> tuple[StaticTransform | None, tuple[str, ...]]:
    """Return the TF that puts the camera where the calibration says, and why there is none."""
    kinematics, camera = annotated.motion.kinematics, annotated.camera
    T_base_camera = se3.invert(annotated.estimate.T_camera_base)
    pose = StaticTransform(kinematics.base_frame, camera.frame_id, T_base_camera)
    tree = FrameTree(annotated.recording.static_transforms)
    try:
        edge = edge_to_publish(tree, pose)
    except FrameTreeError as error:
        return None, (f"the static TF of the calibration is not in the bag: {error}",)
    if edge is None:
        return None, ("the bag's own /tf_static puts the camera there already",)
    return edge, ()


@contextmanager
def _readers(path: Path) -> Iterator[list[Any]]:
    """Open a bag by its metadata, or file by file where there is none."""
    found = find_bag_files(path)
    whole = path.is_dir() and (path / "metadata.yaml").is_file()
    if not whole and any(is_compressed_file(file) for file in found.files):
        raise AnnotationError(
            f"{path} is compressed and has no metadata.yaml: make it with ros2 bag reindex"
        )
    opened: list[Any] = []
    try:
        for part in [path] if whole else found.files:
            reader = Reader(part)
            reader.open()
            opened.append(reader)
        yield opened
    except ReaderError as error:
        raise AnnotationError(
            f"{path} cannot be copied ({error}): repair it first, e.g. with ros2 bag convert"
        ) from error
    finally:
        for reader in opened:
            reader.close()


@contextmanager
def _writing(path: Path, source: Path) -> Iterator[_Copy]:
    try:
        # Version 8 of the metadata is what ROS 2 Humble and Jazzy both read.
        with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            yield _Copy(writer)
    except OSError as error:
        raise AnnotationError(
            f"cannot copy {source} to {path.parent.parent} ({error.strerror or error}): make space "
            "there, or name another place"
        ) from error
