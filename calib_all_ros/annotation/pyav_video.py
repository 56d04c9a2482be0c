# SPDX-License-Identifier: Apache-2.0
"""Videos by PyAV (https://pyav.basswood-io.com, BSD-3-Clause)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.models.libraries import require

# The best first; builds of FFmpeg differ in what they have.
_CODECS = ("libx264", "libopenh264", "mpeg4")


class PyavVideo:
    """A video file.

    Attributes:
        codec: FFmpeg's name of its encoder.
    """

    def __init__(self, path: Path, rate_hz: Fraction, width: int, height: int) -> None:
        """Open the file.

        Args:
            path: An .mp4 file.
            rate_hz: Pictures per second.
            width: Of the pictures; an even number.
            height: Of the pictures; an even number.

        Raises:
            AnnotationError: PyAV has none of the encoders.
        """
        self._av = require("av", "datasets")
        known = self._av.codecs_available
        codec = next((name for name in _CODECS if name in known), None)
        if codec is None:
            raise AnnotationError(
                f"PyAV has no encoder for the video {path.name} (one of {', '.join(_CODECS)}): "
                "reinstall it with pip install --force-reinstall av"
            )
        self.codec = codec
        self._container = self._av.open(str(path), mode="w")
        self._stream = self._container.add_stream(codec, rate=rate_hz)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Append an RGB (H, W, 3) picture."""
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode())
        self._container.close()
