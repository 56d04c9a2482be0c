# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from calib_all_ros.collection.coverage import CoverageGoals
from calib_all_ros.collection.settings import MODES, CollectionSettings
from calib_all_ros.collection.stop_and_go import (
    JointConfigurations,
    StopAndGoSettings,
    read_configurations,
)
from calib_all_ros.collection.stream_writer import StorageLimits
from calib_all_ros.nodes.parameters import ParameterError
from calib_all_ros.results.store import default_folder


@dataclass(frozen=True)
class RecorderParameters:
    """What to record, when, and where to.

    Attributes:
        image_topic: Images, raw or compressed; empty takes the only image topic there is.
        camera_info_topic: Intrinsics; empty takes the camera_info beside the images.
        joint_topics: Joint states; several topics are recorded side by side.
        robot_description_topic: The robot's URDF.
        urdf: URDF or xacro file to record instead of what is on robot_description_topic.
        base_frame: The robot's base link; empty takes the root of the URDF.
        bag: Bag to play through the recorder instead of listening, file or folder.
        mode: "continuous" records while the robot moves; "stop_and_go" takes an image of each
            pose in which it rests.
        configurations: File of the joint configurations to visit in stop and go; empty takes
            every new pose.
        configuration_joints: Names of the joints in a file of configurations that has none.
        folder: Folder of the recordings; empty takes calib_all_ros/recordings under the ROS home
            folder.
        auto_start: Begin by itself, once images and joint states come in and the robot moves; else
            wait for ~/start.
        auto_stop: Finish by itself, once enough is recorded; else wait for ~/stop.
        max_duration_s: Finish after so long in continuous mode, seconds; 0 for no limit.
        max_gigabytes: Finish when the recording has this size.
        min_free_gigabytes: Finish when no more than this is free on the disk.
        image_depth: Images kept by the middleware while the recorder is busy.
        joint_depth: Joint states kept by the middleware while the recorder is busy.
        queue_megabytes: How much may wait in memory for the disk.
        exit_when_done: End when a recording is finished, with exit code 0.
        goals: What a recording has to reach to be enough.
        stop_and_go: When images are taken in stop and go.
    """

    image_topic: str = ""
    camera_info_topic: str = ""
    joint_topics: tuple[str, ...] = ("joint_states",)
    robot_description_topic: str = "robot_description"
    urdf: str = ""
    base_frame: str = ""
    bag: str = ""
    mode: str = field(default="continuous", metadata={"choices": MODES})
    configurations: str = ""
    configuration_joints: tuple[str, ...] = ()
    folder: str = ""
    auto_start: bool = True
    auto_stop: bool = True
    max_duration_s: float = 180.0
    max_gigabytes: float = 20.0
    min_free_gigabytes: float = 2.0
    image_depth: int = 10
    joint_depth: int = 500
    queue_megabytes: float = 256.0
    exit_when_done: bool = False
    goals: CoverageGoals = field(default_factory=CoverageGoals)
    stop_and_go: StopAndGoSettings = field(default_factory=StopAndGoSettings)

    def __post_init__(self) -> None:
        if self.configurations and self.mode != "stop_and_go":
            raise ParameterError(
                f"configurations ({self.configurations}) are for stop and go, but mode is "
                f"{self.mode}: set mode to stop_and_go, or leave the configurations out"
            )
        if not self.joint_topics and not self.bag:
            raise ParameterError(
                "joint_topics is empty: name the topics of the robot's joint states"
            )
        for name in ("image_depth", "joint_depth", "queue_megabytes", "max_gigabytes"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}: it must be above 0")

    def recordings(self) -> Path:
        """Return the folder that recordings are put into."""
        return Path(self.folder).expanduser() if self.folder else default_folder() / "recordings"

    def collection(self) -> CollectionSettings:
        """Return the settings of the collector."""
        return CollectionSettings(
            mode=self.mode,
            goals=self.goals,
            stop_and_go=self.stop_and_go,
            storage=StorageLimits(self.max_gigabytes, self.min_free_gigabytes),
            max_queued_megabytes=self.queue_megabytes,
        )

    def listed_configurations(self) -> JointConfigurations | None:
        """Return the joint configurations to visit, None if any new pose will do.

        Raises:
            CollectionError: Their file cannot be read.
        """
        if not self.configurations:
            return None
        return read_configurations(Path(self.configurations), self.configuration_joints)
