# SPDX-License-Identifier: Apache-2.0
"""What `calib_all calibrate` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CalibrateOptions:
    """The arguments of `calib_all calibrate`; None takes the default that its help describes.

    Attributes:
        recording: Bag, recording folder or .npz.
        out: Folder of results.
        urdf: Robot description.
        base_frame: Link of the robot that the pose refers to.
        mesh_paths: Folders searched first for meshes.
        image_topic: Images of a bag.
        camera_info_topic: Intrinsics of a bag.
        joint_topics: Joint states of a bag.
        camera: File of intrinsics to use instead of the recording's.
        joint_names: Joints of an .npz.
        start: First image, seconds after the first of the recording.
        end: Last image, seconds after the first of the recording.
        mark: (u, v) pixel in the raw image.
        eef_link: Link that carries the mark.
        mark_frame: Number of the image that the mark was seen in.
        masks: "auto", a topic, or a folder.
        frames: How many images the pose is fitted to.
        config: File of settings.
        seed: Seed of everything random.
        json: Print JSON instead of a table.
        quiet: Print errors only.
    """

    recording: Path
    out: Path
    urdf: Path | None = None
    base_frame: str | None = None
    mesh_paths: tuple[Path, ...] = ()
    image_topic: str | None = None
    camera_info_topic: str | None = None
    joint_topics: tuple[str, ...] | None = None
    camera: Path | None = None
    joint_names: tuple[str, ...] | None = None
    start: float | None = None
    end: float | None = None
    mark: tuple[float, float] | None = None
    eef_link: str | None = None
    mark_frame: int | None = None
    masks: str = "auto"
    frames: int | None = None
    config: Path | None = None
    seed: int | None = None
    json: bool = False
    quiet: bool = False
