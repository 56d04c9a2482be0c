# SPDX-License-Identifier: Apache-2.0
"""Clicks as people write them."""

from __future__ import annotations

import pytest

from calib_all_ros.masks.following import Click, read_clicks
from calib_all_ros.masks.segmentation import SegmentationError


def test_clicks_are_read_with_and_without_image() -> None:
    found = read_clicks(["310,220@7", "12.5, 40"], ["3,4"])
    assert found == (Click(0, 3, 4, False), Click(0, 12.5, 40.0), Click(7, 310, 220))


@pytest.mark.parametrize("text", ["", "12", "12,", "a,b", "1,2@", "1,2@-1", "1,2,3", "-1,2"])
def test_what_is_no_click_is_said(text: str) -> None:
    with pytest.raises(SegmentationError, match="is no click: write U,V or U,V@IMAGE"):
        read_clicks([text], [])


def test_clicks_beside_the_robot_alone_are_no_answer() -> None:
    with pytest.raises(SegmentationError, match="image 3 has clicks beside the robot only"):
        read_clicks(["1,2@0"], ["5,6@3"])
