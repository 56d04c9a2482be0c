# SPDX-License-Identifier: Apache-2.0
"""What a calibration is asked to read: names only, so that asking needs no heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MASK_SOURCES = ("images", "grounded_sam2")
"""How masks are made where none are recorded."""


@dataclass(frozen=True, kw_only=True)
class InputSelection:
    """Which robot is meant, and what of a recording is read.

    Attributes:
        urdf: Robot description; None takes the recording's own.
        base_frame: Link that the pose refers to; None takes the recording's, or the URDF's root.
        mesh_paths: Folders searched first for meshes.
        image_topic: Images of a bag; None finds them by type.
        camera_info_topic: Intrinsics of a bag; None takes those beside the images.
        joint_topics: Joint states of a bag; None takes all.
        camera: File of intrinsics to use instead of the recording's.
        joint_names: Joints of an .npz.
        start_s: First image, seconds after the first of the recording.
        end_s: Last image, seconds after the first of the recording.
        masks: "auto", "recorded", a topic, or a folder.
    """

    urdf: Path | None = None
    base_frame: str | None = None
    mesh_paths: tuple[Path, ...] = ()
    image_topic: str | None = None
    camera_info_topic: str | None = None
    joint_topics: tuple[str, ...] | None = None
    camera: Path | None = None
    joint_names: tuple[str, ...] | None = None
    start_s: float | None = None
    end_s: float | None = None
    masks: str = "auto"


@dataclass(frozen=True)
class InputFiles(InputSelection):
    """What a calibration reads.

    Attributes:
        recording: Bag, recording folder or .npz.
    """

    recording: Path
