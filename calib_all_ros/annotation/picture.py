# SPDX-License-Identifier: Apache-2.0
"""Pictures of annotations: links, gripper and end-effector on the image, with depth and legend."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.palette import Colour, link_colour
from calib_all_ros.pictures.overlay import draw_outline, with_caption
from calib_all_ros.solving.motion import NS_PER_S

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

GRIPPER: Colour = (255, 255, 255)
WAY: Colour = (255, 220, 0)
HIDDEN: Colour = (255, 70, 70)

_WIDEST_PX = 800
_LEGEND_PX = 220
_ROW_PX = 20
_DARK = 24
_LIGHT: Colour = (235, 235, 235)
_BORDER: Colour = (0, 0, 0)
_TINT = 0.5
_DIMMED = 0.35
_DEPTH_MARGIN_M = 0.15
_SUBPIXEL_BITS = 4
_FARTHEST_PX = 1e5
# All of a long recording's way hides the robot, and drawing it takes longer with every frame.
_WAY_S = 5.0
_SHORTEST_WAY = 30
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class AnnotationPainter:
    """Draws the frames of a recording in their order, each with the way of the last seconds."""

    def __init__(self, annotated: AnnotatedRecording) -> None:
        """Find what all pictures share: their size, the range of depth, the legend."""
        self._annotated = annotated
        camera = annotated.camera
        self._scale = min(1.0, _WIDEST_PX / camera.width)
        self._size = round(camera.width * self._scale), round(camera.height * self._scale)
        self._nearest_m, self._farthest_m = _depth_range(annotated)
        self._way: deque[tuple[Points, bool]] = deque(maxlen=_way_length(annotated))
        self._legend = self._drawn_legend()

    def picture(self, image: Image, annotation: FrameAnnotation) -> Image:
        """Return an image of the recording with its annotations, under a caption.

        Args:
            image: (H, W, 3) RGB.
            annotation: What was found in it; its end-effector is added to the way.
        """
        eef = annotation.eef
        self._way.append((self._scale * (eef.pixel + 0.5) - 0.5, eef.visible))
        small = self._resized(image, cv2.INTER_AREA)
        links = self._resized(annotation.links, cv2.INTER_NEAREST)
        gripper = self._resized(annotation.gripper.astype(np.uint8), cv2.INTER_NEAREST) > 0
        drawn = draw_outline(_tinted(small, links), gripper, GRIPPER)
        self._draw_way(drawn)
        depth = self._resized(annotation.depth_m, cv2.INTER_NEAREST)
        panels = [drawn, self._depth_panel(small, depth), self._legend]
        return with_caption(np.concatenate(panels, axis=1), self._caption(annotation))

    def _resized(self, image: NDArray[Any], method: int) -> NDArray[Any]:
        if self._scale == 1.0:
            return image
        return np.asarray(cv2.resize(image, self._size, interpolation=method))

    def _draw_way(self, image: Image) -> None:
        for (start, shown), (end, shown_next) in pairwise(self._way):
            if _drawable(start) and _drawable(end):
                colour = WAY if shown and shown_next else HIDDEN
                ends = _fixed(start), _fixed(end)
                # A dark border tells the way from links of the same colour.
                for tone, thickness in ((_BORDER, 3), (colour, 1)):
                    cv2.line(image, *ends, tone, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        point, shown = self._way[-1]
        if not _drawable(point):
            return
        colour = WAY if shown else HIDDEN
        rims = ((cv2.FILLED, 6), (cv2.FILLED, 5)) if shown else ((4, 5), (2, 5))
        for tone, (thickness, radius) in zip((_BORDER, colour), rims, strict=True):
            fixed = radius << _SUBPIXEL_BITS
            cv2.circle(image, _fixed(point), fixed, tone, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def _depth_panel(self, image: Image, depth_m: NDArray[np.float32]) -> Image:
        panel = (_DIMMED * image).astype(np.uint8)
        robot = depth_m > 0
        # The near is warm.
        share = (self._farthest_m - depth_m[robot]) / (self._farthest_m - self._nearest_m)
        levels = np.clip(255.0 * share, 0, 255).astype(np.uint8).reshape(-1, 1)
        if len(levels):
            coloured = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)
            panel[robot] = coloured[:, 0, ::-1]
        return panel

    def _drawn_legend(self) -> Image:
        """Return what the colours mean, as high as the image."""
        annotated = self._annotated
        entries = [
            (link_colour(annotated.link_names.index(name)), name) for name in annotated.drawn_links
        ]
        entries += [
            (GRIPPER, "gripper (outline)"),
            (WAY, "way of the end-effector"),
            (HIDDEN, "the same, hidden or outside"),
        ]
        depth = f"depth {self._nearest_m:.2f} (red) to {self._farthest_m:.2f} m"
        height = self._size[1]
        row_px = min(_ROW_PX, height // (len(entries) + 1))
        legend = np.full((height, _LEGEND_PX, 3), _DARK, dtype=np.uint8)
        for row, (colour, name) in enumerate(entries):
            top, bottom = row * row_px + 3, (row + 1) * row_px - 2
            cv2.rectangle(legend, (6, top), (20, max(top, bottom)), colour, cv2.FILLED)
            _write(legend, name, (26, (row + 1) * row_px - 4), row_px)
        _write(legend, depth, (6, (len(entries) + 1) * row_px - 4), row_px)
        return legend

    def _caption(self, annotation: FrameAnnotation) -> str:
        eef = annotation.eef
        first_ns = int(self._annotated.recording.image_stamps_ns[0])
        state = "visible"
        if not eef.in_image:
            state = "outside the image"
        elif eef.hidden_by:
            state = f"hidden by {eef.hidden_by}"
        where = f"({eef.pixel[0]:.1f}, {eef.pixel[1]:.1f}) px, {eef.depth_m:.3f} m away, {state}"
        return (
            f"frame {annotation.index}, {(annotation.stamp_ns - first_ns) / 1e9:.2f} s: "
            f"{self._annotated.end_effector.link} at {where}"
        )


def _depth_range(annotated: AnnotatedRecording) -> tuple[float, float]:
    """Return how near and how far away the links come, with a margin, in metres."""
    poses = annotated.estimate.link_poses(annotated.motion.subset(annotated.frames))
    drawn = [annotated.link_names.index(name) for name in annotated.drawn_links]
    T = annotated.estimate.T_camera_base
    away_m = (poses[:, drawn, :3, 3] @ T[:3, :3].T + T[:3, 3])[..., 2]
    nearest, farthest = float(away_m.min()), float(away_m.max())
    return max(0.05, nearest - _DEPTH_MARGIN_M), max(0.1, farthest + _DEPTH_MARGIN_M)


def _way_length(annotated: AnnotatedRecording) -> int:
    """Return how many frames the way lasts."""
    stamps_ns = annotated.motion.stamps_ns[annotated.frames]
    if len(stamps_ns) < 2:
        return _SHORTEST_WAY
    step_s = float(np.median(np.diff(stamps_ns))) / NS_PER_S
    return max(_SHORTEST_WAY, round(_WAY_S / max(step_s, 1e-3)))


def _tinted(image: Image, links: NDArray[np.int16]) -> Image:
    """Return a copy of the image with every link in its colour."""
    drawn = image.copy()
    for link in np.unique(links[links >= 0]).tolist():
        pixels = links == link
        drawn[pixels] = (1 - _TINT) * drawn[pixels] + _TINT * np.array(link_colour(link))
    return np.asarray(drawn, dtype=np.uint8)


def _write(image: Image, text: str, origin: tuple[int, int], row_px: int) -> None:
    """Write a line that keeps to the image's width."""
    scale = 0.45 * min(1.0, row_px / _ROW_PX)
    width = cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    scale *= min(1.0, (image.shape[1] - origin[0] - 4) / max(1, width))
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(image, plain, origin, _FONT, scale, _LIGHT, 1, cv2.LINE_AA)


def _drawable(point: Points) -> bool:
    return bool(np.isfinite(point).all() and np.abs(point).max() < _FARTHEST_PX)


def _fixed(point: Points) -> tuple[int, int]:
    u, v = np.rint(point * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(u), int(v)
