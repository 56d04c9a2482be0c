# SPDX-License-Identifier: Apache-2.0
"""Matplotlib figures as SVG elements that take their colours and fonts from the page.

Figures are drawn with placeholder colours, which become CSS variables: one drawing serves a light
page, a dark page and paper. Nothing here touches pyplot or what the user configured for it.
"""

from __future__ import annotations

import io
import logging
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders, by the page's variables: colours that nothing else has.
INK = "#010101"
MUTED = "#020202"
GRID = "#030303"
USED = "#040404"
LEFT_OUT = "#050505"
ACCENT = "#060606"
BEFORE = "#070707"
ROBOT = "#080808"
PANEL = "#090909"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    USED: "var(--used)",
    LEFT_OUT: "var(--left-out)",
    ACCENT: "var(--accent)",
    BEFORE: "var(--before)",
    ROBOT: "var(--robot)",
    PANEL: "var(--panel)",
}

WIDTH_IN = 6.4
"""Of a figure; on the page it takes the width of its column."""

_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.facecolor": "none",
    "font.size": 11.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    # Text stays text: it can be searched, copied and read out.
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the page's style, whatever matplotlibrc says; importing matplotlib says nothing."""
    with _quiet():
        import matplotlib.style
    with matplotlib.style.context(["default", _STYLE]):
        yield


def new_figure(height_in: float, **layout: Any) -> Figure:
    """Return an empty figure of the page's width; ``layout`` goes to the layout engine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    engine = figure.get_layout_engine()
    if layout and engine is not None:
        engine.set(**layout)
    return figure


def ticks_at(axes: Axes, labels: list[str], most: int = 16) -> None:
    """Label the places 0, 1, 2, … of the horizontal axis, at most so many of them."""
    step = -(-len(labels) // most)
    axes.set_xticks(range(0, len(labels), step), labels[::step])


def svg_of(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element to put into a page.

    Args:
        figure: Drawn inside of `drawing`.
        name: Of this figure on the page: keeps its ids apart from other figures'.
        description: What it shows, for those who cannot see it.
    """
    import matplotlib

    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # The salt instead of random ids, and no date: the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata=nothing)
    return _for_the_page(written.getvalue(), description)


def _for_the_page(document: str, description: str) -> str:
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(document)
    for parent in list(root.iter()):
        # Groups are numbered from 1 in every figure, and nothing refers to them.
        if parent.tag == f"{{{_SVG}}}g":
            parent.attrib.pop("id", None)
        # Inside of a page, a figure's style sheet would hold for all of the page.
        for style in parent.findall(f"{{{_SVG}}}style"):
            parent.remove(style)
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.set("role", "img")
    root.set("aria-label", description)
    root.set("class", "plot")
    text = ET.tostring(root, encoding="unicode")
    for placeholder, variable in _VARIABLES.items():
        text = text.replace(placeholder, variable)
    return text


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself where matplotlib puts its cache if the home folder cannot be written."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
