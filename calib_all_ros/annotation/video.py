# SPDX-License-Identifier: Apache-2.0
"""The annotated video: H.264 where PyAV is installed, MPEG-4 by OpenCV elsewhere."""

from __future__ import annotations

import importlib.util
import logging
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.picture import AnnotationPainter
from calib_all_ros.annotation.pyav_video import PyavVideo

Image = NDArray[np.uint8]

VIDEO_NAME = "annotated.mp4"
_DEFAULT_RATE = 10.0
_FASTEST, _SLOWEST = 120.0, 0.5
logger = logging.getLogger(__name__)


class VideoFile(Protocol):
    """Takes pictures of one size."""

    def add(self, picture: Image) -> None:
        """Append an RGB (H, W, 3) picture."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class OpencvVideo:
    """MPEG-4 part 2 in an .mp4 file, which OpenCV's own FFmpeg always has."""

    codec = "MPEG-4 (OpenCV)"

    def __init__(self, path: Path, rate_hz: float, width: int, height: int) -> None:
        """Open the file.

        Raises:
            AnnotationError: OpenCV cannot write it.
        """
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), code, rate_hz, (width, height))
        if not self._writer.isOpened():
            raise AnnotationError(
                f"OpenCV cannot write the video {path.name}: pip install av, or leave it out "
                "(--only depth,masks,gripper,coco,trajectory)"
            )

    def add(self, picture: Image) -> None:
        """Append an RGB (H, W, 3) picture."""
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


def open_video(path: Path, rate_hz: float, width: int, height: int) -> VideoFile:
    """Open a video file with the best encoder at hand, and log which that is.

    Args:
        path: An .mp4 file.
        rate_hz: Pictures per second.
        width: Of the pictures; an even number.
        height: Of the pictures; an even number.

    Raises:
        AnnotationError: There is no encoder.
    """
    if importlib.util.find_spec("av") is None:
        logger.info("PyAV is not installed: %s is written by OpenCV, as MPEG-4", path.name)
        return OpencvVideo(path, rate_hz, width, height)
    video = PyavVideo(path, Fraction(rate_hz).limit_denominator(1000), width, height)
    logger.info("%s is written by PyAV with %s", path.name, video.codec)
    return video


class AnnotatedVideo:
    """Draws annotations on the images and joins them to a video of the recording's mean rate."""

    def __init__(self, path: Path, annotated: AnnotatedRecording) -> None:
        """Take the recording; the file is opened with the first frame."""
        self._path = path
        self._images = annotated.recording.images
        self._painter = AnnotationPainter(annotated)
        self._rate_hz = _rate(annotated)
        self._file: VideoFile | None = None

    def add(self, annotation: FrameAnnotation) -> None:
        """Draw a frame and append it."""
        picture = _even(self._painter.picture(self._images[annotation.index], annotation))
        if self._file is None:
            height, width = picture.shape[:2]
            self._file = open_video(self._path, self._rate_hz, width, height)
        self._file.add(picture)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


def _rate(annotated: AnnotatedRecording) -> float:
    """Return the frames per second that show the motion in its own time."""
    stamps = annotated.motion.stamps_ns[annotated.frames]
    if len(stamps) < 2:
        return _DEFAULT_RATE
    return float(np.clip(1e9 / np.median(np.diff(stamps)), _SLOWEST, _FASTEST))


def _even(picture: Image) -> Image:
    """Return the picture less a row or column that the encoders cannot take."""
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height // 2 * 2, : width // 2 * 2])
