# SPDX-License-Identifier: Apache-2.0
"""The colours of links: always the same for the same place in the robot's list of links."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

BACKGROUND_COLOUR: Colour = (0, 0, 0)
# Each is as far as can be from those before it, and from black, white and grey, in CIELAB: at
# least 58 apart among the first 8, 41 among 16, 31 among 32 and 22 among 64.
_HEXADECIMAL = (
    "0000ff 00ff00 ff0000 ff33bb ffcc00 0066dd 007700 00ffcc 991133 ffaa77 00bbff bbff77 eeaaff "
    "665500 8811bb 773377 aabb77 33bbbb ff8800 ff00ff 006644 005588 ff88aa ff0055 eeff00 00ff88 "
    "99aa00 dd5533 33bb00 3355ff 774433 ee77ff bb8800 9999cc ffdd77 66cc77 ddaaaa bbffdd bb2277 "
    "aa00ff 007788 9966cc aaddff 99ff33 883300 aa6688 ffeebb aabbaa aa8855 aa1199 0099ff 00ffff "
    "667744 ccffaa ff2288 eeee55 5533aa ff77cc cc7766 665577 668822 ee5566 ffddff 009966"
)
_COLOURS = tuple(_HEXADECIMAL.split())


def link_colour(link: int) -> Colour:
    """Return the RGB colour of a link by its place in the robot's list; repeats after 64."""
    text = _COLOURS[link % len(_COLOURS)]
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def palette(links: int) -> NDArray[np.uint8]:
    """Return the (links + 1, 3) RGB colours of the labels 0 (background) to ``links``."""
    colours = [BACKGROUND_COLOUR, *(link_colour(link) for link in range(links))]
    return np.array(colours, dtype=np.uint8)
