# SPDX-License-Identifier: Apache-2.0
"""Record of what a folder of results was made with, so that different makes are not mixed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml

from calib_all_ros import __version__
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.journal import FILE_NAME as JOURNAL_NAME
from calib_all_ros.dataset.plan import EPISODES, SETUPS, SURVEYS, DatasetPlan
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically

FILE_NAME = "dataset.yaml"
_MOST_NAMED = 6


def changes_since(source: Path | str, plan: DatasetPlan) -> tuple[str, ...]:
    """Return what differs from the run that made the folder of results, one sentence each.

    Raises:
        DatasetError: The folder holds something else, or a file that is named cannot be read.
    """
    path, now = plan.out / FILE_NAME, _document(source, plan)
    before = _read(path) if path.is_file() else {}
    # Other programs call their files dataset.yaml, too.
    if "package_version" in before:
        return _changes(before, now)
    if not _unused(plan.out):
        raise DatasetError(
            f"{plan.out} exists but has no {FILE_NAME} of a run before: choose an empty or a new "
            "folder for --out"
        )
    return ()


def refusal(plan: DatasetPlan, changes: tuple[str, ...]) -> DatasetError:
    """Return the error for a folder that was made otherwise."""
    named = "; ".join(changes[:_MOST_NAMED])
    return DatasetError(
        f"{plan.out} was made with other settings ({named}): give --redo to do everything again, "
        "--keep to keep what is done and do only the rest this way, or another --out"
    )


def write_record(source: Path | str, plan: DatasetPlan) -> None:
    """Write what the folder of results is made with.

    Raises:
        ResultError: It cannot be written.
    """
    write_atomically(plan.out / FILE_NAME, yaml_text.dump(_document(source, plan)).encode())


def remove_results(plan: DatasetPlan) -> None:
    """Remove what earlier runs have made; `changes_since` says whether the folder is theirs."""
    for name in (EPISODES, SETUPS, SURVEYS):
        shutil.rmtree(plan.out / name, ignore_errors=True)


def _unused(folder: Path) -> bool:
    """Return whether a folder is missing, or empty but for a journal without entries."""
    if not folder.is_dir():
        return not folder.exists()
    return all(path.name == JOURNAL_NAME and not path.stat().st_size for path in folder.iterdir())


def _document(source: Path | str, plan: DatasetPlan) -> dict[str, Any]:
    selection = yaml_text.plain(plan.selection)
    files = [plan.selection.common.urdf, plan.selection.common.camera]
    files += [path for _, path in plan.selection.intrinsics]
    contents = {str(file): _digest(Path(file)) for file in files if file is not None}
    return dict(
        yaml_text.plain(
            {
                "source": str(source),
                "package_version": __version__,
                "settings": plan.settings.to_mapping(),
                "selection": selection,
                "files": contents,
                "setups": {
                    "joint_episodes": plan.joint_episodes,
                    "joint_frames": plan.joint_frames,
                    "tolerance_mm": plan.tolerance_mm,
                    "tolerance_deg": plan.tolerance_deg,
                },
            }
        )
    )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise DatasetError(f"cannot read {path} ({error.strerror}): check the path") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"cannot read {path} ({error}): choose another --out") from error
    return document if isinstance(document, dict) else {}


def _changes(before: Any, now: Any, name: str = "") -> tuple[str, ...]:
    """Return what differs, "settings.frames.count was 16, is 24" each."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(key for key in before if key not in now)]
        parts = (
            _changes(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
            for key in keys
        )
        return tuple(sentence for part in parts for sentence in part)
    return () if before == now else (f"{name} was {before}, is {now}",)
