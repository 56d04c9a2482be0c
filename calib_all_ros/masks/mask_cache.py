# SPDX-License-Identifier: Apache-2.0
"""Masks of a model kept beside the recording, so that the same question is answered once.

``RECORDING.masks/KEY/`` holds one PNG per image, named as ``--masks FOLDER`` expects them, and
``masks.yaml``, which says what made them. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from calib_all_ros.masks.segmentation import Image, Mask, SegmentedImages
from calib_all_ros.recording.bag_storage import is_bag, is_storage_file
from calib_all_ros.recording.folder import ImageFiles
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.recording.masks import mask_from_image
from calib_all_ros.recording.recording import FrameSubset, Recording

VERSION = 1
DESCRIPTION_FILE = "masks.yaml"
_KEY_DIGITS = 16

logger = logging.getLogger(__name__)


def cache_folder(recording: Path) -> Path:
    """Return where masks of a recording are kept: beside it, never inside of a bag's folder."""
    path = recording.resolve()
    if is_storage_file(path) and (path.parent / "metadata.yaml").is_file() and is_bag(path.parent):
        path = path.parent
    return path.with_name(f"{path.name}.masks")


def frame_names(recording: Recording) -> tuple[str, ...]:
    """Return the N names by which masks are matched to images: of files, of a bag the stamps."""
    images: Any = recording.images
    chosen: Sequence[int] = range(len(recording))
    while isinstance(images, FrameSubset):
        chosen, images = [images.indices[k] for k in chosen], images.source
    if isinstance(images, ImageFiles):
        return tuple(images.paths[k].stem for k in chosen)
    return tuple(str(stamp) for stamp in recording.image_stamps_ns)


def cache_key(made_by: Mapping[str, Any], names: Sequence[str], images: Iterable[Image]) -> str:
    """Return the name of the folder for a question: a hash of all that the answer depends on.

    Args:
        made_by: What makes the masks, as values that JSON has.
        names: Names of the N images.
        images: Their content, (H, W, 3) each.
    """
    digest = hashlib.sha256(json.dumps([VERSION, dict(made_by)], sort_keys=True).encode())
    for name, image in zip(names, images, strict=True):
        digest.update(f"{name} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:_KEY_DIGITS]


@dataclass(frozen=True)
class MaskCache:
    """The kept masks of one recording.

    Attributes:
        folder: Their folder, which need not exist.
    """

    folder: Path

    def load(self, key: str) -> SegmentedImages | None:
        """Return kept masks, None where there are none or where a file is missing or damaged."""
        place = self.folder / key
        try:
            text = (place / DESCRIPTION_FILE).read_text(encoding="utf-8")
            document = yaml.safe_load(text)
            rows = document["images"]
            return SegmentedImages(
                tuple(_read_mask(place, row) for row in rows),
                np.array([_number(row["predicted_iou"]) for row in rows]),
                np.array([_number(row["agreement"]) for row in rows]),
                tuple(row["no_mask_because"] for row in rows),
                str(document["summary"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError, ValueError):
            logger.warning("the masks kept in %s are damaged: making them anew", place)
            return None

    def save(
        self,
        key: str,
        names: Sequence[str],
        segmented: SegmentedImages,
        made_by: Mapping[str, Any],
    ) -> Path | None:
        """Keep masks, all files or none; return their folder, None where nothing can be written.

        Args:
            key: What :func:`cache_key` returned.
            names: Names of the N images.
            segmented: The masks.
            made_by: What made them, for readers.
        """
        place = self.folder / key
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.folder))
            try:
                _write(temporary, names, segmented, made_by)
                temporary.chmod(0o755)
                # What is there is damaged, or was made with another pose in mind.
                shutil.rmtree(place, ignore_errors=True)
                temporary.rename(place)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            logger.warning(
                "the masks are not kept for the next time, for %s cannot be written: %s",
                self.folder,
                error.strerror or error,
            )
            return None
        return place


def _write(
    place: Path, names: Sequence[str], segmented: SegmentedImages, made_by: Mapping[str, Any]
) -> None:
    rows = []
    for k, (name, mask) in enumerate(zip(names, segmented.masks, strict=True)):
        row = {
            "name": name,
            "predicted_iou": _or_none(segmented.scores[k]),
            "agreement": _or_none(segmented.agreement[k]),
            "no_mask_because": segmented.reasons[k],
            "sha256": None,
        }
        if mask is not None:
            content = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
            (place / f"{name}.png").write_bytes(content)
            row["sha256"] = hashlib.sha256(content).hexdigest()
        rows.append(row)
    document = {"summary": segmented.summary, "made_by": dict(made_by), "images": rows}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (place / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def _read_mask(place: Path, row: Mapping[str, Any]) -> Mask | None:
    """Return a mask; raises ValueError where its file is not the one that was written."""
    if row["sha256"] is None:
        return None
    path = place / f"{row['name']}.png"
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise ValueError(f"{path} is not what was written")
    return mask_from_image(decode_compressed(content, str(path)), str(path))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _or_none(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
