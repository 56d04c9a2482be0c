# SPDX-License-Identifier: Apache-2.0
"""What nvdiffrast's documentation says, on the CPU: simple, slow, and exact.

It stands in for the module ``nvdiffrast.torch`` where there is no CUDA, and shares nothing with the
package's rasteriser: no corner is projected to find what covers a pixel. Unlike nvdiffrast it does
not snap corners to sixteenths of pixels.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

_TRIANGLES_AT_ONCE = 64
# An edge may miss the way between two pixel centres by so much, in pixels.
_SLACK_PX = 1 / 16


class RasterizeCudaContext:
    def __init__(self, device: Any = None) -> None:
        self.device = device


def rasterize(
    glctx: RasterizeCudaContext,
    pos: torch.Tensor,
    tri: torch.Tensor,
    resolution: tuple[int, int],
    ranges: None = None,
    grad_db: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Instanced mode: pos (N, V, 4), tri (F, 3) -> (N, H, W, 4) of u, v, z/w and triangle + 1."""
    assert isinstance(glctx, RasterizeCudaContext) and ranges is None
    _check(pos, tri)
    height, width = resolution
    x = (2 * torch.arange(width, dtype=torch.float64) + 1) / width - 1
    y = (2 * torch.arange(height, dtype=torch.float64) + 1) / height - 1
    image = torch.zeros(len(pos), height, width, 4, dtype=torch.float64)
    nearest = torch.full((len(pos), height, width), torch.inf, dtype=torch.float64)
    for n, corners in enumerate(pos.detach().double()):
        for first in range(0, len(tri), _TRIANGLES_AT_ONCE):
            chosen = tri[first : first + _TRIANGLES_AT_ONCE].long()
            share, depth = _cover(corners[chosen], x, y)
            best, which = depth.min(dim=0)
            nearer = best < nearest[n]
            nearest[n][nearer] = best[nearer]
            found = share.gather(0, which[None, ..., None].expand(1, *which.shape, 3))[0]
            drawn = torch.cat([found[..., :2], best[..., None], (first + which + 1)[..., None]], -1)
            image[n][nearer] = drawn[nearer]
    return image.float(), torch.zeros_like(image).float()


