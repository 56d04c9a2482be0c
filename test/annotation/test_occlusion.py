# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.geometry import se3
from calib_all_ros.robot.surface import RobotSurface


@pytest.fixture
def surface() -> RobotSurface:
    box = trimesh.creation.box(extents=(0.1, 0.1, 0.1))
    return RobotSurface.from_meshes([box, box, None], ["near", "far", "bare"])


def poses() -> np.ndarray:
    """Boxes straight ahead, their fronts 0.95 and 1.95 m away."""
    return np.stack([se3.make(np.eye(3), np.array([0.0, 0.0, z])) for z in (1.0, 2.0, 3.0)])


def test_only_what_is_nearer_on_the_same_ray_hides_a_point(surface: RobotSurface) -> None:
    points = np.array(
        [
            [0.0, 0.0, 0.5],  # before both
            [0.0, 0.0, 1.5],  # between them
            [0.0, 0.0, 3.0],  # behind both: the nearer one is seen
            [0.3, 0.0, 3.0],  # beside them
            [0.0, 0.0, -1.0],  # behind the camera
        ]
    )
    assert Occluders.of(surface).in_front_of(points, poses()) == ["", "near", "near", "", ""]
    without = Occluders.of(surface, ["near"]).in_front_of(points, poses())
    assert without == ["", "", "far", "", ""]


def test_point_on_a_surface_is_not_hidden_by_it(surface: RobotSurface) -> None:
    points = np.array([[0.0, 0.0, 0.954], [0.0, 0.0, 0.956]])
    assert Occluders.of(surface).in_front_of(points, poses()) == ["", "near"]


def test_edges_are_exact_to_far_less_than_a_pixel(surface: RobotSurface) -> None:
    # The front face is 0.95 m away and reaches to x = 0.05 m there.
    edge = 0.05 * 3.0 / 0.95
    points = np.array([[edge - 1e-5, 0.0, 3.0], [edge + 1e-5, 0.0, 3.0]])
    assert Occluders.of(surface).in_front_of(points, poses()) == ["near", ""]
