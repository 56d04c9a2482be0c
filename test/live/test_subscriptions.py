# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from calib_all_ros.nodes.messages import image_message
from calib_all_ros.nodes.subscriptions import (
    IMAGES,
    JOINT_STATES,
    ImageSubscription,
    MatchedSubscription,
)
from calib_all_ros.recording.bag_topics import camera_info_beside

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=5,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class Received(list[tuple[str, bytes]]):
    def __call__(self, kind: str, data: bytes) -> None:
        self.append((kind, data))


def publish_until(graph: Any, publisher: Any, message: Any, condition: Any) -> None:
    def published() -> bool:
        publisher.publish(message)
        return bool(condition())

    graph.wait_for(published, "a message")


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT, LATCHED])
def test_takes_what_every_kind_of_publisher_offers(graph: Any, qos: QoSProfile) -> None:
    received = Received()
    subscription = MatchedSubscription(graph.node, "joints", JOINT_STATES, received)
    publisher = graph.node.create_publisher(JointState, "joints", qos)
    publish_until(graph, publisher, JointState(name=["a"]), lambda: received)
    assert received[0][0] == "sensor_msgs/msg/JointState"
    assert b"a\0" in received[0][1]
    assert subscription.received == len(received)
    assert subscription.trouble is None


def test_follows_a_publisher_that_comes_back_with_other_qos(graph: Any) -> None:
    received = Received()
    MatchedSubscription(graph.node, "joints", JOINT_STATES, received)
    for qos in (RELIABLE, BEST_EFFORT, RELIABLE):
        publisher = graph.node.create_publisher(JointState, "joints", qos)
        before = len(received)
        publish_until(graph, publisher, JointState(), lambda n=before: len(received) > n)
        graph.node.destroy_publisher(publisher)


def test_one_best_effort_publisher_among_reliable_ones_is_heard(graph: Any) -> None:
    received = Received()
    graph.node.create_publisher(JointState, "joints", RELIABLE)
    second = graph.node.create_publisher(JointState, "joints", BEST_EFFORT)
    MatchedSubscription(graph.node, "joints", JOINT_STATES, received)
    publish_until(graph, second, JointState(), lambda: received)


def test_says_that_nobody_publishes_and_who_else_does(graph: Any) -> None:
    subscription = MatchedSubscription(
        graph.node, "joints", JOINT_STATES, Received(), patience_s=0.0
    )
    graph.node.create_publisher(JointState, "/other/joints", RELIABLE)
    graph.wait_for(lambda: "/other/joints" in (subscription.trouble or ""), "the alternative")
    assert subscription.trouble is not None
    assert subscription.trouble.startswith("no publisher on /joints")


def test_says_that_publishers_are_silent_and_what_they_offer(graph: Any) -> None:
    subscription = MatchedSubscription(
        graph.node, "joints", JOINT_STATES, Received(), patience_s=0.0
    )
    graph.node.create_publisher(JointState, "joints", BEST_EFFORT)
    graph.wait_for(lambda: "publishers offer" in (subscription.trouble or ""), "the offer")
    assert "/listener best_effort, volatile" in (subscription.trouble or "")


def test_says_that_the_type_is_wrong(graph: Any) -> None:
    subscription = MatchedSubscription(
        graph.node, "joints", JOINT_STATES, Received(), patience_s=0.0
    )
    graph.node.create_publisher(String, "joints", RELIABLE)
    graph.wait_for(lambda: "has the type" in (subscription.trouble or ""), "the type")
    assert subscription.trouble == (
        "/joints has the type std_msgs/msg/String; wanted is sensor_msgs/msg/JointState"
    )


def test_images_are_found_when_there_is_one_camera(graph: Any) -> None:
    received = Received()
    subscription = ImageSubscription(graph.node, "", received)
    publisher = graph.node.create_publisher(Image, "/cam/color/image_raw", BEST_EFFORT)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    message = image_message(pixels, 5_000_000_007, "optical")
    publish_until(graph, publisher, message, lambda: received)
    assert subscription.topic == "/cam/color/image_raw"
    assert subscription.camera_info_topic == "/cam/color/camera_info"
    assert received[0][0] in IMAGES
    assert pixels.tobytes() in received[0][1]


def test_raw_and_compressed_of_one_camera_are_no_choice(graph: Any) -> None:
    raw = graph.node.create_publisher(Image, "/cam/image_raw", RELIABLE)
    graph.node.create_publisher(CompressedImage, "/cam/image_raw/compressed", RELIABLE)
    received = Received()
    subscription = ImageSubscription(graph.node, "", received)
    publish_until(graph, raw, Image(), lambda: received)
    assert subscription.topic == "/cam/image_raw"


def test_two_cameras_must_be_named(graph: Any) -> None:
    for name in ("/left/image", "/right/image"):
        graph.node.create_publisher(Image, name, RELIABLE)
    subscription = ImageSubscription(graph.node, "", Received(), patience_s=0.0)
    graph.wait_for(lambda: "/right/image" in (subscription.trouble or ""), "both topics")
    assert subscription.trouble == (
        "there are several image topics, name one (image_topic): /left/image, /right/image"
    )
    assert subscription.topic is None


def test_compressed_images_are_taken_where_there_are_no_others(graph: Any) -> None:
    received = Received()
    subscription = ImageSubscription(graph.node, "cam/image_raw", received)
    publisher = graph.node.create_publisher(
        CompressedImage, "/cam/image_raw/compressed", BEST_EFFORT
    )
    publish_until(graph, publisher, CompressedImage(format="jpeg"), lambda: received)
    assert subscription.topic == "/cam/image_raw/compressed"
    assert subscription.camera_info_topic == "/cam/camera_info"


@pytest.mark.parametrize(
    ("image", "info"),
    [
        ("/camera/color/image_raw", "/camera/color/camera_info"),
        ("/camera/image_rect/compressed", "/camera/camera_info"),
        ("/image", "/camera_info"),
    ],
)
def test_camera_info_is_in_the_same_namespace(image: str, info: str) -> None:
    assert camera_info_beside(image) == info


def test_own_namespace_goes_first(graph: Any) -> None:
    node = rclpy.create_node("recorder", namespace="/left", context=graph.node.context)
    graph.node.executor.add_node(node)
    for name in ("/left/image", "/right/image"):
        graph.node.create_publisher(Image, name, RELIABLE)
    subscription = ImageSubscription(node, "", Received())
    graph.wait_for(lambda: subscription.topic == "/left/image", "the own camera")
