# SPDX-License-Identifier: Apache-2.0
"""From arrays to the bytes of JPEG and PNG files."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def jpeg(image: NDArray[np.uint8], quality: int = 92) -> bytes:
    """Return an RGB uint8 (H, W, 3) image as JPEG; quality is 0 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(mask: NDArray[np.bool_]) -> bytes:
    """Return a bool (H, W) mask as a grey PNG of 0 and 255."""
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
