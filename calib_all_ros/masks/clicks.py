# SPDX-License-Identifier: Apache-2.0
"""Pixels of which a person says whether they show the robot."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from calib_all_ros.masks.segmentation import SegmentationError

_NUMBER = r"\s*(\d+(?:\.\d*)?)\s*"
_CLICK = re.compile(rf"{_NUMBER},{_NUMBER}(?:@\s*(\d+)\s*)?")


@dataclass(frozen=True, order=True)
class Click:
    """One such pixel.

    Attributes:
        image: Number of the image, from 0 on.
        u: Pixel from the left; pixel centres are at integers.
        v: Pixel from the top.
        on_robot: Whether it shows the robot, else something that is not to be in the mask.
    """

    image: int
    u: float
    v: float
    on_robot: bool = True


def read_clicks(on_robot: Iterable[str], beside: Iterable[str]) -> tuple[Click, ...]:
    """Return clicks from texts ``u,v`` (in the first image) or ``u,v@image``, in order.

    Raises:
        SegmentationError: a text is none of these, or an image has clicks beside the robot only.
    """
    clicks = [_read(text, True) for text in on_robot] + [_read(text, False) for text in beside]
    shown = {click.image for click in clicks if click.on_robot}
    for click in clicks:
        if click.image not in shown:
            raise SegmentationError(
                f"image {click.image} has clicks beside the robot only: add one on the robot"
            )
    return tuple(sorted(clicks))


def _read(text: str, on_robot: bool) -> Click:
    match = _CLICK.fullmatch(text)
    if match is None:
        raise SegmentationError(f"'{text}' is no click: write U,V or U,V@IMAGE, such as 310,220@0")
    return Click(int(match[3] or 0), float(match[1]), float(match[2]), on_robot)
