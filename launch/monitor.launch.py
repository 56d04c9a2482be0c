# SPDX-License-Identifier: Apache-2.0
"""Watches a calibrated camera: `ros2 launch calib_all_ros monitor.launch.py name:=NAME`."""

from launch import LaunchDescription

from calib_all_ros.nodes.launching import LaunchOption, description

MONITOR = ("monitor",)
OPTIONS = (
    LaunchOption("name", "saved result to compare with, by its name", nodes=MONITOR),
    LaunchOption("file", "calibration file to compare with instead, or its folder", nodes=MONITOR),
    LaunchOption("follow", "take a newer result as soon as it is saved", bool, nodes=MONITOR),
    LaunchOption("urdf", "URDF or xacro file; empty: robot_description_topic", nodes=MONITOR),
    LaunchOption("robot_description_topic", "the robot's URDF", nodes=MONITOR),
    LaunchOption(
        "mesh_paths", "folders with the URDF's packages, with commas", list, nodes=MONITOR
    ),
    LaunchOption("image_topic", "images, raw or compressed; empty: the only ones", nodes=MONITOR),
    LaunchOption("camera_info_topic", "intrinsics; empty: beside the images", nodes=MONITOR),
    LaunchOption("joint_topics", "joint states, with commas between several", list, nodes=MONITOR),
    LaunchOption("rate_hz", "images looked at per second, at most", float, nodes=MONITOR),
    LaunchOption("overlay_rate_hz", "pictures on ~/overlay/image per second", float, nodes=MONITOR),
    LaunchOption("recorder", "recorder that ~/recalibrate starts", nodes=MONITOR),
    LaunchOption("auto_recalibrate", "start it when the camera was moved", bool, nodes=MONITOR),
)


def generate_launch_description() -> LaunchDescription:
    """Return the description that `ros2 launch` asks for."""
    return description(OPTIONS, lambda launch: [launch.node("monitor")])
