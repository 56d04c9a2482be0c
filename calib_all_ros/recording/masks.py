# SPDX-License-Identifier: Apache-2.0
"""Robot masks that come with a recording: matched to its images, and as booleans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.folder import image_files, read_bytes
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.recording.recording import Mask, RecordingError, RgbImage

_THRESHOLD = 127
_SAME_STAMP_NS = 1_000_000


@dataclass(frozen=True)
class MaskFiles:
    """Bool (H, W) masks in image files, read on access; None where a frame has none."""

    paths: tuple[Path | None, ...]
    camera: Camera

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Mask | None:
        """Read the mask of frame ``index`` and check that its size is the image's."""
        path = self.paths[index]
        if path is None:
            return None
        image = decode_compressed(read_bytes(path), str(path))
        height, width = image.shape[:2]
        if (width, height) != (self.camera.width, self.camera.height):
            raise RecordingError(
                f"the mask {path} is {width}x{height} but the images are "
                f"{self.camera.width}x{self.camera.height}: make masks of the images' size"
            )
        return mask_from_image(image, str(path))


def mask_from_image(image: RgbImage, where: str) -> Mask:
    """Return where an RGB (H, W, 3) image of 0 and 255 is bright, (H, W) bool.

    Raises:
        RecordingError: The image holds 0 and 1 instead.
    """
    brightest = image.max(axis=2)
    if brightest.max() == 1:
        raise RecordingError(
            f"the mask {where} has the values 0 and 1: robot pixels must be above {_THRESHOLD}, "
            "save it with 0 and 255"
        )
    return np.asarray(brightest > _THRESHOLD)


def masks_from_folder(folder: Path, frame_names: tuple[str, ...], camera: Camera) -> MaskFiles:
    """Match the mask images of a folder to the frames.

    By file name without suffix, if every mask has the name of a frame (frames may then lack one),
    else in the order of the names, if there are as many.

    Args:
        folder: PNG or JPEG files, above 127 on the robot.
        frame_names: (N,) names of the frames without suffix; stamps for the images of a bag.
        camera: Gives the size that the masks must have.

    Raises:
        RecordingError: Neither names nor numbers match, or the first mask has the wrong size.
    """
    paths = image_files(folder)
    by_name = {path.stem: path for path in paths}
    if set(by_name) <= set(frame_names):
        matched: tuple[Path | None, ...] = tuple(by_name.get(name) for name in frame_names)
    elif len(paths) == len(frame_names):
        matched = paths
    else:
        raise RecordingError(
            f"{folder} holds {len(paths)} masks for {len(frame_names)} images: give one per image, "
            "or name them like the images"
        )
    masks = MaskFiles(matched, camera)
    # One look at each size would decode all of them; the first shows the usual mistake.
    masks[next(i for i, path in enumerate(matched) if path is not None)]
    return masks


def match_by_stamp(
    image_stamps_ns: NDArray[np.int64], mask_stamps_ns: NDArray[np.int64], topic: str
) -> tuple[int | None, ...]:
    """Return for each image the index of the mask with its stamp.

    Without an equal stamp the nearest within 1 ms counts, or within half of the shortest time
    between images if that is longer.

    Args:
        image_stamps_ns: (N,) strictly increasing.
        mask_stamps_ns: (M,) strictly increasing.
        topic: Topic of the masks, for the error message.

    Raises:
        RecordingError: No image has a mask.
    """
    if not mask_stamps_ns.size:
        raise RecordingError(f"{topic} holds no masks: record them, or choose other masks")
    shortest = int(np.diff(image_stamps_ns).min()) if image_stamps_ns.size > 1 else 0
    # Half of the interval itself would be as near to the next image.
    tolerance = max(_SAME_STAMP_NS, (shortest - 1) // 2)
    after = np.searchsorted(mask_stamps_ns, image_stamps_ns)
    low = np.clip(after - 1, 0, len(mask_stamps_ns) - 1)
    high = np.clip(after, 0, len(mask_stamps_ns) - 1)
    to_low = np.abs(image_stamps_ns - mask_stamps_ns[low])
    to_high = np.abs(mask_stamps_ns[high] - image_stamps_ns)
    nearest = np.where(to_low < to_high, low, high)
    distance = np.minimum(to_low, to_high)
    if distance.min() > tolerance:
        raise RecordingError(
            f"no mask on {topic} has the stamp of an image (the nearest is "
            f"{distance.min() / 1e6:.1f} ms away): stamp the masks like their images"
        )
    return tuple(int(i) if d <= tolerance else None for i, d in zip(nearest, distance, strict=True))
