# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np

from calib_all_ros.evidence.record import Evidence, LagCurve
from calib_all_ros.report import plots
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import FrameQuality


def words_in(svg: str | None) -> list[str]:
    assert svg is not None
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.text]


def test_every_image_has_its_number_and_its_figures(calibration: Calibration) -> None:
    svg = plots.frames_plot(calibration.frames, 12.0)
    words = words_in(svg)
    for number in ("1", "4", "7", "10", "13", "16"):
        assert number in words
    for text in ("outline, px", "overlap (IoU)", "own lag, ms", "used", "left out"):
        assert words.count(text) == 1
    assert "lag of all images, 12.0 ms" in words
    assert svg is not None and "left out: 7." in svg


def test_what_nobody_measured_has_no_panel(calibration: Calibration) -> None:
    frames = [replace(frame, lag_ms=None, contour_px=None) for frame in calibration.frames]
    words = words_in(plots.frames_plot(frames, 12.0))
    assert "overlap (IoU)" in words
    assert not {"outline, px", "own lag, ms"} & set(words)
    assert plots.frames_plot([FrameQuality(0, 0), FrameQuality(1, 1)], None) is None
    assert plots.frames_plot([], None) is None


def test_many_images_share_the_room_for_their_numbers() -> None:
    frames = [FrameQuality(1000 + i, i, 0.9) for i in range(60)]
    words = words_in(plots.frames_plot(frames, None))
    assert "1000" in words
    assert 10 <= sum(word.startswith("10") for word in words) <= 16
    assert "left out" not in words


def test_lag_curve_names_its_peak_and_the_lag_of_the_result(evidence: Evidence) -> None:
    assert evidence.timing is not None
    words = words_in(plots.lag_plot(evidence.timing, 14.0))
    assert "lag of the result, 14.0 ms" in words
    assert "best agreement, 20 ms" in words
    assert not any(
        "lag of the result" in word for word in words_in(plots.lag_plot(evidence.timing, None))
    )


def test_lag_curve_bears_lags_that_were_not_measured() -> None:
    curve = LagCurve(np.array([-0.1, 0.0, 0.1]), np.array([np.nan, 0.2, 0.4]))
    assert "best agreement, 100 ms" in words_in(plots.lag_plot(curve, None))


def test_way_to_the_result_names_its_stages(calibration: Calibration, evidence: Evidence) -> None:
    svg = plots.convergence_plot(evidence.trace, calibration.T_camera_base)
    words = words_in(svg)
    assert [word for word in words if word in ("search", "coarse", "refine")] == [
        "search",
        "coarse",
        "refine",
    ]
    # The last estimate is the result itself, which a logarithmic axis cannot show.
    assert "0.001 mm and 0.0001 deg at the last" in svg
