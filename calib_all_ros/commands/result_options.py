# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that use, measure or prepare a calibration."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from calib_all_ros.commands.options import (
    BY_VERDICT,
    INTERNAL,
    POSITIVE,
    SEED,
    SHARE,
    WHOLE,
    RecordingOptions,
    ReportOptions,
    SolveOptions,
    image_size,
)
from calib_all_ros.input_files import RobotFiles, Streams
from calib_all_ros.options import Range, names, numbers, option

FROM_ZERO = Range(least=0)
PARTS = "depth (depth_png and depth_npy), masks, gripper, coco, trajectory, video"
RESULT = "a result of calib_all: calibration.yaml, its folder, or the name of a saved result"


@dataclass(frozen=True, kw_only=True)
class ExtrinsicsOptions:
    """Which way extrinsics go, and between which frames."""

    TITLE = "extrinsics"

    transform: Literal["T_base_camera", "T_camera_base"] | None = option(
        "which way a transform goes that does not say: T_base_camera maps points in the camera's "
        "frame to the base (a TF from base to camera), T_camera_base is its inverse",
        default=None,
    )
    camera_frame: str | None = option(
        "the camera's frame that the extrinsics speak of, where they do not say or call it "
        "otherwise; default: the optical frame",
        "FRAME",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class CheckingOptions(RecordingOptions, SolveOptions, ReportOptions):
    """Images that extrinsics are compared with."""

    TITLE = "solve"

    masks: str = option(
        "robot masks: found from the images themselves (auto, the default), recorded on a topic, "
        "or in a folder",
        "auto|TOPIC|FOLDER",
        default="auto",
    )
    frames: int | None = option("images to compare with", "N", default=None, setting="frames.count")


@dataclass(frozen=True, kw_only=True)
class CheckOptions(ExtrinsicsOptions, CheckingOptions):
    """Measure given extrinsics on a recording.

    Measure how far given extrinsics are from those that a recording asks for.
    """

    EXAMPLES = (
        "calib_all check recording.mcap --calibration result/calibration.yaml",
        "calib_all check recording.mcap --pose '1.2 -0.9 0.7 0 0 0.38 0.92' --transform "
        "T_base_camera",
    )
    EXIT_CODES = BY_VERDICT.replace(
        "rejected,", "rejected, 4 cannot say because the recording does not allow a judgement,"
    )
    TITLE = "extrinsics"

    calibration: str | None = option(
        RESULT, "FILE|NAME", exclusive="given", one_of=True, default=None
    )
    extrinsics: Path | None = option(
        "YAML or JSON with a 4x4 matrix, translation and rotation, a TransformStamped, or a result "
        "of easy_handeye (.calib)",
        "FILE",
        exclusive="given",
        one_of=True,
        default=None,
    )
    pose: str | None = option(
        "'x y z qx qy qz qw' or the command line of a static_transform_publisher",
        "TEXT",
        exclusive="given",
        one_of=True,
        default=None,
    )
    tolerance_mm: float = option(
        "error of the position that is acceptable (default: 5)",
        "MM",
        default=5.0,
        within=POSITIVE,
    )
    tolerance_deg: float = option(
        "error of the rotation that is acceptable (default: 0.5)",
        "DEG",
        default=0.5,
        within=POSITIVE,
    )
    out: Path | None = option(
        "folder for pictures, report and check.yaml", "DIR", default=None, group="output"
    )


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ExtrinsicsOptions, CheckingOptions):
    """Compare two results.

    Say how two camera poses differ, whether their uncertainties explain it, and with a recording
    which of them is the better one.
    """

    EXAMPLES = (
        "calib_all compare monday/calibration.yaml friday/calibration.yaml",
        "calib_all compare result marker_board.yaml --recording recording.mcap",
    )
    EXIT_CODES = f"0 compatible or not known, 3 incompatible, {INTERNAL}"

    first: str = option(
        "calibration.yaml, its folder, the name of a saved result, or extrinsics in a file as "
        "calib_all check reads them",
        flags=("A",),
    )
    second: str = option("the same", flags=("B",))
    recording: Path | None = option("check both on this recording", "RECORDING", default=None)


