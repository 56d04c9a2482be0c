# SPDX-License-Identifier: Apache-2.0
"""A saved result as a static transform, from a node of your own.

The node `publisher` of this package does more: it waits for the camera's driver and attaches the
camera by the topmost of its frames, so that no frame gets a second parent.

Usage: python examples/10_publish_as_tf.py RESULT
"""

import sys
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from tf2_msgs.msg import TFMessage

from calib_all_ros import Calibration
from calib_all_ros.nodes.messages import LATCHED, transform_message

calibration = Calibration.load(sys.argv[1])
if calibration.verdict.status == "rejected":
    sys.exit(f"the calibration was rejected: {calibration.verdict.reasons[0]}")
rclpy.init()
node = rclpy.create_node("camera_pose")
publisher = node.create_publisher(TFMessage, "/tf_static", LATCHED)
base, optical = calibration.robot.base_frame, calibration.camera.frame_id
transform = transform_message(calibration.T_base_camera, base, optical, 0)
publisher.publish(TFMessage(transforms=[transform]))
print(f"publishing {base} -> {optical}", flush=True)
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(node)
