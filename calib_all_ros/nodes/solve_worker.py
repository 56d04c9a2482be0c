# SPDX-License-Identifier: Apache-2.0
"""The calibrator's long work: what runs in a worker process. Knows nothing of ROS."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from calib_all_ros.nodes.solve_requests import (
    GivenMark,
    MarkImage,
    ShowMarkImage,
    Solve,
    Solved,
)
from calib_all_ros.nodes.worker_process import Work
from calib_all_ros.pictures.display import make_display
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.solve_job import CalibrationJob, load_images
from calib_all_ros.solving.mark import Mark

# Farther from the nearest image, the stamp of a mark is that of something else.
_NEAR_ENOUGH_NS = 250_000_000

logger = logging.getLogger(__name__)


def solve(request: Solve, work: Work) -> Solved:
    """Calibrate a recording; put result, pictures and log into the folder of the work.

    Raises:
        CalibAllError: The input cannot be used, or the results cannot be written.
    """
    assert work.folder is not None
    with announce_compilation(lambda: logger.info(COMPILING)):
        solved = _solve_into(work.folder, request, work)
    work.copy_log_to(work.folder)
    return solved


def mark_image(request: ShowMarkImage) -> MarkImage:
    """Read one image.

    Raises:
        CalibAllError: The recording cannot be read, or has no such image.
    """
    recording = load_images(request.files)
    if not 0 <= request.frame < len(recording):
        raise RecordingError(
            f"there is no image {request.frame} to mark a point in: {recording.source} has images "
            f"0 to {len(recording) - 1}"
        )
    stamp_ns = int(recording.image_stamps_ns[request.frame])
    return MarkImage(recording.images[request.frame], stamp_ns, recording.camera.frame_id)


def mark_of(given: GivenMark, recording: Recording) -> Mark:
    """Return the mark with the number of its image in the recording."""
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


def _solve_into(folder: Path, request: Solve, work: Work) -> Solved:
    job = CalibrationJob.read(request.files, work.progress)
    mark = None if request.mark is None else mark_of(request.mark, job.recording)
    run = job.calibrate(request.settings, mark, request.eef_link or None)
    display = make_display(
        run.calibration, run.evidence, job.recording, job.robot, request.eef_link
    )
    return Solved(job.save(folder, run.calibration, run.evidence), display)
