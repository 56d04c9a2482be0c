# SPDX-License-Identifier: Apache-2.0
"""Cameras whose truth is known: linear ones, and two simulated ones that watch one motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.recording.writing import JointSamples, write_bag
from calib_all_ros.robot.description import Robot, demo_urdf_path
from calib_all_ros.settings import (
    FrameSettings,
    MaskSettings,
    RefinementSettings,
    SearchEffort,
    Settings,
)
from calib_all_ros.simulation.motion import surrounding_camera
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate
from calib_all_ros.solving.estimate import FIRST_JOINT, LAG, Estimate
from calib_all_ros.solving.frame_systems import FrameSystems
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.joint_refinement import CameraSystems
from calib_all_ros.solving.normal_equations import NormalEquations

SECOND_NS = 1_000_000_000
TINY = SimulationSettings(
    frames=12, rate_hz=3.0, width=240, height=180, focal_px=210.0, supersample=1, shadows=False
)
JOINTS = 2
PIXELS = 60


class LinearCameras:
    """Cameras whose measurements are linear in everything: what algebra says of them is exact."""

    columns = FIRST_JOINT + JOINTS
    width_px = 320
    pose_and_lag = Parameters(mask_bias=False)
    with_joints = Parameters(mask_bias=False, joint_offsets=True)

    @classmethod
    def designs(cls, rng: np.random.Generator, images: int) -> NDArray[np.float64]:
        """(N, K, P) random derivatives of residuals, of the sizes that outlines have."""
        J = rng.normal(size=(images, PIXELS, cls.columns + 3 * JOINTS)) * 100.0
        J[:, :, LAG] *= 0.5
        J[:, :, cls.columns :] = 0.0
        return J

    @classmethod
    def camera(
        cls,
        J: NDArray[np.float64],
        residual: NDArray[np.float64],
        parameters: Parameters,
    ) -> CameraSystems:
        """A camera with (N, K) residuals at zero, and its own most probable estimate.

        The pose of the estimate stays the identity: poses are twists from what they are.
        """
        images = len(residual)
        group = np.repeat(np.arange(images), PIXELS)
        sums = NormalEquations.of(
            J.reshape(len(group), -1), residual.reshape(-1), np.ones(len(group)), group, images
        )
        systems = FrameSystems(
            **vars(sums), weight=np.full(images, float(PIXELS)),
            frame=np.arange(images, dtype=np.int32), link=np.full(images, -1, np.int32),
            centre=np.zeros(3), stamps_s=np.arange(images, dtype=np.float64),
        )  # fmt: skip
        at_zero = CameraSystems(systems, Estimate(np.eye(4)), parameters, cls.width_px)
        fitted = at_zero.fitted
        own = np.zeros(J.shape[2])
        own[fitted] = at_zero.equations().restricted(fitted).solve()
        estimate = Estimate(
            np.eye(4),
            lag_s=float(own[LAG]),
            joint_offsets=own[FIRST_JOINT : cls.columns] if parameters.joint_offsets else None,
        )
        return replace(at_zero, systems=replace(systems, g=systems.moved(own).g), estimate=estimate)

    @classmethod
    def several(
        cls, count: int, parameters: Parameters, seed: int = 0, images: int = 10
    ) -> list[CameraSystems]:
        """Cameras with independent measurements of nothing but noise."""
        rng = np.random.default_rng(seed)
        return [
            cls.camera(cls.designs(rng, images), rng.normal(size=(images, PIXELS)), parameters)
            for _ in range(count)
        ]


@pytest.fixture(scope="session")
def linear() -> type[LinearCameras]:
    """Makes cameras whose measurements are linear."""
    return LinearCameras


@dataclass(frozen=True)
class TwoViews:
    """One motion seen by two cameras; images are stamped when they were taken."""

    views: tuple[SimulatedRecording, SimulatedRecording]

    @staticmethod
    def settings(*, joint_offsets: bool = False) -> Settings:
        """Settings that are quick on small masks."""
        return Settings(
            frames=FrameSettings(count=10),
            search=SearchEffort(hypotheses=1000, candidates=4, finalists=1, attempts=1),
            masks=MaskSettings(source="images"),
            refinement=RefinementSettings(joint_offsets=joint_offsets),
        )

    def recording(
        self, number: int, lag_s: float = 0.0, joint_offsets: NDArray[np.float64] | float = 0.0
    ) -> Recording:
        """A view whose images are stamped late, and whose joints report too little."""
        view = self.views[number]
        return Recording(
            source="simulated",
            camera=replace(view.camera, frame_id=f"camera_{number}_optical_frame"),
            image_stamps_ns=view.image_stamps_ns + round(lag_s * SECOND_NS),
            images=FrameList(list(view.images)),
            joints=JointTrajectory(
                view.joint_names, view.joint_stamps_ns, view.joint_positions - joint_offsets
            ),
            masks=FrameList(list(view.masks)),
            base_frame=view.base_frame,
        )

    def write_bag(self, path: Path, names: Sequence[str]) -> None:
        """Write one bag with /NAME/image_raw/compressed, camera info, and masks on /NAME/mask."""
        ros = RosMessages(is_ros2=True)
        with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connections = {}
            for number, (name, view) in enumerate(zip(names, self.views, strict=True)):
                own = path.with_name(f"{path.name}_{name}")
                joints = JointSamples(view.joint_names, view.joint_stamps_ns, view.joint_positions)
                write_bag(
                    own,
                    images=view.images,
                    image_stamps_ns=view.image_stamps_ns,
                    joints=joints,
                    camera=replace(view.camera, frame_id=f"{name}_optical_frame"),
                    urdf=demo_urdf_path().read_text(encoding="utf-8"),
                    masks=view.masks,
                )
                with Reader(own) as reader:
                    for connection, stamp_ns, data in reader.messages():
                        topic = connection.topic.replace("/camera/color", f"/{name}")
                        topic = topic.replace("/robot_mask", f"/{name}/mask")
                        if number and topic == connection.topic:
                            continue  # the robot's own topics are in the bag already
                        if topic not in connections:
                            connections[topic] = writer.add_connection(
                                topic, connection.msgtype, typestore=ros.typestore
                            )
                        writer.write(connections[topic], stamp_ns, bytes(data))


@pytest.fixture(scope="session")
def two_views(demo_robot: Robot) -> TwoViews:
    """The demo arm, seen from two sides."""
    first = simulate(demo_robot, TINY)
    pose = surrounding_camera(demo_robot, first.camera, first.joint_positions[::20], 100)
    return TwoViews((first, simulate(demo_robot, replace(TINY, T_camera_base=pose))))
