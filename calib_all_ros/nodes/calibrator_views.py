# SPDX-License-Identifier: Apache-2.0
"""Views of a result: pictures, pose and markers, kept for late listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped, PoseWithCovarianceStamped
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from calib_all_ros.nodes.messages import (
    LATCHED,
    camera_info_message,
    image_message,
    pose_message,
    stamp_of,
)
from calib_all_ros.nodes.solve_requests import GivenMark, MarkImage, Solved
from calib_all_ros.results.records import Status

_SECOND_NS = 1_000_000_000
_COLOURS: dict[Status, tuple[float, float, float]] = {
    "accepted": (0.0, 0.9, 0.35),
    "warning": (1.0, 0.75, 0.0),
    "rejected": (1.0, 0.27, 0.27),
}
_PATH_COLOUR = (0.3, 0.6, 1.0)
_LINE_M = 0.004
_TEXT_M = 0.06
_TEXT_ABOVE_M = 0.12


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


_TOPICS = {
    "overlay/image": Image,
    "overlay/camera_info": CameraInfo,
    "overlay_before_after/image": Image,
    "mask/image": Image,
    "track/image": Image,
    "pose": PoseWithCovarianceStamped,
    "markers": MarkerArray,
}


class ResultViews:
    """The latched topics of a result."""

    def __init__(self, node: Node) -> None:
        """Offer the topics, empty so far."""
        self._node = node
        self._publishers: dict[str, Any] = {}
        self._offer()

    def show(self, solved: Solved, name: str, base_frame: str) -> None:
        """Publish a result.

        Args:
            solved: The result.
            name: Of the result.
            base_frame: The base frame's name in the TF tree.
        """
        calibration, display = solved.calibration, solved.display
        frame_id, stamp_ns = calibration.camera.frame_id, display.stamp_ns
        self._publish("overlay/image", image_message(display.overlay, stamp_ns, frame_id))
        self._publish("overlay/camera_info", camera_info_message(display.camera, stamp_ns))
        before_after = image_message(display.before_after, stamp_ns, frame_id)
        self._publish("overlay_before_after/image", before_after)
        self._publish("mask/image", image_message(display.mask, stamp_ns, frame_id))
        if display.track is not None:
            track = image_message(display.track, display.track_stamp_ns, frame_id)
            self._publish("track/image", track)
        self._publish("pose", self._pose(solved, base_frame))
        self._publish("markers", markers(solved, name, base_frame))

    def clear(self) -> None:
        """Take the result back: markers vanish, and late listeners get nothing."""
        self._publish("markers", MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._offer()

    def wait_for_delivery(self, longest: Duration) -> None:
        """Give those who listen the time to receive what was published."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(longest)

    def _offer(self) -> None:
        self._publishers = {
            topic: self._node.create_publisher(kind, f"~/{topic}", LATCHED)
            for topic, kind in _TOPICS.items()
        }

    def _publish(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)

    def _pose(self, solved: Solved, base_frame: str) -> PoseWithCovarianceStamped:
        calibration = solved.calibration
        message = PoseWithCovarianceStamped()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.header.frame_id = base_frame
        message.pose.pose = pose_message(calibration.T_base_camera)
        if calibration.covariance is None:
            self._node.get_logger().warning(
                "the uncertainty of the pose could not be estimated: the covariance is left zero"
            )
        else:
            message.pose.covariance = calibration.covariance.matrix.reshape(-1)
        return message


def markers(solved: Solved, name: str, base_frame: str) -> MarkerArray:
    """Return the camera's frustum, the end-effector's path and the verdict for RViz.

    Args:
        solved: The result.
        name: Of the result.
        base_frame: Frame of the markers.
    """
    display, status = solved.display, solved.calibration.verdict.status
    apex, *corners = display.frustum
    edges = [point for corner in corners for point in (apex, corner)]
    edges += [p for i in range(4) for p in (corners[i], corners[(i + 1) % 4])]
    camera = _marker("camera", Marker.LINE_LIST, base_frame, _COLOURS[status])
    camera.points = _points(edges)
    text = _marker("verdict", Marker.TEXT_VIEW_FACING, base_frame, _COLOURS[status])
    text.text = f"{name}: {status}"
    text.scale.z = _TEXT_M
    place = text.pose.position
    place.x, place.y, place.z = apex.tolist()
    place.z += _TEXT_ABOVE_M
    shown = [camera, text]
    if len(display.path) > 1:
        path = _marker("end_effector", Marker.LINE_STRIP, base_frame, _PATH_COLOUR)
        path.points = _points(display.path)
        shown.append(path)
    # What an earlier result showed must not stay beside this one.
    nothing = Marker(action=Marker.DELETEALL)
    nothing.header.frame_id = base_frame
    return MarkerArray(markers=[nothing, *shown])


def _marker(namespace: str, kind: int, frame_id: str, color: tuple[float, float, float]) -> Marker:
    message = Marker(ns=namespace, type=kind, action=Marker.ADD)
    message.header.frame_id = frame_id
    # A stamp of zero stands for the latest transform.
    message.header.stamp = stamp_of(0)
    message.pose.orientation.w = 1.0
    message.scale.x = _LINE_M
    red, green, blue = color
    message.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    return message


def _points(points: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> list[Point]:
    return [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
