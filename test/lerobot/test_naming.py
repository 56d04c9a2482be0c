# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from calib_all_ros.lerobot.naming import calibration_key, camera_name, matrix_names


@pytest.mark.parametrize(
    "key, name",
    [
        ("observation.images.top", "top"),
        ("observation.images.cam.left", "cam.left"),
        ("observation.image", "camera"),
        ("observation.images.wrist_image", "wrist_camera"),
        ("image", "camera"),
        ("exterior_image_1_left", "exterior_camera_1_left"),
    ],
)
def test_names_that_lerobot_does_not_take_for_pictures(key: str, name: str) -> None:
    assert camera_name(key) == name
    assert "image" not in calibration_key(key, "K")


def test_matrices_row_by_row() -> None:
    assert matrix_names("K", 2) == ("K_00", "K_01", "K_10", "K_11")
