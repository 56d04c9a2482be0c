# SPDX-License-Identifier: Apache-2.0
"""Records, calibrates, shows and publishes: `ros2 launch calib_all_ros calibrate.launch.py`.

With `bag:=PATH` the recorder plays a bag instead of listening; with `recording:=PATH` the
calibrator takes a finished recording and no recorder is started.
"""

from launch import LaunchDescription
from launch.actions import LogInfo
from launch_ros.actions import Node

from calib_all_ros.nodes.launching import Launch, LaunchOption, description, share

RECORDER = ("recorder",)
CALIBRATOR = ("calibrator",)
BOTH = ("recorder", "calibrator")
INPUT = (
    LaunchOption("name", "name to save the result under", nodes=CALIBRATOR),
    LaunchOption("bag", "bag to play instead of listening, file or folder", nodes=RECORDER),
    LaunchOption(
        "recording", "finished recording to calibrate from, no recorder", nodes=CALIBRATOR
    ),
    LaunchOption("image_topic", "images, raw or compressed; empty: the only ones", nodes=BOTH),
    LaunchOption("camera_info_topic", "intrinsics; empty: beside the images", nodes=BOTH),
    LaunchOption("joint_topics", "joint states, with commas between several", list, nodes=BOTH),
    LaunchOption("robot_description_topic", "the robot's URDF", nodes=RECORDER),
    LaunchOption("urdf", "URDF or xacro file; empty: robot_description_topic", nodes=BOTH),
    LaunchOption(
        "mesh_paths", "folders with the URDF's packages, with commas", list, nodes=CALIBRATOR
    ),
    LaunchOption("base_frame", "link that the pose refers to; empty: root of the URDF", nodes=BOTH),
    LaunchOption("camera", "file of intrinsics instead of camera_info", nodes=CALIBRATOR),
    LaunchOption("joint_names", "joints of an .npz, with commas", list, nodes=CALIBRATOR),
    LaunchOption("start_s", "use images from here on, seconds", float, nodes=CALIBRATOR),
    LaunchOption("end_s", "use images up to here, seconds; 0: all", float, nodes=CALIBRATOR),
)
RECORDING = (
    LaunchOption("mode", "continuous or stop_and_go", nodes=RECORDER),
    LaunchOption("configurations", "file of joint configurations for stop_and_go", nodes=RECORDER),
    LaunchOption("configuration_joints", "joints of a file without names", list, nodes=RECORDER),
    LaunchOption("folder", "folder of recordings; empty: under the ROS home", nodes=RECORDER),
    LaunchOption("auto_start", "begin when the robot moves, without ~/start", bool, nodes=RECORDER),
    LaunchOption("auto_stop", "finish when it is enough, without ~/stop", bool, nodes=RECORDER),
    LaunchOption("max_duration_s", "record no longer, seconds; 0: no limit", float, nodes=RECORDER),
    LaunchOption("max_gigabytes", "record no more", float, nodes=RECORDER),
    LaunchOption(
        "min_free_gigabytes", "stop when no more is free on the disk", float, nodes=RECORDER
    ),
    LaunchOption("image_depth", "images kept by the middleware", int, nodes=RECORDER),
    LaunchOption("joint_depth", "joint states kept by the middleware", int, nodes=RECORDER),
    LaunchOption("queue_megabytes", "how much may wait for the disk", float, nodes=RECORDER),
)
CALIBRATION = (
    LaunchOption("masks", "robot masks: auto, recorded, a topic or a folder", nodes=CALIBRATOR),
    LaunchOption("mark", "pixel u,v of a mark on the robot; none is needed", nodes=CALIBRATOR),
    LaunchOption("mark_frame", "number of the image with the mark, from 0", int, nodes=CALIBRATOR),
    LaunchOption("wait_for_mark", "wait for a click on ~/mark_image", bool, nodes=CALIBRATOR),
    LaunchOption("eef_link", "link that carries the mark", nodes=CALIBRATOR),
    LaunchOption("out", "folder for file, pictures and log of each solve", nodes=CALIBRATOR),
    LaunchOption("auto_solve", "solve as soon as there is a recording", bool, nodes=CALIBRATOR),
    LaunchOption(
        "auto_accept", "take an accepted result without ~/accept", bool, "true", CALIBRATOR
    ),
    LaunchOption("force", "let ~/accept take a rejected result", bool, nodes=CALIBRATOR),
    LaunchOption("publish_tf", "publish an accepted result as TF", bool, nodes=CALIBRATOR),
    LaunchOption("tf_base_frame", "base frame's name in the TF tree, if another", nodes=CALIBRATOR),
    LaunchOption(
        "tf_optical_frame", "optical frame's name in the TF tree, if another", nodes=CALIBRATOR
    ),
    LaunchOption("exit_when_done", "end when the solve has ended", bool, nodes=CALIBRATOR),
)
RVIZ = (
    LaunchOption("rviz", "true, false, or auto: if installed and with a display", default="auto"),
    LaunchOption(
        "rviz_config", "what RViz shows", default=str(share() / "rviz" / "calibrate.rviz")
    ),
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
