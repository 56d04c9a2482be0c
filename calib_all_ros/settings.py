# SPDX-License-Identifier: Apache-2.0
"""Every setting of a calibration: one definition for files, command line and ROS parameters.

Help and checks of command lines read it, so YAML and what builds the settings is imported when
settings are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from calib_all_ros.errors import CalibAllError
from calib_all_ros.input_files import MASK_SOURCES
from calib_all_ros.options import Range, options_of

TRACKERS = ("auto", "lucas_kanade", "cotracker", "cotracker_online")
REFINEMENTS = ("contour", "adam")
RENDERERS = ("cpu", "nvdiffrast")

_AT_LEAST_1 = {"within": Range(least=1)}
_FROM_0 = {"within": Range(least=0)}
_ABOVE_0 = {"within": Range(above=0)}
_BETWEEN_0_AND_1 = {"within": Range(above=0, below=1)}


class SettingsError(CalibAllError):
    """A setting has an unknown name, the wrong type or an impossible value."""


@dataclass(frozen=True)
class FrameSettings:
    """Which frames are used.

    Attributes:
        count: Frames the pose is fitted to, chosen to differ in joint space and to be sharp.
        background_count: Frames that serve to know the background, when there are no masks.
        max_joint_gap_s: Images inside a longer gap of the joint states are not used.
        working_width_px: Wider images are reduced to this width for the solve.
    """

    count: int = field(default=16, metadata=_AT_LEAST_1)
    background_count: int = field(default=40, metadata={"within": Range(least=5)})
    max_joint_gap_s: float = field(default=0.2, metadata=_ABOVE_0)
    working_width_px: int = field(default=960, metadata={"within": Range(least=160)})

    def __post_init__(self) -> None:
        _check("frames", self)


@dataclass(frozen=True)
class SearchEffort:
    """How hard the camera is searched for when there is no usable mark.

    Attributes:
        hypotheses: Camera poses scored first.
        candidates: Diverse best hypotheses that are refined.
        finalists: Refined candidates followed to the end.
        attempts: Searches from new random hypotheses before giving up.
    """

    hypotheses: int = field(default=6000, metadata=_AT_LEAST_1)
    candidates: int = field(default=64, metadata=_AT_LEAST_1)
    finalists: int = field(default=4, metadata=_AT_LEAST_1)
    attempts: int = field(default=2, metadata=_AT_LEAST_1)

    def __post_init__(self) -> None:
        _check("search", self)


@dataclass(frozen=True)
class RefinementSettings:
    """How the pose is refined, and what is estimated beside it.

    Attributes:
        method: "contour" fits outlines by Gauss-Newton steps; "adam" is the paper's descent on the
            squared mask loss, which needs masks and estimates nothing beside the pose.
        lag: A common time lag of the images.
        mask_bias: By how much observed outlines are too fat.
        focal_scale: A common factor on the focal lengths; only when the intrinsics are in doubt.
        joint_offsets: By how much each joint's zero position is off, expected within 0.2 degrees;
            only when the clocks are known to be right, for it takes up what lags leave.
    """

    method: str = field(default="contour", metadata={"choices": REFINEMENTS})
    lag: bool = True
    mask_bias: bool = True
    focal_scale: bool = False
    joint_offsets: bool = False

    def __post_init__(self) -> None:
        _check("refinement", self)


@dataclass(frozen=True)
class AdamSettings:
    """The descent of ``refinement.method: adam`` (Kingma and Ba 2015).

    The paper takes 10,000 steps; the learning rate is that of its code, whose weight decay of
    1e-6 pulls the camera towards the base frame's origin for no reason in the images.

    Attributes:
        steps: Iterations; there is no other end, and the best one is kept.
        learning_rate: Largest change of each parameter in a step, radians and metres.
        weight_decay: Pull of rotation vector and translation towards zero, relative to the
            gradient of a mask's summed squared error.
    """

    steps: int = field(default=10_000, metadata=_AT_LEAST_1)
    learning_rate: float = field(default=1e-4, metadata=_ABOVE_0)
    weight_decay: float = field(default=0.0, metadata=_FROM_0)

    def __post_init__(self) -> None:
        _check("adam", self)


@dataclass(frozen=True)
class RenderingSettings:
    """What draws the robot.

    Attributes:
        backend: What draws the silhouettes that are fitted to masks: "cpu", or "nvdiffrast" on a
            CUDA GPU.
    """

    backend: str = field(default="cpu", metadata={"choices": RENDERERS})

    def __post_init__(self) -> None:
        _check("rendering", self)


@dataclass(frozen=True)
class MarkSettings:
    """Where the mark comes from, how it is followed and how it is used.

    Attributes:
        find: Where no mark is given: "auto" finds it with DINOv2 if its checkpoint and reference
            marks are there, "off" goes without.
        references: Folder of reference marks; empty takes $CALIB_ALL_MARKS, or
            calib_all_ros/marks in the user's data folder.
        tracker: "lucas_kanade", "cotracker", "cotracker_online", or "auto" for CoTracker3 (offline)
            if it is there.
        method: "robust" solves pose, point offset and lag together; "epnp" is the paper's choice.
    """

    find: str = field(default="auto", metadata={"choices": ("auto", "off")})
    references: str = ""
    tracker: str = field(default="auto", metadata={"choices": TRACKERS})
    method: str = field(default="robust", metadata={"choices": ("robust", "epnp")})

    def __post_init__(self) -> None:
        _check("mark", self)


@dataclass(frozen=True)
class MaskSettings:
    """How robot masks are made where the recording brings none.

    Attributes:
        source: "images" finds the robot by its motion, "grounded_sam2" by Grounding DINO and
            SAM 2, "auto" by these if their checkpoints are there. The images are used in any case,
            and the better result counts.
        prompt: What Grounding DINO looks for.
        box_threshold: Least score of a box.
        text_threshold: Least score of a word for it to name the box.
        clicks: Pixels on the robot, "u,v" or "u,v@image", where no box can be found.
        clicks_beside: Pixels beside the robot, alike.
    """

    source: str = field(default="auto", metadata={"choices": ("auto", *MASK_SOURCES)})
    prompt: str = "robotic arm"
    box_threshold: float = field(default=0.35, metadata=_BETWEEN_0_AND_1)
    text_threshold: float = field(default=0.3, metadata=_BETWEEN_0_AND_1)
    clicks: tuple[str, ...] = ()
    clicks_beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("masks", self)
        if not self.prompt.strip():
            raise _impossible("masks.prompt", repr(self.prompt), "some words")


@dataclass(frozen=True)
class ModelSettings:
    """Where foundation models lie and run.

    Attributes:
        checkpoints: Folder of checkpoints; empty takes $CALIB_ALL_CHECKPOINTS, or
            calib_all_ros/checkpoints in the user's data folder.
        device: "cpu", "cuda", "cuda:1" ..., or "auto" for the first CUDA device if there is one.
    """

    checkpoints: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise _impossible("models.device", self.device, "auto, cpu, cuda or cuda:N")


@dataclass(frozen=True)
class Settings:
    """All settings of a calibration.

    Attributes:
        seed: Seed of everything random; the same seed gives the same result.
        frames: Which frames are used.
        search: How hard to search.
        refinement: How the pose is refined, and what is estimated beside it.
        adam: The paper's descent, where it is asked for.
        mark: Where the mark comes from and how it is used.
        masks: How masks are made where the recording brings none.
        models: Where foundation models lie and run.
        rendering: What draws the robot.
    """

    seed: int = field(default=0, metadata=_FROM_0)
    frames: FrameSettings = field(default_factory=FrameSettings)
    search: SearchEffort = field(default_factory=SearchEffort)
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    adam: AdamSettings = field(default_factory=AdamSettings)
    mark: MarkSettings = field(default_factory=MarkSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    rendering: RenderingSettings = field(default_factory=RenderingSettings)

    def __post_init__(self) -> None:
        _check("", self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Build settings from nested mappings; what is left out keeps its default.

        Raises:
            SettingsError: An unknown name, a wrong type or an impossible value.
        """
        import dacite

        try:
            config = dacite.Config(strict=True, cast=[float, tuple])
            return dacite.from_dict(cls, dict(values), config)
        except (dacite.DaciteError, ValueError, TypeError) as error:
            raise SettingsError(f"bad settings: {error}") from error

    @classmethod
    def from_file(cls, path: Path) -> Settings:
        """Read settings from a YAML file.

        Raises:
            SettingsError: The file cannot be read, is not YAML, or does not hold settings.
        """
        import yaml

        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingsError(f"cannot read settings from {path}: {error}") from error
        if values is None:
            return cls()
        if not isinstance(values, dict):
            raise SettingsError(f"{path} must hold a mapping of settings")
        try:
            return cls.from_mapping(values)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from error

    def updated(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings with some of them, by their dotted names, changed.

        Raises:
            SettingsError: An unknown name, a wrong type or an impossible value.
        """
        mapping = self.to_mapping()
        for name, value in values.items():
            *sections, last = name.split(".")
            group = mapping
            for section in sections:
                group = group[section]
            group[last] = str(value) if isinstance(value, Path) else value
        return Settings.from_mapping(mapping)

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as nested mappings, for files."""
        return _with_lists(asdict(self))


def _with_lists(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested mappings with lists for tuples, as they come back from files."""
    return {
        name: _with_lists(value)
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in values.items()
    }


def _check(section: str, settings: Any) -> None:
    """Hold the values of a section against what their fields allow."""
    for option in options_of(type(settings)):
        if "." in option.name:
            continue  # A section's own check has seen to it.
        value = getattr(settings, option.name)
        if expected := option.expected(value):
            raise _impossible(f"{section}.{option.name}".lstrip("."), value, expected)


def _impossible(name: str, value: object, expected: str) -> SettingsError:
    return SettingsError(f"setting {name} is {value}; it must be {expected}")
