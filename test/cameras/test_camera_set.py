# SPDX-License-Identifier: Apache-2.0
"""Two simulated cameras of one motion, calibrated by themselves and together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros import camera_set
from calib_all_ros.calibration import calibrate
from calib_all_ros.camera_set import SeparateResult, refine_cameras
from calib_all_ros.geometry import se3
from calib_all_ros.results.records import Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.joint_refinement import JointRefinementError
from calib_all_ros.solving.pose_errors import compatibility, pose_difference

LAG_S = 0.03
NAMES = ("left", "right")


def offsets_of(robot: Robot) -> np.ndarray:
    """Errors of the zero positions as large as real arms have them, in the middle of the arm."""
    offsets = np.zeros(len(robot.kinematics.joint_names))
    offsets[1:4] = np.radians([0.2, -0.25, 0.2])
    return offsets


@pytest.fixture(scope="module")
def apart(two_views: Any, demo_robot: Robot) -> list[SeparateResult]:
    """Each camera by itself, joints that report too little and images that come late."""
    settings = two_views.settings(joint_offsets=True)
    results = []
    for number, name in enumerate(NAMES):
        recording = two_views.recording(number, LAG_S, offsets_of(demo_robot))
        run = calibrate(recording, demo_robot, settings=settings)
        results.append(SeparateResult(name, run.calibration, run.solution))
    return results


def errors_mm(calibrations: list[Any], two_views: Any) -> list[float]:
    return [
        1e3 * se3.difference(each.T_camera_base, view.T_camera_base)[1]
        for each, view in zip(calibrations, two_views.views, strict=True)
    ]


def test_together_they_are_nearer_to_the_truth(
    apart: list[SeparateResult], two_views: Any, demo_robot: Robot
) -> None:
    together = refine_cameras(apart)
    assert together.verdict.status == "accepted"
    assert together.joint is not None and together.joint.clocks == (NAMES,)
    refined = [together.calibrations[name] for name in NAMES]
    alone = [each.calibration for each in apart]
    assert np.mean(errors_mm(refined, two_views)) <= np.mean(errors_mm(alone, two_views))

    for each in refined:
        assert each.lag_ms == pytest.approx(1e3 * LAG_S, abs=0.5)
        np.testing.assert_allclose(each.stages["refined"], each.T_camera_base)
    names, truth = demo_robot.kinematics.joint_names, offsets_of(demo_robot)
    assert together.joint.joint_offsets is not None

    def offset_error(found: dict[str, float]) -> float:
        return float(np.linalg.norm([found[n] - t for n, t in zip(names, truth, strict=True)][:6]))

    own = [offset_error(each.joint_offsets or {}) for each in alone]
    assert offset_error(together.joint.joint_offsets) < max(own)
    assert refined[0].joint_offsets == refined[1].joint_offsets == together.joint.joint_offsets


def test_the_relative_pose_is_within_its_covariance(
    apart: list[SeparateResult], two_views: Any
) -> None:
    together = refine_cameras(apart)
    (pair,) = together.relative_poses
    assert (pair.a, pair.b) == NAMES
    first, second = (view.T_camera_base for view in two_views.views)
    truth = first @ se3.invert(second)
    # `pose_difference` compares inverses, as `T_camera_base` is one.
    found = pose_difference(se3.invert(pair.T_a_b), se3.invert(truth))
    compatible = compatibility(found, pair.covariance.matrix)
    assert compatible is not None and compatible.p_value > 0.01
    alone = apart[0].calibration.T_camera_base @ apart[1].calibration.T_base_camera
    by_themselves = pose_difference(se3.invert(alone), se3.invert(truth))
    # Both are within half a millimetre, where one camera's luck decides about a tenth.
    assert found.position_mm <= by_themselves.position_mm + 0.1
    assert found.rotation_deg <= by_themselves.rotation_deg
    # What both cameras have in common does not count.
    a, b = (together.calibrations[name].covariance for name in NAMES)
    assert a is not None and b is not None
    assert pair.covariance.matrix.trace() < a.matrix.trace() + b.matrix.trace() + 1e-4


def test_a_rejected_camera_stays_out(apart: list[SeparateResult], two_views: Any) -> None:
    bad = replace(apart[1].calibration, verdict=Verdict("rejected", ("no",)))
    separate = [apart[0], replace(apart[1], calibration=bad)]
    together = refine_cameras(separate)
    assert together.joint is None and together.relative_poses == ()
    assert together.verdict.status == "rejected"
    assert together.verdict.reasons == ("right: no",)
    assert any("right was rejected" in note for note in together.notes)
    assert together.calibrations["left"] is apart[0].calibration
    assert together.calibrations["right"] is bad


def late(result: SeparateResult, lag_s: float) -> SeparateResult:
    """The result of the same images, stamped later."""
    solution = result.solution
    estimate = replace(solution.result.estimate, lag_s=solution.result.estimate.lag_s + lag_s)
    return replace(
        result,
        calibration=replace(result.calibration, lag_ms=1e3 * estimate.lag_s),
        solution=replace(solution, result=replace(solution.result, estimate=estimate)),
    )


def test_cameras_on_two_clocks_keep_their_lags(apart: list[SeparateResult], two_views: Any) -> None:
    separate = [apart[0], late(apart[1], 0.02)]
    together = refine_cameras(separate)
    assert together.joint is not None and together.joint.clocks == (("left",), ("right",))
    lags = [together.calibrations[name].lag_ms for name in NAMES]
    assert lags[1] == pytest.approx(lags[0] + 20.0, abs=1.0)
    assert any("lags are not one" in note for note in together.notes)


def test_a_clock_that_the_images_contradict_is_told(
    apart: list[SeparateResult], two_views: Any
) -> None:
    near = refine_cameras([apart[0], late(apart[1], 0.004)], [NAMES])
    assert near.verdict.status == "warning"
    assert "on one clock disagree" in near.verdict.reasons[-1]
    assert near.calibrations["left"].lag_ms == near.calibrations["right"].lag_ms
    far = refine_cameras([apart[0], late(apart[1], 0.1)], [NAMES])
    assert far.joint is not None and far.joint.clocks == (("left",), ("right",))
    assert far.verdict.status == "warning"
    assert "contradict the clocks" in far.verdict.reasons[-1]


def test_frames_of_one_name_are_told(apart: list[SeparateResult], two_views: Any) -> None:
    camera = apart[0].calibration.camera
    alike = replace(apart[1], calibration=replace(apart[1].calibration, camera=camera))
    together = refine_cameras([apart[0], alike])
    assert together.verdict.status == "warning"
    assert "call their frame 'camera_0_optical_frame' alike" in together.verdict.reasons[0]


def test_cameras_that_cannot_be_refined_together_keep_their_results(
    apart: list[SeparateResult], two_views: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise JointRefinementError("record more varied robot poses")

    monkeypatch.setattr(camera_set, "refine_jointly", fail)
    together = refine_cameras(apart)
    assert together.joint is None and together.relative_poses == ()
    assert together.verdict.status == "warning"
    assert together.verdict.reasons[-1] == "record more varied robot poses"
    for each in apart:
        assert together.calibrations[each.name] is each.calibration
