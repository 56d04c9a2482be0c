# SPDX-License-Identifier: Apache-2.0
"""What the commands are asked to do."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from calib_all_ros.input_files import MASK_SOURCES, InputFiles, InputSelection


@dataclass(frozen=True, kw_only=True)
class RecordingOptions(InputSelection):
    """What the commands that read a recording have in common.

    None takes the default that the help of the command describes.

    Attributes:
        recording: Bag, recording folder or .npz; None where `calib_all compare` needs none.
        frames: How many images the pose is fitted to, or compared with.
        config: File of settings.
        seed: Seed of everything random.
        json: Print JSON instead of a table.
        quiet: Print errors only.
    """

    recording: Path | None
    frames: int | None = None
    config: Path | None = None
    seed: int | None = None
    json: bool = False
    quiet: bool = False

    def input_files(self) -> InputFiles:
        """Return what to read; there has to be a recording."""
        assert self.recording is not None
        selection = {field.name: getattr(self, field.name) for field in fields(InputSelection)}
        return InputFiles(self.recording, **selection)


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(RecordingOptions):
    """The arguments of `calib_all calibrate`.

    Attributes:
        out: Folder of results.
        mark: (u, v) pixel in the raw image.
        eef_link: Link that carries the mark.
        mark_frame: Number of the image that the mark was seen in.
        references: Folder of reference marks.
        tracker: What follows the mark.
        prompt: What the detector looks for.
        clicks: Pixels on the robot.
        clicks_beside: Pixels beside the robot.
        checkpoints: Folder of the models' checkpoints.
        device: What the models run on.
    """

    out: Path
    mark: tuple[float, float] | None = None
    eef_link: str | None = None
    mark_frame: int | None = None
    references: Path | None = None
    tracker: str | None = None
    prompt: str | None = None
    clicks: tuple[str, ...] = ()
    clicks_beside: tuple[str, ...] = ()
    checkpoints: Path | None = None
    device: str | None = None

    def input_files(self) -> InputFiles:
        """Return what to read; masks that are made are not read."""
        files = super().input_files()
        return replace(files, masks="auto") if self.masks in MASK_SOURCES else files


@dataclass(frozen=True, kw_only=True)
class ExtrinsicsOptions(RecordingOptions):
    """What `calib_all check` and `calib_all compare` have in common.

    Attributes:
        transform: Which way a transform goes whose file does not say.
        camera_frame: Frame of the camera that the extrinsics refer to.
    """

    transform: Literal["T_base_camera", "T_camera_base"] | None = None
    camera_frame: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckOptions(ExtrinsicsOptions):
    """The arguments of `calib_all check`; one of the first three is given.

    Attributes:
        calibration: A result of this package: file, folder or name.
        extrinsics: A file of extrinsics in another format.
        pose: Extrinsics as text.
        tolerance_mm: Which error of the position is acceptable.
        tolerance_deg: Which error of the rotation is acceptable.
        out: Folder for pictures and check.yaml.
    """

    calibration: str | None = None
    extrinsics: Path | None = None
    pose: str | None = None
    tolerance_mm: float = 5.0
    tolerance_deg: float = 0.5
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ExtrinsicsOptions):
    """The arguments of `calib_all compare`.

    Attributes:
        first: A result or a file of extrinsics.
        second: Another one.
    """

    first: str
    second: str


@dataclass(frozen=True)
class PlanOptions:
    """The arguments of `calib_all plan`; None takes the default that its help describes.

    Attributes:
        urdf: Robot description.
        out: File of configurations.
        base_frame: Link of the robot that positions refer to.
        mesh_paths: Folders searched first for meshes.
        camera: File of intrinsics.
        resolution: (width, height) in pixels.
        hfov: Horizontal field of view in degrees.
        camera_position: Rough position in the base frame, metres.
        look_at: What the camera looks at, in the base frame, metres.
        calibration: An earlier result, which gives camera and pose.
        pose_uncertainty: Standard deviations of position (m) and rotation (deg).
        count: How many configurations to propose.
        home: Where the arm starts: (name, value) of joints, names empty for all in order.
        joints: Joints that move.
        joint_limits_margin: Share of each joint's range kept free at either end.
        ground: Height of the table or floor in the base frame.
        no_ground: There is none.
        workspace: Lowest and highest x, y and z of the moving links.
        in_view: Least share of the moving links inside the image.
        pictures: Folder for a picture of the planned configurations.
        seed: Seed of everything random.
        json: Print JSON instead of a table.
        quiet: Print errors only.
    """

    urdf: Path
    out: Path
    base_frame: str | None = None
    mesh_paths: tuple[Path, ...] = ()
    camera: Path | None = None
    resolution: tuple[int, int] | None = None
    hfov: float | None = None
    camera_position: tuple[float, float, float] | None = None
    look_at: tuple[float, float, float] | None = None
    calibration: Path | None = None
    pose_uncertainty: tuple[float, float] | None = None
    count: int = 12
    home: tuple[tuple[str, float], ...] = ()
    joints: tuple[str, ...] | None = None
    joint_limits_margin: float = 0.05
    ground: float | None = None
    no_ground: bool = False
    workspace: tuple[float, float, float, float, float, float] | None = None
    in_view: float = 0.6
    pictures: Path | None = None
    seed: int = 0
    json: bool = False
    quiet: bool = False
