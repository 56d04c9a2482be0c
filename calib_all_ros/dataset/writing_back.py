# SPDX-License-Identifier: Apache-2.0
"""The results of a LeRobot dataset as features and metadata of a new dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from calib_all_ros import __version__
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.outcomes import FAILED, Row
from calib_all_ros.lerobot.calibrations import write_calibrations
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.yaml_text import plain

RECORD_NAME = "lerobot.json"
"""In the folder of results: which new dataset has which of them."""


class SavedResults(Mapping[tuple[int, str], Calibration]):
    """Results by episode and camera, read from their files when they are asked for."""

    def __init__(self, folders: Mapping[tuple[int, str], Path]) -> None:
        """Take the folders of the results."""
        self._folders = folders

    def __getitem__(self, key: tuple[int, str]) -> Calibration:
        """Read a result.

        Raises:
            ResultError: It is not there, or broken.
        """
        return Calibration.load(self._folders[key])

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Go through episodes and cameras."""
        return iter(self._folders)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._folders)


def one_lerobot_dataset(refs: Sequence[EpisodeRef]) -> Path:
    """Return the dataset that all episodes are of.

    Raises:
        DatasetError: It is not one LeRobot dataset.
    """
    paths = {ref.path if ref.kind == "lerobot" else None for ref in refs}
    (path, *others) = paths
    if others or path is None:
        raise DatasetError(
            "--write-lerobot writes a LeRobot dataset anew, but the source is not one such dataset:"
            " leave it out, or give the dataset alone"
        )
    return path


def check_target(refs: Sequence[EpisodeRef], folder: Path, out: Path) -> None:
    """See that a new dataset can be written, before there is anything to write.

    Args:
        refs: The episodes.
        folder: Of the dataset's results.
        out: Folder of the new dataset; what an earlier run has written there may stay.

    Raises:
        DatasetError: The episodes are not of one LeRobot dataset, or the folder is not free.
    """
    path = one_lerobot_dataset(refs)
    if out.resolve().is_relative_to(path.resolve()):
        raise DatasetError(
            f"--write-lerobot {out} lies in the original dataset: name a folder outside of it"
        )
    if _filled(out) and _recorded(folder).get("dataset") != str(out):
        raise DatasetError(
            f"--write-lerobot {out} exists already and was not written from {folder}: name a new "
            "folder"
        )


def is_written(rows: Sequence[Row], folder: Path, out: Path) -> bool:
    """Return whether an earlier run has written these results into the new dataset.

    Raises:
        DatasetError: It has written others there.
    """
    if not _filled(out):
        return False
    if _recorded(folder) == _record(rows, out):
        return True
    raise DatasetError(
        f"--write-lerobot {out} holds results from before, which have changed since: remove it, or "
        "name a new folder"
    )


def write_back(refs: Sequence[EpisodeRef], rows: Sequence[Row], folder: Path, out: Path) -> Path:
    """Write the dataset of the episodes anew with their results; rejected ones are marked so.

    Args:
        refs: Episodes of one LeRobot dataset.
        rows: The table.
        folder: Of the dataset's results.
        out: New folder of the new dataset.

    Raises:
        DatasetError: The episodes are not of one LeRobot dataset.
        LerobotError: It cannot be written, or no episode has a result.
        ResultError: What was written cannot be noted in the folder of results.
    """
    path = one_lerobot_dataset(refs)
    places = {row.episode: folder / row.result for row in rows if row.verdict != FAILED}
    folders = {
        (ref.episode, ref.camera): places[ref.name]
        for ref in refs
        if ref.name in places and ref.episode is not None and ref.camera is not None
    }
    written = write_calibrations(LerobotDataset.open(path), out, SavedResults(folders))
    write_atomically(folder / RECORD_NAME, json.dumps(_record(rows, out)).encode())
    return written


def _filled(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _record(rows: Sequence[Row], out: Path) -> dict[str, str]:
    # The time that it took is no part of a result.
    content = [__version__, *(plain(replace(row, seconds=0.0)) for row in rows)]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return {"dataset": str(out), "results": digest}


def _recorded(folder: Path) -> dict[str, str]:
    try:
        document = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
