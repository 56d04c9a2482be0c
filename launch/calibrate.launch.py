# SPDX-License-Identifier: Apache-2.0
"""Calibrates a recorded bag: `ros2 launch calib_all_ros calibrate.launch.py bag:=… out:=…`."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

# Each of these becomes the option of the same name; an empty value leaves the option out.
OPTIONS = {
    "urdf": "URDF or xacro file; the bag's /robot_description where empty",
    "base_frame": "link that the pose refers to; the root of the URDF where empty",
    "mesh_path": "folder with the packages that the URDF names, if they are not installed",
    "image_topic": "image topic; found by type where empty",
    "camera_info_topic": "camera info topic; the image's where empty",
    "joint_topic": "joint state topic; all of them where empty",
    "mark": "pixel U,V of a mark on the end-effector; none is needed",
    "eef_link": "link that carries the mark",
    "mark_frame": "number of the image that the mark was seen in; the first where empty",
    "masks": "auto, a topic of robot masks, or a folder of them",
    "frames": "how many images the pose is fitted to",
    "start": "use images from here on, seconds after the first",
    "end": "use images up to here, seconds after the first",
    "config": "settings file; share/calib_all_ros/config/calibration.yaml explains them",
    "seed": "seed of everything random",
}


def calibrate(context: LaunchContext) -> list[ExecuteProcess]:
    """Return the process, with the options that were given."""
    command = [
        ExecutableInPackage(executable="calib_all", package="calib_all_ros"),
        "calibrate",
        LaunchConfiguration("bag"),
        "--out",
        LaunchConfiguration("out"),
        "--verbose",
    ]
    for name in OPTIONS:
        value = LaunchConfiguration(name).perform(context)
        if value:
            # One word, so that a value may begin with a dash.
            command.append(f"--{name.replace('_', '-')}={value}")
    return [ExecuteProcess(cmd=command, output="screen")]


def generate_launch_description() -> LaunchDescription:
    """Return the description that `ros2 launch` asks for."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="recording to calibrate"),
            DeclareLaunchArgument("out", description="folder of results"),
            *(
                DeclareLaunchArgument(name, default_value="", description=text)
                for name, text in OPTIONS.items()
            ),
            OpaqueFunction(function=calibrate),
        ]
    )