@dataclass(frozen=True, kw_only=True)
class CalibratedOptions(RecordingOptions, ReportOptions):
    """A recording with its calibration."""

    calibration: str = option(RESULT, "FILE|FOLDER|NAME")
    force: bool = option(
        "use the calibration though it was rejected, or speaks of another robot", default=False
    )
    eef_link: str | None = option(
        "end-effector; default: the tool frame of the gripper, or the link that carries the "
        "fingers",
        "LINK",
        default=None,
        group="robot",
    )


@dataclass(frozen=True, kw_only=True)
class AnnotateOptions(CalibratedOptions):
    """Label every frame of a recording by its calibration.

    Write what a calibrated camera sees of the robot in every frame: its depth, masks of its links
    and of the gripper, and the end-effector's pose and place in the image. Frames without joint
    states are left out, and said.
    """

    EXAMPLES = (
        "calib_all annotate recording.mcap --calibration result --out annotations",
        "calib_all annotate 'dataset#episode=0,camera=observation.images.top' --calibration result "
        "--lerobot annotated",
    )
    EXIT_CODES = (
        "0 done, 2 bad input or usage (also a rejected calibration without --force), 1 internal "
        "error, 130 interrupted"
    )

    out: Path | None = option("new folder of annotations", "DIR", default=None)
    bag: Path | None = option(
        "new bag: the recorded one's messages as they are, and the annotations beside them",
        "OUT",
        default=None,
    )
    lerobot: Path | None = option(
        "new LeRobot dataset: the recorded one (DATASET#episode=N,camera=KEY) with the annotations "
        "of this episode as features; or, where RECORDING is a whole dataset and the calibration a "
        "folder of `calib_all dataset`, of every episode and camera with a result",
        "OUT",
        default=None,
    )
    every: int = option(
        "every Nth image only", "N", default=1, within=WHOLE, group="what is annotated"
    )
    only: tuple[str, ...] | None = option(
        f"parts: {PARTS}", "PART,...", default=None, parse=names, group="what is annotated"
    )
    gripper_links: tuple[str, ...] | None = option(
        "links of the gripper masks; default: the link that carries the fingers, and what hangs on "
        "it",
        "A,B,...",
        default=None,
        parse=names,
        group="robot",
    )


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions(CalibratedOptions):
    """Draw predicted actions in the image, beside what the robot did.

    Draw trajectories of the end-effector, predicted by policies, in an image of a calibrated
    camera, beside the one that the robot executed, and measure how far they are apart.

    A table has one row a step: positions in the base frame (x,y,z in metres) or joint values
    (columns called as the joints); time_s, seconds after the image that is drawn on, or stamp_ns
    may be among the columns; else rows follow each other at --rate, the first at the image.
    """

    EXAMPLES = (
        "calib_all trajectory recording.mcap --calibration result --table pi0=actions.npy --frame "
        "40 --out view.png",
    )

    recording: Path = option(
        "a recording as for calibrate, or a .png or .jpg of the calibrated camera",
        flags=("RECORDING|IMAGE",),
    )
    tables: tuple[str, ...] = option(
        "predicted trajectory, .csv, .parquet or .npy; may be repeated", "[NAME=]FILE"
    )
    out: Path = option("a .png file, or a folder", "PNG|DIR")
    frame: int = option(
        "number of the image that is drawn on, from 0 (default: 0)",
        "N",
        default=0,
        within=FROM_ZERO,
    )
    rate_hz: float | None = option(
        "steps per second of tables without times; default: that of the images",
        "HZ",
        default=None,
        flags=("--rate",),
        within=POSITIVE,
    )
    steps: int | None = option(
        "draw and compare the first N steps only", "N", default=None, within=WHOLE
    )
    columns: tuple[str, ...] | None = option(
        "names of the columns of an .npy file; default: x,y,z",
        "A,B,...",
        default=None,
        parse=names,
    )


def _configuration(text: str) -> tuple[tuple[str, float], ...]:
    values = []
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            values.append((name.strip(), float(number)))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is no configuration, e.g. 0,-0.8,1.57 or joint_2=-0.8,joint_4=1.57"
            ) from None
    return tuple(values)


