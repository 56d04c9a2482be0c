# SPDX-License-Identifier: Apache-2.0
"""The parts of a folder of annotations, each written frame by frame."""

from __future__ import annotations

import io
import json
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calib_all_ros.annotation.coco import CocoDocument
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.label_image import (
    depth_millimetres,
    grey_png,
    indexed_png,
    labels_of,
)
from calib_all_ros.annotation.palette import palette
from calib_all_ros.annotation.trajectory_table import as_csv, row_of

TRAJECTORY_NAME = "trajectory.csv"
COCO_NAME = "coco.json"


class Output(Protocol):
    """Takes annotations one by one."""

    @abstractmethod
    def add(self, annotation: FrameAnnotation) -> None:
        """Write a frame."""

    @abstractmethod
    def close(self) -> None:
        """Write what can only be written at the end."""


@dataclass(frozen=True)
class PerFrame:
    """What files of single frames have in common.

    Attributes:
        folder: Where they go; it is made.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Do nothing: every file is written."""

    def _write(self, annotation: FrameAnnotation, suffix: str, content: bytes) -> None:
        write_file(self.folder / f"{frame_name(annotation.index)}{suffix}", content)


class DepthPng(PerFrame):
    """Depth in millimetres, 16 bits."""

    def add(self, annotation: FrameAnnotation) -> None:
        """Write a frame."""
        self._write(annotation, ".png", grey_png(depth_millimetres(annotation.depth_m)))


class DepthNpy(PerFrame):
    """Depth in metres, float32."""

    def add(self, annotation: FrameAnnotation) -> None:
        """Write a frame."""
        content = io.BytesIO()
        np.save(content, annotation.depth_m)
        self._write(annotation, ".npy", content.getvalue())


class GripperPng(PerFrame):
    """The gripper, 255 on it and 0 elsewhere."""

    def add(self, annotation: FrameAnnotation) -> None:
        """Write a frame."""
        pixels = np.where(annotation.gripper, 255, 0).astype(np.uint8)
        self._write(annotation, ".png", grey_png(pixels))


@dataclass(frozen=True)
class LinksPng(PerFrame):
    """The links as labels of an indexed PNG.

    Attributes:
        links: How many the robot has.
    """

    links: int

    def add(self, annotation: FrameAnnotation) -> None:
        """Write a frame."""
        labels = labels_of(annotation.links)
        self._write(annotation, ".png", indexed_png(labels, palette(self.links)))


@dataclass(frozen=True, eq=False)
class CocoFile:
    """The links as COCO annotations.

    Attributes:
        path: The file.
        annotated: The recording.
        images: Folder of the link masks, which stand for images that may lie in a bag.
    """

    path: Path
    annotated: AnnotatedRecording
    images: str
    document: CocoDocument = field(default_factory=CocoDocument)

    def add(self, annotation: FrameAnnotation) -> None:
        """Encode a frame."""
        name = f"{self.images}/{frame_name(annotation.index)}.png"
        self.document.add(annotation.index, annotation.stamp_ns, name, annotation.links)

    def close(self) -> None:
        """Write the file."""
        annotated = self.annotated
        info = f"robot links in {annotated.recording.source}"
        content: dict[str, Any] = self.document.document(
            annotated.link_names, annotated.drawn_links, info
        )
        write_file(self.path, json.dumps(content).encode())


@dataclass(frozen=True, eq=False)
class TrajectoryFile:
    """The end-effector's trajectory.

    Attributes:
        path: The file.
        first_stamp_ns: Stamp of the recording's first image.
    """

    path: Path
    first_stamp_ns: int
    rows: list[dict[str, int | float | str]] = field(default_factory=list)

    def add(self, annotation: FrameAnnotation) -> None:
        """Keep the row of a frame."""
        self.rows.append(row_of(annotation, self.first_stamp_ns))

    def close(self) -> None:
        """Write the file."""
        write_file(self.path, as_csv(self.rows).encode())


def frame_name(index: int) -> str:
    """Return the stem of a frame's files."""
    return f"{index:06d}"


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        AnnotationError: It cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise AnnotationError(
            f"cannot write {path.name} to {path.parent.parent} ({error.strerror or error}): make "
            "space there, or name another folder"
        ) from error
