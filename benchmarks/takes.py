# SPDX-License-Identifier: Apache-2.0
"""What a user would hand to `calibrate`, with the truth that the user does not have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.trial_scenes import BaseScene
from calib_all_ros.calibration import Mark
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import Robot


@dataclass(frozen=True, eq=False)
class Take:
    """A recording, sound or faulty.

    Attributes:
        scene: Where it was taken; never changed by a fault.
        robot: The robot as its user believes it to be.
        camera: What camera_info says.
        images: (N, H, W, 3) uint8 RGB.
        masks: (N, H, W) what a segmenter says is the robot.
        image_stamps_ns: (N,) int64, as the driver stamps them.
        joints: Joint states as published.
        truths: (4, 4) poses that would be right, the nearest counts: two where the camera was
            bumped; none where no pose can be right.
        mark: A mark, None without.
        detail: What the seed chose, for the record.
    """

    scene: BaseScene
    robot: Robot
    camera: Camera
    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    image_stamps_ns: NDArray[np.int64]
    joints: JointTrajectory
    truths: tuple[NDArray[np.float64], ...]
    mark: Mark | None = None
    detail: str = ""

    @classmethod
    def of(cls, scene: BaseScene) -> Take:
        """Return the sound recording of a scene."""
        return cls(
            scene, scene.robot, scene.camera, scene.images, scene.masks, scene.image_stamps_ns,
            scene.joints, (scene.T_camera_base,),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.images)

    def frames(self, indices: NDArray[np.intp]) -> Take:
        """Return the recording with only these images."""
        return replace(
            self,
            images=self.images[indices],
            masks=self.masks[indices],
            image_stamps_ns=self.image_stamps_ns[indices],
        )

    def recording(self, with_masks: bool) -> Recording:
        """Return what `calibrate` takes."""
        return Recording(
            source=self.scene.spec.name,
            camera=self.camera,
            image_stamps_ns=self.image_stamps_ns,
            images=FrameList(list(self.images)),
            joints=self.joints,
            masks=FrameList(list(self.masks)) if with_masks else None,
        )
