# SPDX-License-Identifier: Apache-2.0
"""The pictures of a calibration: overlays to look at closely, and a sheet of all its frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.overlay import (
    AFTER,
    BEFORE,
    TARGET,
    Colour,
    LegendEntry,
    draw_outline,
    estimate_of,
    save_png,
    with_caption,
)
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import FrameQuality, Status
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import View, make_view, match_joints

_GAP_PX = 6
_BACKGROUND = 60
Image = NDArray[np.uint8]
MAX_OVERLAYS = 8
STAGE_BEFORE = "coarse"
# Captions and lines have a fixed size, too small for larger pictures.
LARGEST_WIDTH_PX = 1920
_TILE_WIDTH_PX = 320
_BORDER_PX = 5
_MOST_COLUMNS = 6
_LEFT_OUT: Colour = (255, 70, 70)
_VERDICT_COLOURS: dict[Status, Colour] = {
    "accepted": AFTER,
    "warning": (255, 190, 0),
    "rejected": _LEFT_OUT,
}
_BAR = 24
_HEADLINE_PX = 40


def contact_sheet(
    tiles: Sequence[Image], captions: Sequence[str], columns: int, *, tile_width_px: int = 320
) -> Image:
    """Return the tiles row by row on one RGB image.

    Args:
        tiles: RGB images of any size; they are scaled to the tile width.
        captions: one line for each.
        columns: tiles in a row.
        tile_width_px: width of a tile.

    Raises:
        ResultError: no tiles, no columns, or not one caption a tile.
    """
    if not tiles or columns < 1 or len(tiles) != len(captions):
        raise ResultError(
            f"a contact sheet needs tiles, one caption for each and at least one column, got "
            f"{len(tiles)} tiles, {len(captions)} captions and {columns} columns"
        )
    framed = [
        with_caption(_fitted(tile, tile_width_px), caption)
        for tile, caption in zip(tiles, captions, strict=True)
    ]
    columns = min(columns, len(framed))
    rows = [framed[first : first + columns] for first in range(0, len(framed), columns)]
    heights = [max(tile.shape[0] for tile in row) for row in rows]
    size = (
        sum(heights) + _GAP_PX * (len(rows) + 1),
        columns * tile_width_px + _GAP_PX * (columns + 1),
    )
    sheet = np.full((*size, 3), _BACKGROUND, dtype=np.uint8)
    top = _GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _GAP_PX + column * (tile_width_px + _GAP_PX)
            # Images of one row stand on one line, also where a caption takes two.
            bottom = top + height
            sheet[bottom - tile.shape[0] : bottom, left : left + tile.shape[1]] = tile
        top += height + _GAP_PX
    return sheet


def _fitted(tile: Image, width_px: int) -> Image:
    height, width = tile.shape[:2]
    size = (width_px, max(1, round(height * width_px / width)))
    method = cv2.INTER_AREA if width_px < width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(tile, size, interpolation=method), dtype=np.uint8)


CONTACT_SHEET_NAME = "contact_sheet.png"


def write_pictures(
    folder: Path,
    calibration: Calibration,
    recording: Recording,
    robot: Robot,
    on_progress: Callable[[str, float], None] | None = None,
) -> list[Path]:
    """Draw the calibrated robot on the images that the pose was fitted to.

    At most ``MAX_OVERLAYS`` files ``overlay_*.png`` sort by name: the frame that agrees worst, the
    one that agrees best, then the others by increasing overlap. They show the robot's outline
    before and after the refinement, and the recorded mask if there is one. ``contact_sheet.png``
    shows all frames with the final outline. Both outlines are drawn at the joint positions of the
    image's stamp less the common lag, also in frames that a lag of their own would explain: the
    pictures show what the verdict speaks of.

    Args:
        folder: Where to write; made if missing.
        calibration: The result.
        recording: What it was calibrated from.
        robot: The robot, with the base frame of the calibration.
        on_progress: Called with "pictures" and the finished share.

    Returns:
        The files, overlays first.

    Raises:
        ResultError: The calibration is of another recording or base frame, has no frames, or a
            file cannot be written.
        RecordingError: The recording's joints are not the robot's.
    """
    check_inputs(calibration, recording, robot)
    scene = DrawnScene.of(calibration, recording, robot)
    full = make_view(recording.camera, LARGEST_WIDTH_PX)
    small = _narrowed(full, _TILE_WIDTH_PX)
    names = _overlay_names(calibration.frames)
    overlays, tiles = [], []
    for row, frame in enumerate(calibration.frames):
        raw = recording.images[frame.index]
        if frame.index in names:
            picture = frame_overlay(scene, row, frame, full, raw)
            overlays.append(folder / names[frame.index])
            save_png(overlays[-1], picture)
        tiles.append(_tile(scene, row, frame, small, raw))
        if on_progress:
            on_progress("pictures", (row + 1) / len(calibration.frames))
    sheet = folder / CONTACT_SHEET_NAME
    save_png(sheet, _sheet(calibration, tiles))
    return [*sorted(overlays), sheet]


@dataclass(frozen=True)
class DrawnScene:
    """What is drawn.

    Attributes:
        calibration: The poses.
        recording: The images and masks.
        surface: The robot less the links whose joints were not recorded.
        T_base_link: (N, L, 4, 4) at the calibration's frames.
        estimate: What the calibration estimated.
    """

    calibration: Calibration
    recording: Recording
    surface: RobotSurface
    T_base_link: NDArray[np.float64]
    estimate: Estimate

    @classmethod
    def of(cls, calibration: Calibration, recording: Recording, robot: Robot) -> DrawnScene:
        """Pose the robot at the calibration's frames."""
        matched = match_joints(robot.kinematics, recording.joints)
        numbers = np.array([frame.index for frame in calibration.frames], dtype=np.intp)
        motion = RobotMotion(
            robot.kinematics,
            recording.joints,
            recording.image_stamps_ns[numbers],
            matched.assumed,
        )
        surface = robot.surface.without_links(matched.unknown_links)
        estimate = estimate_of(calibration, robot.kinematics)
        return cls(calibration, recording, surface, estimate.link_poses(motion), estimate)

    def masks(
        self, row: int, camera: Camera, poses: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.bool_]:
        """Return (P, H, W) silhouettes in frame ``row`` for P poses (4, 4) ``T_camera_base``."""
        T_camera_link = np.stack([pose @ self.T_base_link[row] for pose in poses])
        return silhouettes(self.surface, T_camera_link, self.estimate.camera(camera))


