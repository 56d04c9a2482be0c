# SPDX-License-Identifier: Apache-2.0
"""Curves of a calibration: agreement of each image, agreement over the lag, way to the result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.evidence.record import LagCurve, TracePoint
from calib_all_ros.geometry import se3
from calib_all_ros.report import vector_graphics as vector
from calib_all_ros.results.records import FrameQuality

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

# A logarithmic axis has no zero: nearer to the result than this counts as there.
_SMALLEST_MM = 1e-3
_SMALLEST_DEG = 1e-4
_PANEL_IN = 1.35


def frames_plot(frames: Sequence[FrameQuality], lag_ms: float | None) -> str | None:
    """Draw contour distance, overlap and lag of every image; what nobody measured is left out.

    Args:
        frames: The images of the solve.
        lag_ms: The lag that all images have in common, None where not estimated.

    Returns:
        SVG, None where nothing was measured.
    """
    measured = [
        (name, values)
        for name, values in (
            ("outline, px", [frame.contour_px for frame in frames]),
            ("overlap (IoU)", [frame.iou for frame in frames]),
            ("own lag, ms", [frame.lag_ms for frame in frames]),
        )
        if np.isfinite(_numbers(values)).any()
    ]
    if not measured:
        return None
    used = np.array([frame.used for frame in frames])
    with vector.drawing():
        figure = vector.new_figure(0.75 + _PANEL_IN * len(measured))
        panels = figure.subplots(len(measured), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, measured, strict=True):
            _frame_panel(axes, _numbers(values), used)
            axes.set_ylabel(name)
            if name.startswith("own lag") and lag_ms is not None:
                label = f"lag of all images, {_signed(lag_ms, 1)} ms"
                line = axes.axhline(lag_ms, color=vector.ACCENT, linestyle="--", label=label)
                axes.legend(handles=[line], loc="best", fontsize="small")
            if name.startswith("overlap"):
                axes.set_ylim(top=1.02)
            elif name.startswith("outline"):
                axes.set_ylim(bottom=0.0)
        vector.ticks_at(panels[-1], [str(frame.index) for frame in frames])
        panels[-1].set_xlim(-0.6, len(frames) - 0.4)
        panels[-1].set_xlabel("number of the image in the recording")
        handles, labels = _legend(panels[0], used)
        figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize="small")
        return vector.svg_of(figure, "frames", _frames_description(frames))


def lag_plot(curve: LagCurve, lag_ms: float | None) -> str:
    """Draw how well the images agree with the joint states of other instants."""
    with vector.drawing():
        figure = vector.new_figure(3.4)
        axes = figure.subplots()
        lags_ms = 1e3 * curve.lags_s
        axes.plot(lags_ms, curve.agreement, color=vector.USED, linewidth=2.0)
        best = int(np.nanargmax(curve.agreement))
        axes.axvline(0.0, color=vector.MUTED, linewidth=0.8)
        if lag_ms is not None:
            label = f"lag of the result, {_signed(lag_ms, 1)} ms"
            axes.axvline(lag_ms, color=vector.ACCENT, linestyle="--", linewidth=1.5, label=label)
        axes.plot(
            lags_ms[best],
            curve.agreement[best],
            "o",
            color=vector.USED,
            label=f"best agreement, {_signed(lags_ms[best], 0)} ms",
        )
        axes.set_xlabel("images later than the joint states, ms")
        axes.set_ylabel("outline that agrees, share")
        axes.set_ylim(bottom=0.0)
        figure.legend(loc="outside upper right", ncols=2, fontsize="small")
        return vector.svg_of(
            figure,
            "lag",
            f"Share of the outline that agrees over the lag; the best agreement, "
            f"{curve.agreement[best]:.2f}, is at {_signed(lags_ms[best], 0)} ms.",
        )


def convergence_plot(trace: Sequence[TracePoint], T_camera_base: Array) -> str:
    """Draw how far every visited estimate is from the result.

    Args:
        trace: At least one estimate, in the order visited.
        T_camera_base: (4, 4) the result.
    """
    apart = [se3.difference(point.T_camera_base, T_camera_base) for point in trace]
    degrees = np.maximum([angle for angle, _ in apart], _SMALLEST_DEG)
    millimetres = np.maximum([1e3 * metres for _, metres in apart], _SMALLEST_MM)
    steps = np.arange(len(trace))
    with vector.drawing():
        figure = vector.new_figure(4.4)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, values, unit in zip(panels, (millimetres, degrees), ("mm", "deg"), strict=True):
            axes.semilogy(steps, values, ".-", color=vector.USED, linewidth=1.2, markersize=5)
            axes.set_ylabel(f"to the result, {unit}")
            axes.margins(y=0.12)
            axes.yaxis.set_major_formatter("{x:g}")
        _mark_stages(panels, [point.stage for point in trace])
        panels[-1].set_xlim(-0.8, len(trace) - 0.2)
        panels[-1].set_xlabel("estimates in the order they were visited")
        return vector.svg_of(
            figure,
            "convergence",
            f"Distance of {len(trace)} visited estimates to the result: it begins at "
            f"{millimetres[0]:.0f} mm and {degrees[0]:.1f} deg, and was "
            f"{millimetres[-1]:.2g} mm and {degrees[-1]:.2g} deg at the last of them.",
        )


def _frame_panel(axes: Axes, values: Array, used: NDArray[np.bool_]) -> None:
    places = np.arange(len(values))
    measured = np.isfinite(values)
    axes.vlines(places[measured], 0.0, values[measured], color=vector.GRID, linewidth=1.0)
    axes.plot(places[used], values[used], "o", color=vector.USED, label="used")
    # Hollow and of another shape: the colours need not be told apart.
    axes.plot(
        places[~used],
        values[~used],
        "D",
        markerfacecolor="none",
        markeredgecolor=vector.LEFT_OUT,
        markeredgewidth=1.8,
        label="left out",
    )
    axes.grid(visible=False, axis="x")


def _legend(axes: Axes, used: NDArray[np.bool_]) -> tuple[list[Artist], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    shown = {"used": used.any(), "left out": not used.all()}
    kept = [i for i, label in enumerate(labels) if shown.get(label, False)]
    return [handles[i] for i in kept], [labels[i] for i in kept]


def _frames_description(frames: Sequence[FrameQuality]) -> str:
    count = sum(frame.used for frame in frames)
    parts = [f"Agreement of {len(frames)} images with the pose, {count} of them used"]
    left_out = [str(frame.index) for frame in frames if not frame.used]
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    return "; ".join(parts) + "."


def _mark_stages(panels: Sequence[Axes], stages: Sequence[str]) -> None:
    """Name the stages above, and shade every second one."""
    first = 0
    for number, (stage, members) in enumerate(groupby(stages)):
        last = first + len(list(members)) - 1
        for axes in panels:
            if number % 2:
                axes.axvspan(first - 0.5, last + 0.5, color=vector.GRID, alpha=0.45, linewidth=0)
        panels[0].annotate(
            stage,
            ((first + last) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize="small",
            color=vector.INK,
        )
        first = last + 1


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _signed(value: float, digits: int) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(float(value), digits) + 0.0:.{digits}f}"
