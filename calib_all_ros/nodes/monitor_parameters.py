# SPDX-License-Identifier: Apache-2.0
"""Parameters of the monitor node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from calib_all_ros.monitoring.state import MonitorSettings
from calib_all_ros.nodes.parameters import ParameterError
from calib_all_ros.results.calibration import FILE_NAME
from calib_all_ros.results.store import ResultStore


@dataclass(frozen=True)
class MonitorParameters:
    """Which camera to watch, against which calibration.

    Attributes:
        name: Saved result to compare with, by its name.
        file: Calibration file to compare with instead of a saved result, calibration.yaml or its
            folder.
        follow: Take a newer result as soon as it is saved; else wait for ~/reload.
        urdf: URDF or xacro file; empty takes robot_description_topic.
        robot_description_topic: The robot's URDF.
        mesh_paths: Folders with the packages that the URDF names, if they are not installed.
        image_topic: Images, raw or compressed; empty takes the only image topic there is.
        camera_info_topic: Intrinsics; empty takes the camera_info beside the images.
        joint_topics: Joint states.
        rate_hz: Images looked at per second, at most; the newest counts, others are dropped.
        overlay_rate_hz: Pictures on ~/overlay/image per second, at most; only drawn when somebody
            subscribes.
        recorder: Name of the recorder node that ~/recalibrate asks to start.
        auto_recalibrate: Ask the recorder to start as soon as the camera was moved.
        settings: How closely to watch.
    """

    name: str = "camera"
    file: str = ""
    follow: bool = True
    urdf: str = ""
    robot_description_topic: str = "robot_description"
    mesh_paths: tuple[str, ...] = ()
    image_topic: str = ""
    camera_info_topic: str = ""
    joint_topics: tuple[str, ...] = ("joint_states",)
    rate_hz: float = 5.0
    overlay_rate_hz: float = 1.0
    recorder: str = "recorder"
    auto_recalibrate: bool = False
    settings: MonitorSettings = field(default_factory=MonitorSettings)

    def __post_init__(self) -> None:
        for name in ("rate_hz", "overlay_rate_hz"):
            if not 0.0 < getattr(self, name) <= 100.0:
                raise ParameterError(
                    f"{name} is {getattr(self, name)}: it must be above 0 and at most 100"
                )
        if not self.joint_topics:
            raise ParameterError(
                "joint_topics is empty: name the topics of the robot's joint states"
            )
        self.calibration_path()

    def calibration_path(self) -> Path:
        """Return the file of the calibration, which need not exist."""
        if not self.file:
            return ResultStore().path(self.name)
        path = Path(self.file).expanduser()
        return path / FILE_NAME if path.is_dir() else path
