# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that calibrate or simulate, and what all commands have in common.

A command's help is made of its class: the first line of the docstring says in the list of commands
what it does, the rest describes it. The commands themselves import what is heavy, these do not.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from calib_all_ros.errors import CalibAllError
from calib_all_ros.input_files import (
    MASK_SOURCES,
    InputFiles,
    JointStreams,
    RobotFiles,
    SecondArm,
    Streams,
    shared_fields,
)
from calib_all_ros.options import Range, names, numbers, option, options_of
from calib_all_ros.settings import TRACKERS, Settings

POSITIVE, WHOLE, SHARE = Range(above=0.0), Range(least=1), Range(least=0.0, most=1.0)

INTERNAL = "2 bad input or usage, 1 internal error, 130 interrupted"
BY_VERDICT = f"0 accepted or warning, 3 rejected, {INTERNAL}"

RECORDING = (
    "rosbag2 (folder, .mcap or .db3), rosbag1 (.bag), recording folder, .npz, or an episode of a "
    "LeRobot dataset (DATASET#episode=N,camera=KEY)"
)
SEED = "seed of everything random"
MASKS = "masks.source"


class CommandError(CalibAllError):
    """Arguments of a command that do not go together, or not to what they name."""


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """What every command can be told.

    EXAMPLES are command lines for the help, EXIT_CODES what its exit code means.
    """

    EXAMPLES: ClassVar[tuple[str, ...]] = ()
    EXIT_CODES = f"0 done, {INTERNAL}"
    TITLE = "output"

    quiet: bool = option(
        "print errors only", default=False, flags=("-q", "--quiet"), exclusive="verbosity"
    )
    verbose: bool = option(
        "print the log as it grows", default=False, flags=("-v", "--verbose"), exclusive="verbosity"
    )


@dataclass(frozen=True, kw_only=True)
class ReportOptions(CommandOptions):
    """What commands can be told that report what they found."""

    TITLE = "output"

    json: bool = option("print the result as one JSON object", default=False)

    @property
    def silent(self) -> bool:
        """Whether nothing is shown but the answer, if that."""
        return self.quiet or self.json


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """Settings of a solve."""

    TITLE = "solve"

    frames: int | None = option(
        "images that the pose is fitted to", "N", default=None, setting="frames.count"
    )
    config: Path | None = option("settings, YAML", "FILE", default=None)
    seed: int | None = option(SEED, default=None, setting="seed")


def stated_inputs(options: Any) -> dict[str, Any]:
    """Return those fields of `InputFiles` that options state; masks that are made are not read."""
    given = shared_fields(InputFiles, options)
    made = MASKS in given_settings(options)
    return {**given, "masks": "auto"} if made else given


@dataclass(frozen=True, kw_only=True)
class RecordingOptions(RobotFiles, SecondArm, Streams):
    """What the commands that read a recording have in common."""

    recording: Path | None = option(RECORDING, flags=("RECORDING",))

    def input_files(self) -> InputFiles:
        """Return what to read; there has to be a recording."""
        return InputFiles(**stated_inputs(self))


