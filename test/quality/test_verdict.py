# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.quality.jackknife import PoseUncertainty
from calib_all_ros.quality.verdict import VerdictLimits, judge
from calib_all_ros.results.records import Verdict
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.route import RouteResult, Start

COUNT = 6
LIMITS = VerdictLimits()
NUMBERS = np.array([2, 5, 9, 14, 20, 31])
GOOD = RouteResult(
    start=Start(np.eye(4), "search"),
    estimate=Estimate(np.eye(4)),
    used=np.ones(COUNT, bool),
    iou=np.full(COUNT, 0.96),
    contour_px=np.full(COUNT, 0.5),
    own_lag_s=np.full(COUNT, np.nan),
    masks=np.zeros((COUNT, 1, 1), bool),
    system=None,
    quality={"edge_share": 0.9},
)
SURE = PoseUncertainty(np.eye(6), 2.0, 0.1)


def verdict(
    uncertainty: PoseUncertainty | None = SURE, warnings: tuple[str, ...] = (), **changes: Any
) -> Verdict:
    return judge(replace(GOOD, **changes), NUMBERS, uncertainty, warnings)


def test_good_figures_are_accepted_without_a_word() -> None:
    assert verdict() == Verdict("accepted", ())


@pytest.mark.parametrize(
    ("iou", "status"),
    [(LIMITS.doubted_iou - 0.01, "warning"), (LIMITS.rejected_iou - 0.01, "rejected")],
)
def test_low_overlap(iou: float, status: str) -> None:
    found = verdict(iou=np.full(COUNT, iou))
    assert found.status == status
    assert len(found.reasons) == 1 and f"only {iou:.2f}" in found.reasons[0]
    assert "wrong robot model" in found.reasons[0]


def test_overlap_of_frames_that_were_left_out_does_not_count() -> None:
    used = np.array([True] * 4 + [False] * 2)
    found = verdict(iou=np.where(used, 0.95, 0.2), used=used)
    assert all("overlaps what the images show" not in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("share", "status"),
    [
        (LIMITS.doubted_edge_share - 0.01, "warning"),
        (LIMITS.rejected_edge_share - 0.01, "rejected"),
    ],
)
def test_outline_without_edges(share: float, status: str) -> None:
    found = verdict(quality={"edge_share": share})
    assert found.status == status
    assert "coincides with edges" in found.reasons[0]


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("outline_share", "outline_share", "runs along the masks'"),
        ("edge_within_1px_share", "close_share", "within a pixel"),
    ],
)
def test_outline_apart_from_masks_or_edges(name: str, limit: str, words: str) -> None:
    for verb, status in (("doubted", "warning"), ("rejected", "rejected")):
        share = getattr(LIMITS, f"{verb}_{limit}") - 0.01
        found = verdict(quality={name: share})
        assert found.status == status
        assert words in found.reasons[0] and f"{100 * share:.0f} %" in found.reasons[0]
    assert verdict(quality={name: float("nan")}).status == "rejected"


@pytest.mark.parametrize(("scale", "word"), [(1.0, "longer"), (-1.0, "shorter")])
def test_a_wrong_focal_length_is_told(scale: float, word: str) -> None:
    for verb, status in (("doubted", "warning"), ("rejected", "rejected")):
        error = getattr(LIMITS, f"{verb}_focal_error") + 0.002
        wish = {"free_focal_scale": 1 + scale * error, "free_focal_scale_sigma": 0.001}
        found = verdict(quality=wish)
        assert found.status == status
        assert f"{100 * error:.1f} % {word}" in found.reasons[0]
        # What the images cannot tell for sure is not held against the intrinsics.
        vague = {**wish, "free_focal_scale_sigma": error}
        assert verdict(quality=vague).status == "accepted"


def test_edges_are_not_asked_for_with_masks() -> None:
    assert verdict(quality={}).status == "accepted"


@pytest.mark.parametrize(
    ("position_mm", "rotation_deg", "status"),
    [
        (LIMITS.doubted_position_mm + 1, 0.0, "warning"),
        (0.0, LIMITS.doubted_rotation_deg + 0.1, "warning"),
        (LIMITS.rejected_position_mm + 1, 0.0, "rejected"),
        (0.0, LIMITS.rejected_rotation_deg + 0.1, "rejected"),
    ],
)
def test_uncertain_pose(position_mm: float, rotation_deg: float, status: str) -> None:
    found = verdict(PoseUncertainty(np.eye(6), position_mm, rotation_deg))
    assert found.status == status
    assert f"{position_mm:.0f} mm and {rotation_deg:.1f} deg" in found.reasons[0]
    assert "record more" in found.reasons[0]


def test_unknown_uncertainty_is_no_certainty() -> None:
    found = verdict(None)
    assert found.status == "rejected" and "too few frames" in found.reasons[0]


@pytest.mark.parametrize(("sign", "word"), [(1, "late"), (-1, "early")])
def test_a_large_lag_is_told_with_its_sign(sign: int, word: str) -> None:
    lag_s = sign * (LIMITS.doubted_lag_s + 0.05)
    found = verdict(estimate=Estimate(np.eye(4), lag_s=lag_s))
    assert found.status == "warning"
    assert f"{abs(lag_s) * 1e3:.0f} ms too {word}" in found.reasons[0]


def test_images_that_are_not_synchronised_are_named_by_their_numbers() -> None:
    used = np.array([True, True, True, True, False, False])
    own_lag_s = np.array([np.nan] * 4 + [0.25, -0.5])
    found = verdict(used=used, own_lag_s=own_lag_s)
    assert found.status == "warning"
    (reason,) = found.reasons
    assert "2 of 6 images" in reason
    assert "20 (shows the robot as it was about 0.25 s earlier)" in reason
    assert "31 (shows the robot as it was about 0.50 s later)" in reason
    assert "rests on images 2, 5, 9, 14" in reason


def test_images_that_no_lag_explains_are_named_as_such() -> None:
    used = np.array([True, True, True, True, True, False])
    (reason,) = verdict(used=used).reasons
    assert "no lag explains: 31" in reason and "out of step" not in reason


def test_few_good_frames_are_rejected() -> None:
    used = np.array([True, True, False, False, False, False])
    found = verdict(used=used, own_lag_s=np.where(used, np.nan, 0.3))
    assert found.status == "rejected"


def test_known_trouble_is_passed_on() -> None:
    found = verdict(warnings=("3 of 60 images are left out",))
    assert found == Verdict("warning", ("3 of 60 images are left out",))


def test_the_gravest_reason_comes_first() -> None:
    found = verdict(
        warnings=("something small",),
        iou=np.full(COUNT, LIMITS.doubted_iou - 0.01),
        quality={"edge_share": 0.1},
    )
    assert found.status == "rejected" and len(found.reasons) == 3
    assert "edges" in found.reasons[0]


@pytest.mark.parametrize(
    "broken", [{"iou": np.full(COUNT, np.nan)}, {"used": np.zeros(COUNT, bool)}]
)
def test_figures_that_could_not_be_measured_are_not_accepted(broken: dict[str, Any]) -> None:
    assert verdict(**broken).status == "rejected"


def test_an_uncertainty_that_is_not_a_number_is_not_accepted() -> None:
    nan = float("nan")
    assert verdict(PoseUncertainty(np.eye(6), nan, nan)).status == "rejected"
