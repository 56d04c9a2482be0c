# SPDX-License-Identifier: Apache-2.0
"""What the calibrator asks a worker process for, and what it gets.

The node handles these without importing what does the work; the worker imports that when called.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.input_files import InputFiles
from calib_all_ros.nodes.worker_process import Work
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.display import Display
from calib_all_ros.settings import Settings


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
        from calib_all_ros.nodes.solve_worker import solve

        return solve(self, work)


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
        from calib_all_ros.nodes.solve_worker import mark_image

        return mark_image(self)
