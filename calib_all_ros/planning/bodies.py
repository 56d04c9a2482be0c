# SPDX-License-Identifier: Apache-2.0
"""The robot as rigid bodies: points on them, how low they reach, how near they come to each other.

Links that the moving joints do not move relative to one another are one body. Distances between
bodies are distances of points sampled on their surfaces, so they are known to about the spacing
of these points: a cautious check, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from calib_all_ros.geometry import se3
from calib_all_ros.planning.joint_ranges import JointRanges
from calib_all_ros.robot.description import Robot

_SPACING_M = 0.02
_MOST_POINTS = 500
_DETAIL_M = 0.02
_SAME_BODY = 1e-6


@dataclass(frozen=True, eq=False)
class Body:
    """Links that move as one.

    Attributes:
        link: Index of the link in whose frame the points are given.
        vertices: (V, 3) corners of its surface, metres.
        points: (P, 3) points sampled evenly on it, metres.
        moves: Whether it moves relative to the base.
        names: Its links.
    """

    link: int
    vertices: NDArray[np.float64]
    points: NDArray[np.float64]
    moves: bool
    names: tuple[str, ...]


def bodies_of(robot: Robot, ranges: JointRanges, seed: int = 0) -> list[Body]:
    """Return the robot's bodies that have a surface.

    Args:
        robot: The robot.
        ranges: Which joints move.
        seed: Seed of the points.
    """
    rng = np.random.default_rng(seed)
    T = robot.kinematics.forward(ranges.draw(4, rng))
    groups = _rigid_groups(T)
    base = robot.kinematics.link_names.index(robot.kinematics.base_frame)
    coarse = robot.surface.simplified(_DETAIL_M)
    sampled, sampled_links = robot.surface.sample(_sample_count(robot), seed)
    found = []
    for group in groups:
        link = group[0]
        to_body = se3.invert(T[0, link]) @ T[0]
        vertices = _in_body(coarse.vertices, coarse.link_of_vertex, group, to_body)
        if len(vertices) == 0:
            continue
        points = _in_body(sampled, sampled_links, group, to_body)
        # A body too small for its share of the samples is told by its corners.
        points = np.concatenate([points, vertices]) if len(points) < len(vertices) else points
        if len(points) > _MOST_POINTS:
            points = points[rng.choice(len(points), _MOST_POINTS, replace=False)]
        names = tuple(robot.kinematics.link_names[i] for i in group)
        found.append(Body(link, vertices, points, base not in group, names))
    return found


def lowest(body: Body, T_base_link: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N,) height of a body's lowest point for (N, L, 4, 4) poses of the links."""
    T = T_base_link[:, body.link]
    return np.asarray((T[:, 2, :3] @ body.vertices.T).min(axis=1) + T[:, 2, 3])


class SelfDistance:
    """Tells which configurations bring two bodies of the robot nearer than they have to be.

    Neighbours along the chain touch by design and are not compared. Others that are near one
    another also in the reference configurations may come as near as half of that, as the
    allowed collision matrix of MoveIt excludes what always touches.
    """

    def __init__(
        self,
        robot: Robot,
        bodies: list[Body],
        references: NDArray[np.float64],
        clearance_m: float,
    ) -> None:
        """Prepare the pairs that are compared.

        Args:
            robot: The robot.
            bodies: Its bodies.
            references: (R, J) configurations that are known to be free of collisions.
            clearance_m: How far points of two bodies have to be apart.
        """
        self._bodies = bodies
        self._trees = [cKDTree(body.points) for body in bodies]
        self._centres = [body.points.mean(axis=0) for body in bodies]
        self._radii = [
            float(np.linalg.norm(body.points - centre, axis=1).max())
            for body, centre in zip(bodies, self._centres, strict=True)
        ]
        T = robot.kinematics.forward(references)
        self._pairs: list[tuple[int, int, float]] = []
        for a, b in _separate_pairs(robot, bodies):
            usual_m = float(self._distance(a, b, T, np.inf).max())
            self._pairs.append((a, b, min(clearance_m, 0.5 * usual_m)))

    def too_near(self, T_base_link: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of N configurations bring two bodies too near, from (N, L, 4, 4) poses."""
        bad = np.zeros(len(T_base_link), dtype=bool)
        for a, b, threshold_m in self._pairs:
            left = np.flatnonzero(~bad)
            if len(left):
                near = self._distance(a, b, T_base_link[left], threshold_m)
                bad[left[near < threshold_m]] = True
        return bad

    def _distance(
        self, a: int, b: int, T_base_link: NDArray[np.float64], bound_m: float
    ) -> NDArray[np.float64]:
        """Return (N,) the least distance of two bodies' points, infinite above the bound."""
        T_a_b = (
            se3.invert(T_base_link[:, self._bodies[a].link])
            @ (T_base_link[:, self._bodies[b].link])
        )
        centre_b = se3.transform(T_a_b, self._centres[b][None])[:, 0]
        gap = np.linalg.norm(centre_b - self._centres[a], axis=1)
        possible = np.flatnonzero(gap - self._radii[a] - self._radii[b] < bound_m)
        distance = np.full(len(T_a_b), np.inf)
        if len(possible):
            points = se3.transform(T_a_b[possible], self._bodies[b].points)
            found, _ = self._trees[a].query(points.reshape(-1, 3), distance_upper_bound=bound_m)
            distance[possible] = found.reshape(len(possible), -1).min(axis=1)
        return distance


def _rigid_groups(T_base_link: NDArray[np.float64]) -> list[list[int]]:
    """Return lists of links that do not move relative to one another in (N, L, 4, 4) poses."""
    groups: list[list[int]] = []
    for link in range(T_base_link.shape[1]):
        for group in groups:
            relative = se3.invert(T_base_link[:, group[0]]) @ T_base_link[:, link]
            if np.ptp(relative, axis=0).max() < _SAME_BODY:
                group.append(link)
                break
        else:
            groups.append([link])
    return groups


def _in_body(
    points: NDArray[np.floating],
    links: NDArray[np.integer],
    group: list[int],
    to_body: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return those of (P, 3) points that are on links of a group, in its first link's frame."""
    chosen = np.isin(links, group)
    T = to_body[links[chosen]]
    return np.asarray(np.einsum("pij,pj->pi", T[:, :3, :3], points[chosen]) + T[:, :3, 3])


def _sample_count(robot: Robot) -> int:
    corners = robot.surface.vertices[robot.surface.faces].astype(np.float64)
    edges = corners[:, 1:] - corners[:, :1]
    area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1).sum()
    return int(np.clip(2.0 * area / _SPACING_M**2, 500, 20_000))


def _separate_pairs(robot: Robot, bodies: list[Body]) -> list[tuple[int, int]]:
    """Return the pairs of bodies that no single joint connects."""
    body_of = {name: number for number, body in enumerate(bodies) for name in body.names}
    touching = set()
    for name in body_of:
        parent = robot.kinematics.parent(name)
        # Links without a surface pass the contact on.
        while parent is not None and parent not in body_of:
            parent = robot.kinematics.parent(parent)
        if parent is not None:
            touching.add(frozenset((body_of[name], body_of[parent])))
    return [
        (a, b)
        for a in range(len(bodies))
        for b in range(a + 1, len(bodies))
        if frozenset((a, b)) not in touching and (bodies[a].moves or bodies[b].moves)
    ]
