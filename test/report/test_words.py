# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import get_args

import pytest

from calib_all_ros.report import words
from calib_all_ros.results.records import Cause, Severity, Status


def test_everything_that_can_be_said_has_words() -> None:
    assert set(words.HEADLINES) == set(words.MEANINGS) == set(get_args(Status))
    assert set(words.CAUSES) == set(get_args(Cause))
    assert tuple(words.SEVERITIES) == get_args(Severity)
    assert len(set(words.CAUSES.values())) == len(words.CAUSES)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("contour_median_px", 0.2784, "0.278 pixels"),
        ("leave_some_out_position_mm", 12.34, "12.3 millimetres"),
        ("leave_some_out_rotation_deg", 0.0, "0 degrees"),
        ("edge_share", 0.752, "75.2 %"),
        ("iou_median", 0.9057, "0.9057"),
        ("late_frames", 3.0, "3"),
        ("free_focal_scale", 1.0, "1"),
        ("images_late_ms", 131.0, "131 milliseconds"),
        ("contour_median_px", float("nan"), "not a number pixels"),
        ("condition", 12345.6, "1.235e+04"),
    ],
)
def test_figures_carry_their_units_in_words(name: str, value: float, shown: str) -> None:
    row = words.figure_row(name, value)
    assert row.value == shown
    assert row.name == name


def test_unknown_figures_are_shown_by_their_names() -> None:
    assert words.figure_row("brand_new_px", 1.0).label == "Brand new"
    assert words.in_order({"brand_new_px": 1.0, "iou_worst": 0.5, "iou_median": 0.7}) == [
        "iou_median",
        "iou_worst",
        "brand_new_px",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567.0, "1234567"), (0.00012345, "0.000123"), (1.2e-7, "1.2e-07"), (-2.5, "-2.50")],
)
def test_numbers_are_readable(value: float, shown: str) -> None:
    assert words.number(value) == shown


def test_lags_have_a_direction() -> None:
    assert words.lag(381.2) == "381 ms too late"
    assert words.lag(-1.25) == "1.2 ms too early"


def test_sentences_begin_and_end_as_such() -> None:
    assert words.sentence("the camera moved") == "The camera moved."
    assert words.sentence(" Is it? ") == "Is it?"
