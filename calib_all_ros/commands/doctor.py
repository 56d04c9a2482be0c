# SPDX-License-Identifier: Apache-2.0
"""`calib_all doctor`: what is installed here, and what to do for what is not.

This runs where libraries are missing or broken, so it imports none of them itself.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calib_all_ros import __version__
from calib_all_ros.commands.doctor_backends import EXTRA_MODULES, Surroundings, backends
from calib_all_ros.commands.doctor_core import CORE_LIBRARIES, core_libraries
from calib_all_ros.commands.doctor_imports import Trial, try_imports
from calib_all_ros.commands.doctor_report import as_text
from calib_all_ros.commands.doctor_ros import ROS_MODULES, ros_state
from calib_all_ros.commands.result_options import DoctorOptions
from calib_all_ros.errors import EXIT_OK, EXIT_REJECTED, CalibAllError
from calib_all_ros.models.checkpoints import (
    DOWNLOADS,
    FOLDER_VARIABLE,
    MODELS,
    FoundCheckpoint,
    Unusable,
    checkpoint_folder,
    download_command,
    how_to_get,
    recommended,
    scan,
    size_remark,
    verify,
)
from calib_all_ros.models.libraries import ModelError
from calib_all_ros.results.run_log import RunLog


def run(options: DoctorOptions, log: RunLog) -> int:
    """Print the state of this installation.

    Returns:
        The exit code: whether nothing that every calibration needs is missing or broken.
    """
    document = examine(options.checkpoints, verified=options.verify)
    if options.json:
        print(json.dumps(document))
    elif not options.quiet:
        print(as_text(document))
    return EXIT_OK if document["core"]["works"] else EXIT_REJECTED


def examine(given: Path | None = None, *, verified: bool = False) -> dict[str, Any]:
    """Return the state of this installation as plain values.

    Args:
        given: Folder of checkpoints, None for the one that is configured.
        verified: Whether to compare the SHA-256 of the checkpoints, which reads all of them.
    """
    trials = _trials((tuple(CORE_LIBRARIES.values()), tuple(EXTRA_MODULES), ROS_MODULES))
    core = core_libraries(trials)
    works = all(library.problem is None for library in core)
    folder = checkpoint_folder(given)
    try:
        found, unusable = scan(folder)
    except ModelError as error:
        found, unusable = {}, (Unusable(next(iter(MODELS)), folder, str(error), DOWNLOADS[0]),)
    folders = _folders(folder) if works else {"checkpoints": str(folder)}
    references, problem = _reference_marks() if works else (None, None)
    here = Surroundings(trials, found, unusable, folder, references, problem)
    return {
        "package": {"version": __version__, "location": str(Path(__file__).parents[1])},
        "system": _system(trials["numba"]),
        "core": {"works": works, "libraries": [asdict(library) for library in core]},
        "backends": [asdict(backend) for backend in backends(here)],
        "libraries": [_library(trials[module]) for module in EXTRA_MODULES],
        "gpu": _gpu(trials["torch"]),
        "checkpoints": {
            "folder": str(folder),
            "chosen_by": _chosen_by(given),
            "exists": folder.exists(),
            "found": [
                _checkpoint(model, checkpoint, number == 0, verified)
                for model in MODELS
                for number, checkpoint in enumerate(found.get(model, ()))
            ],
            "unusable": [asdict(strange) | {"path": str(strange.path)} for strange in unusable],
            "missing": [_missing(model, folder) for model in MODELS if model not in found],
        },
        "ros": asdict(ros_state(trials, os.environ)),
        "folders": folders,
    }


def _trials(groups: Sequence[Sequence[str]]) -> dict[str, Trial]:
    """Import groups of modules beside each other, as they are slow to load."""
    with ThreadPoolExecutor(len(groups)) as pool:
        answers = list(pool.map(try_imports, groups))
    return {module: trial for answer in answers for module, trial in answer.items()}


def _system(numba: Trial) -> dict[str, Any]:
    # The cores that this process may use can be fewer than the machine has.
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpu_cores": len(affinity(0)) if affinity is not None else os.cpu_count(),
        "numba_threads": numba.facts.get("threads"),
    }


def _library(trial: Trial) -> dict[str, Any]:
    return {
        "name": trial.module.partition(".")[0],
        "installed": trial.installed,
        "version": trial.version,
        "problem": trial.problem,
    }


def _gpu(torch: Trial) -> dict[str, Any]:
    obstacle = torch.facts["cuda_obstacle"] if torch.works else ("torch cannot be imported", None)
    why, todo = obstacle or (None, None)
    return {
        "usable": obstacle is None,
        "why_not": why,
        "todo": todo,
        "torch_built_for_cuda": torch.facts.get("cuda"),
        "devices": torch.facts.get("devices", []),
        "driver": _driver(),
    }


def _driver() -> list[str] | None:
    """Return what NVIDIA's driver says of its GPUs, None where there is no such driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        run = subprocess.run(query, check=True, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in run.stdout.splitlines() if line.strip()]


def _chosen_by(given: Path | None) -> str:
    if given is not None:
        return "--checkpoints"
    return f"${FOLDER_VARIABLE}" if os.environ.get(FOLDER_VARIABLE) else "default"


def _checkpoint(
    model: str, checkpoint: FoundCheckpoint, used: bool, verified: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "model": model,
        "path": str(checkpoint.path),
        "kind": checkpoint.kind,
        "variant": checkpoint.variant,
        "size_bytes": checkpoint.size_bytes(),
        "used": used,
        "remark": size_remark(model, checkpoint),
    }
    if verified:
        answer["integrity"] = asdict(verify(model, checkpoint))
    return answer


def _missing(model: str, folder: Path) -> dict[str, Any]:
    best = recommended(model)
    return {
        "model": model,
        "title": MODELS[model].title,
        "part": MODELS[model].part,
        "todo": how_to_get(best, folder),
        "command": download_command(best, folder),
        "recommended": asdict(best),
        "others": [
            asdict(download)
            for download in DOWNLOADS
            if download.model == model and download != best
        ],
    }


def _folders(checkpoints: Path) -> Mapping[str, str]:
    """Return where files of the user are kept; only where the core works, which this needs."""
    from calib_all_ros.marks.references import references_folder
    from calib_all_ros.results.store import ResultStore

    return {
        "checkpoints": str(checkpoints),
        "reference marks": str(references_folder(None)),
        "results": str(ResultStore().folder),
    }


def _reference_marks() -> tuple[int | None, str | None]:
    """Return how many reference marks there are, or why they cannot be read."""
    from calib_all_ros.marks.references import load_references, references_folder

    try:
        return len(load_references(references_folder(None))), None
    except CalibAllError as error:
        return None, str(error)
