# SPDX-License-Identifier: Apache-2.0
"""Parameters of the calibrator node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from calib_all_ros.input_files import InputFiles
from calib_all_ros.nodes.parameters import ParameterError
from calib_all_ros.nodes.solve_requests import GivenMark
from calib_all_ros.results.store import ResultStore, default_folder
from calib_all_ros.settings import Settings


@dataclass(frozen=True)
class CalibratorParameters:
    """What to calibrate from, and what to do with the result.

    Attributes:
        name: Name under which an accepted result is saved; `publisher` finds it by this name.
        recording: Bag, recording folder or .npz to calibrate from; empty waits for the recorder.
        recorder: Name of the recorder node.
        out: Folder for calibration.yaml, pictures and log of each solve; empty takes the folder
            calib_all_ros/NAME under the ROS home folder.
        auto_solve: Solve as soon as there is a recording; else wait for ~/solve.
        auto_accept: Save and publish a result whose verdict is "accepted" without waiting for
            ~/accept.
        force: Let ~/accept take a result whose verdict is "rejected".
        publish_tf: Publish an accepted result on /tf_static.
        exit_when_done: End with the exit code of `calib_all calibrate` (0 accepted or warning,
            3 rejected, 2 bad input, 1 internal error) when the solve has ended.
        wait_for_mark: Show an image on ~/mark_image and wait until somebody clicks on the mark.
        mark: Pixel "u,v" of a mark on the robot in the raw image; empty for none.
        mark_frame: Number of the image that shows the mark, from 0.
        eef_link: Link that carries the mark, and whose path is shown; empty shows the path of the
            link that most joints move.
        masks: Robot masks; "auto" finds them in the images, "recorded", a topic or a folder.
        urdf: URDF or xacro file; empty takes the recording's /robot_description.
        base_frame: Link that the pose refers to; empty takes the root of the URDF.
        mesh_paths: Folders with the packages that the URDF names, if they are not installed.
        image_topic: Images of the bag; empty finds them by type.
        camera_info_topic: Intrinsics of the bag; empty takes those beside the images.
        joint_topics: Joint states of the bag; empty takes all.
        joint_names: Joints of an .npz in the order of its columns; empty takes the URDF's first.
        camera: File of intrinsics, camera.json or camera_info YAML; empty takes the recording's.
        start_s: Use images from here on, seconds after the first.
        end_s: Use images up to here, seconds after the first; 0 for all.
        tf_base_frame: The base frame's name in the TF tree, if it is not that of the URDF's link.
        tf_optical_frame: The optical frame's name in the TF tree, if it is not that of camera_info.
        settings: How to solve.
    """

    name: str = "camera"
    recording: str = ""
    recorder: str = "recorder"
    out: str = ""
    auto_solve: bool = True
    auto_accept: bool = False
    force: bool = False
    publish_tf: bool = True
    exit_when_done: bool = False
    wait_for_mark: bool = False
    mark: str = ""
    mark_frame: int = 0
    eef_link: str = ""
    masks: str = "auto"
    urdf: str = ""
    base_frame: str = ""
    mesh_paths: tuple[str, ...] = ()
    image_topic: str = ""
    camera_info_topic: str = ""
    joint_topics: tuple[str, ...] = ()
    joint_names: tuple[str, ...] = ()
    camera: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    tf_base_frame: str = ""
    tf_optical_frame: str = ""
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        ResultStore().path(self.name)
        self.given_mark()
        if self.mark and self.wait_for_mark:
            raise ParameterError(
                f"both mark ({self.mark}) and wait_for_mark are given: give one of them"
            )
        if (self.mark or self.wait_for_mark) and not self.eef_link:
            raise ParameterError(
                "a mark needs the parameter eef_link, the link of the URDF that carries it"
            )
        if self.mark_frame < 0:
            raise ParameterError(f"mark_frame is {self.mark_frame}: images are numbered from 0")
        if self.start_s < 0 or (self.end_s != 0.0 and self.end_s <= self.start_s):
            raise ParameterError(
                f"no images are between start_s {self.start_s} and end_s {self.end_s}: give "
                "seconds after the first image, end_s 0 for all"
            )

    def given_mark(self) -> GivenMark | None:
        """Return the mark that the parameters give, if they do.

        Raises:
            ParameterError: It is not a pixel.
        """
        if not self.mark:
            return None
        try:
            u, v = (float(part) for part in self.mark.split(","))
        except ValueError:
            raise ParameterError(
                f"mark is '{self.mark}': give a pixel u,v of the raw image, e.g. 312,207.5"
            ) from None
        return GivenMark((u, v), self.eef_link, self.mark_frame)

    def files(self, recording: str) -> InputFiles:
        """Return what to read of a recording."""
        return InputFiles(
            recording=_path(recording),
            urdf=_path(self.urdf) if self.urdf else None,
            base_frame=self.base_frame or None,
            mesh_paths=tuple(_path(folder) for folder in self.mesh_paths),
            image_topic=self.image_topic or None,
            camera_info_topic=self.camera_info_topic or None,
            joint_topics=self.joint_topics or None,
            camera=_path(self.camera) if self.camera else None,
            joint_names=self.joint_names or None,
            start_s=self.start_s or None,
            end_s=self.end_s or None,
            masks=self.masks,
        )

    def folder(self) -> Path:
        """Return the folder of results."""
        return _path(self.out) if self.out else default_folder() / self.name


def _path(text: str) -> Path:
    return Path(text).expanduser()
