# SPDX-License-Identifier: Apache-2.0
"""The camera's uncertainty drawn beside the robot: sampled frusta from above and from the side.

The base frame's z axis points up in nearly every robot description; the views look along it and
along the horizontal axis from which the camera's distance shows best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.report import vector_graphics as vector
from calib_all_ros.results.records import Covariance
from calib_all_ros.robot.surface import RobotSurface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_SAMPLES = 60
_CENTRES = 400
_COUNTED = 20_000
_SEED = 0
_AXES = ("x", "y", "z")
_EXAGGERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# Errors are drawn as large as a reader can see them, and no larger.
_VISIBLE_SHARE = 0.06
_MOST_TURN_RAD = 0.12
# 50 % and 90 % of a normal distribution in the plane.
_ELLIPSE_RADII = ((0.5, 1.177), (0.9, 2.146))
_HULL_CELL_M = 0.01
_FRUSTUM_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Space:
    """What stands in the base frame.

    Attributes:
        T_base_camera: (4, 4).
        rays: (4, 3) the corners of the camera's view at depth 1, in the optical frame.
        surface: The robot, None where it is not known.
        T_base_link: (L, 4, 4) the robot in one of the images, None without one.
    """

    T_base_camera: Array
    rays: Array
    surface: RobotSurface | None = None
    T_base_link: Array | None = None


@dataclass(frozen=True)
class CloudViews:
    """Two pictures of the cloud, and what they show.

    Attributes:
        top: SVG, seen from above.
        side: SVG, seen from the side.
        exaggeration: How many times larger than they are the errors of the frusta are drawn.
    """

    top: str
    side: str
    exaggeration: int


def sample_errors(covariance: Covariance, count: int, seed: int = _SEED) -> Array:
    """Draw (count, 6) errors: displacement in metres and rotation vector, both along base axes."""
    # The decomposition takes covariances that leave a direction fixed, as Cholesky's would not.
    variances, directions = np.linalg.eigh((covariance.matrix + covariance.matrix.T) / 2)
    spread = directions * np.sqrt(np.maximum(variances, 0.0))
    normal = np.random.default_rng(seed).standard_normal((count, 6))
    return np.asarray(normal @ spread.T, dtype=np.float64)


def displaced(T_base_camera: Array, errors: Array) -> Array:
    """Return (N, 4, 4) camera poses with (N, 6) errors, about the axes that `Covariance` names."""
    poses = np.tile(T_base_camera, (len(errors), 1, 1))
    poses[:, :3, 3] += errors[:, :3]
    turned = Rotation.from_rotvec(errors[:, 3:]).as_matrix() @ T_base_camera[:3, :3]
    poses[:, :3, :3] = turned
    return poses


def ninety_percent(covariance: Covariance) -> tuple[float, float]:
    """Return within how many metres and radians 90 % of the errors lie."""
    errors = sample_errors(covariance, _COUNTED)
    sizes = np.linalg.norm(errors.reshape(-1, 2, 3), axis=2)
    position_m, rotation_rad = np.quantile(sizes, 0.9, axis=0)
    return float(position_m), float(rotation_rad)


def cloud_views(space: Space, covariance: Covariance) -> CloudViews:
    """Draw the cloud from above and from the side."""
    centre = space.T_base_camera[:3, 3]
    position_m, rotation_rad = ninety_percent(covariance)
    larger = _exaggeration(position_m, rotation_rad, float(np.linalg.norm(centre)))
    horizontal = 0 if abs(centre[0]) >= abs(centre[1]) else 1
    return CloudViews(
        _view(space, covariance, larger, (0, 1), "top view"),
        _view(space, covariance, larger, (horizontal, 2), "side view"),
        larger,
    )


def _exaggeration(position_m: float, rotation_rad: float, distance_m: float) -> int:
    """Return how many times the errors are enlarged so that one sees them, 1 if one does so."""
    wanted = _VISIBLE_SHARE * distance_m / max(position_m, 1e-9)
    allowed = min(wanted, _MOST_TURN_RAD / max(rotation_rad, 1e-9))
    return max([factor for factor in _EXAGGERATIONS if factor <= allowed], default=1)


def _view(
    space: Space,
    covariance: Covariance,
    larger: int,
    plane: tuple[int, int],
    title: str,
) -> str:
    errors = sample_errors(covariance, _CENTRES)
    exaggerated = displaced(space.T_base_camera, larger * errors[:_SAMPLES])
    with vector.drawing():
        figure = vector.new_figure(4.6)
        scene, near = figure.subplots(1, 2, width_ratios=(1.75, 1.0))
        _draw_robot(scene, space, plane)
        _draw_frusta(
            scene, exaggerated, space, plane, colors=vector.ACCENT, linewidths=0.6, alpha=0.22
        )
        _draw_frusta(
            scene, space.T_base_camera[None], space, plane, colors=vector.INK, linewidths=1.4
        )
        _draw_base(scene, space, plane)
        scene.set_aspect("equal", adjustable="datalim")
        _name_axes(scene, plane, "m")
        scene.set_title(title if larger == 1 else f"{title}, errors enlarged {larger} times")
        _draw_centres(near, covariance, errors, plane)
        _name_axes(near, plane, "mm")
        near.set_title("camera centre")
        name = title.split()[0]
        return vector.svg_of(figure, f"cloud-{name}", _description(title, larger))


def _description(title: str, larger: int) -> str:
    scale = "at true scale" if larger == 1 else f"with errors {larger} times larger than they are"
    return (
        f"Robot, camera and {_SAMPLES} frusta drawn from the covariance, {title}, {scale}; beside "
        "it the scatter of the camera's centre at true scale in millimetres."
    )


def _draw_robot(axes: Axes, space: Space, plane: tuple[int, int]) -> None:
    """Draw every link's outline, the farther ones first."""
    if space.surface is None or space.T_base_link is None:
        return
    surface = space.surface.simplified(_HULL_CELL_M)
    towards = ({0, 1, 2} - set(plane)).pop()
    hulls = []
    for link in np.unique(surface.link_of_vertex):
        vertices = surface.vertices[surface.link_of_vertex == link].astype(np.float64)
        points = se3.transform(space.T_base_link[link], vertices)
        flat = np.ascontiguousarray(points[:, plane], dtype=np.float32)
        hulls.append((float(points[:, towards].max()), cv2.convexHull(flat)[:, 0]))
    for _, hull in sorted(hulls, key=lambda entry: entry[0]):
        axes.fill(*hull.T, facecolor=vector.ROBOT, edgecolor=vector.PANEL, linewidth=0.8)


