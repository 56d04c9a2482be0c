# SPDX-License-Identifier: Apache-2.0
"""Parameters of the publisher node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.errors import CalibAllError
from calib_all_ros.results.calibration import FILE_NAME
from calib_all_ros.results.store import ResultStore


class PublisherParameterError(CalibAllError):
    """The publisher's parameters contradict each other."""


@dataclass(frozen=True)
class PublisherParameters:
    """Which saved results to publish, and as what.

    Attributes:
        name: Saved result to publish, by its name.
        names: More of them, for several cameras in one process.
        file: Calibration file to publish instead of a saved result, calibration.yaml or its folder.
        follow: Take a newer result as soon as it is saved; else wait for ~/reload.
        force: Publish a result whose verdict is rejected all the same.
        base_frame: The base frame's name in the TF tree, if it is not the one in the result.
        optical_frame: The optical frame's name in the TF tree, if it is not the one in the result.
        settle_s: How long the TF tree has to stay the same before it is added to, seconds.
    """

    name: str = ""
    names: tuple[str, ...] = ()
    file: str = ""
    follow: bool = True
    force: bool = False
    base_frame: str = ""
    optical_frame: str = ""
    settle_s: float = 1.0

    def __post_init__(self) -> None:
        if self.file and self.all_names:
            raise PublisherParameterError(
                f"both file ({self.file}) and name ({', '.join(self.all_names)}) are given: give "
                "one of them"
            )
        if self.optical_frame and len(self.all_names) > 1:
            raise PublisherParameterError(
                f"optical_frame cannot be the name of {len(self.all_names)} cameras' frames: start "
                "one publisher for each"
            )
        if not self.settle_s >= 0.0:
            raise PublisherParameterError(f"settle_s is {self.settle_s}: it must not be negative")

    def paths(self) -> tuple[Path, ...]:
        """Return the files of the results, which need not exist."""
        if not self.file:
            return tuple(ResultStore().path(name) for name in self.all_names)
        path = Path(self.file).expanduser()
        return (path / FILE_NAME if path.is_dir() else path,)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The named results, each once."""
        return tuple(dict.fromkeys((*([self.name] if self.name else []), *self.names)))
