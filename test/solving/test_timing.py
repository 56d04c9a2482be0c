# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_measurer import mask_timing
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem
from calib_all_ros.solving.timing import FrameTiming, candidate_lags, frame_timing

FRAMES = np.arange(3, 17)


def examine(
    robot: Robot,
    recording: SimulatedRecording,
    motion: RobotMotion,
    moved_ns: dict[int, int],
    lag_s: float = 0.0,
) -> FrameTiming:
    """Examine images whose stamps were moved."""
    stamps = motion.stamps_ns[FRAMES].copy()
    for frame, shift in moved_ns.items():
        stamps[frame] += shift
    problem = SilhouetteProblem(
        robot.surface,
        replace(motion, stamps_ns=stamps),
        recording.camera,
        recording.masks[FRAMES],
    )
    return mask_timing(problem, Estimate(recording.T_camera_base, lag_s))


def test_right_stamps_fit(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    timing = examine(demo_robot, simulated, simulated_motion, {})
    assert timing.fits.all() and not timing.late.any()
    assert timing.agreement.min() > 0.85
    assert np.abs(timing.best_lag_s).max() < 0.05


@pytest.mark.parametrize("shift_s", [0.3, -0.3])
def test_a_wrong_stamp_is_named_with_its_sign(
    demo_robot: Robot,
    simulated: SimulatedRecording,
    simulated_motion: RobotMotion,
    shift_s: float,
) -> None:
    moved = {5: round(shift_s * 1e9)}
    timing = examine(demo_robot, simulated, simulated_motion, moved)
    assert np.flatnonzero(timing.late).tolist() == [5]
    assert np.flatnonzero(~timing.fits).tolist() == [5]
    # Stamped later than its light: a positive lag.
    assert timing.best_lag_s[5] == pytest.approx(shift_s, abs=0.06)
    assert timing.best_agreement[5] > timing.agreement[5] + 0.15


def test_lags_are_relative_to_the_common_one(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    common = dict.fromkeys(range(len(FRAMES)), 100_000_000)
    timing = examine(demo_robot, simulated, simulated_motion, {**common, 5: 400_000_000}, 0.1)
    assert np.flatnonzero(timing.late).tolist() == [5]
    assert timing.best_lag_s[5] == pytest.approx(0.3, abs=0.06)


def test_a_mask_of_something_else_is_not_explained_by_a_lag(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    other = replace(simulated, masks=simulated.masks.copy())
    other.masks[FRAMES[4]] = False
    other.masks[FRAMES[4], 5:40, 5:60] = True
    timing = examine(demo_robot, other, simulated_motion, {})
    assert not timing.fits[4] and not timing.late[4]
    assert timing.fits.sum() == len(FRAMES) - 1


def test_an_image_fits_that_agrees_along_four_fifths_of_what_the_best_does() -> None:
    lags_s = candidate_lags(np.arange(5) * 10**8)
    shares = np.full((5, len(lags_s)), 0.1)
    shares[:, len(lags_s) // 2] = [0.9, 0.73, 0.71, 0.5, 0.2]
    # A lag explains it that wins an eighth of the outline, and comes to half of the best in all.
    shares[2, 3] = 0.84
    shares[3, 3] = 0.61
    shares[4, 3] = 0.44
    found = frame_timing(shares, lags_s, 0.0)
    assert found.fits.tolist() == [True, True, False, False, False]
    assert found.late.tolist() == [False, False, True, False, False]
    shares[3, 3], shares[4, 3] = 0.63, 0.46
    assert frame_timing(shares, lags_s, 0.0).late.tolist() == [False, False, True, True, True]