def _draw_frusta(
    axes: Axes,
    poses: Array,
    space: Space,
    plane: tuple[int, int],
    **line: Any,
) -> None:
    """Draw (N, 4, 4) ``T_base_camera`` as pyramids."""
    from matplotlib.collections import LineCollection

    depth_m = _FRUSTUM_SHARE * float(np.linalg.norm(space.T_base_camera[:3, 3]))
    lines = []
    for pose in poses:
        centre = pose[:3, 3]
        corners = se3.transform(pose, depth_m * space.rays)
        # One line: around the far side, with a way to the centre and back at each corner.
        stops = [stop for corner in (*corners, corners[0]) for stop in (corner, centre, corner)]
        lines.append(np.array(stops)[:, plane])
    axes.add_collection(LineCollection(lines, **line))
    axes.autoscale_view()


def _draw_base(axes: Axes, space: Space, plane: tuple[int, int]) -> None:
    axes.plot(0.0, 0.0, "+", color=vector.INK, markersize=11, markeredgewidth=1.6)
    axes.annotate("base", (0.0, 0.0), xytext=(5, -13), textcoords="offset points", fontsize="small")
    axes.annotate(
        "camera",
        tuple(space.T_base_camera[:3, 3][list(plane)]),
        xytext=(6, 6),
        textcoords="offset points",
        fontsize="small",
    )


def _draw_centres(
    axes: Axes, covariance: Covariance, errors: Array, plane: tuple[int, int]
) -> None:
    """Draw where the camera's centre may be, around where the result puts it."""
    points = 1e3 * errors[:, plane]
    axes.plot(*points.T, ".", color=vector.ACCENT, markersize=2.5, alpha=0.5)
    block = 1e6 * covariance.matrix[np.ix_(plane, plane)]
    variances, directions = np.linalg.eigh(block)
    around = np.linspace(0.0, 2 * np.pi, 73)
    circle = np.stack([np.cos(around), np.sin(around)])
    spread = directions * np.sqrt(np.maximum(variances, 0.0))
    for share, radius in _ELLIPSE_RADII:
        style = "-" if share > 0.5 else "--"
        label = f"{100 * share:.0f} %"
        axes.plot(*(radius * spread @ circle), style, color=vector.INK, linewidth=1.2, label=label)
    axes.plot(0.0, 0.0, "+", color=vector.INK, markersize=9)
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, fontsize="small")


def _name_axes(axes: Axes, plane: tuple[int, int], unit: str) -> None:
    axes.locator_params(nbins=6 if unit == "m" else 4)
    axes.set_xlabel(f"{_AXES[plane[0]]}, {unit}")
    axes.set_ylabel(f"{_AXES[plane[1]]}, {unit}")
