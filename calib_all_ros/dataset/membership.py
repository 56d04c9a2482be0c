# SPDX-License-Identifier: Apache-2.0
"""Membership of an episode in a setup: whether it was seen from the pose of the others.

The pose is refined on the episode's own images, without any search, and the two are compared as
`calib_all check` does it. An episode that cannot tell by itself (too little motion) belongs to the
others as long as the robot, drawn at their pose, agrees with its images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.checking.check import ExtrinsicsCheck, Reference, Tolerance, judge
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.renderer import find_renderer
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, Status, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solution import solve
from calib_all_ros.solving.observations import prepare
from calib_all_ros.solving.pipeline import Start

# An episode that cannot tell by itself agrees when the drawn outline is this near to the seen one,
# pixels, or not much farther than in the images that the pose comes from,
AGREES_PX = 2.0
AGREES_TIMES = 2.0
# and runs along it over this share.
AGREES_SHARE = 0.5
# What makes a pose uncertain that is solved on the episode alone speaks against no other pose.
_WEAK = ("too_little_motion", "degenerate_view")
_TOLERANCE = Tolerance()
_RANK: dict[Status, int] = {"accepted": 0, "warning": 1, "rejected": 2}


@dataclass(frozen=True, eq=False)
class Membership:
    """What an episode says about a pose.

    Attributes:
        belongs: Whether it was seen from there.
        why: One sentence with numbers.
        status: Worst verdict that the episode allows for the pose, if it belongs.
        reasons: What casts doubt on it.
        check: The measurements.
    """

    belongs: bool
    why: str
    status: Status
    reasons: tuple[str, ...]
    check: ExtrinsicsCheck


def examine(
    recording: Recording,
    robot: Robot,
    calibration: Calibration,
    settings: Settings,
    tolerance: Tolerance = _TOLERANCE,
) -> Membership:
    """Ask an episode about a pose that others were solved for.

    Args:
        recording: The episode.
        robot: The robot.
        calibration: What was solved on the others.
        settings: As for a calibration of the episode.
        tolerance: By how much the episode's own pose may differ.

    Raises:
        CalibAllError: The episode cannot be used.
    """
    renderer = find_renderer(settings.rendering.backend, settings.models.device)
    observations = prepare(recording, robot, settings.frames, renderer)
    start = Start(calibration.T_camera_base, "given")
    solution = solve(observations, settings, (start,), search=False)
    reference = Reference(recording, robot, settings, solution, searched=False)
    check = judge(reference, calibration.T_camera_base, tolerance)
    doubts = (
        *(
            finding.sentence
            for finding in solution.diagnosis.findings
            if finding.severity != "note" and finding.cause not in _WEAK
        ),
        *observations.warnings,
    )
    if check.status == "rejected":
        return Membership(False, check.reasons[0], "rejected", check.reasons, check)
    if check.status == "cannot say":
        return _by_agreement(check, calibration, doubts)
    if tolerance.share(check.difference) > 1.0:
        doubts = (check.reasons[0], *doubts)
    return Membership(True, check.reasons[0], "warning" if doubts else "accepted", doubts, check)


def _by_agreement(
    check: ExtrinsicsCheck, calibration: Calibration, doubts: tuple[str, ...]
) -> Membership:
    share = float(np.median(check.given.outline_share))
    usual_px = calibration.quality.get("contour_median_px", 0.0)
    limit_px = max(AGREES_PX, AGREES_TIMES * usual_px)
    contour_px = check.contour_px
    figures = (
        f"the robot drawn at the pose of the other episodes is {contour_px:.2f} px (median) from "
        f"its outline in this one and runs along {100 * share:.0f} % of it"
    )
    if np.isfinite(contour_px) and contour_px <= limit_px and share >= AGREES_SHARE:
        sentence = f"this episode cannot confirm the pose by itself, but {figures}"
        return Membership(True, sentence, "warning" if doubts else "accepted", doubts, check)
    return Membership(False, figures, "rejected", (figures, *doubts), check)


def result_for(
    recording: Recording, calibration: Calibration, member: Membership, note: str
) -> Calibration:
    """Return the result of the others as that of an episode that belongs to them.

    The pose and its uncertainty are theirs; lag, images and their agreement are the episode's, and
    the verdict is the worse of both.

    Args:
        recording: The episode.
        calibration: What was solved on the others.
        member: What the episode says about it.
        note: With which episodes it was solved.
    """
    check = member.check
    solution = check.reference.solution
    used = solution.result.used
    group = calibration.verdict
    status = max((group.status, member.status), key=_RANK.__getitem__)
    quality = dict(calibration.quality)
    quality["iou_median"] = float(np.median(check.given.iou[used]))
    if np.isfinite(check.contour_px):
        quality["contour_median_px"] = check.contour_px
    quality["own_pose_position_mm"] = check.difference.position_mm
    quality["own_pose_rotation_deg"] = check.difference.rotation_deg
    return replace(
        calibration,
        camera=recording.camera,
        verdict=Verdict(status, (*member.reasons, *group.reasons), group.findings),
        provenance=_provenance(recording, calibration, solution.frame_numbers[used]),
        quality=quality,
        frames=solution.frame_table(check.given.iou, check.given.contour_px),
        notes=(note, f"asked about that pose: {member.why}", *solution.observations.notes),
        lag_ms=1e3 * check.given.lag_s if calibration.lag_ms is not None else None,
        mask_bias_px=check.given.mask_bias_px if calibration.mask_bias_px is not None else None,
    )


def unchecked_result(
    recording: Recording, calibration: Calibration, why: str, note: str
) -> Calibration:
    """Return the result of the others for an episode that cannot be asked, with a warning.

    Args:
        recording: The episode, in which the robot stands still, say.
        calibration: What was solved on the others.
        why: Why it cannot be asked.
        note: With which episodes it was solved.
    """
    group = calibration.verdict
    status = max((group.status, "warning"), key=_RANK.__getitem__)
    sentence = (
        "only the background says that the camera stands here where it stood in the other "
        f"episodes, for the pose cannot be compared with this one: {why}"
    )
    unmeasured = ("iou_median", "iou_worst", "contour_median_px")
    return replace(
        calibration,
        camera=recording.camera,
        verdict=Verdict(status, (sentence, *group.reasons), group.findings),
        provenance=_provenance(recording, calibration, np.zeros(0, dtype=np.intp)),
        quality={k: v for k, v in calibration.quality.items() if k not in unmeasured},
        frames=(),
        notes=(note, *recording.notes),
    )


def _provenance(
    recording: Recording, calibration: Calibration, used: NDArray[np.intp]
) -> Provenance:
    return replace(
        calibration.provenance,
        recording=recording.source,
        fingerprint=recording.fingerprint,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        frames_used=tuple(int(number) for number in used),
    )
