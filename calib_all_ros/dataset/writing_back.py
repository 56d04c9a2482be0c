# SPDX-License-Identifier: Apache-2.0
"""The results of a LeRobot dataset as features and metadata of a new dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.outcomes import FAILED, Row
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.writing import write_calibrations
from calib_all_ros.results.calibration import Calibration


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
    """
    path = one_lerobot_dataset(refs)
    places = {row.episode: folder / row.result for row in rows if row.verdict != FAILED}
    folders = {
        (ref.episode, ref.camera): places[ref.name]
        for ref in refs
        if ref.name in places and ref.episode is not None and ref.camera is not None
    }
    return write_calibrations(LerobotDataset.open(path), out, SavedResults(folders))