def _cover(
    corners: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (T, H, W, 3) shares of the corners at each pixel centre and z/w, inf if not covered.

    The shares b solve sum b_i (x_i - x w_i) = sum b_i (y_i - y w_i) = 0, sum b_i = 1.
    """
    X, Y, Z, W = (corners[:, None, None, :, i] for i in range(4))
    across = (X - x[None, None, :, None] * W).expand(-1, len(y), -1, -1)
    upwards = (Y - y[None, :, None, None] * W).expand(-1, -1, len(x), -1)
    share = torch.linalg.cross(across, upwards, dim=-1)
    share = share / share.sum(-1, keepdim=True)
    z, w = (share * Z).sum(-1), (share * W).sum(-1)
    covered = (share >= 0).all(-1) & (w > 0) & (z.abs() <= w)
    return share, torch.where(covered, z / w, torch.inf)


def interpolate(
    attr: torch.Tensor, rast: torch.Tensor, tri: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, V, A) attributes at every pixel, zero where there is no triangle."""
    assert attr.dtype == torch.float32 and attr.is_contiguous() and attr.ndim == 3
    _check(None, tri)
    number = rast[..., 3].long()
    corners = tri.long()[(number - 1).clamp(min=0)]
    frame = torch.arange(len(rast))[:, None, None, None]
    u, v = rast[..., 0:1], rast[..., 1:2]
    shares = torch.stack([u, v, 1 - u - v], dim=-2)
    values = (shares * attr[frame, corners]).sum(-2) * (number > 0)[..., None]
    return values, torch.zeros(*rast.shape[:3], 0)


def antialias_construct_topology_hash(tri: torch.Tensor) -> torch.Tensor:
    """(F, 3) the corner opposite across the edge that faces each corner, -1 if there is none."""
    _check(None, tri)
    sides = defaultdict(list)
    for face, corners in enumerate(tri.tolist()):
        for k in range(3):
            sides[frozenset((*corners[:k], *corners[k + 1 :]))].append((face, k))
    opposite = torch.full(tri.shape, -1, dtype=torch.long)
    for faces in sides.values():
        if len(faces) == 2:
            (f, i), (g, j) = faces
            opposite[f, i], opposite[g, j] = int(tri[g, j]), int(tri[f, i])
    return opposite


def antialias(
    color: torch.Tensor,
    rast: torch.Tensor,
    pos: torch.Tensor,
    tri: torch.Tensor,
    topology_hash: torch.Tensor | None = None,
    pos_gradient_boost: float = 1.0,
) -> torch.Tensor:
    """Blend neighbours of different triangles by where a silhouette edge passes between them.

    Section 3.6 of the paper: the nearer triangle's edge counts if it is upright between horizontal
    neighbours, else between vertical ones; at t of the way from its triangle's pixel centre to the
    other, the share t - 1/2 of the triangle's colour goes to the other pixel, or to it from there.
    """
    _check(pos, tri)
    assert color.dtype == rast.dtype == torch.float32
    assert color.is_contiguous() and rast.is_contiguous() and pos_gradient_boost == 1.0
    opposite = antialias_construct_topology_hash(tri) if topology_hash is None else topology_hash
    output = color.double()
    for axis in (2, 1):
        output = output + _blended(color.double(), rast, pos.double(), tri.long(), opposite, axis)
    return output.float()


def _blended(
    color: torch.Tensor,
    rast: torch.Tensor,
    pos: torch.Tensor,
    tri: torch.Tensor,
    opposite: torch.Tensor,
    axis: int,
) -> torch.Tensor:
    """Return what the pairs of neighbours along an axis (1: rows, 2: columns) add to the image."""
    height, width = rast.shape[1:3]
    one, other = (torch.arange(rast.shape[axis] - 1) + k for k in (0, 1))
    number = rast[..., 3].long()
    pairs = (number.index_select(axis, one) != number.index_select(axis, other)).nonzero()
    low, high = pairs, pairs + torch.eye(3, dtype=torch.long)[axis]
    first, second = rast[tuple(low.T)], rast[tuple(high.T)]
    takes_second = (first[:, 3] == 0) | ((second[:, 3] > 0) & (second[:, 2] <= first[:, 2]))
    own = torch.where(takes_second[:, None], high, low)
    far = torch.where(takes_second[:, None], low, high)
    face = number[tuple(own.T)] - 1
    corners = tri[face]
    across = torch.where(opposite[face] < 0, corners, opposite[face])
    frame = own[:, :1]

    def pixels(vertices: torch.Tensor) -> torch.Tensor:
        """Return pixel coordinates (along the pair towards the other pixel, across)."""
        clip = pos[frame, vertices]
        size = torch.tensor([width, height], dtype=torch.float64)
        uv = (clip[..., :2] / clip[..., 3:] + 1) / 2 * size - 0.5
        uv = uv - own[:, None, [2, 1]]
        along = uv[..., 0] if axis == 2 else uv[..., 1]
        beside = uv[..., 1] if axis == 2 else uv[..., 0]
        return torch.stack([torch.where(takes_second[:, None], -along, along), beside], -1)

    own_corner, their_corner = pixels(corners), pixels(across)
    best = torch.full((len(pairs),), -torch.inf, dtype=torch.float64)
    counts = torch.zeros(len(pairs), dtype=torch.bool)
    for k in range(3):
        a, b = own_corner[:, (k + 1) % 3], own_corner[:, (k + 2) % 3]
        edge = b - a
        crosses = (a[:, 1] < 0) != (b[:, 1] < 0)
        safe = torch.where(crosses, edge[:, 1], 1.0)
        t = a[:, 0] - a[:, 1] * edge[:, 0] / safe
        outermost = crosses & (t > best)
        folds = (opposite[face, k] < 0) | (
            _side(a, b, own_corner[:, k]) * _side(a, b, their_corner[:, k]) > 0
        )
        upright = edge[:, 1].abs() >= edge[:, 0].abs()
        best = torch.where(outermost, t, best)
        counts = torch.where(outermost, folds & upright, counts)
    counts = counts & (best > -_SLACK_PX) & (best < 1 + _SLACK_PX)
    own, far, t = own[counts], far[counts], best[counts].clamp(0.0, 1.0)[:, None]
    difference = color[tuple(own.T)] - color[tuple(far.T)]
    target = torch.where(t > 0.5, far, own)
    return torch.zeros_like(color).index_put(
        tuple(target.T), (t - 0.5) * difference, accumulate=True
    )


def _side(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _check(pos: torch.Tensor | None, tri: torch.Tensor) -> None:
    assert tri.dtype == torch.int32 and tri.is_contiguous() and tri.shape[1] == 3 and len(tri)
    if pos is not None:
        assert pos.dtype == torch.float32 and pos.is_contiguous() and pos.ndim == 3
        assert pos.shape[0] > 0 and pos.shape[1] > 0 and pos.shape[2] == 4
