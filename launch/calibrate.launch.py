# SPDX-License-Identifier: Apache-2.0
"""Records, calibrates, shows and publishes: `ros2 launch calib_all_ros calibrate.launch.py`.

With `bag:=PATH` the recorder plays a bag instead of listening; with `recording:=PATH` the
calibrator takes a finished recording and no recorder is started.
"""

from launch import LaunchDescription
from launch.actions import LogInfo
from launch_ros.actions import Node

from calib_all_ros.nodes.launching import Launch, Option, description, share

RECORDER = ("recorder",)
CALIBRATOR = ("calibrator",)
BOTH = ("recorder", "calibrator")
INPUT = (
    Option("name", "name to save the result under", nodes=CALIBRATOR),
    Option("bag", "bag to play instead of listening, file or folder", nodes=RECORDER),
    Option("recording", "finished recording to calibrate from, no recorder", nodes=CALIBRATOR),
    Option("image_topic", "images, raw or compressed; empty: the only ones", nodes=BOTH),
    Option("camera_info_topic", "intrinsics; empty: beside the images", nodes=BOTH),
    Option("joint_topics", "joint states, with commas between several", list, nodes=BOTH),
    Option("robot_description_topic", "the robot's URDF", nodes=RECORDER),
    Option("urdf", "URDF or xacro file; empty: robot_description_topic", nodes=BOTH),
    Option("mesh_paths", "folders with the URDF's packages, with commas", list, nodes=CALIBRATOR),
    Option("base_frame", "link that the pose refers to; empty: root of the URDF", nodes=BOTH),
    Option("camera", "file of intrinsics instead of camera_info", nodes=CALIBRATOR),
    Option("joint_names", "joints of an .npz, with commas", list, nodes=CALIBRATOR),
    Option("start_s", "use images from here on, seconds", float, nodes=CALIBRATOR),
    Option("end_s", "use images up to here, seconds; 0: all", float, nodes=CALIBRATOR),
)
RECORDING = (
    Option("mode", "continuous or stop_and_go", nodes=RECORDER),
    Option("configurations", "file of joint configurations for stop_and_go", nodes=RECORDER),
    Option("configuration_joints", "joints of a file without names", list, nodes=RECORDER),
    Option("folder", "folder of recordings; empty: under the ROS home", nodes=RECORDER),
    Option("auto_start", "begin when the robot moves, without ~/start", bool, nodes=RECORDER),
    Option("auto_stop", "finish when it is enough, without ~/stop", bool, nodes=RECORDER),
    Option("max_duration_s", "record no longer, seconds; 0: no limit", float, nodes=RECORDER),
    Option("max_gigabytes", "record no more", float, nodes=RECORDER),
    Option("min_free_gigabytes", "stop when no more is free on the disk", float, nodes=RECORDER),
    Option("image_depth", "images kept by the middleware", int, nodes=RECORDER),
    Option("joint_depth", "joint states kept by the middleware", int, nodes=RECORDER),
    Option("queue_megabytes", "how much may wait for the disk", float, nodes=RECORDER),
)
CALIBRATION = (
    Option("masks", "robot masks: auto, recorded, a topic or a folder", nodes=CALIBRATOR),
    Option("mark", "pixel u,v of a mark on the robot; none is needed", nodes=CALIBRATOR),
    Option("mark_frame", "number of the image with the mark, from 0", int, nodes=CALIBRATOR),
    Option("wait_for_mark", "wait for a click on ~/mark_image", bool, nodes=CALIBRATOR),
    Option("eef_link", "link that carries the mark", nodes=CALIBRATOR),
    Option("out", "folder for file, pictures and log of each solve", nodes=CALIBRATOR),
    Option("auto_solve", "solve as soon as there is a recording", bool, nodes=CALIBRATOR),
    Option("auto_accept", "take an accepted result without ~/accept", bool, "true", CALIBRATOR),
    Option("force", "let ~/accept take a rejected result", bool, nodes=CALIBRATOR),
    Option("publish_tf", "publish an accepted result as TF", bool, nodes=CALIBRATOR),
    Option("tf_base_frame", "base frame's name in the TF tree, if another", nodes=CALIBRATOR),
    Option("tf_optical_frame", "optical frame's name in the TF tree, if another", nodes=CALIBRATOR),
    Option("exit_when_done", "end when the solve has ended", bool, nodes=CALIBRATOR),
)
RVIZ = (
    Option("rviz", "true, false, or auto: if installed and with a display", default="auto"),
    Option("rviz_config", "what RViz shows", default=str(share() / "rviz" / "calibrate.rviz")),
)
# In what the recorder wrote, the calibrator finds these by itself.
SOURCES = ("image_topic", "camera_info_topic", "joint_topics")


def nodes(launch: Launch) -> list[Node | LogInfo]:
    """Return what is to be launched."""
    shown = launch.rviz(live_camera(launch))
    if launch.value("recording"):
        return [launch.node("calibrator"), *shown]
    return [launch.node("recorder"), launch.node("calibrator", without=SOURCES), *shown]


def live_camera(launch: Launch) -> list[tuple[str, str]]:
    """Return the rules that give RViz's display of the live camera its topics."""
    images = launch.value("image_topic").removesuffix("/compressed")
    if not images:
        return []
    folder, slash, _ = images.rpartition("/")
    infos = launch.value("camera_info_topic") or f"{folder}{slash}camera_info"
    return [("camera/image_raw", images), ("camera/camera_info", infos)]


def generate_launch_description() -> LaunchDescription:
    """Return the description that `ros2 launch` asks for."""
    return description((*INPUT, *RECORDING, *CALIBRATION, *RVIZ), nodes, required=True)