@dataclass(frozen=True, kw_only=True)
class PlannedCamera:
    """What is known of the camera before anything is recorded."""

    TITLE = "camera"

    camera: Path | None = option(
        "intrinsics: camera.json or camera_info YAML", "FILE", default=None
    )
    resolution: tuple[int, int] | None = option(
        "image size in pixels, with --hfov", "WxH", default=None, parse=image_size
    )
    hfov: float | None = option("horizontal field of view", "DEG", default=None)
    camera_position: tuple[float, float, float] | None = option(
        "about where the camera is, metres in the base frame",
        "X,Y,Z",
        default=None,
        parse=numbers(3, "X,Y,Z"),
    )
    look_at: tuple[float, float, float] | None = option(
        "about what it looks at (default: the middle of the robot)",
        "X,Y,Z",
        default=None,
        parse=numbers(3, "X,Y,Z"),
    )
    calibration: Path | None = option(
        "an earlier result, which gives camera and pose", "FILE", default=None
    )
    pose_uncertainty: tuple[float, float] | None = option(
        "standard deviations of the rough pose (default: 0.15,10; an earlier result: 0.05,3)",
        "M,DEG",
        default=None,
        parse=numbers(2, "M,DEG"),
    )
    in_view: float = option(
        "least share of the moving links inside the image (default: 0.6)", "SHARE", default=0.6
    )


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where the robot may move."""

    TITLE = "room, metres in the base frame"

    ground: float | None = option(
        "height of the table or floor that links stay above (default: 0)", "Z", default=None
    )
    no_ground: bool = option("there is no ground", default=False)
    workspace: tuple[float, float, float, float, float, float] | None = option(
        "bounds of the moving links: XMIN,XMAX,YMIN,YMAX,ZMIN,ZMAX",
        "XMIN,XMAX,...",
        default=None,
        parse=numbers(6, "XMIN,XMAX,YMIN,YMAX,ZMIN,ZMAX"),
    )


@dataclass(frozen=True, kw_only=True)
class PlanOptions(RobotFiles, PlannedCamera, Room, ReportOptions):
    """Propose joint configurations to record.

    Propose joint configurations that make the camera's pose well observable, in the file that the
    recorder's stop-and-go mode reads. Only the robot itself, the ground and the camera are looked
    at: moving the arm there without a collision is up to you.
    """

    EXAMPLES = (
        "calib_all plan --urdf panda.urdf --resolution 640x480 --hfov 56 --camera-position "
        "1.2,-0.9,0.7 --out configurations.yaml",
        "calib_all plan --urdf panda.urdf --calibration result --count 20 --out plan.yaml",
    )
    EXIT_CODES = f"0 written, {INTERNAL}"

    out: Path = option("configurations: YAML, or one list a line in a .txt", "FILE")
    urdf: Path = option("URDF or xacro", "FILE", group="robot")
    joints: tuple[str, ...] | None = option(
        "joints that move; default: those of the arm, not of grippers",
        "A,B,...",
        default=None,
        parse=names,
        group="robot",
    )
    home: tuple[tuple[str, float], ...] = option(
        "where the arm starts and joints that do not move stay: one value for each joint, or "
        "JOINT=VALUE,...; default: the middle of the limits",
        "A,B,...",
        default=(),
        flags=("--home", "--start-configuration"),
        parse=_configuration,
        group="robot",
    )
    joint_limits_margin: float = option(
        "share of each joint's range kept free at either end (default: 0.05)",
        "SHARE",
        default=0.05,
        group="robot",
    )
    count: int = option("(default: 12)", "N", default=12, group="plan")
    seed: int = option(SEED, default=0, group="plan")
    pictures: Path | None = option(
        "folder for a picture of the configurations", "DIR", default=None, group="plan"
    )


@dataclass(frozen=True, kw_only=True)
class MarkOptions(ReportOptions):
    """Keep reference marks, and find them in images.

    Keep reference marks (a picture and where in it the mark is), and find the place that they point
    at in images of this or another robot, with DINOv2.
    """

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "calib_all mark add photo.png --pixel 412,230 --link panda_hand",
        "calib_all mark find recording.mcap --out found",
    )

    references: Path | None = option(
        "folder of reference marks; default: $CALIB_ALL_MARKS, else "
        "~/.local/share/calib_all_ros/marks",
        "DIR",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class MarkImageOptions(Streams):
    """A recording whose image is meant."""

    TITLE = "recording"

    frame: int | None = option(
        "number of the image, from 0 (default: the first)", "N", default=None, within=FROM_ZERO
    )


@dataclass(frozen=True, kw_only=True)
class MarkAddOptions(MarkImageOptions, MarkOptions):
    """Add a reference mark.

    Add a reference mark: the picture is copied, what is said of it is written beside it. All
    references of a folder must be of the same place on a robot.
    """

    EXAMPLES = ("calib_all mark add photo.png --pixel 412,230 --link panda_hand",)

    source: Path = option(
        "a picture (PNG, JPEG ...) or a recording as calib_all calibrate reads it",
        flags=("PICTURE",),
    )
    pixel: tuple[float, float] = option(
        "where the mark is in the picture; pixel centres are at integer coordinates",
        "U,V",
        parse=numbers(2, "U,V", "412,230"),
    )
    link: str = option("link of that robot that carries the mark", "LINK")
    note: str = option("anything to remember", "TEXT", default="")
    name: str | None = option("default: the picture's name", "NAME", default=None)


@dataclass(frozen=True, kw_only=True)
class MarkListOptions(MarkOptions):
    """List the reference marks."""

    EXAMPLES = ("calib_all mark list",)


@dataclass(frozen=True, kw_only=True)
class MarkFindOptions(MarkImageOptions, MarkOptions):
    """Find the mark in an image.

    Find in an image what the reference marks point at, and write a heat map.
    """

    EXAMPLES = ("calib_all mark find recording.mcap --frame 20 --out found",)
    EXIT_CODES = (
        "0 found, 2 not surely found (the heat map is written) or bad input, 1 internal error, 130 "
        "interrupted"
    )

    source: Path = option(
        "a picture (PNG, JPEG ...) or a recording as calib_all calibrate reads it",
        flags=("IMAGE_OR_RECORDING",),
    )
    out: Path = option(
        "folder for mark_heat_map.png (default: the current one)", "DIR", default=Path()
    )
    link: str | None = option("take only reference marks on this link", "LINK", default=None)
    similarity: float | None = option(
        "least cosine similarity, 0 to 1 (default: 0.5)",
        "S",
        default=None,
        within=SHARE,
        group="when a match counts",
    )
    margin: float | None = option(
        "by how much any other place must be less similar, 0 to 1 (default: 0.05)",
        "M",
        default=None,
        within=SHARE,
        group="when a match counts",
    )
    checkpoints: Path | None = option(
        "folder with the checkpoint of DINOv2; default: $CALIB_ALL_CHECKPOINTS, else "
        "~/.local/share/calib_all_ros/checkpoints",
        "DIR",
        default=None,
        group="models",
    )
    device: str = option("default: auto", "auto|cpu|cuda|cuda:N", default="auto", group="models")


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(ReportOptions):
    """Say what is installed, and what to do for what is not.

    Look at this installation: libraries, models, checkpoints, GPUs and ROS 2. For each thing that
    is missing, say the next thing to do. Nothing is downloaded.
    """

    EXAMPLES = ("calib_all doctor", "calib_all doctor --verify --json")
    EXIT_CODES = (
        "0 calibrations run here, whatever else is missing; 3 they do not, because a library of "
        "the core is missing or broken; 2 bad usage, 1 internal error, 130 interrupted"
    )

    checkpoints: Path | None = option(
        "folder of checkpoints; default: $CALIB_ALL_CHECKPOINTS, or calib_all_ros/checkpoints in "
        "the user's data folder (~/.local/share)",
        "DIR",
        default=None,
    )
    verify: bool = option(
        "compare the SHA-256 of the checkpoints with those published", default=False
    )
