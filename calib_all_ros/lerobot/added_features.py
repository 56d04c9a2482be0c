# SPDX-License-Identifier: Apache-2.0
"""Features that are added to a dataset: description, names, values of their columns.

LeRobot's features are columns with one value per frame; what is the same for a whole episode is
repeated, as the task is. Only such columns reach a data loader, and only they survive LeRobot's own
tools that delete, split and merge episodes. Parquet's dictionaries make a repeated value cost next
to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.images import image_file
from calib_all_ros.lerobot.tables import EXTRA, parquet
from calib_all_ros.models.libraries import require

CALIBRATION = "calibration"
ANNOTATION = "annotation"
_PREFIXES = ("observation.", "images.", "image.")
Values = Mapping[str, Sequence[Any]]


def camera_name(key: str) -> str:
    """Return the short name of a camera's feature: "top" of "observation.images.top".

    LeRobot takes every feature with "image" in its name for pictures when it adds up statistics,
    and one with "observation" in front for input of a policy. So neither word may stay.
    """
    name = key
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace("image", "camera").replace("observation", "")


def calibration_key(key: str, quantity: str) -> str:
    """Return the feature that holds a quantity of the calibration of a camera."""
    return f"{CALIBRATION}.{camera_name(key)}.{quantity}"


def annotation_key(key: str, quantity: str) -> str:
    """Return the feature that holds an annotation of the images of a camera."""
    return f"{ANNOTATION}.{camera_name(key)}.{quantity}"


def matrix_names(symbol: str, size: int) -> tuple[str, ...]:
    """Return names of a square matrix' entries, row by row: ``T_00``, ``T_01``, ..."""
    return tuple(f"{symbol}_{row}{column}" for row in range(size) for column in range(size))


@dataclass(frozen=True)
class AddedFeature:
    """One feature.

    Attributes:
        key: Its name.
        dtype: "float32", "float64", "int64", "bool", "string" or "image" (a PNG file each).
        shape: Shape of the value of one frame; (H, W, C) of images, (n,) of all else: LeRobot's
            tools fail on columns of matrices, so these are written row by row.
        names: Names of the entries; of images, of the axes.
        info: What else a reader should know.

    Raises:
        LerobotError: The shape is not one of those.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.shape) != (3 if self.is_image else 1):
            raise LerobotError(
                f"{self.key} cannot have the shape {self.shape}: write matrices row by row"
            )

    @property
    def is_image(self) -> bool:
        """Whether its values are pictures."""
        return self.dtype == "image"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.dtype not in ("image", "string")

    def entry(self) -> dict[str, Any]:
        """Return its entry in meta/info.json."""
        names = None if self.names is None else list(self.names)
        entry = {"dtype": self.dtype, "shape": list(self.shape), "names": names}
        return {**entry, "info": dict(self.info)} if self.info else entry

    def checked(self, values: Sequence[Any]) -> Any:
        """Return the values of some frames; numbers as an (N, n) array.

        Raises:
            LerobotError: They do not have the feature's shape or type, or are not finite: LeRobot's
                tools turn NaN into nothing at all, and then fail on it.
        """
        if not self.is_number:
            return values
        try:
            numbers = np.asarray(values, self.dtype).reshape(len(values), self.shape[0])
        except (TypeError, ValueError) as error:
            raise LerobotError(f"values of {self.key} are not {self.shape} each: {error}") from None
        if not np.isfinite(numbers).all():
            raise LerobotError(f"values of {self.key} are not finite: write what stands for that")
        return numbers

    def column(self, values: Sequence[Any]) -> Any:
        """Return the pyarrow array of values that were checked; pictures are bytes of PNG files."""
        pa = require("pyarrow", EXTRA)
        if self.is_image:
            cells = [{"bytes": bytes(value), "path": None} for value in values]
            return pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
        if self.dtype == "string":
            return pa.array([str(value) for value in values], pa.string())
        numbers = pa.array(np.asarray(values).ravel())
        if self.shape == (1,):
            return numbers
        return pa.FixedSizeListArray.from_arrays(numbers, self.shape[0])

    def missing(self, count: int) -> list[Any]:
        """Return what stands where nothing is known: 0.0, -1, False, "" or a black picture."""
        if self.is_image:
            kind = np.uint16 if self.info.get("is_depth_map") else np.uint8
            return [cv2.imencode(".png", np.zeros(self.shape, kind))[1].tobytes()] * count
        if self.dtype == "string":
            return [""] * count
        fill = {"f": 0.0, "i": -1, "b": False}[np.dtype(self.dtype).kind]
        return list(np.full((count, *self.shape), fill, dtype=self.dtype))

    def hub_description(self) -> dict[str, Any]:
        """Return the description that the `datasets` library keeps in a Parquet file's schema."""
        if self.is_image:
            return {"_type": "Image"}
        value = {"dtype": self.dtype, "_type": "Value"}
        if self.dtype == "string" or self.shape == (1,):
            return value
        return {"feature": value, "length": self.shape[0], "_type": "Sequence"}


