# SPDX-License-Identifier: Apache-2.0
"""Neighbours of a mark that are tracked with it, and what all together say of it.

A tracker of single points slips from one body to another and calls that visible. Neighbours on the
same body slip at other times. Near the mark a body moves in the image almost as a similarity, so
the largest group of points that moved by one similarity (a consensus as in RANSAC; Fischler and
Bolles, 1981, here over all pairs) says whether the mark's own track holds and, where it does not,
where the mark is. Neighbours on another body show themselves once the two move differently, and
lose their say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.tracking.track import TrackingError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Mask = NDArray[np.bool_]

# Two neighbours beside the mark make a coincidence unlikely.
_FEWEST_BACKING = 3.0
# The mark's own group may be so much smaller than another: links are narrow, the world is wide.
_MUCH_LARGER = 3.0
# Zoom that a link near its camera does not reach within one window.
_LARGEST_ZOOM = 2.0
# Frames to forget what a neighbour did: a fifth of its say is decided anew by each.
_FORGET = 0.2
# Of a pixel that not all speak for. Below NeighbourSettings.confident, so that it seeds no window.
_UNSURE = 0.75


@dataclass(frozen=True)
class NeighbourSettings:
    """Where the neighbours are, and when points are believed.

    Attributes:
        ring_radii: of the rings around the mark, as shares of the image's width.
        points_per_ring: how many neighbours each ring has.
        grid: points a side of a grid over the whole image. The tracker sees in them what moves
            with what (CoTracker's support grid); they have no say in the mark.
        tolerance: how far a point may be from where its group puts it, a share of the width.
        visible: least trust in a point that counts. 0.6 is what CoTracker3's evaluation takes.
        confident: least trust in a mark that a further window starts from.
    """

    ring_radii: tuple[float, ...] = (1 / 80, 1 / 32)
    points_per_ring: int = 8
    grid: int = 6
    tolerance: float = 1 / 200
    visible: float = 0.6
    confident: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.visible <= self.confident <= 1 or self.confident <= _UNSURE:
            raise TrackingError(
                f"trust must satisfy 0 < visible <= confident <= 1 and confident > {_UNSURE}, got "
                f"{self.visible} and {self.confident}"
            )
        if self.points_per_ring < 4 or self.grid < 0 or min(self.ring_radii, default=0) <= 0:
            raise TrackingError(
                "neighbours need ring_radii above 0, 4 or more points_per_ring and grid >= 0"
            )


@dataclass(frozen=True, eq=False)
class PointTracks:
    """P points through T images.

    Attributes:
        pixels: (T, P, 2).
        trust: (T, P) from 0 to 1: that the point is visible and its pixel is right.
    """

    pixels: Array
    trust: Array


def neighbours(mark: Array, width: int, height: int, settings: NeighbourSettings) -> Array:
    """Return (K, 2) the mark and the points of the rings around it that lie in the image."""
    angles = 2 * np.pi * np.arange(settings.points_per_ring) / settings.points_per_ring
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [mark + radius * width * directions for radius in settings.ring_radii]
    points = np.concatenate([mark[None], *rings])
    inside = ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=1)
    return np.asarray(points[inside])


def support_grid(width: int, height: int, side: int) -> Array:
    """Return (side * side, 2) points over the whole image, a little off its border."""
    u = np.linspace(width / 64, width - 1 - width / 64, side)
    v = np.linspace(height / 64, height - 1 - height / 64, side)
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)


def judge(
    tracks: PointTracks, points: Array, width: int, settings: NeighbourSettings
) -> tuple[Array, Array]:
    """Return where the mark is and how far that is to be trusted.

    The mark's own track holds where enough neighbours move with it. Where it is not visible or
    stands against its neighbours, their group says where it is. A mark that nobody backs and
    nobody contradicts holds if it is trusted itself.

    Args:
        tracks: Of K points in T images, the mark first.
        points: (K, 2) where they were in the first of these images.
        width: Of the images.
        settings: When points are believed.

    Returns:
        (T, 2) pixels and (T,) trust; NaN and 0 where the mark is lost.
    """
    offsets = _complex(points - points[0])
    ring = float(np.min(np.abs(offsets[1:]), initial=np.inf))
    first, second = np.triu_indices(len(points), 1)
    # Points close to each other tell little of rotation and zoom.
    apart = np.abs(offsets[second] - offsets[first]) >= 0.7 * ring
    pairs = first[apart], second[apart]
    say = np.ones(len(points))
    pixels, trust = np.full((len(tracks.pixels), 2), np.nan), np.zeros(len(tracks.pixels))
    pixels[0], trust[0] = points[0], 1.0
    for row in range(1, len(pixels)):
        seen = tracks.trust[row] >= settings.visible
        places = _complex(tracks.pixels[row])
        groups = _groups(places, offsets, pairs, seen, say, settings.tolerance * width)
        group, backed = _speakers(groups, say)
        own_trust = tracks.trust[row, 0]
        if backed:
            pixels[row], trust[row] = tracks.pixels[row, 0], own_trust
        elif group is not None:
            share = say[group].sum() / say[seen].sum()
            pixels[row] = _centre(places, offsets, group)
            trust[row] = _UNSURE * share * tracks.trust[row, group].mean()
        elif own_trust >= settings.confident and groups.say.max() < _FEWEST_BACKING:
            pixels[row], trust[row] = tracks.pixels[row, 0], _UNSURE * own_trust
        # Where all move as one nothing is learnt of who belongs to whom.
        if group is not None and not group[seen].all():
            say[seen] += _FORGET * (group[seen] - say[seen])
            say[0] = 1.0
    return pixels, trust


@dataclass(frozen=True, eq=False)
class _Groups:
    """Points that moved together, H times.

    Attributes:
        members: (H, K) which points do; the last row has none.
        say: (H,) how much say they have together.
        misfit: (H,) from 0 to 1, how far they are from moving as one.
    """

    members: Mask
    say: Array
    misfit: Array

    def largest(self, among: Mask) -> int:
        """Return the group with most say, of equals the one that fits best."""
        among = among.copy()
        among[-1] = True
        return int(np.argmax(np.where(among, self.say - 1e-3 * self.misfit, -1.0)))


def _speakers(groups: _Groups, say: Array) -> tuple[Mask | None, bool]:
    """Return (K,) the points that speak for the mark, None if none may, and if it is with them."""
    own = groups.largest(groups.members[:, 0])
    best = groups.largest(np.ones(len(groups.say), dtype=bool))
    backing, largest = groups.say[own], groups.say[best]
    if backing >= _FEWEST_BACKING and _MUCH_LARGER * backing >= largest:
        return groups.members[own], True
    if largest >= max(_FEWEST_BACKING, 0.5 * say[1:].sum()):
        return groups.members[best], False
    return None, False


def _groups(
    places: Complex,
    offsets: Complex,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    seen: Mask,
    say: Array,
    tolerance_px: float,
) -> _Groups:
    """Return what moved as each pair did."""
    first, second = pairs
    turn = (places[second] - places[first]) / (offsets[second] - offsets[first])
    shift = places[first] - turn * offsets[first]
    errors = np.abs(places - shift[:, None] - turn[:, None] * offsets)
    zoom = np.abs(turn)
    valid = seen[first] & seen[second] & (zoom <= _LARGEST_ZOOM) & (zoom >= 1 / _LARGEST_ZOOM)
    members = (errors <= tolerance_px) & seen & valid[:, None]
    misfit = np.where(members, errors, 0.0).sum(axis=1) / (tolerance_px * errors.shape[1])
    nobody = np.zeros((1, len(places)), dtype=bool)
    return _Groups(
        np.concatenate([members, nobody]), np.append(members @ say, 0.0), np.append(misfit, 0.0)
    )


def _centre(places: Complex, offsets: Complex, group: Mask) -> Array:
    """Return the mark where the least-squares similarity of a group puts it."""
    q, z = offsets[group], places[group]
    q_mean, z_mean = q.mean(), z.mean()
    turn = (np.conj(q - q_mean) * (z - z_mean)).sum() / (np.abs(q - q_mean) ** 2).sum()
    centre = z_mean - turn * q_mean
    return np.array([centre.real, centre.imag])


def _complex(points: Array) -> Complex:
    return np.asarray(points[..., 0] + 1j * points[..., 1])