@dataclass(frozen=True, kw_only=True)
class MarkStartOptions:
    """Mark and masks of a calibration."""

    TITLE = "mark and masks"

    mark: tuple[float, float] | None = option(
        "pixel of a mark on the end-effector; default: none is needed",
        "U,V",
        default=None,
        parse=numbers(2, "U,V", "312,207.5"),
    )
    eef_link: str | None = option(
        "link that carries the mark, given or found", "LINK", default=None
    )
    mark_frame: int | None = option(
        "number of the image that --mark refers to, from 0 (default: 0)", "N", default=None
    )
    masks: str = option(
        "robot masks: found from the images themselves (images), made by Grounding DINO and SAM 2 "
        "(grounded_sam2), the better of both where these are installed (auto, the default), or "
        "recorded: on a topic, in a folder, or in the recording's own (recorded)",
        "auto|images|grounded_sam2|recorded|TOPIC|FOLDER",
        default="auto",
        setting=MASKS,
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What is asked of foundation models."""

    TITLE = "foundation models (see `calib_all doctor`)"

    references: Path | None = option(
        "reference marks, by which DINOv2 finds the mark where --mark is not given",
        "DIR",
        default=None,
        setting="mark.references",
    )
    tracker: str | None = option(
        "what follows the mark; default: CoTracker3 where it is installed",
        default=None,
        choices=TRACKERS,
        setting="mark.tracker",
    )
    prompt: str | None = option(
        'what Grounding DINO looks for (default: "robotic arm")',
        "WORDS",
        default=None,
        setting="masks.prompt",
    )
    clicks: tuple[str, ...] = option(
        "pixel on the robot, of image N (default: 0), where no box can be found; may be repeated",
        "U,V[@N]",
        default=(),
        setting="masks.clicks",
    )
    clicks_beside: tuple[str, ...] = option(
        "pixel beside the robot, alike",
        "U,V[@N]",
        default=(),
        flags=("--click-beside",),
        setting="masks.clicks_beside",
    )
    checkpoints: Path | None = option(
        "default: $CALIB_ALL_CHECKPOINTS", "DIR", default=None, setting="models.checkpoints"
    )
    device: str | None = option(
        "cpu, cuda, cuda:1 ... (default: auto)", "NAME", default=None, setting="models.device"
    )


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(
    RecordingOptions, MarkStartOptions, ModelOptions, SolveOptions, ReportOptions
):
    """Calibrate a recording.

    Find the camera's pose from a recording, and write it with its verdict, pictures and log.
    """

    EXAMPLES = (
        "calib_all calibrate recording.mcap --urdf panda.urdf --mesh-path ~/ws/src --out result",
        "calib_all calibrate recording.mcap --mark 412,230 --eef-link panda_hand --out result",
    )
    EXIT_CODES = BY_VERDICT

    out: Path = option("folder of results", "DIR")


@dataclass(frozen=True, kw_only=True)
class CameraStreams(JointStreams):
    """Where the cameras of a recording are; what is given for each stands in one order."""

    TITLE = "cameras"

    image_topics: tuple[str, ...] = option(
        "images of a camera, once for each; default: all with a camera info (of a LeRobot dataset: "
        "image features)",
        "TOPIC",
        default=(),
    )
    camera_info_topics: tuple[str, ...] = option(
        "once for each --image-topic, in that order; default: the image's", "TOPIC", default=()
    )
    camera_files: tuple[Path, ...] = option(
        "intrinsics to use instead of the recording's, once for each --image-topic",
        "FILE",
        default=(),
        flags=("--camera",),
    )
    camera_masks: tuple[str, ...] = option(
        "as for `calib_all calibrate`: once, or once for each --image-topic",
        "auto|images|grounded_sam2|TOPIC|FOLDER",
        default=(),
        flags=("--masks",),
    )


@dataclass(frozen=True, kw_only=True)
class CamerasOptions(RobotFiles, SecondArm, CameraStreams, SolveOptions, ReportOptions):
    """Calibrate several cameras of one recording together.

    Find the poses of several cameras of one recording, each by itself and then all together, and
    their poses relative to each other. One folder of results for each camera, and cameras.yaml.
    """

    EXAMPLES = (
        "calib_all cameras recording.mcap --out results",
        "calib_all cameras recording.mcap --image-topic /left/image_raw --image-topic "
        "/right/image_raw --clock one --out results",
    )
    EXIT_CODES = f"{BY_VERDICT}; the verdict is that of the worst camera"

    recording: Path = option(RECORDING, flags=("RECORDING",))
    out: Path = option("folder of results", "DIR")
    clocks: tuple[str, ...] = option(
        "cameras that stamp by one clock, and so share one time lag: all (one), none (own), the "
        "named ones (may be repeated), or those whose lags agree (auto, the default)",
        "auto|one|own|A,B,...",
        default=(),
        group="solve",
    )


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not name or not equals or not file:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not CAMERA=FILE, e.g. observation.images.top=top.yaml"
        )
    return name, Path(file)


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions:
    """Episodes and cameras of a dataset that are meant."""

    TITLE = "episodes"

    cameras: tuple[str, ...] = option(
        "image topic or feature, or a pattern ('*wrist*'); may be repeated; default: all",
        "NAME",
        default=(),
        flags=("--only-camera",),
    )
    episodes: tuple[str, ...] = option(
        "name or number of an episode, or a pattern; may be repeated; default: all",
        "NAME",
        default=(),
        flags=("--only-episode",),
    )
    joint_topics: tuple[str, ...] | None = option(
        "of bags; may be repeated; default: all joint states", "TOPIC", default=None
    )
    joint_names: tuple[str, ...] | None = option(
        "joints of an .npz or a LeRobot dataset in the order of their columns",
        "A,B,...",
        default=None,
        parse=names,
    )
    camera: Path | None = option(
        "intrinsics to use instead of the recordings': camera.json or camera_info YAML",
        "FILE",
        default=None,
    )
    intrinsics: tuple[tuple[str, Path], ...] = option(
        "the same for one camera; may be repeated",
        "CAMERA=FILE",
        default=(),
        flags=("--intrinsics",),
        parse=_named_file,
        repeated=True,
    )
    masks: str = option(
        "robot masks: made from the images (auto, the default) or the recordings' own",
        "auto|recorded",
        default="auto",
        setting=MASKS,
    )


@dataclass(frozen=True, kw_only=True)
class SetupOptions:
    """How episodes between which the camera stood still are solved together."""

    TITLE = "camera setups"

    joint_episodes: int = option(
        "so many episodes of a setup at most are solved together, the others are compared with the "
        "pose (default: 8; 1 solves every episode alone)",
        "N",
        default=8,
        within=WHOLE,
    )
    joint_frames: int = option(
        "fit a setup to N times the images of an episode (default: 3)", "N", default=3, within=WHOLE
    )
    tolerance_mm: float = option(
        "by how much an episode's own pose may differ from its setup's (default: 5)",
        "MM",
        default=5.0,
    )
    tolerance_deg: float = option("default: 0.5", "DEG", default=0.5)


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Where the jobs of a dataset run."""

    TITLE = "machines"

    ray: bool = option(
        "run on Ray, on the cores of this machine; default: in this process, one by one",
        default=False,
    )
    address: str | None = option(
        "run on the Ray cluster there (implies --ray)", "HOST:PORT|auto", default=None
    )
    workers: int | None = option(
        "cores of this machine (default: all)", "N", default=None, within=WHOLE
    )
    memory_mb: float = option(
        "which each job is given on Ray (default: Ray watches the machine's memory)",
        "MB",
        default=0.0,
        flags=("--memory",),
    )
    time_limit_s: float = option(
        "give a job up so long after it was handed to Ray (default: never)",
        "S",
        default=0.0,
        flags=("--time-limit",),
    )


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(
    RobotFiles, EpisodeOptions, SetupOptions, SolveOptions, MachineOptions, ReportOptions
):
    """Calibrate all episodes and cameras of a dataset.

    Calibrate every episode and camera of a LeRobot dataset or of a folder of recordings. Episodes
    between which the camera stood still are found and solved together. Ends with table.csv,
    table.parquet and index.html in the folder of results. Killed and started again, it goes on
    where it was.
    """

    EXAMPLES = (
        "calib_all dataset recordings --urdf panda.urdf --out results",
        "calib_all dataset lerobot_dataset --urdf so100.urdf --camera camera.json --ray --out "
        "results",
    )
    EXIT_CODES = (
        "0 every episode has a verdict (rejected ones too, unless --strict), 3 some episodes "
        f"failed (or, with --strict, were rejected), {INTERNAL}; what is done is kept, the same "
        "command goes on with the rest"
    )

    source: Path = option(
        "LeRobot dataset (v2.1 or v3.0), or folder with bags, recording folders or .npz",
        flags=("SOURCE",),
    )
    out: Path = option(
        "folder of results; on a cluster, one that all nodes see under this path", "DIR"
    )
    frames: int | None = option(
        "images that the pose of a single episode is fitted to",
        "N",
        default=None,
        group="solve",
        setting="frames.count",
    )
    reports: Literal["all", "none"] = option(
        "pictures and report.html of every solve (all, the default), or results only (none), which "
        "saves a second or two of each solve",
        default="all",
        group="output",
    )
    write_lerobot: Path | None = option(
        "write a LeRobot dataset anew, with poses, intrinsics and verdicts as features",
        "DIR",
        default=None,
        group="output",
    )
    redo: bool = option(
        "do everything again", default=False, group="output", exclusive="what is done"
    )
    keep: bool = option(
        "go on with other settings than before; what is done stays as it is",
        default=False,
        group="output",
        exclusive="what is done",
    )
    retry: bool = option(
        "begin jobs again that were given up because they ended the whole process",
        default=False,
        group="output",
    )
    strict: bool = option(
        "exit with 3 also if episodes were rejected", default=False, group="output"
    )


def image_size(text: str) -> tuple[int, int]:
    """Read the width and height of an image, pixels."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WxH, e.g. 640x480") from None
    return width, height


def _distortion(text: str) -> tuple[str, tuple[float, ...]]:
    model, _, coefficients = text.partition(":")
    try:
        return model, tuple(float(number) for number in coefficients.split(",") if number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not MODEL:K1,K2,..., e.g. plumb_bob:-0.3,0,0,0,0"
        ) from None


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(RobotFiles, CommandOptions):
    """Make a recording with a known camera.

    Simulate a robot that moves in front of a camera and write the recording, with the true pose of
    the camera.
    """

    EXAMPLES = (
        "calib_all simulate recording --frames 60 --seed 1",
        "calib_all simulate recording --urdf panda.urdf --mesh-path ~/ros2_ws/src --lag-ms 30",
    )
    TITLE = "simulation"

    out: Path = option("new folder of the recording", flags=("OUT",))
    urdf: Path | None = option(
        "URDF or xacro; default: the package's own demo arm", "FILE", default=None, group="robot"
    )
    frames: int | None = option("number of images", "N", default=None, setting="frames")
    seed: int | None = option(SEED, default=None, setting="seed")
    bag: bool = option("write a rosbag2 (without the truth)", default=False)
    rate: float | None = option("images per second", "HZ", default=None, setting="rate_hz")
    size: tuple[int, int] | None = option(
        "image size in pixels", "WxH", default=None, parse=image_size
    )
    focal: float | None = option("focal length in pixels", "PX", default=None, setting="focal_px")
    distortion: tuple[str, tuple[float, ...]] | None = option(
        "lens distortion, e.g. plumb_bob:-0.3,0,0,0,0 or equidistant:0.05,0,0,0",
        "MODEL:K1,K2,...",
        default=None,
        parse=_distortion,
    )
    lag_ms: float | None = option("how much too late images are stamped", "MS", default=None)
    noise: float | None = option(
        "sensor noise, grey levels", "SIGMA", default=None, setting="noise_sigma"
    )


@dataclass(frozen=True, kw_only=True)
class DemoOptions(ReportOptions):
    """Simulate a recording and calibrate it.

    Simulate a recording of the demo arm, calibrate it, and compare the result with the known truth.
    """

    EXAMPLES = ("calib_all demo", "calib_all demo demo_2 --frames 30 --seed 2")
    EXIT_CODES = BY_VERDICT
    TITLE = "simulation"

    out: Path = option("default: demo", "DIR", default=Path("demo"), flags=("DIR",))
    frames: int | None = option("number of images", "N", default=None, setting="frames")
    seed: int | None = option(SEED, default=None, setting="seed")


def given_settings(options: Any) -> dict[str, Any]:
    """Return the settings that options give, by their dotted names."""
    stated = ((each.setting, getattr(options, each.name)) for each in options_of(type(options)))
    return {
        name: value
        for name, value in stated
        # A mask source is one of several things that --masks may name.
        if name and value not in (None, ()) and (name != MASKS or value in MASK_SOURCES)
    }


def settings_of(options: SolveOptions) -> Settings:
    """Return the settings of the file, with what the options give.

    Raises:
        SettingsError: The file cannot be read, or a value is impossible.
    """
    settings = Settings() if options.config is None else Settings.from_file(options.config)
    return settings.updated(given_settings(options))
