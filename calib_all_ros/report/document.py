# SPDX-License-Identifier: Apache-2.0
"""What the page shows, collected from a calibration and whatever evidence there is of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.geometry import se3
from calib_all_ros.pictures.display import best_row
from calib_all_ros.pictures.results import STAGE_BEFORE, Scene, check_inputs
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report import plots, words
from calib_all_ros.report.frustum_cloud import Space, cloud_views
from calib_all_ros.report.judgement import FindingCard, expected_error, finding_cards, nine_in_ten
from calib_all_ros.report.photographs import (
    LARGEST_WIDTH_PX,
    BeforeAfter,
    SeenMask,
    TrackPicture,
    before_after_pictures,
    mask_picture,
    track_picture,
)
from calib_all_ros.report.provenance import fact_rows, setting_rows
from calib_all_ros.results import paste
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.observations import make_view

MOST_PICTURES = 6


@dataclass(frozen=True)
class PoseText:
    """The pose as numbers and as text to paste."""

    parent: str
    child: str
    translation: tuple[str, str, str]
    quaternion: tuple[str, str, str, str]
    static_transform_publisher: str
    urdf_origin: str


@dataclass(frozen=True)
class Panel:
    """A plot, or why there is none.

    Attributes:
        title: Heading.
        caption: How to read it; where ``svg`` is None, why it is missing.
        svg: The plot.
    """

    title: str
    caption: str
    svg: str | None = None


@dataclass(frozen=True)
class Photographs:
    """What is drawn on images.

    Attributes:
        pairs: The robot before and after the refinement.
        mask: What was taken for the robot, None where that is not known.
        track: The mark's way, None without a mark.
        mark_summary: What became of the mark, "" without one.
        missing: Why there are no pictures at all, "" where there are.
    """

    pairs: tuple[BeforeAfter, ...] = ()
    mask: SeenMask | None = None
    track: TrackPicture | None = None
    mark_summary: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Document:
    """The page's content, in the order of the page."""

    calibration: Calibration
    headline: str
    meaning: str
    expected_error: str
    findings: tuple[FindingCard, ...]
    notes: tuple[str, ...]
    pose: PoseText
    photographs: Photographs
    frames: Panel
    lag: Panel
    convergence: Panel
    cloud: tuple[Panel, ...]
    figures: tuple[words.FigureRow, ...]
    settings: tuple[tuple[str, str, bool], ...]
    facts: tuple[tuple[str, str], ...]
    stage_times: tuple[tuple[str, float], ...]


def collect(
    calibration: Calibration,
    recording: Recording | None = None,
    robot: Robot | None = None,
    evidence: Evidence | None = None,
) -> Document:
    """Draw and write everything the page shows; what is missing gets a sentence instead.

    Args:
        calibration: The result.
        recording: What it was calibrated from or checked on.
        robot: Its robot.
        evidence: What was seen in the images.
    """
    scene, missing = _scene(calibration, recording, robot)
    provenance = calibration.provenance
    return Document(
        calibration=calibration,
        headline=words.HEADLINES[calibration.verdict.status],
        meaning=words.MEANINGS[calibration.verdict.status],
        expected_error=expected_error(calibration),
        findings=finding_cards(calibration),
        notes=calibration.notes,
        pose=_pose(calibration),
        photographs=_photographs(scene, missing, robot, evidence),
        frames=_frames(calibration),
        lag=_lag(calibration, evidence),
        convergence=_convergence(calibration, evidence),
        cloud=_cloud(calibration, scene, robot),
        figures=tuple(
            words.figure_row(name, calibration.quality[name])
            for name in words.in_order(calibration.quality)
        ),
        settings=setting_rows(provenance.settings),
        facts=fact_rows(calibration),
        stage_times=tuple(provenance.stage_times_s.items()),
    )


def _scene(
    calibration: Calibration, recording: Recording | None, robot: Robot | None
) -> tuple[Scene | None, str]:
    """Return what can be drawn on, or None and why there is nothing."""
    if recording is None or robot is None:
        what = "recording" if recording is None else "robot description"
        return None, f"The {what} was not at hand, so nothing could be drawn on its images."
    try:
        check_inputs(calibration, recording, robot)
        return Scene.of(calibration, recording, robot), ""
    except CalibAllError as error:
        return None, f"Nothing could be drawn on images: {error}."


def _photographs(
    scene: Scene | None, missing: str, robot: Robot | None, evidence: Evidence | None
) -> Photographs:
    if scene is None or robot is None:
        return Photographs(missing=missing)
    view = (
        make_view(scene.recording.camera, LARGEST_WIDTH_PX) if evidence is None else evidence.view
    )
    track = None if evidence is None else evidence.track
    return Photographs(
        pairs=before_after_pictures(scene, view, MOST_PICTURES),
        mask=mask_picture(scene, view, None if evidence is None else evidence.masks),
        track=None if track is None else track_picture(scene, view, track, robot),
        mark_summary="" if evidence is None else evidence.mark_summary,
    )


