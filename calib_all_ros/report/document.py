# SPDX-License-Identifier: Apache-2.0
"""Content of the page, collected from a calibration and whatever evidence there is of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.geometry import se3
from calib_all_ros.pictures.display import best_row
from calib_all_ros.pictures.results import STAGE_BEFORE, DrawnScene, check_inputs
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report import plots, words
from calib_all_ros.report.frustum_cloud import Space, cloud_views, ninety_percent
from calib_all_ros.report.photographs import (
    LARGEST_WIDTH_PX,
    BeforeAfter,
    SeenMask,
    TrackPicture,
    before_after_pictures,
    mask_picture,
    track_picture,
)
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.paste import static_transform_publisher, urdf_origin
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.observations import make_view

MOST_PICTURES = 6


@dataclass(frozen=True)
class FindingCard:
    """A finding in words.

    Attributes:
        severity: Its class on the page: "rejected", "warning" or "note".
        badge: The severity in words.
        title: The cause in words, "" where none was named.
        evidence: What shows it.
        advice: What to do, "" where nothing was advised.
        cause: The cause's name in files, "" where none was named.
    """

    severity: str
    badge: str
    title: str
    evidence: str
    advice: str
    cause: str


def finding_cards(calibration: Calibration) -> tuple[FindingCard, ...]:
    """Return the findings, the gravest first, and the reasons that no finding tells."""
    verdict = calibration.verdict
    cards = [
        FindingCard(
            finding.severity,
            words.SEVERITIES[finding.severity],
            words.CAUSES[finding.cause],
            finding.evidence,
            finding.advice,
            finding.cause,
        )
        for finding in verdict.findings
    ]
    told = {finding.sentence for finding in verdict.findings}
    status = verdict.status
    severity = "note" if status == "accepted" else status
    cards += [
        FindingCard(severity, words.SEVERITIES[severity], "", reason, "", "")
        for reason in verdict.reasons
        if reason not in told
    ]
    gravity: list[str] = list(words.SEVERITIES)
    return tuple(sorted(cards, key=lambda card: gravity.index(card.severity)))


def expected_error(calibration: Calibration) -> str:
    """Return a sentence on how far off the pose may be."""
    if calibration.verdict.status == "rejected":
        return "No error is promised for a rejected pose."
    within = nine_in_ten(calibration)
    if not within:
        return "How large the error may be was not estimated."
    return f"Expected error: in nine cases of ten within {within}."


def nine_in_ten(calibration: Calibration) -> str:
    """Return within what nine in ten errors lie, in words; "" where that was not estimated."""
    millimetres = calibration.quality.get("expected_position_mm")
    degrees = calibration.quality.get("expected_rotation_deg")
    if millimetres is None or degrees is None:
        if calibration.covariance is None:
            return ""
        position_m, rotation_rad = ninety_percent(calibration.covariance)
        millimetres, degrees = 1e3 * position_m, float(np.degrees(rotation_rad))
    return (
        f"{words.number(millimetres, 2)} mm in position and {words.number(degrees, 2)} deg in "
        "rotation"
    )


def setting_rows(settings: Mapping[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """Return names, values and whether they are the defaults."""
    defaults = dict(_flat(Settings().to_mapping()))
    return tuple(
        (name, _plain(value), name not in defaults or defaults[name] == value)
        for name, value in _flat(settings)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def fact_rows(calibration: Calibration) -> tuple[tuple[str, str], ...]:
    """Return what is known of the inputs and the making; what is not known is left out."""
    provenance, robot, camera = calibration.provenance, calibration.robot, calibration.camera
    K, chosen = camera.K, provenance.evidence
    facts = [
        ("Recording", provenance.recording),
        ("Its fingerprint", provenance.fingerprint),
        ("Images used", ", ".join(str(frame) for frame in provenance.frames_used)),
        ("Robot", f"{robot.name}, base frame {robot.base_frame}"),
        ("Robot description", robot.description_hash),
        ("Link of the mark", robot.eef_link or ""),
        (
            "Camera",
            f"{camera.frame_id}, {camera.width} x {camera.height} pixels, {camera.model}; "
            f"fx {K[0, 0]:.2f}, fy {K[1, 1]:.2f}, cx {K[0, 2]:.2f}, cy {K[1, 2]:.2f}",
        ),
        ("Distortion", ", ".join(f"{value:.6g}" for value in camera.distortion)),
        *((f"Evidence: {choice.part}", f"{choice.used}; {choice.why}") for choice in chosen),
        ("Estimated beside the pose", _nuisances(calibration)),
        ("Made by", f"calib_all_ros {provenance.package_version}"),
        ("Made at", provenance.created),
    ]
    return tuple((name, value) for name, value in facts if value)


def _nuisances(calibration: Calibration) -> str:
    parts = []
    if calibration.lag_ms is not None:
        parts.append(f"images stamped {words.lag(calibration.lag_ms)}")
    if calibration.mask_bias_px is not None:
        shape = "fat" if calibration.mask_bias_px > 0 else "thin"
        parts.append(f"outlines {abs(calibration.mask_bias_px):.2f} px too {shape}")
    if calibration.focal_scale is not None:
        parts.append(f"focal length times {calibration.focal_scale:.4f}")
    if calibration.joint_offsets is not None:
        largest = max(calibration.joint_offsets.items(), key=lambda item: abs(item[1]))
        parts.append(f"joints off by up to {largest[1]:+.4f} rad or m ({largest[0]})")
    return ", ".join(parts)


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
) -> tuple[DrawnScene | None, str]:
    """Return what can be drawn on, or None and why there is nothing."""
    if recording is None or robot is None:
        what = "recording" if recording is None else "robot description"
        return None, f"The {what} was not at hand, so nothing could be drawn on its images."
    try:
        check_inputs(calibration, recording, robot)
        return DrawnScene.of(calibration, recording, robot), ""
    except CalibAllError as error:
        return None, f"Nothing could be drawn on images: {error}."


def _photographs(
    scene: DrawnScene | None, missing: str, robot: Robot | None, evidence: Evidence | None
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
        static_transform_publisher(T, parent, child),
        urdf_origin(T),
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


def _cloud(
    calibration: Calibration, scene: DrawnScene | None, robot: Robot | None
) -> tuple[Panel, ...]:
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
