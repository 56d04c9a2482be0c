# SPDX-License-Identifier: Apache-2.0
"""Publishes saved calibrations as TF: `ros2 launch calib_all_ros publish.launch.py name:=NAME`."""

from launch import LaunchDescription

from calib_all_ros.nodes.launching import LaunchOption, description

PUBLISHER = ("publisher",)
OPTIONS = (
    LaunchOption("name", "saved result to publish, by its name", nodes=PUBLISHER),
    LaunchOption("names", "more of them, with commas between them", list, nodes=PUBLISHER),
    LaunchOption("file", "calibration file to publish instead, or its folder", nodes=PUBLISHER),
    LaunchOption("follow", "take a newer result as soon as it is saved", bool, nodes=PUBLISHER),
    LaunchOption(
        "force", "publish a result although its verdict is rejected", bool, nodes=PUBLISHER
    ),
    LaunchOption("base_frame", "base frame's name in the TF tree, if another", nodes=PUBLISHER),
    LaunchOption(
        "optical_frame", "optical frame's name in the TF tree, if another", nodes=PUBLISHER
    ),
    LaunchOption("settle_s", "how long the TF tree has to be quiet before", float, nodes=PUBLISHER),
)


def generate_launch_description() -> LaunchDescription:
    """Return the description that `ros2 launch` asks for."""
    return description(OPTIONS, lambda launch: [launch.node("publisher")])
