# SPDX-License-Identifier: Apache-2.0
"""Check of a given camera pose on a recording.

The pose is compared with the one that the recording itself asks for, found from the given one by
refinement, or by the whole search where the given one is too far off. The difference of the two is
the estimated error; it counts as far as it exceeds what the recording can tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calib_all_ros import __version__
from calib_all_ros.checking.agreement import Agreement, agreement_at
from calib_all_ros.diagnosis.observability import view_figures
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.geometry import se3
from calib_all_ros.progress import Progress, silent
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.renderer import find_renderer
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solution import Solution, solve
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_measurer import mask_problem
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.pipeline import Start
from calib_all_ros.solving.pose_errors import (
    Compatibility,
    PoseDifference,
    PoseErrors,
    compatibility,
    pose_difference,
    pose_errors,
)
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

CheckStatus = Literal["accepted", "warning", "rejected", "cannot say"]

# From further away a refinement may end anywhere.
FAR_M = 0.1
FAR_DEG = 8.0
# A robot that covers less of the image, drawn at the given pose, cannot be refined from there.
LEAST_ROBOT_SHARE = 0.002
# Below this probability chance is no explanation.
SIGNIFICANT = 0.01
# Between once and so many times the tolerance it is for people to decide.
REJECTED_SHARE = 1.5


@dataclass(frozen=True)
class Tolerance:
    """Which error is acceptable.

    Attributes:
        position_mm: Of the camera's position.
        rotation_deg: Of its orientation.
    """

    position_mm: float = 5.0
    rotation_deg: float = 0.5

    def share(self, difference: PoseDifference) -> float:
        """Return how much of the tolerance a difference takes up, 1 for all of it."""
        return max(
            difference.position_mm / self.position_mm, difference.rotation_deg / self.rotation_deg
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """The pose that a recording asks for.

    Attributes:
        recording: The recording.
        robot: Its robot.
        settings: How it was found.
        solution: The pose, its uncertainty and whether it can be vouched for.
        searched: Whether the camera was searched, the given pose being too far off or wrong.
    """

    recording: Recording
    robot: Robot
    settings: Settings
    solution: Solution
    searched: bool

    @property
    def T_camera_base(self) -> NDArray[np.float64]:
        """(4, 4)."""
        return self.solution.result.estimate.T_camera_base

    @property
    def problem(self) -> SilhouetteProblem:
        """What was seen in the images, masks recorded or found in them."""
        return mask_problem(
            self.solution.observations, self.solution.observations.solve, self.solution.result.masks
        )


@dataclass(frozen=True, eq=False)
class ExtrinsicsCheck:
    """What a recording says about a given camera pose.

    Attributes:
        T_camera_base: (4, 4) the given pose.
        reference: The pose that the recording asks for.
        status: "accepted", "warning", "rejected"; "cannot say" where the recording does not allow
            a judgement.
        reasons: One sentence each, the gravest first; the first sums the check up.
        difference: The given pose as seen from the reference: the estimated error.
        add_mm: Mean distance of the robot's surface points under the two poses.
        compatibility: Whether the reference's uncertainty explains the difference, None where it
            is not known.
        given: How the given pose agrees with the images.
        best: How the reference does.
    """

    T_camera_base: NDArray[np.float64]
    reference: Reference
    status: CheckStatus
    reasons: tuple[str, ...]
    difference: PoseDifference
    add_mm: float
    compatibility: Compatibility | None
    given: Agreement
    best: Agreement

    @property
    def contour_px(self) -> float:
        """Contour error of the given pose, median over the images used."""
        return self.given.median_contour_px(self.reference.solution.result.used)

    @property
    def best_contour_px(self) -> float:
        """Contour error of the reference."""
        return self.best.median_contour_px(self.reference.solution.result.used)


def check_extrinsics(
    recording: Recording,
    robot: Robot,
    T_camera_base: NDArray[np.float64],
    settings: Settings | None = None,
    on_progress: Progress = silent,
    *,
    tolerance: Tolerance = Tolerance(),
) -> ExtrinsicsCheck:
    """Measure a given camera pose on a recording.

    Args:
        recording: Images, camera and joint states.
        robot: The robot.
        T_camera_base: (4, 4) the pose to check; it is not changed.
        settings: The defaults where None.
        on_progress: Called with the name of the stage and its finished share.
        tolerance: Which error is acceptable.

    Raises:
        CalibAllError: The recording cannot be used; the message says why.
    """
    reference = find_reference(recording, robot, T_camera_base, settings, on_progress)
    return judge(reference, T_camera_base, tolerance)


def find_reference(
    recording: Recording,
    robot: Robot,
    T_start: NDArray[np.float64],
    settings: Settings | None = None,
    on_progress: Progress = silent,
) -> Reference:
    """Find the pose that a recording asks for, near a given one if there is any.

    Args:
        recording: Images, camera and joint states.
        robot: The robot.
        T_start: (4, 4) ``T_camera_base``.
        settings: The defaults where None.
        on_progress: Called with the name of the stage and its finished share.

    Raises:
        CalibAllError: The recording cannot be used; the message says why.
    """
    settings = settings or Settings()
    on_progress("prepare", 0.0)
    renderer = find_renderer(settings.rendering.backend, settings.models.device)
    observations = prepare(recording, robot, settings.frames, renderer)
    start = Start(T_start, "given")
    solution, searched = None, False
    if _in_view(observations, T_start):
        solution = solve(observations, settings, (start,), on_progress=on_progress, search=False)
    if (
        solution is None
        or solution.verdict.status == "rejected"
        or _far(solution.result.estimate.T_camera_base, T_start)
    ):
        searched = True
        solution = solve(observations, settings, (start,), on_progress=on_progress)
    on_progress("verdict", 1.0)
    return Reference(recording, robot, settings, solution, searched)


def judge(
    reference: Reference,
    T_camera_base: NDArray[np.float64],
    tolerance: Tolerance = Tolerance(),
) -> ExtrinsicsCheck:
    """Judge a pose by the one that the recording asks for.

    Args:
        reference: That pose.
        T_camera_base: (4, 4) the pose to judge.
        tolerance: Which error is acceptable.
    """
    solution = reference.solution
    used, uncertainty = solution.result.used, solution.diagnosis.uncertainty
    difference = pose_difference(T_camera_base, reference.T_camera_base)
    weighed = None
    if uncertainty is not None:
        weighed = compatibility(difference, uncertainty.covariance)
    problem, nuisances = reference.problem, reference.settings.refinement
    status, reasons = _status(reference, difference, weighed, tolerance)
    errors = _errors(reference, problem, T_camera_base)
    return ExtrinsicsCheck(
        T_camera_base=T_camera_base,
        reference=reference,
        status=status,
        reasons=reasons,
        difference=difference,
        add_mm=errors.add_mm,
        compatibility=weighed,
        given=agreement_at(problem, T_camera_base, used, nuisances),
        best=agreement_at(problem, reference.T_camera_base, used, nuisances),
    )


def _in_view(observations: Observations, T_camera_base: NDArray[np.float64]) -> bool:
    everything = np.ones(len(observations.solve), dtype=bool)
    figures = view_figures(observations, Estimate(T_camera_base), everything)
    return figures.robot_share >= LEAST_ROBOT_SHARE


def _far(T_camera_base: NDArray[np.float64], T_start: NDArray[np.float64]) -> bool:
    degrees, metres = se3.difference(T_camera_base, T_start)
    return not (metres <= FAR_M and degrees <= FAR_DEG)


def _errors(
    reference: Reference, problem: SilhouetteProblem, T_camera_base: NDArray[np.float64]
) -> PoseErrors:
    robot = replace(reference.robot, surface=problem.surface)
    return pose_errors(T_camera_base, reference.T_camera_base, robot, problem.motion)


def _status(
    reference: Reference,
    difference: PoseDifference,
    weighed: Compatibility | None,
    tolerance: Tolerance,
) -> tuple[CheckStatus, tuple[str, ...]]:
    solution = reference.solution
    verdict, uncertainty = solution.verdict, solution.diagnosis.uncertainty
    share = tolerance.share(difference)
    if verdict.status == "rejected" or uncertainty is None or not np.isfinite(share):
        return "cannot say", (
            "this recording does not allow a judgement, for the pose that it asks for itself is "
            "rejected",
            *verdict.reasons,
        )
    off = f"{difference.position_mm:.1f} mm and {difference.rotation_deg:.2f} deg"
    known = (
        f"which is known to {uncertainty.expected_position_mm:.1f} mm and "
        f"{uncertainty.expected_rotation_deg:.2f} deg"
    )
    limits = f"{tolerance.position_mm:g} mm and {tolerance.rotation_deg:g} deg"
    chance = weighed is not None and weighed.p_value >= SIGNIFICANT
    if share <= 1.0:
        sentence = f"the extrinsics are {off} from the pose that the images ask for, {known}"
        return verdict.status, (sentence, *verdict.reasons)
    if chance:
        sentence = (
            f"the extrinsics are {off} from the pose that the images ask for, more than the "
            f"{limits} that are tolerated, but that pose may be wrong by as much, {known}: record "
            "more, and more varied, robot poses to tell"
        )
    else:
        sentence = (
            f"the extrinsics are off by {off} from the pose that the images ask for, {known}; "
            f"{limits} are tolerated: calibrate again"
        )
    rejected = share > REJECTED_SHARE and not chance
    return "rejected" if rejected else "warning", (sentence, *verdict.reasons)


def checked_calibration(check: ExtrinsicsCheck, notes: tuple[str, ...] = ()) -> Calibration:
    """Return the given pose, unchanged, with the check's verdict and figures.

    Where the recording does not allow a judgement the verdict is "rejected": nobody vouches for
    the pose.

    Args:
        check: What was found.
        notes: What is worth knowing, one sentence each.
    """
    reference = check.reference
    recording, kinematics = reference.recording, reference.robot.kinematics
    solution = reference.solution
    used = solution.result.used
    frames = solution.frame_table(check.given.iou, check.given.contour_px)
    status = "rejected" if check.status == "cannot say" else check.status
    quality = {
        "estimated_error_position_mm": check.difference.position_mm,
        "estimated_error_rotation_deg": check.difference.rotation_deg,
        "estimated_error_on_robot_mm": check.add_mm,
        "contour_median_px": check.contour_px,
        "contour_median_of_best_px": check.best_contour_px,
        "iou_median": float(np.median(check.given.iou[used])),
        "outline_share": float(np.median(check.given.outline_share[used])),
    }
    uncertainty = solution.diagnosis.uncertainty
    if uncertainty is not None:
        # The pose may be off by what was measured, and by what the measurement may be off.
        quality["expected_position_mm"] = (
            check.difference.position_mm + uncertainty.expected_position_mm
        )
        quality["expected_rotation_deg"] = (
            check.difference.rotation_deg + uncertainty.expected_rotation_deg
        )
    return Calibration(
        T_camera_base=check.T_camera_base,
        camera=recording.camera,
        robot=RobotRecord(
            reference.robot.name,
            kinematics.base_frame,
            description_hash=reference.robot.description_hash,
        ),
        verdict=Verdict(status, check.reasons, solution.verdict.findings),
        provenance=Provenance(
            recording=recording.source,
            fingerprint=recording.fingerprint,
            package_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            frames_used=tuple(frame.index for frame in frames if frame.used),
            settings=reference.settings.to_mapping(),
        ),
        quality={name: value for name, value in quality.items() if np.isfinite(value)},
        frames=frames,
        notes=notes,
        lag_ms=1e3 * check.best.lag_s,
    )


def check_evidence(check: ExtrinsicsCheck) -> Evidence:
    """Return what was seen in the images of a check."""
    solution = check.reference.solution
    result = solution.result
    return Evidence(solution.observations.view, result.masks, None, "", result.timing)
