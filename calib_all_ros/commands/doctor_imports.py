# SPDX-License-Identifier: Apache-2.0
"""Imports of libraries on trial, in another process: a broken one may crash, hang or exit.

The other process imports the modules one after the other and reports each on a line of its own.
The module that it did not report when it ended is the one that ended it; another process goes on
after that one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from typing import Any

from calib_all_ros.models.libraries import cuda_obstacle, reason_of

# The same folders are searched in the same order, whatever this process was started with.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from calib_all_ros.commands.doctor_imports import report_imports
report_imports(sys.argv[2:])
"""


@dataclass(frozen=True)
class Trial:
    """What came of importing one module.

    Attributes:
        module: Its full name.
        installed: Whether there is such a module.
        version: Of the library, None if it does not say.
        problem: Why it cannot be imported, None where it can or is not installed.
        facts: What more the library says of itself, see ``_FACTS``.
    """

    module: str
    installed: bool = True
    version: str | None = None
    problem: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def works(self) -> bool:
        """Whether it can be imported."""
        return self.installed and self.problem is None


def try_imports(modules: Sequence[str], timeout_s: float = 120.0) -> dict[str, Trial]:
    """Import modules in another process.

    Args:
        modules: Full names.
        timeout_s: After that long the module that is being imported is given up.

    Returns:
        What came of each of them.
    """
    trials: dict[str, Trial] = {}
    while left := [module for module in modules if module not in trials]:
        printed, how_it_ended = _run(left, timeout_s)
        for line in printed.splitlines():
            trial = Trial(**json.loads(line))
            trials[trial.module] = trial
        culprit = next((module for module in left if module not in trials), None)
        if culprit is not None:
            problem = f"the import of {culprit} {how_it_ended}"
            trials[culprit] = Trial(culprit, problem=problem)
    return trials


def _run(modules: Sequence[str], timeout_s: float) -> tuple[str, str]:
    """Return what the other process printed, and how it ended."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *modules]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            return printed, f"did not end within {timeout_s:.0f} s"
    code = process.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return printed, f"ended the process ({how})"


def report_imports(modules: Sequence[str]) -> None:
    """Import modules in this process and print what came of each as a line of JSON."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Some libraries print when they are imported.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for module in modules:
        print(json.dumps(vars(_imported(module))), file=reports, flush=True)


def _imported(module: str) -> Trial:
    library = module.partition(".")[0]
    try:
        import_module(module)
        facts = _FACTS[library]() if library in _FACTS else {}
    except ModuleNotFoundError as error:
        if error.name == library:
            return Trial(module, installed=False)
        return Trial(module, version=_version(library), problem=reason_of(error))
    except Exception as error:
        return Trial(module, version=_version(library), problem=reason_of(error))
    return Trial(module, version=_version(library), facts=facts)


def _version(library: str) -> str | None:
    version = getattr(sys.modules.get(library), "__version__", None)
    if version is not None:
        return str(version)
    for distribution in metadata.packages_distributions().get(library, ()):
        return metadata.version(distribution)
    return None


def _torch() -> dict[str, Any]:
    torch = import_module("torch")
    return {
        "cuda": torch.version.cuda,
        "cuda_obstacle": cuda_obstacle(),
        "devices": [
            {
                "name": f"cuda:{number}",
                "title": torch.cuda.get_device_name(number),
                "memory_bytes": torch.cuda.get_device_properties(number).total_memory,
            }
            for number in range(torch.cuda.device_count() if torch.version.cuda else 0)
        ],
    }


def _transformers() -> dict[str, Any]:
    transformers = import_module("transformers")
    names = set(dir(transformers))
    needed = ("Dinov2Model", "GroundingDinoForObjectDetection", "Sam2VideoModel")
    return {
        "lacks": [name for name in needed if name not in names],
        # It works without a torch, and turns away one that is too old for it.
        "takes_torch": bool(transformers.is_torch_available()),
    }


def _numba() -> dict[str, Any]:
    return {"threads": import_module("numba").get_num_threads()}


def _rclpy() -> dict[str, Any]:
    rclpy = import_module("rclpy")
    return {"rmw": rclpy.get_rmw_implementation_identifier(), "file": rclpy.__file__}


_FACTS = {"torch": _torch, "transformers": _transformers, "numba": _numba, "rclpy": _rclpy}
