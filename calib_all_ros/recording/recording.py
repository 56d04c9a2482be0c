# SPDX-License-Identifier: Apache-2.0
"""Recording: the one type that every kind is read into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.geometry.joint_trajectory import JointTrajectory

_EDGE_BYTES = 1 << 20
RgbImage = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Frame = TypeVar("Frame", covariant=True)


def fingerprint(files: Iterable[Path]) -> str:
    """Return the SHA-256 over each file's name, size, and first and last megabyte.

    It changes with any recording that is recorded anew, renamed, cut or extended, but not with a
    change deep inside of a large file.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE_BYTES))
            file.seek(max(size - _EDGE_BYTES, min(size, _EDGE_BYTES)))
            digest.update(file.read())
    return digest.hexdigest()


class RecordingError(CalibAllError):
    """A recording that cannot be read or used."""


class Frames(Protocol[Frame]):
    """Frames that are read and decoded each time one is asked for."""

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def __getitem__(self, index: int) -> Frame:
        """Read and decode frame ``index``."""
        ...


FrameSource = Frames[RgbImage]
"""RGB uint8 (H, W, 3) images."""

MaskSource = Frames[Mask | None]
"""Bool (H, W) masks, True on the robot; None where a frame has no mask."""


@dataclass(frozen=True)
class FrameSubset(Generic[Frame]):
    """Some frames of another source, in the order of ``indices``."""

    source: Frames[Frame]
    indices: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Frame:
        """Read and decode frame ``index`` of the subset."""
        return self.source[self.indices[index]]


@dataclass(frozen=True)
class FrameList(Generic[Frame]):
    """Frames that are in memory already."""

    frames: Sequence[Frame]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        """Return frame ``index``."""
        return self.frames[index]


@dataclass(frozen=True, eq=False)
class Recording:
    """Images of one fixed camera, and what the robot's joints did meanwhile.

    Attributes:
        source: Where it was read from.
        camera: Intrinsics and optical frame of the camera.
        image_stamps_ns: (N,) int64, strictly increasing.
        images: N images, decoded on access.
        joints: Joint positions over time, on the same clock.
        urdf: XML text of the robot description, if the recording holds one.
        masks: N robot masks, decoded on access; None without masks.
        static_transforms: Edges of /tf_static.
        warnings: What casts doubt on a result, one sentence each.
        notes: What else the user may want to know, one sentence each.
        reference_T_camera_base: (4, 4) true pose, if known; never used for solving.
        base_frame: Name of the robot's base frame, if the recording says.
        fingerprint: SHA-256 over names, sizes and the first and last megabyte of its files.
    """

    source: str
    camera: Camera
    image_stamps_ns: NDArray[np.int64]
    images: FrameSource
    joints: JointTrajectory
    urdf: str | None = None
    masks: MaskSource | None = None
    static_transforms: tuple[StaticTransform, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reference_T_camera_base: NDArray[np.float64] | None = None
    base_frame: str | None = None
    fingerprint: str = ""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def subset(self, indices: ArrayLike) -> Recording:
        """Return the recording with only these frames, (M,) integers or (N,) booleans."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        order = tuple(int(i) for i in chosen)
        return replace(
            self,
            image_stamps_ns=self.image_stamps_ns[chosen],
            images=FrameSubset(self.images, order),
            masks=None if self.masks is None else FrameSubset(self.masks, order),
        )
