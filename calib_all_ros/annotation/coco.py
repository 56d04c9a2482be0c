# SPDX-License-Identifier: Apache-2.0
"""Link masks as COCO run lengths, in COCO's annotation JSON.

The encoding is that of the COCO API: runs along columns, background first, each run but the first
three as its difference to the one two before it, in groups of five bits with a continuation bit,
from the character '0' on. pycocotools is not needed to write it; the tests compare with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUPERCATEGORY = "robot"


def encoded_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an (H, W) mask as COCO's compressed run lengths, {"size": [H, W], "counts": text}."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(edges).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)
    text = [_characters(run - (runs[i - 2] if i > 2 else 0)) for i, run in enumerate(runs)]
    return {"size": [int(n) for n in mask.shape], "counts": "".join(text)}


def _characters(number: int) -> str:
    written = []
    while True:
        group, number = number & 31, number >> 5
        # What is left is nothing but the sign of the group's highest bit.
        last = number == (-1 if group & 16 else 0)
        written.append(chr(48 + group + (0 if last else 32)))
        if last:
            return "".join(written)


@dataclass
class CocoDocument:
    """Collects the masks of frames.

    Attributes:
        images: Entries of COCO's "images".
        annotations: Entries of COCO's "annotations".
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, index: int, stamp_ns: int, file_name: str, links: NDArray[np.int16]) -> None:
        """Add a frame; each link that is seen becomes an annotation of its own.

        Args:
            index: Number of the frame, which becomes the image's id.
            stamp_ns: Its stamp.
            file_name: Its image, or what stands for it.
            links: (H, W) index of the link, -1 where no robot is.
        """
        height, width = links.shape
        self.images.append(
            {
                "id": index,
                "file_name": file_name,
                "width": width,
                "height": height,
                "stamp_ns": stamp_ns,
            }
        )
        for link in np.unique(links[links >= 0]).tolist():
            mask = links == link
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            box = columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": index,
                    "category_id": link + 1,
                    "segmentation": encoded_mask(mask),
                    "area": int(mask.sum()),
                    "bbox": [float(number) for number in box],
                    "iscrowd": 0,
                }
            )

    def document(
        self, link_names: Sequence[str], drawn: Iterable[str], info: str
    ) -> dict[str, Any]:
        """Return the JSON document; a link's category is one more than its place in the list."""
        known = set(drawn)
        return {
            "info": {"description": info},
            "images": self.images,
            "annotations": self.annotations,
            "categories": [
                {"id": number + 1, "name": name, "supercategory": _SUPERCATEGORY}
                for number, name in enumerate(link_names)
                if name in known
            ],
        }
