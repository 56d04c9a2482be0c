# SPDX-License-Identifier: Apache-2.0
"""Every setting of a calibration: one definition for files, command line and ROS parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dacite
import yaml

from calib_all_ros.errors import CalibAllError


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

    count: int = 16
    background_count: int = 40
    max_joint_gap_s: float = 0.2
    working_width_px: int = 960

    def __post_init__(self) -> None:
        _require(self.count >= 1, "frames.count", self.count, "at least 1")
        _require(
            self.background_count >= 5, "frames.background_count", self.background_count, ">= 5"
        )
        _require(self.max_joint_gap_s > 0, "frames.max_joint_gap_s", self.max_joint_gap_s, "> 0")
        _require(
            self.working_width_px >= 160, "frames.working_width_px", self.working_width_px, ">= 160"
        )


@dataclass(frozen=True)
class SearchEffort:
    """How hard the camera is searched for when there is no usable mark.

    Attributes:
        hypotheses: Camera poses scored first.
        candidates: Diverse best hypotheses that are refined.
        finalists: Refined candidates followed to the end.
        attempts: Searches from new random hypotheses before giving up.
    """

    hypotheses: int = 6000
    candidates: int = 24
    finalists: int = 3
    attempts: int = 2

    def __post_init__(self) -> None:
        for name in ("hypotheses", "candidates", "finalists", "attempts"):
            _require(getattr(self, name) >= 1, f"search.{name}", getattr(self, name), "at least 1")


@dataclass(frozen=True)
class RefinementSettings:
    """What is estimated beside the pose.

    Attributes:
        lag: A common time lag of the images.
        mask_bias: By how much observed outlines are too fat.
        focal_scale: A common factor on the focal lengths; only when the intrinsics are in doubt.
        joint_offsets: By how much each joint's zero position is off, expected within 0.2 degrees;
            only when the clocks are known to be right, for it takes up what lags leave.
    """

    lag: bool = True
    mask_bias: bool = True
    focal_scale: bool = False
    joint_offsets: bool = False


@dataclass(frozen=True)
class MarkSettings:
    """How a mark is used.

    Attributes:
        method: "robust" solves pose, point offset and lag together; "epnp" is the paper's choice.
    """

    method: str = "robust"

    def __post_init__(self) -> None:
        _require(self.method in ("robust", "epnp"), "mark.method", self.method, "robust or epnp")


@dataclass(frozen=True)
class Settings:
    """All settings of a calibration.

    Attributes:
        seed: Seed of everything random; the same seed gives the same result.
        frames: Which frames are used.
        search: How hard to search.
        refinement: What is estimated beside the pose.
        mark: How a mark is used.
    """

    seed: int = 0
    frames: FrameSettings = field(default_factory=FrameSettings)
    search: SearchEffort = field(default_factory=SearchEffort)
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    mark: MarkSettings = field(default_factory=MarkSettings)

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "at least 0")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Build settings from nested mappings; what is left out keeps its default.

        Raises:
            SettingsError: An unknown name, a wrong type or an impossible value.
        """
        try:
            return dacite.from_dict(cls, dict(values), dacite.Config(strict=True, cast=[float]))
        except (dacite.DaciteError, ValueError, TypeError) as error:
            raise SettingsError(f"bad settings: {error}") from error

    @classmethod
    def from_file(cls, path: Path) -> Settings:
        """Read settings from a YAML file.

        Raises:
            SettingsError: The file cannot be read, is not YAML, or does not hold settings.
        """
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

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as nested mappings, for files."""
        return asdict(self)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise SettingsError(f"setting {name} is {value}; it must be {expected}")
