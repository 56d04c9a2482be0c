# SPDX-License-Identifier: Apache-2.0
"""Marks that people click on in an image viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from sensor_msgs.msg import Image

from calib_all_ros.nodes.messages import LATCHED, image_message
from calib_all_ros.nodes.solve_requests import GivenMark, MarkImage

_SECOND_NS = 1_000_000_000


class MarkClicks:
    """Shows an image to click on, and turns clicks into marks."""

    def __init__(
        self, node: Node, link: str, frame: int, on_mark: Callable[[GivenMark], None]
    ) -> None:
        """Begin to listen.

        Args:
            node: Whose communication this is.
            link: The link that the mark is on; "" refuses marks.
            frame: Number of the image that is shown.
            on_mark: Called with each mark.
        """
        self._node = node
        self._link = link
        self._frame = frame
        self._on_mark = on_mark
        self._publisher: Any = node.create_publisher(Image, "~/mark_image", LATCHED)
        node.create_subscription(PointStamped, "~/mark", self._stamped, 10)
        # The second is what rqt_image_view calls the clicks on ~/mark_image.
        for topic in ("~/mark_point", "~/mark_image_mouse_left"):
            node.create_subscription(Point, topic, self._point, 10)
        self._shown = False

    def show(self, image: MarkImage) -> None:
        """Publish the image to click on."""
        self._publisher.publish(image_message(image.image, image.stamp_ns, image.frame_id))
        self._shown = True

    def _stamped(self, message: PointStamped) -> None:
        stamp = message.header.stamp
        self._take(message.point, stamp.sec * _SECOND_NS + stamp.nanosec)

    def _point(self, point: Point) -> None:
        self._take(point, 0)

    def _take(self, point: Point, stamp_ns: int) -> None:
        log = self._node.get_logger()
        if not self._link:
            log.warning("a mark came, but not which link it is on: set the parameter eef_link")
            return
        if not stamp_ns and not self._shown:
            log.warning(
                "a mark without a stamp came before an image to click on was shown, ignored: set "
                f"wait_for_mark, or click on {self._publisher.topic_name} when it is there"
            )
            return
        pixel = (float(point.x), float(point.y))
        self._on_mark(GivenMark(pixel, self._link, self._frame, stamp_ns or None))
