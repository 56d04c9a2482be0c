# SPDX-License-Identifier: Apache-2.0
"""What `calib_all cameras` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.commands.options import RecordingOptions


@dataclass(frozen=True, kw_only=True)
class CamerasOptions(RecordingOptions):
    """The arguments of `calib_all cameras`.

    What is given for each camera stands in the order of ``image_topics``.

    Attributes:
        out: Folder of results.
        image_topics: Images of each camera; empty takes all that have a camera info.
        camera_info_topics: Intrinsics of each camera; empty takes those beside the images.
        camera_files: File of intrinsics of each camera; empty takes the recording's.
        camera_masks: Masks of each camera; empty for "auto", one for all.
        clocks: "auto", "one", "own", or names of cameras that share a clock, "A,B", once or more;
            empty for "auto".
    """

    out: Path
    image_topics: tuple[str, ...] = ()
    camera_info_topics: tuple[str, ...] = ()
    camera_files: tuple[Path, ...] = ()
    camera_masks: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
