# SPDX-License-Identifier: Apache-2.0
"""Tests of what else may be wrong, and the findings they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Cause, Finding, Severity
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    MASK_BIAS,
    POSE_SIZE,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
)
from calib_all_ros.solving.frame_systems import FrameSystems
from calib_all_ros.solving.gauss_newton import CORRELATED_PIXELS
from calib_all_ros.solving.normal_equations import jackknife
from calib_all_ros.solving.pose_errors import PoseChange, pose_change

# A wrong parameter draws others along; what explains less than this share of the best is one.
SHADOW_SHARE = 0.6
# Where the outline hardly agrees, the measurements are those of something else, and only what
# explains most of them counts. What explains so much is noted even if it hardly moves the camera.
DOMINANT_GAIN = 0.3
NEARLY = 0.8
FOLDS = 4
MIN_IMAGES = 4
# Wide on purpose: what is asked is what the images say.
LAG_SIGMA_S = 0.3
BIAS_SIGMA_PX = 3.0
FOCAL_SIGMA = 0.2
POINT_SIGMA_SHARE = 0.1
DISTORTION_SIGMA = 0.3
JOINT_SIGMA = 0.3
DRIFT_SIGMA = 0.3
STEP_SIGMA = 0.2
ORIGIN_SIGMA_M = 0.1


def hypothesis_findings(
    tests: Sequence[HypothesisTest],
    joint_names: Sequence[str],
    frame_numbers: NDArray[np.intp],
    stamps_s: NDArray[np.float64],
    limits: VerdictLimits,
    *,
    misfit: bool = False,
    from_edges: bool = False,
) -> list[Finding]:
    """Return what the tests say is wrong.

    Args:
        tests: Of all hypotheses.
        joint_names: (J,) of the robot.
        frame_numbers: (M,) numbers in the recording of the fitted images.
        stamps_s: (M,) their times in seconds after the recording's first image.
        limits: The limits.
        misfit: Whether the outline is too far from what is seen for small corrections.
        from_edges: Whether the pose was fitted to edges in the images instead of masks.
    """
    counting = [
        test
        for test in tests
        if _counts(test, limits, misfit=misfit)
        and not (from_edges and _within_edge_tolerance(test, limits))
    ]
    counting.sort(key=lambda test: -test.gain)
    findings: list[Finding] = []
    for test in counting:
        if test.gain < SHADOW_SHARE * counting[0].gain:
            break
        severity = _severity(test, limits)
        # A focal length that may be wrong is told earlier than it is held for certain.
        uncertain = test.significance < 0.5 * limits.hypothesis_significance
        if severity == "rejected" and (uncertain or test.gain < limits.hypothesis_gain):
            severity = "warning"
        if severity is None and test.gain >= DOMINANT_GAIN:
            severity = "note"
        cause, what, advice = _words(test, joint_names, frame_numbers, stamps_s)
        if severity is None or cause in [finding.cause for finding in findings]:
            continue
        evidence = (
            f"{what} would explain {100 * test.gain:.0f} % of what is left between the robot's "
            f"outline and images held out, and move the camera by {test.change.position_mm:.0f} mm "
            f"and {test.change.rotation_deg:.1f} deg"
        )
        findings.append(Finding(cause, severity, evidence, advice, _strength(test, limits)))
    return findings


def _counts(test: HypothesisTest, limits: VerdictLimits, *, misfit: bool) -> bool:
    # More parameters explain more by chance; a step of the pose is looked for at every image.
    least = limits.hypothesis_gain * (2.0 * len(test.value) - 1.0)
    significance = limits.hypothesis_significance
    if misfit:
        return test.gain >= DOMINANT_GAIN and test.significance >= 0.5 * significance
    if test.gain >= DOMINANT_GAIN:
        significance *= 0.5
    if test.name == "focal":
        certain = test.significance >= NEARLY * limits.hypothesis_significance
        if certain and test.gain >= limits.certain_focal_gain:
            return True
        significance = limits.focal_significance
    return test.gain >= least and test.significance >= significance


def _within_edge_tolerance(test: HypothesisTest, limits: VerdictLimits) -> bool:
    return test.name == "focal" and abs(float(test.value[0])) < limits.edge_focal_tolerance


def _severity(test: HypothesisTest, limits: VerdictLimits) -> Severity | None:
    change = test.change
    if (
        change.position_mm > limits.rejected_change_mm
        or change.rotation_deg > limits.rejected_change_deg
    ):
        return "rejected"
    if (
        change.position_mm > limits.warning_change_mm
        or change.rotation_deg > limits.warning_change_deg
    ):
        return "warning"
    return None


def _strength(test: HypothesisTest, limits: VerdictLimits) -> float:
    """The best explanation comes first, however far the camera would move."""
    return 1.0 + test.gain / limits.hypothesis_gain


def _words(
    test: HypothesisTest,
    joint_names: Sequence[str],
    frame_numbers: NDArray[np.intp],
    stamps_s: NDArray[np.float64],
) -> tuple[Cause, str, str]:
    value = test.value
    if test.name == "focal":
        return (
            "wrong_intrinsics",
            f"a focal length {100 * abs(value[0]):.1f} % {'longer' if value[0] > 0 else 'shorter'} "
            "than camera_info says",
            "calibrate the intrinsics, or set refinement.focal_scale to true",
        )
    if test.name == "principal_point":
        return (
            "wrong_intrinsics",
            f"a principal point {value[0]:+.0f}, {value[1]:+.0f} px from where camera_info has it",
            "calibrate the intrinsics, and check that images were not cropped or resized after "
            "camera_info was made",
        )
    if test.name == "distortion":
        return (
            "wrong_intrinsics",
            f"lens distortion that camera_info does not have (k1 about {value[0]:+.3f})",
            "calibrate the intrinsics with distortion, and check that a raw image topic is not "
            "used with a rectified one's camera_info",
        )
    if test.name == "joint":
        return (
            "wrong_robot_model",
            f"joint '{joint_names[test.subject]}' being {value[0]:+.3f} rad or m from what it "
            "reports",
            "check the joint's zero position and that the URDF is this robot's; "
            "refinement.joint_offsets estimates small offsets",
        )
    if test.name == "origin":
        return (
            "wrong_robot_model",
            f"joint '{joint_names[test.subject]}' sitting {1e3 * np.linalg.norm(value):.0f} mm "
            "from where the robot description has it",
            "check that the URDF is this robot's, with its length of links, mounts and tool",
        )
    if test.name == "lag_drift":
        return (
            "images_late",
            f"a lag that drifts by {1e3 * value[0]:+.1f} ms a second",
            "synchronise the clocks of camera and robot (NTP or PTP), or calibrate from a shorter "
            "stretch (--start, --end)",
        )
    first = test.subject
    number, seconds = int(frame_numbers[first]), float(stamps_s[first])
    middle = float(stamps_s[0] + stamps_s[-1]) / 2
    cut = f"--end {seconds:.1f}" if seconds > middle else f"--start {seconds:.1f}"
    return (
        "camera_moved",
        f"another camera pose from image {number} on ({seconds:.1f} s after the first)",
        f"mount the camera firmly and record again, or calibrate from one side only ({cut})",
    )


@dataclass(frozen=True)
class HypothesisTest:
    """What freeing further parameters would change.

    Attributes:
        name: "focal", "principal_point", "distortion", "joint", "origin", "lag_drift" or
            "pose_step".
        subject: The joint's index (the one whose origin sits elsewhere, for "origin"), or the
            number of the first image after a step; else -1.
        value: (Q,) the parameters: a factor less one; pixels; k1; rad or m; s/s; rad and m.
        sigma: (Q,) their standard deviations.
        gain: By which share the squared residuals of held-out images fall; negative where they
            grow.
        change: By how much the camera would be elsewhere.
    """

    name: str
    subject: int
    value: NDArray[np.float64]
    sigma: NDArray[np.float64]
    gain: float
    change: PoseChange

    @property
    def significance(self) -> float:
        """The largest parameter over its standard deviation."""
        return float(np.max(np.abs(self.value) / np.maximum(self.sigma, 1e-12)))


@dataclass(frozen=True)
class _Design:
    """Freed parameters as factors on the columns of `FrameSystems`, group by group."""

    factors: NDArray[np.float64]
    sigma: NDArray[np.float64]


def examine_hypotheses(
    systems: FrameSystems,
    fitted: NDArray[np.intp],
    T_camera_base: NDArray[np.float64],
    image_width_px: int,
    moving_joints: NDArray[np.intp],
) -> list[HypothesisTest]:
    """Test all hypotheses.

    Args:
        systems: The measurements of each image, at the result.
        fitted: The parameters that the fit estimated (`Parameters.columns`).
        T_camera_base: The result.
        image_width_px: Width of the images.
        moving_joints: Joints whose offsets can show.

    Returns:
        One test each; none where there are too few images.
    """
    if len(np.unique(systems.frame)) < MIN_IMAGES:
        return []
    base = _base_design(systems, fitted)
    tests = []

    def test(name: str, subject: int, extra: _Design) -> None:
        outcome = _compare(systems, base, extra)
        if outcome is None:
            return
        value, sigma, gain, twist = outcome
        change = pose_change(twist, T_camera_base, systems.centre)
        tests.append(HypothesisTest(name, subject, value, sigma, gain, change))

    free = set(fitted.tolist())
    if FOCAL_SCALE not in free:
        test("focal", -1, _constant(systems, [FOCAL_SCALE], [FOCAL_SIGMA]))
    point = [POINT_SIGMA_SHARE * image_width_px] * 2
    test("principal_point", -1, _constant(systems, list(PRINCIPAL_POINT), point))
    test("distortion", -1, _constant(systems, [RADIAL_DISTORTION], [DISTORTION_SIGMA]))
    for joint in moving_joints:
        column = FIRST_JOINT + int(joint)
        if column not in free:
            test("joint", int(joint), _constant(systems, [column], [JOINT_SIGMA]))
        origin = systems.origin_columns(int(joint))
        test("origin", int(joint), _constant(systems, origin, [ORIGIN_SIGMA_M] * 3))
    if len(systems) >= 2 * MIN_IMAGES:
        test("lag_drift", -1, _drift(systems))
        images = np.unique(systems.frame)
        for first in images[2:-1]:
            test("pose_step", int(first), _step(systems, int(first)))
    return tests


def prior_sigmas(parameters: int) -> NDArray[np.float64]:
    """Return the (P,) standard deviations that regularise the tests; the pose is free."""
    sigma = np.full(parameters, JOINT_SIGMA)
    sigma[:POSE_SIZE] = 10.0
    sigma[LAG] = LAG_SIGMA_S
    sigma[MASK_BIAS] = BIAS_SIGMA_PX
    sigma[FOCAL_SCALE] = FOCAL_SIGMA
    sigma[list(PRINCIPAL_POINT)] = 50.0
    sigma[RADIAL_DISTORTION] = DISTORTION_SIGMA
    sigma[FIRST_JOINT + (parameters - FIRST_JOINT) // 4 :] = ORIGIN_SIGMA_M
    return sigma


def _base_design(systems: FrameSystems, fitted: NDArray[np.intp]) -> _Design:
    sigmas = prior_sigmas(systems.H.shape[1])
    return _constant(systems, list(fitted), sigmas[fitted].tolist())


def _constant(systems: FrameSystems, columns: list[int], sigma: list[float]) -> _Design:
    factors = np.zeros((len(systems), systems.H.shape[1], len(columns)))
    factors[:, columns, np.arange(len(columns))] = 1.0
    return _Design(factors, np.array(sigma))


def _drift(systems: FrameSystems) -> _Design:
    """A lag that grows with time."""
    times = systems.stamps_s[systems.frame]
    factors = np.zeros((len(systems), systems.H.shape[1], 1))
    factors[:, LAG, 0] = times - times.mean()
    return _Design(factors, np.array([DRIFT_SIGMA]))


def _step(systems: FrameSystems, first: int) -> _Design:
    """Another pose from an image on."""
    factors = np.zeros((len(systems), systems.H.shape[1], POSE_SIZE))
    after = systems.frame >= first
    factors[:, np.arange(POSE_SIZE), np.arange(POSE_SIZE)] = after[:, None]
    return _Design(factors, np.full(POSE_SIZE, STEP_SIGMA))


def _compare(
    systems: FrameSystems, base: _Design, extra: _Design
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]] | None:
    """Return value, sigma, held-out gain, and the (6,) twist that the pose would make."""
    size = base.factors.shape[2]
    noise = max(systems.variance_px2 * CORRELATED_PIXELS, 1e-12)
    equations = systems.divided(noise)
    alone = equations.substituted(base.factors).with_priors(base.sigma)
    both = equations.substituted(np.concatenate([base.factors, extra.factors], axis=2)).with_priors(
        np.concatenate([base.sigma, extra.sigma])
    )
    _, image = np.unique(systems.frame, return_inverse=True)
    try:
        solution = both.solve()
        twist = solution[:POSE_SIZE] - alone.solve()[:POSE_SIZE]
        variance = np.diag(jackknife(both.left_out(image)))[size:]
        cost_alone = alone.held_out_cost(image % FOLDS)
        cost_both = both.held_out_cost(image % FOLDS)
    except np.linalg.LinAlgError:
        return None
    gain = 1.0 - cost_both / cost_alone if cost_alone > 0.0 else 0.0
    return solution[size:], np.sqrt(variance), gain, twist