def check_inputs(calibration: Calibration, recording: Recording, robot: Robot) -> None:
    """Make sure that a calibration can be drawn on the images of a recording.

    Raises:
        ResultError: The calibration is of another recording or base frame, or has no frames.
    """
    if not calibration.frames:
        raise ResultError("the calibration lists no frames, so there is nothing to draw on")
    for frame in calibration.frames:
        known = 0 <= frame.index < len(recording)
        if not known or recording.image_stamps_ns[frame.index] != frame.stamp_ns:
            raise ResultError(
                f"{recording.source} is not what this was calibrated from: it has no image "
                f"{frame.index} with the stamp {frame.stamp_ns} ns; give the same recording, with "
                f"the same start and end ({calibration.provenance.recording})"
            )
    if robot.kinematics.base_frame != calibration.robot.base_frame:
        raise ResultError(
            f"the calibration speaks of the base frame '{calibration.robot.base_frame}', the robot "
            f"was loaded with '{robot.kinematics.base_frame}': load it with the former"
        )


def _narrowed(view: View, width_px: int) -> View:
    pinhole = view.rectification.camera
    return View(view.rectification, pinhole.scaled(min(1.0, width_px / pinhole.width)))


def _overlay_names(frames: Sequence[FrameQuality]) -> dict[int, str]:
    """Return the file names of the overlays by the number of their image."""
    measured = sorted((f for f in frames if _measured(f.iou)), key=lambda f: f.iou or 0.0)
    rest = [f for f in frames if not _measured(f.iou)]
    labels = {}
    if len(measured) > 1:
        labels = {measured[0].index: "worst_", measured[-1].index: "best_"}
        measured = [measured[0], measured[-1], *measured[1:-1]]
    chosen = [*measured, *rest][:MAX_OVERLAYS]
    return {
        frame.index: f"overlay_{rank:02d}_{labels.get(frame.index, '')}frame{frame.index:06d}.png"
        for rank, frame in enumerate(chosen)
    }


