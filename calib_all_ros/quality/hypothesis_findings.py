# SPDX-License-Identifier: Apache-2.0
"""What the hypotheses that count mean in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.hypotheses import HypothesisTest
from calib_all_ros.quality.limits import VerdictLimits
from calib_all_ros.results.records import Cause, Finding, Severity

# A wrong parameter draws others along; what explains less than this share of the best is one.
SHADOW_SHARE = 0.6
# Where the outline hardly agrees, the measurements are those of something else, and only what
# explains most of them counts. What explains so much is noted even if it hardly moves the camera.
DOMINANT_GAIN = 0.3
NEARLY = 0.8


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
        doubtful = test.significance < 0.5 * limits.hypothesis_significance
        if severity == "rejected" and (doubtful or test.gain < limits.hypothesis_gain):
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
        change.position_mm > limits.doubted_change_mm
        or change.rotation_deg > limits.doubted_change_deg
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
