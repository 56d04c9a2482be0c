# SPDX-License-Identifier: Apache-2.0
"""Results by name, kept where ROS keeps its files: ``~/.ros/calib_all_ros/NAME.yaml``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")


class ResultStore:
    """A folder of named results; saving under a used name keeps the old ones as ``NAME.N.yaml``.

    Args:
        folder: where; by default ``calib_all_ros`` under ``$ROS_HOME`` or ``~/.ros``. It is made
            when something is saved.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def path(self, name: str) -> Path:
        """Return the file of the newest result called ``name``, which need not exist.

        Raises:
            ResultError: ``name`` is not made of letters, digits, ``_`` and ``-``.
        """
        if not _NAME.fullmatch(name):
            raise ResultError(
                f"'{name}' cannot name a result; use up to 100 letters, digits, '_' and '-', "
                "e.g. 'kitchen_cam'"
            )
        return self.folder / f"{name}.yaml"

    def names(self) -> tuple[str, ...]:
        """Return the names in use, sorted."""
        stems = (path.name.removesuffix(".yaml") for path in self.folder.glob("*.yaml"))
        return tuple(sorted(stem for stem in stems if _NAME.fullmatch(stem)))

    def earlier(self, name: str) -> tuple[Path, ...]:
        """Return the files of replaced results called ``name``, the oldest first."""
        self.path(name)
        numbered = {
            int(match[1]): path
            for path in self.folder.glob(f"{name}.*.yaml")
            if (match := re.fullmatch(rf"{re.escape(name)}\.([0-9]+)\.yaml", path.name))
        }
        return tuple(numbered[number] for number in sorted(numbered))

    def load(self, name: str) -> Calibration:
        """Return the newest result called ``name``.

        Raises:
            ResultError: there is none (the message lists those there are), or it is broken.
        """
        path = self.path(name)
        if not path.is_file():
            known = ", ".join(self.names()) or "none"
            raise ResultError(f"no result called '{name}' in {self.folder}; it has: {known}")
        return Calibration.load(path)

    def save(self, name: str, calibration: Calibration) -> Path:
        """Save under ``name``, keep what had that name before, and return the file's path.

        Raises:
            ResultError: the name is not allowed, or the folder cannot be written to.
        """
        path = self.path(name)
        if path.is_file():
            self._keep(path, name)
        return calibration.save(path)

    def _keep(self, path: Path, name: str) -> None:
        """Copy the present file under the next free number."""
        taken = self.earlier(name)
        number = int(taken[-1].name.split(".")[-2]) + 1 if taken else 1
        try:
            with path.with_name(f"{name}.{number}.yaml").open("xb") as copy:
                copy.write(path.read_bytes())
        except OSError as error:
            raise ResultError(
                f"cannot keep the earlier result {path} ({error.strerror}); free space there or "
                "save under another name"
            ) from error


def default_folder() -> Path:
    """Return ``calib_all_ros`` under ``$ROS_HOME``, or under ``~/.ros`` where that is not set."""
    home = os.environ.get("ROS_HOME")
    return (Path(home) if home else Path.home() / ".ros") / "calib_all_ros"
