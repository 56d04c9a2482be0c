# SPDX-License-Identifier: Apache-2.0
"""Writing pictures to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.errors import ResultError


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB (H, W, 3) image as PNG, atomically.

    Raises:
        ResultError: the file cannot be written, or OpenCV cannot encode the image.
    """
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ResultError(f"cannot encode {path.name} from an image of shape {image.shape}")
    write_atomically(path, data.tobytes())
