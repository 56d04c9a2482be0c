# SPDX-License-Identifier: Apache-2.0
"""From the frames that extrinsics speak of to those of the recording and the robot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import FrameTree, StaticTransform, frame_name
from calib_all_ros.results.errors import ResultError
from calib_all_ros.results.extrinsics_file import GivenExtrinsics


def in_frames(
    given: GivenExtrinsics,
    base_frame: str,
    optical_frame: str,
    static_transforms: Sequence[StaticTransform] = (),
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return extrinsics between the robot's base and the camera's optical frame.

    Args:
        given: The extrinsics; a frame that it does not name is taken for the one wanted.
        base_frame: The robot's base.
        optical_frame: The camera's optical frame.
        static_transforms: What /tf_static connects, for extrinsics of other frames.

    Returns:
        (4, 4) ``T_camera_base``, and what was assumed or converted, one sentence each.

    Raises:
        ResultError: A frame is another one, and nothing connects it with the one wanted.
        FrameTreeError: /tf_static is broken.
    """
    tree = FrameTree(static_transforms)
    notes = []
    T = given.T_camera_base
    if given.base_frame is None:
        notes.append(f"{given.source} names no base frame; taken for '{base_frame}'")
    elif frame_name(given.base_frame) != frame_name(base_frame):
        T = T @ _between(tree, given, given.base_frame, base_frame, "the robot's base", "base")
        notes.append(_converted(given, given.base_frame, base_frame))
    if given.camera_frame is None:
        notes.append(
            f"{given.source} names no camera frame; taken for the optical frame '{optical_frame}' "
            "(z forward, x right), not a camera_link"
        )
    elif frame_name(given.camera_frame) != frame_name(optical_frame):
        what = "the camera's optical frame"
        T = _between(tree, given, optical_frame, given.camera_frame, what, "camera") @ T
        notes.append(_converted(given, given.camera_frame, optical_frame))
    return T, tuple(notes)


def _between(
    tree: FrameTree, given: GivenExtrinsics, first: str, second: str, what: str, option: str
) -> NDArray[np.float64]:
    """Return (4, 4) ``T_first_second`` by the tree; one of the two is what was ``given``."""
    up_first, up_second = (tree.path_to_root(frame_name(frame)) for frame in (first, second))
    roots = [
        path[-1].parent if path else frame_name(frame)
        for path, frame in ((up_first, first), (up_second, second))
    ]
    if roots[0] != roots[1]:
        own = given.base_frame if option == "base" else given.camera_frame
        wanted = first if own == second else second
        raise ResultError(
            f"{given.source} speaks of '{own}', {what} is '{wanted}', and no /tf_static of the "
            f"recording connects the two: give extrinsics of '{wanted}', or --{option}-frame "
            f"{wanted} if '{own}' is only another name for it"
        )
    T_root_first, T_root_second = (
        _T_root([edge.T_parent_child for edge in path]) for path in (up_first, up_second)
    )
    return se3.invert(T_root_first) @ T_root_second


def _T_root(upwards: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    T = np.eye(4)
    for T_parent_child in upwards:
        T = T_parent_child @ T
    return T


def _converted(given: GivenExtrinsics, frame: str, wanted: str) -> str:
    return (
        f"{given.source} speaks of '{frame}'; converted to '{wanted}' by the recording's /tf_static"
    )
