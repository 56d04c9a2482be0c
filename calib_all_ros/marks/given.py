# SPDX-License-Identifier: Apache-2.0
"""A mark that somebody pointed at: a pixel of one image, on a link that moves."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.kinematics import Kinematics


class MarkError(CalibAllError):
    """A mark that cannot be used."""


def check_mark(
    pixel: tuple[float, float],
    frame: int,
    link: str,
    *,
    camera: Camera,
    frame_count: int,
    kinematics: Kinematics,
) -> None:
    """Check a mark before any work is done with it.

    Args:
        pixel: (u, v) in the raw image.
        frame: Number of the image that the pixel was seen in.
        link: Link that carries the mark.
        camera: Camera of the images.
        frame_count: Number of images.
        kinematics: Of the robot.

    Raises:
        MarkError: The pixel is outside of the image, there is no such image, or the link does not
            exist or does not move relative to the base.
    """
    u, v = pixel
    # A pixel's centre is at integer coordinates, so the image begins half a pixel before 0.
    if not (-0.5 <= u <= camera.width - 0.5 and -0.5 <= v <= camera.height - 0.5):
        raise MarkError(
            f"the mark at {u:g},{v:g} is outside of the {camera.width}x{camera.height} image: "
            "give its pixel as U,V from the top left corner"
        )
    if not 0 <= frame < frame_count:
        raise MarkError(
            f"there is no image {frame} to see the mark in: the recording has images 0 to "
            f"{frame_count - 1}"
        )
    movable = [name for name in kinematics.link_names if kinematics.moving_joints(name)]
    if link not in movable:
        reason = (
            f"the link '{link}' of the mark does not move relative to {kinematics.base_frame}"
            if link in kinematics.link_names
            else f"there is no link '{link}' to carry the mark"
        )
        raise MarkError(f"{reason}; links that move: {', '.join(movable)}")
