# SPDX-License-Identifier: Apache-2.0
"""The libraries that every calibration needs: are they there, and new enough?"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

from calib_all_ros.commands.doctor_imports import Trial

_RAY_CASTING = "embreex" if platform.machine() in ("x86_64", "AMD64") else "rtree"
# What the distributions that setup.py requires are imported as; what others import comes first.
CORE_LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "opencv-python-headless": "cv2",
    "numba": "numba",
    "trimesh": "trimesh",
    "yourdfpy": "yourdfpy",
    "xacrodoc": "xacrodoc",
    "pycollada": "collada",
    "pyyaml": "yaml",
    "dacite": "dacite",
    "rosbags": "rosbags",
    "mcap": "mcap",
    "lz4": "lz4.frame",
    "zstandard": "zstandard",
    "matplotlib": "matplotlib",
    "jinja2": "jinja2",
    "tqdm": "tqdm",
    _RAY_CASTING: _RAY_CASTING,
}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*\(?([^;)]*)\)?\s*(;.*)?")
_BOUND = re.compile(r"(>=|<)\s*([0-9][0-9.]*)")


@dataclass(frozen=True)
class CoreLibrary:
    """One library of the core.

    Attributes:
        name: As pip calls it.
        version: None if it is not there or does not say.
        needed: The versions that work, ``>=1.15``; empty if that is not known.
        problem: What is wrong, None if nothing.
        todo: What to do about it, None where that is to be done elsewhere.
    """

    name: str
    version: str | None
    needed: str
    problem: str | None = None
    todo: str | None = None


def core_libraries(trials: Mapping[str, Trial]) -> tuple[CoreLibrary, ...]:
    """Return the state of each library of the core.

    Args:
        trials: What came of importing the values of ``CORE_LIBRARIES``.
    """
    needed = requirements(_declared())
    first: dict[str, str] = {}
    answer = []
    for name, module in CORE_LIBRARIES.items():
        reason = trials[module].problem
        library = judge(name, trials[module], needed.get(name, ""))
        if reason is not None and first.setdefault(reason, name) != name:
            problem = f"{name} cannot be imported, for the same reason as {first[reason]}"
            library = replace(library, problem=problem, todo=None)
        answer.append(library)
    return tuple(answer)


def judge(name: str, trial: Trial, needed: str) -> CoreLibrary:
    """Return the state of one library.

    Args:
        name: As pip calls it.
        trial: What came of importing it.
        needed: The versions that work.
    """
    todo = f"pip install '{name}{needed}'"
    if not trial.installed:
        return CoreLibrary(name, None, needed, f"{name} is not installed", todo)
    if trial.problem is not None:
        problem = f"{name} is installed but broken ({trial.problem})"
        again = f"pip install --force-reinstall '{name}{needed}'"
        return CoreLibrary(name, trial.version, needed, problem, again)
    if trial.version is not None and not fits(trial.version, needed):
        problem = f"{name} is {trial.version}, and {needed} is needed"
        return CoreLibrary(name, trial.version, needed, problem, todo)
    return CoreLibrary(name, trial.version, needed)


def requirements(declared: Iterable[str]) -> dict[str, str]:
    """Return the versions that are needed, by the names of the distributions, without extras."""
    needed = {}
    for line in declared:
        match = _REQUIREMENT.fullmatch(line.strip())
        if match is not None and "extra ==" not in (match[3] or ""):
            needed[match[1].lower()] = match[2].replace(" ", "")
    return needed


def fits(version: str, needed: str) -> bool:
    """Return whether a version is within bounds; what is not a bound is taken for met."""
    has = _numbers(version)
    for comparison, bound in _BOUND.findall(needed):
        if (has >= _numbers(bound)) != (comparison == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _declared() -> Sequence[str]:
    try:
        return metadata.requires("calib_all_ros") or ()
    except metadata.PackageNotFoundError:  # run from its source folder
        return ()