def _pose(calibration: Calibration) -> PoseText:
    T = calibration.T_base_camera
    parent, child = calibration.robot.base_frame, calibration.camera.frame_id
    x, y, z = (f"{value:+.5f}" for value in T[:3, 3])
    qx, qy, qz, qw = (f"{value:+.6f}" for value in se3.quaternion_xyzw(T))
    return PoseText(
        parent,
        child,
        (x, y, z),
        (qx, qy, qz, qw),
        paste.static_transform_publisher(T, parent, child),
        paste.urdf_origin(T),
    )


def _frames(calibration: Calibration) -> Panel:
    title = "Image by image"
    svg = plots.frames_plot(calibration.frames, calibration.lag_ms)
    if svg is None:
        return Panel(title, "No figures of single images were measured.")
    used = sum(frame.used for frame in calibration.frames)
    caption = (
        f"{used} of {len(calibration.frames)} images were used. Outline: median distance of the "
        "drawn robot's outline from the seen one. Overlap: of the drawn and the seen robot, 1 is "
        "perfect."
    )
    own = [frame for frame in calibration.frames if frame.lag_ms is not None]
    if own:
        caption += " Own lag: how much later than its light an image was stamped."
    return Panel(title, caption, svg)


def _lag(calibration: Calibration, evidence: Evidence | None) -> Panel:
    title = "Time lag"
    curve = None if evidence is None else evidence.timing
    if curve is None or not np.isfinite(curve.agreement).any():
        known = calibration.lag_ms
        found = "" if known is None else f" The lag of the result is {known + 0.0:.1f} ms."
        return Panel(title, f"How the agreement changes with the lag was not measured.{found}")
    caption = (
        "How much of the robot's outline agrees with the images when it is drawn where the robot "
        "was earlier (right) or later (left) than the images' stamps say. One sharp peak: the lag "
        "is known well. Several peaks or a flat curve: images and joint states do not belong "
        "together, or the robot hardly moved."
    )
    return Panel(title, caption, plots.lag_plot(curve, calibration.lag_ms))


def _convergence(calibration: Calibration, evidence: Evidence | None) -> Panel:
    title = "Way to the result"
    trace = () if evidence is None else evidence.trace
    if len(trace) < 2:
        coarse = calibration.stages.get(STAGE_BEFORE)
        if coarse is None:
            return Panel(title, "The estimates on the way were not recorded.")
        degrees, metres = se3.difference(coarse, calibration.T_camera_base)
        return Panel(
            title,
            "The estimates on the way were not recorded; the refinement moved the camera by "
            f"{1e3 * metres:.1f} mm and turned it by {degrees:.2f} deg.",
        )
    caption = (
        "How far every visited estimate was from the result. That it settles says that the solve "
        "came to an end, not that the result is right."
    )
    return Panel(title, caption, plots.convergence_plot(trace, calibration.T_camera_base))


def _cloud(calibration: Calibration, scene: Scene | None, robot: Robot | None) -> tuple[Panel, ...]:
    if calibration.covariance is None:
        return (Panel("Uncertainty", "The uncertainty of the pose was not estimated."),)
    camera = make_view(calibration.camera, LARGEST_WIDTH_PX).camera
    right, bottom = camera.width - 1.0, camera.height - 1.0
    rays = camera.rays([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])
    surface, links = None, None
    if scene is not None:
        surface, links = scene.surface, scene.T_base_link[best_row(calibration)]
    elif robot is not None and robot.kinematics.base_frame == calibration.robot.base_frame:
        surface, links = robot.surface, _at_rest(robot)
    space = Space(calibration.T_base_camera, rays, surface, links)
    views = cloud_views(space, calibration.covariance)
    scale = (
        "The frusta are drawn at true scale"
        if views.exaggeration == 1
        else f"The errors of the frusta are drawn {views.exaggeration} times larger than they are, "
        "since they could not be seen otherwise"
    )
    shared = (
        f"{scale}; the right part shows where the camera's centre may be, at true scale around "
        "the result."
    )
    numbers = (
        "The ellipses hold 50 and 90 % of the camera's positions in this plane. By the "
        f"covariance, nine cases of ten lie within {nine_in_ten(calibration)}."
    )
    return (
        Panel("Uncertainty, seen from above", shared, views.top),
        Panel("Uncertainty, seen from the side", numbers, views.side),
    )


def _at_rest(robot: Robot) -> NDArray[np.float64]:
    kinematics = robot.kinematics
    position = np.clip(0.0, kinematics.lower, kinematics.upper)
    return np.asarray(kinematics.forward(position[None])[0])
