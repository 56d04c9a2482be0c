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
        second_urdf: Robot description of a second arm beside the first.
        second_base: Pose of the second arm's root in the first one's base: x, y, z in metres, then
            a quaternion (x, y, z, w), or roll, pitch and yaw in radians.
        prefix: What joints and links of the first arm are called with before their names.
        second_prefix: The same of the second arm.
        second_joint_topics: Joint states of the second arm, without its prefix; those on
            ``joint_topics`` are then the first one's, without its prefix. None where the recording
            names the joints with the prefixes.
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
    second_urdf: Path | None = None
    second_base: tuple[float, ...] | None = None
    prefix: str = ""
    second_prefix: str = "second_"
    second_joint_topics: tuple[str, ...] | None = None


@dataclass(frozen=True)
class InputFiles(InputSelection):
    """What a calibration reads.

    Attributes:
        recording: Bag, recording folder or .npz.
    """

    recording: Path
