# SPDX-License-Identifier: Apache-2.0
"""Topics and messages of annotations in a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.label_image import depth_millimetres, labels_of
from calib_all_ros.recording.bag_storage import IMAGE
from calib_all_ros.recording.bag_topics import image_base
from calib_all_ros.recording.ros_messages import RosMessages

POSE = "geometry_msgs/msg/PoseStamped"
POINT = "geometry_msgs/msg/PointStamped"
TOPICS: dict[str, tuple[str, str]] = {
    "robot_depth": (
        IMAGE,
        "16UC1, millimetres along the optical axis, 0 = no robot (REP 118)",
    ),
    "link_masks": (
        IMAGE,
        "mono8 (mono16 for more than 255 links): 1 + the link's place in the robot description, "
        "0 = no robot",
    ),
    "gripper_mask": (IMAGE, "mono8: 255 on the gripper, 0 elsewhere"),
    "eef_pose": (POSE, "the end-effector's pose in the camera's optical frame, metres"),
    "eef_pixel": (
        POINT,
        "x and y: its pixel in the raw image, z: its depth in metres; only where it is visible",
    ),
}
"""Type and meaning of each topic under /calib_all/CAMERA."""

_MOST_8_BIT_LABELS = 255


class BagMessage(NamedTuple):
    """A message: where it goes, its type, and its bytes (CDR)."""

    topic: str
    kind: str
    data: bytes


@dataclass(frozen=True, eq=False)
class AnnotationTopics:
    """Turns annotations into messages.

    Attributes:
        namespace: What comes before the names of the topics.
        optical_frame: The camera's frame.
        links: How many the robot has.
        ros: Builds messages.
    """

    namespace: str
    optical_frame: str
    links: int
    ros: RosMessages

    def messages(self, annotation: FrameAnnotation) -> Iterator[BagMessage]:
        """Yield the messages of a frame, all with the image's stamp and frame.

        A point in pixels is no place in space: its frame is named so that no viewer finds it.
        """
        ros, stamp_ns, frame = self.ros, annotation.stamp_ns, self.optical_frame
        wide = self.links > _MOST_8_BIT_LABELS
        labels = labels_of(annotation.links).astype(np.uint16 if wide else np.uint8)
        gripper = np.where(annotation.gripper, 255, 0).astype(np.uint8)
        depth = depth_millimetres(annotation.depth_m)
        yield self._message("robot_depth", ros.image(stamp_ns, frame, depth, "16UC1"))
        encoding = "mono16" if wide else "mono8"
        yield self._message("link_masks", ros.image(stamp_ns, frame, labels, encoding))
        yield self._message("gripper_mask", ros.image(stamp_ns, frame, gripper, "mono8"))
        eef = annotation.eef
        yield self._message("eef_pose", ros.pose_stamped(stamp_ns, frame, eef.T_camera_eef))
        if eef.visible:
            point = [*eef.pixel, eef.depth_m]
            stamped = ros.point_stamped(stamp_ns, f"{frame}/pixels", point)
            yield self._message("eef_pixel", stamped)

    def _message(self, name: str, content: Any) -> BagMessage:
        kind = TOPICS[name][0]
        return BagMessage(f"{self.namespace}/{name}", kind, self.ros.serialised(content, kind))


def camera_name(image_topic: str) -> str:
    """Return a name for the camera of a topic: /camera/color/image_raw is camera_color's."""
    base = image_base(image_topic).strip("/")
    camera, _, _ = base.rpartition("/")
    return (camera or base).replace("/", "_")
