# SPDX-License-Identifier: Apache-2.0
"""What the pipeline does with what a measurer says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.progress import Progress, silent
from calib_all_ros.settings import RefinementSettings, Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.pipeline import (
    CoarsePose,
    FitFigures,
    Start,
    Trace,
    estimated_parameters,
    find_pose,
    refine_pose,
)
from calib_all_ros.solving.search import StartAgreement
from calib_all_ros.solving.timing import FrameTiming, LagCurve

GIVEN = Start(np.eye(4), "mark")


@dataclass(frozen=True)
class ScriptedFit:
    estimate: Estimate
    support: float
    used: tuple[int, ...]
    parameters: Parameters
    trace: Trace = ()


@dataclass
class ScriptedMeasurer:
    """Says how much supports the fit of each attempt, and which images fit."""

    supports: list[float]
    fits: NDArray[np.bool_] = field(default_factory=lambda: np.ones(8, bool))
    lag_s: float = 0.05
    agreeing: int = 2
    convincing_support: float = 0.5
    min_fitting_frames: int = 3
    seeds: list[int] = field(default_factory=list)
    given: list[tuple[Start, ...]] = field(default_factory=list)
    refits: list[tuple[ScriptedFit, Estimate, Parameters]] = field(default_factory=list)

    def parameters(self, wanted: RefinementSettings) -> Parameters:
        return estimated_parameters(wanted)

    def coarse_pose(self, given: tuple[Start, ...], seed: int, on_progress: Progress) -> CoarsePose:
        self.seeds.append(seed)
        self.given.append(given)
        T = np.eye(4)
        T[2, 3] = len(self.seeds)
        return CoarsePose(
            Start(T, "search"), Estimate(T), StartAgreement(6, self.agreeing, 0.1 * T[2, 3])
        )

    def refine(self, start: Estimate, parameters: Parameters, on_progress: Progress) -> ScriptedFit:
        estimate = Estimate(start.T_camera_base, self.lag_s)
        support = self.supports[len(self.seeds) - 1] if self.seeds else 1.0
        return ScriptedFit(estimate, support, (), parameters, ((estimate, 0.5),))

    def refit(
        self, fit: ScriptedFit, start: Estimate, use: NDArray[np.intp], parameters: Parameters
    ) -> ScriptedFit:
        self.refits.append((fit, start, parameters))
        return ScriptedFit(start, fit.support, tuple(use.tolist()), parameters)

    def support(self, fit: ScriptedFit) -> float:
        return fit.support

    def agreement(self, fit: ScriptedFit, tried: Sequence[CoarsePose]) -> StartAgreement:
        assert fit.support == max(self.supports[: len(tried)])
        return reduce(StartAgreement.joined, (coarse.agreement for coarse in tried))

    def timing(self, fit: ScriptedFit) -> FrameTiming:
        ones = np.ones(len(self.fits))
        curve = LagCurve(np.zeros(1), np.zeros(1))
        return FrameTiming(ones, ones, 0.2 * ones, self.fits, ~self.fits, curve)

    def figures(self, fit: ScriptedFit, used: NDArray[np.bool_]) -> FitFigures:
        count = len(used)
        return FitFigures(np.ones(count), np.zeros(count), np.zeros((count, 1, 1), bool), None, {})


def settings(attempts: int = 3) -> Settings:
    return Settings.from_mapping({"seed": 7, "search": {"attempts": attempts}})


@pytest.mark.parametrize(
    ("supports", "attempts", "best"),
    [([0.5], 1, 1), ([0.49, 0.6], 2, 2), ([0.4, 0.3, 0.2], 3, 1), ([0.1, 0.3, 0.2], 3, 2)],
)
def test_other_starts_are_tried_while_little_supports_the_pose(
    supports: list[float], attempts: int, best: int
) -> None:
    measurer = ScriptedMeasurer(supports)
    result = find_pose(measurer, settings(), (GIVEN,))
    assert measurer.seeds == [7, 8, 9][:attempts]
    assert measurer.given == [(GIVEN,), (), ()][:attempts]
    assert result.estimate.T_camera_base[2, 3] == best
    assert result.start.T_camera_base[2, 3] == best
    assert result.starts == StartAgreement(6 * attempts, 2 * attempts, 0.1 * attempts)


@pytest.mark.parametrize(("fitting", "refitted"), [(8, False), (3, True), (2, False)])
def test_late_images_are_left_out_where_enough_others_fit(fitting: int, refitted: bool) -> None:
    measurer = ScriptedMeasurer([1.0], fits=np.arange(8) < fitting)
    result = refine_pose(measurer, settings(), GIVEN)
    assert bool(measurer.refits) == refitted
    assert np.count_nonzero(result.used) == (fitting if refitted else 8)
    assert result.quality["late_frames"] == 8 - fitting
    late = np.isfinite(result.own_lag_s)
    assert late.tolist() == (~measurer.fits).tolist()
    # What a late image's own lag adds to the lag that the result has.
    expected = 0.2 + 0.05 - result.estimate.lag_s
    np.testing.assert_allclose(result.own_lag_s[late], expected)
    assert result.start is GIVEN and result.starts.tried == 0


@pytest.mark.parametrize(("fitting", "lag"), [(5, True), (4, False)])
def test_a_lag_between_few_key_frames_is_not_estimated(fitting: int, lag: bool) -> None:
    measurer = ScriptedMeasurer([1.0], fits=np.arange(8) < fitting)
    result = find_pose(measurer, settings(), (), silent)
    ((_, start, parameters),) = measurer.refits
    assert parameters.lag == lag == result.parameters.lag
    assert start.lag_s == (0.05 if lag else 0.0)


def test_the_paper_estimates_the_pose_alone() -> None:
    parameters = estimated_parameters(RefinementSettings(method="adam", focal_scale=True))
    assert parameters == Parameters(lag=False, mask_bias=False)


def test_starts_that_all_agree_need_no_further_search() -> None:
    measurer = ScriptedMeasurer([0.1, 0.2, 0.3], agreeing=6)
    find_pose(measurer, settings())
    assert measurer.seeds == [7]