def frame_overlay(
    scene: DrawnScene, row: int, frame: FrameQuality, view: View, raw: Image
) -> Image:
    """Draw the robot before and after the refinement on one frame, under a caption.

    Args:
        scene: What is drawn.
        row: Which of the calibration's frames it is.
        frame: That frame.
        view: How the raw image becomes the picture.
        raw: (H, W, 3) RGB image of the recording.
    """
    calibration, recorded = scene.calibration, scene.recording.masks
    before = calibration.stages.get(STAGE_BEFORE)
    poses = [calibration.T_camera_base] if before is None else [calibration.T_camera_base, before]
    outlines = scene.masks(row, view.camera, poses)
    picture, legend = view.image(raw), []
    seen = None if recorded is None else recorded[frame.index]
    if seen is not None:
        picture = draw_outline(picture, view.mask(seen), TARGET)
        legend.append(LegendEntry("recorded mask", TARGET))
    if before is not None:
        picture = draw_outline(picture, outlines[1], BEFORE, dashed=True)
        legend.append(LegendEntry("before", BEFORE, dashed=True))
    picture = draw_outline(picture, outlines[0], AFTER)
    legend.append(LegendEntry("after", AFTER))
    return with_caption(picture, _caption(frame, calibration.lag_ms), legend)


def _tile(scene: DrawnScene, row: int, frame: FrameQuality, view: View, raw: Image) -> Image:
    # Drawn after the reduction, which would wash a thin line out.
    mask = scene.masks(row, view.camera, [scene.calibration.T_camera_base])[0]
    drawn = draw_outline(view.image(raw), mask, AFTER if frame.used else _LEFT_OUT)
    border: Colour = (_BAR, _BAR, _BAR) if frame.used else _LEFT_OUT
    sides = (_BORDER_PX,) * 4
    framed = cv2.copyMakeBorder(drawn, *sides, cv2.BORDER_CONSTANT, value=border)
    return np.asarray(framed, dtype=np.uint8)


def _sheet(calibration: Calibration, tiles: Sequence[Image]) -> Image:
    frames = calibration.frames
    sheet = contact_sheet(
        tiles,
        [_short_caption(frame) for frame in frames],
        min(_MOST_COLUMNS, math.ceil(math.sqrt(len(frames)))),
        tile_width_px=_TILE_WIDTH_PX + 2 * _BORDER_PX,
    )
    used = sum(frame.used for frame in frames)
    summary = f"{calibration.robot.name}: {used} of {len(frames)} frames used"
    if "iou_median" in calibration.quality:
        summary += f", median IoU {calibration.quality['iou_median']:.2f}"
    if "contour_median_px" in calibration.quality:
        summary += f", contour {calibration.quality['contour_median_px']:.2f} px"
    if calibration.lag_ms is not None:
        summary += f", {_lag(calibration.lag_ms)}"
    legend = [LegendEntry("used", AFTER)]
    if used < len(frames):
        legend.append(LegendEntry("left out", _LEFT_OUT))
    reasons = " / ".join(calibration.verdict.reasons)
    captioned = with_caption(sheet, summary, legend)
    if reasons:
        captioned = with_caption(captioned, reasons)
    return np.concatenate([_headline(calibration.verdict.status, sheet.shape[1]), captioned])


def _headline(status: Status, width: int) -> Image:
    """Return a bar of that width with the verdict in its colour."""
    bar = np.full((_HEADLINE_PX, width, 3), _BAR, dtype=np.uint8)
    place, color = (6, _HEADLINE_PX - 10), _VERDICT_COLOURS[status]
    cv2.putText(bar, status.upper(), place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, color, 2, cv2.LINE_AA)
    return bar


def _caption(frame: FrameQuality, lag_ms: float | None) -> str:
    parts = [f"frame {frame.index}", "used" if frame.used else "LEFT OUT", *_figures(frame)]
    if lag_ms is not None:
        parts.append(_lag(lag_ms))
    if frame.lag_ms is not None:
        parts.append(f"its own {_lag(frame.lag_ms)} (not drawn)")
    return ", ".join(parts)


def _short_caption(frame: FrameQuality) -> str:
    number, figures = f"frame {frame.index}", _figures(frame)
    # The contour is measured where the outlines are near each other, which says little of a frame
    # that does not fit; without it the caption keeps to one line.
    return ", ".join([number, *figures] if frame.used else [number, "LEFT OUT", *figures[:1]])


def _figures(frame: FrameQuality) -> list[str]:
    figures = []
    if _measured(frame.iou):
        figures.append(f"IoU {frame.iou:.2f}")
    if _measured(frame.contour_px):
        figures.append(f"contour {frame.contour_px:.2f} px")
    return figures


def _lag(lag_ms: float) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"lag {round(lag_ms, 1) + 0.0:.1f} ms"


def _measured(figure: float | None) -> bool:
    return figure is not None and math.isfinite(figure)
