# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.results.atomic_file import ResultError


def test_colours_survive(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    save_png(tmp_path / "new" / "x.png", image)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x.png"]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "x.png"))[:, :, ::-1], image)


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultError, match=r"cannot write .*x\.png"):
        save_png(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), dtype=np.uint8))
