# SPDX-License-Identifier: Apache-2.0
"""The calibrator's requests to a worker process, and its answers. Knows nothing of ROS.

The node handles these without importing what does the work; the worker imports that when called.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.input_files import InputFiles
from calib_all_ros.nodes.worker_process import Work
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.display import Display
from calib_all_ros.settings import Settings

if TYPE_CHECKING:
    from calib_all_ros.recording.recording import Recording
    from calib_all_ros.solving.mark import Mark

# Farther from the nearest image, the stamp of a mark is that of something else.
_NEAR_ENOUGH_NS = 250_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GivenMark:
    """A mark as it was given, by its frame or by a stamp.

    Attributes:
        pixel: (u, v) in the recording's image.
        link: The link it is on.
        frame: Number of the image, unless a stamp tells.
        stamp_ns: The image with the nearest stamp is meant; None leaves it to ``frame``.
    """

    pixel: tuple[float, float]
    link: str
    frame: int = 0
    stamp_ns: int | None = None


@dataclass(frozen=True, eq=False)
class Solved:
    """What a solve answers.

    Attributes:
        calibration: The result.
        display: Pictures of it.
    """

    calibration: Calibration
    display: Display


@dataclass(frozen=True)
class Solve:
    """Calibrate a recording and write what belongs into a folder of results.

    Attributes:
        files: What to read.
        settings: How to solve.
        mark: A mark on the robot.
        eef_link: Link whose path is shown; None takes the one that most joints move.
    """

    files: InputFiles
    settings: Settings
    mark: GivenMark | None = None
    eef_link: str | None = None

    def __call__(self, work: Work) -> Solved:
        """Do it; raises CalibAllError for input that cannot be used."""
        from calib_all_ros.pictures.display import make_display
        from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
        from calib_all_ros.solve_job import CalibrationJob

        assert work.folder is not None
        with announce_compilation(lambda: logger.info(COMPILING)):
            job = CalibrationJob.read(self.files, work.progress)
            mark = None if self.mark is None else mark_of(self.mark, job.recording)
            run = job.calibrate(self.settings, mark, self.eef_link or None)
            display = make_display(
                run.calibration, run.evidence, job.recording, job.robot, self.eef_link
            )
            calibration = job.save(work.folder, run.calibration, run.evidence)
        work.copy_log_to(work.folder)
        return Solved(calibration, display)


@dataclass(frozen=True, eq=False)
class MarkImage:
    """The image to mark a point in.

    Attributes:
        image: (H, W, 3) RGB.
        stamp_ns: Its stamp.
        frame_id: The optical frame.
    """

    image: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True)
class ShowMarkImage:
    """Read one image of a recording, for a person to mark a point in.

    Attributes:
        files: What to read.
        frame: Number of the image.
    """

    files: InputFiles
    frame: int = 0

    def __call__(self, work: Work) -> MarkImage:
        """Do it; raises CalibAllError for a recording that cannot be read."""
        from calib_all_ros.recording.recording import RecordingError
        from calib_all_ros.solve_job import load_images

        recording = load_images(self.files)
        if not 0 <= self.frame < len(recording):
            raise RecordingError(
                f"there is no image {self.frame} to mark a point in: {recording.source} has images "
                f"0 to {len(recording) - 1}"
            )
        stamp_ns = int(recording.image_stamps_ns[self.frame])
        return MarkImage(recording.images[self.frame], stamp_ns, recording.camera.frame_id)


def mark_of(given: GivenMark, recording: Recording) -> Mark:
    """Return the mark with the number of its image in the recording."""
    from calib_all_ros.solving.mark import Mark

    frame = given.frame
    if given.stamp_ns is not None:
        distances = np.abs(recording.image_stamps_ns - given.stamp_ns)
        if distances.min() <= _NEAR_ENOUGH_NS:
            frame = int(np.argmin(distances))
        else:
            # Who shows an image may stamp a click with the present time instead of the image's.
            logger.warning(
                "no image is near the stamp %d ns of the mark, it is taken for one in image %d: %s "
                "has images from %d to %d ns",
                given.stamp_ns,
                frame,
                recording.source,
                recording.image_stamps_ns[0],
                recording.image_stamps_ns[-1],
            )
    return Mark(given.pixel, frame, given.link)
