# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.solving.mark_reprojection import LinkPath


def swinging(lag_s: float) -> np.ndarray:
    """Two images; the link swings along x with the lag."""
    T = np.tile(np.eye(4), (2, 1, 1))
    T[:, 0, 3] = np.sin(np.array([0.0, 1.0]) - lag_s)
    return T


def test_interpolates_poses_and_rates() -> None:
    path = LinkPath.tabulated(swinging, 0.3)
    for lag_s in (-0.3, -0.123, 0.0, 0.004, 0.3):
        np.testing.assert_allclose(path.poses(lag_s), swinging(lag_s), atol=2e-5)
    expected = -np.cos(np.array([0.0, 1.0]) - 0.05)
    np.testing.assert_allclose(path.rates(0.05)[:, 0, 3], expected, atol=1e-3)


def test_lags_beyond_the_table_count_as_its_end() -> None:
    path = LinkPath.tabulated(swinging, 0.3)
    np.testing.assert_array_equal(path.poses(9.0), path.poses(0.3))
    assert np.isfinite(path.rates(0.3)).all()


def test_single_entry_does_not_move() -> None:
    path = LinkPath.tabulated(swinging, 0.0)
    np.testing.assert_array_equal(path.poses(0.2), swinging(0.0))
    assert not path.rates(0.0).any()


def test_known_needs_every_lag() -> None:
    def unknown_late(lag_s: float) -> np.ndarray:
        T = swinging(lag_s)
        if lag_s > 0.1:
            T[1] = np.nan
        return T

    assert LinkPath.tabulated(unknown_late, 0.3).known.tolist() == [True, False]
    assert LinkPath.tabulated(unknown_late, 0.05).known.tolist() == [True, True]


def test_subset_keeps_the_chosen_images() -> None:
    path = LinkPath.tabulated(swinging, 0.1).subset(np.array([False, True]))
    assert path.poses(0.0)[:, 0, 3] == pytest.approx([np.sin(1.0)])
