# SPDX-License-Identifier: Apache-2.0
"""Whether a checkpoint is the file that its publishers offer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.downloads import DOWNLOADS, Download

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Integrity:
    """What the SHA-256 of a checkpoint's weights says.

    Attributes:
        status: ``published`` is a file that is known; ``differs`` has the name of one that is
            known and another content; ``unknown`` is anything else.
        sha256: Of each file of weights, in the order of `FoundCheckpoint.weight_files`.
        remark: The same as a sentence, with what to do.
    """

    status: Literal["published", "differs", "unknown"]
    sha256: tuple[str, ...]
    remark: str


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify(model: str, checkpoint: FoundCheckpoint) -> Integrity:
    """Compare the content of a checkpoint with those that are known.

    Args:
        model: Key of ``MODELS``.
        checkpoint: One of it.
    """
    sha256 = tuple(sha256_of(path) for path in checkpoint.weight_files())
    offered = [download for download in DOWNLOADS if download.model == model]
    match = next((download for download in offered if sha256 == (download.sha256,)), None)
    if match is not None:
        return Integrity("published", sha256, f"this is {match.name} as published")
    named = _of_same_name(model, checkpoint)
    if named is not None and named.sha256 is not None:
        remark = (
            f"this is not {named.name} as published ({named.sha256}): download "
            f"{named.address} again, unless it is meant to be another revision"
        )
        return Integrity("differs", sha256, remark)
    remark = "nothing to compare with; compare the SHA-256 with that of whoever gave you the file"
    return Integrity("unknown", sha256, remark)


def size_remark(model: str, checkpoint: FoundCheckpoint) -> str | None:
    """Return what is wrong with the size of a checkpoint, None if nothing is known to be."""
    named = _of_same_name(model, checkpoint)
    size = checkpoint.size_bytes()
    if named is None or named.size_bytes is None or named.size_bytes == size:
        return None
    return (
        f"has {size} bytes, {named.name} as published has {named.size_bytes}: look whether the "
        "download was complete"
    )


def _of_same_name(model: str, checkpoint: FoundCheckpoint) -> Download | None:
    for download in DOWNLOADS:
        if (download.model, download.kind) == (model, checkpoint.kind) and (
            download.variant == checkpoint.variant
        ):
            return download
    return None
