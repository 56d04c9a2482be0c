# SPDX-License-Identifier: Apache-2.0
"""The features of a LeRobot dataset, as its meta/info.json describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from calib_all_ros.lerobot.errors import LerobotError

_PIXELS = ("video", "image")
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        key: Its name in the dataset.
        dtype: "video", "image", "string", or a NumPy type.
        shape: Shape of the value of one frame.
        names: Names of the entries, empty where the dataset gives none; of images, of the axes.
        info: What else is said of it.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_camera(self) -> bool:
        """Whether it is the images of a camera; depth maps and masks are not."""
        return self.dtype in _PIXELS and not self.is_depth and not self.key.startswith("annotation")

    @property
    def is_depth(self) -> bool:
        """Whether it is a depth map, by any of the marks that LeRobot has used."""
        return bool(self.info.get("is_depth_map") or self.info.get("video.is_depth_map"))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of an image feature in pixels.

        Raises:
            LerobotError: It is no image feature.
        """
        if self.dtype not in _PIXELS or len(self.shape) != 3:
            raise LerobotError(f"the feature {self.key} has the shape {self.shape}: it is no image")
        # The axes' names differ between converters, and some name them in the wrong order.
        if self.shape[2] in _CHANNELS:
            return self.shape[1], self.shape[0]
        return self.shape[2], self.shape[1]


def read_features(document: Any, where: str) -> dict[str, Feature]:
    """Return the features of an info.json by their key.

    Raises:
        LerobotError: A feature has no dtype or no shape.
    """
    if not isinstance(document, dict):
        raise LerobotError(f"{where} describes no features: it is no LeRobot dataset")
    features = {}
    for key, entry in document.items():
        try:
            info = {**(entry.get("video_info") or {}), **(entry.get("info") or {})}
            features[key] = Feature(
                key, str(entry["dtype"]), tuple(map(int, entry["shape"])), _names(entry), info
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LerobotError(
                f"{where} does not describe the feature {key} ({error!r}): it needs dtype and shape"
            ) from None
    return features


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Flatten the names: a list, ``{"motors": [...]}``, ``{"left": [...], "right": [...]}``.

    The groups' names are put before those that would otherwise be there twice.
    """
    grouped = list(_flatten(entry.get("names"), ""))
    seen = Counter(name for _, name in grouped)
    return tuple(f"{group}.{name}" if group and seen[name] > 1 else name for group, name in grouped)


def _flatten(names: Any, group: str) -> Iterator[tuple[str, str]]:
    if names is None:
        return
    if isinstance(names, dict):
        if all(isinstance(value, int) for value in names.values()):
            # Some converters write name -> column.
            yield from ((group, str(name)) for name in sorted(names, key=names.__getitem__))
        else:
            for inner, value in names.items():
                yield from _flatten(value, str(inner))
    elif isinstance(names, list):
        for value in names:
            yield from _flatten(value, group)
    else:
        yield group, str(names)