@dataclass(frozen=True)
class FeatureSource:
    """Features whose values come together.

    Attributes:
        features: The features.
        values: Returns for an episode what each of them is in each of its frames, by key; None
            where nothing is known of the episode.
    """

    features: tuple[AddedFeature, ...]
    values: Callable[[Episode], Values | None]

    def checked(self, episode: Episode) -> Values:
        """Return the values in an episode; what stands for them where nothing is known.

        Raises:
            LerobotError: A feature is missing, has not one value per frame, or values that do not
                fit.
        """
        values = self.values(episode)
        if values is None:
            values = {feature.key: feature.missing(episode.length) for feature in self.features}
        for feature in self.features:
            count = len(values.get(feature.key, ()))
            if count != episode.length:
                raise LerobotError(
                    f"{feature.key} has {count} values for the {episode.length} frames of episode "
                    f"{episode.index}: give one per frame"
                )
        return {feature.key: feature.checked(values[feature.key]) for feature in self.features}


@dataclass(frozen=True)
class EpisodeColumn:
    """An added column of the metadata of the episodes.

    Attributes:
        name: Name of the column.
        kind: "string" or "double", a list of them ("list<string>", "list<double>") or a matrix
            ("list<list<double>>").
        values: By the number of the episode; null where there is none.
    """

    name: str
    kind: str
    values: Mapping[int, Any]


def kept_values(
    dataset: LerobotDataset, features: Sequence[AddedFeature], family: Collection[str]
) -> Callable[[Episode], Values | None]:
    """Return what reads the stored values of an episode of features that are written again.

    Args:
        dataset: The dataset.
        features: What is written again, as it will be described.
        family: Names of all features that go with each other: those and the ones that may be left
            out.

    Returns:
        A function that returns the values by key, pictures as the files they are; None where the
        dataset has none of the family.

    Raises:
        LerobotError: The dataset has other features of the family than are written, or describes
            one in another way: the episodes would not mean the same.
    """
    described = {k: v for k, v in dict(dataset.info["features"]).items() if k in family}
    if not described:
        return lambda _: None
    entries = {feature.key: feature.entry() for feature in features}
    differing = sorted(described.keys() ^ entries.keys()) or [
        key
        for key, entry in entries.items()
        # LeRobot's tools may have added to a description.
        if not isinstance(described[key], dict) or {**described[key], **entry} != described[key]
    ]
    if differing:
        raise LerobotError(
            f"{dataset.path} is annotated already, and its episodes would differ in "
            f"{differing[0]}: write the same parts for the same robot and image size, or begin "
            "with the original dataset"
        )

    def stored(episode: Episode) -> Values:
        of_episode = [("episode_index", "=", episode.index)]
        columns = [*entries, "frame_index"]
        table = parquet().read_table(episode.data, columns=columns, filters=of_episode)
        table = table.sort_by("frame_index")
        values: dict[str, list[Any]] = {key: table.column(key).to_pylist() for key in entries}
        for feature in features:
            if feature.is_image:
                where = f"{feature.key} in episode {episode.index} of {dataset.path}"
                cells = values[feature.key]
                values[feature.key] = [image_file(cell, dataset.path, where) for cell in cells]
        return values

    return stored
