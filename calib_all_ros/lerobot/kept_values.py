# SPDX-License-Identifier: Apache-2.0
"""What a dataset already holds of features that are written again, episode by episode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from calib_all_ros.lerobot.added_features import AddedFeature, Values
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.images import image_file
from calib_all_ros.lerobot.tables import parquet


def kept_values(
    dataset: LerobotDataset, features: Sequence[AddedFeature], family: Collection[str]
) -> Callable[[Episode], Values | None]:
    """Return what reads the stored values of an episode; pictures stay the files they are.

    Args:
        dataset: The dataset.
        features: What is written again, as it will be described.
        family: Names of all features that go with each other: those and the ones that may be left
            out.

    Returns:
        A function that returns the values by key, None where the dataset has none of the family.

    Raises:
        LerobotError: The dataset has other features of the family than are written, or describes
            one in another way: the episodes would not mean the same.
    """
    described = {k: v for k, v in dict(dataset.info["features"]).items() if k in family}
    if not described:
        return lambda _: None
    entries = {feature.key: feature.entry() for feature in features}
    differing = sorted(described.keys() ^ entries.keys()) or [
        key for key, entry in entries.items() if not _says(described[key], entry)
    ]
    if differing:
        raise LerobotError(
            f"{dataset.path} is annotated already, and its episodes would differ in "
            f"{differing[0]}: write the same parts for the same robot and image size, or begin "
            "with the original dataset"
        )
    return lambda episode: _stored(dataset, features, episode)


def _says(described: Any, entry: dict[str, Any]) -> bool:
    """Return whether a description says what an entry says; LeRobot's tools may say more."""
    return isinstance(described, dict) and all(
        described.get(name) == value for name, value in entry.items()
    )


def _stored(dataset: LerobotDataset, features: Sequence[AddedFeature], episode: Episode) -> Values:
    keys = [feature.key for feature in features]
    table = (
        parquet()
        .read_table(
            episode.data,
            columns=[*keys, "frame_index"],
            filters=[("episode_index", "=", episode.index)],
        )
        .sort_by("frame_index")
    )
    values: dict[str, list[Any]] = {key: table.column(key).to_pylist() for key in keys}
    for feature in features:
        if feature.is_image:
            where = f"{feature.key} in episode {episode.index} of {dataset.path}"
            values[feature.key] = [
                image_file(cell, dataset.path, where) for cell in values[feature.key]
            ]
    return values
