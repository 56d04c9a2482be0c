# SPDX-License-Identifier: Apache-2.0
"""Recordings without a fault and with a known camera, made once and kept on disk.

Rendered by the package's ray tracer, which shares no code with the solver's rasteriser; for the
image route also the path-traced recordings of ``../shared/data``.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm_models import ArmModel, arm_model, load_arm
from benchmarks.scenes import SHARED_DATA
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.loading import load_recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.motion import random_motion, surrounding_camera
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints

FRAMES, RATE_HZ = 40, 5.0
WIDTH, HEIGHT = 480, 360
# Joint states go on for so long after the last image: late stamps stay covered by them.
AFTERWARDS_S = 1.2
STILL_RAD = 1e-4
USUAL_MOTION_S = 8.0
USUAL_REACH_RAD = 2.0
WRIST_JOINTS = 3
PATH_TRACED = {"d1": "panda", "d2": "ur5e", "d3": "xarm7", "d4": "panda"}
_VERSION = 1


@dataclass(frozen=True)
class SceneSpec:
    """What a scene is.

    Attributes:
        robot: Name of the robot.
        seed: Seed of camera, motion and surroundings.
        farther: How many times farther away the camera is than a good one.
        amplitude: Share of the usual range that each joint moves through.
        wrist_only: Whether only the last joints of the arm move.
        recording: Name of a path-traced recording instead of all that.
    """

    robot: str
    seed: int
    farther: float = 1.0
    amplitude: float = 1.0
    wrist_only: bool = False
    recording: str | None = None

    @property
    def name(self) -> str:
        """Short, for file names."""
        if self.recording is not None:
            return self.recording
        marks = json.dumps([_VERSION, FRAMES, RATE_HZ, WIDTH, HEIGHT, asdict(self)])
        return f"{self.robot}_{self.seed}_{hashlib.sha256(marks.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class BaseScene:
    """A recording without a fault.

    Attributes:
        spec: What it is.
        robot: The robot.
        camera: The camera.
        T_camera_base: (4, 4) true pose.
        images: (N, H, W, 3) uint8 RGB.
        link_labels: (N, H, W) uint8, 1 + the index of the link that the ray through a pixel's
            centre hits, 0 where it hits none.
        image_stamps_ns: (N,) int64, the instants of the light.
        joints: Joint states; they go on for a while after the last image.
    """

    spec: SceneSpec
    robot: Robot
    camera: Camera
    T_camera_base: NDArray[np.float64]
    images: NDArray[np.uint8]
    link_labels: NDArray[np.uint8]
    image_stamps_ns: NDArray[np.int64]
    joints: JointTrajectory

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) where the robot is."""
        return np.asarray(self.link_labels > 0)

    @property
    def arm(self) -> ArmModel:
        """Names of the robot's parts."""
        return arm_model(self.spec.robot)

    @property
    def motion(self) -> RobotMotion:
        """The robot at every image, as it truly was."""
        kinematics = self.robot.kinematics
        assumed = match_joints(kinematics, self.joints.names).assumed
        return RobotMotion(kinematics, self.joints, self.image_stamps_ns, assumed)


def base_scene(spec: SceneSpec, cache_folder: Path) -> BaseScene:
    """Return a scene, from the folder if it has been rendered before."""
    path = cache_folder / f"{spec.name}.npz"
    robot = load_arm(spec.robot)
    if not path.is_file():
        content = _render(spec, robot) if spec.recording is None else _read(spec.recording, robot)
        cache_folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, allow_pickle=False, **content)
        unfinished.replace(path)
    with np.load(path) as stored:
        images, labels = stored["images"], stored["link_labels"]
        camera = Camera(
            stored["K"],
            images.shape[2],
            images.shape[1],
            stored["distortion"],
            str(stored["model"]),
        )
        joints = JointTrajectory(
            [str(name) for name in stored["joint_names"]],
            stored["joint_stamps_ns"],
            stored["joint_positions"],
        )
        return BaseScene(
            spec, robot, camera, stored["T_camera_base"], images, labels,
            stored["image_stamps_ns"], joints,
        )  # fmt: skip


def path_traced_spec(name: str) -> SceneSpec:
    """Return the spec of a path-traced recording; its number serves as the seed."""
    return SceneSpec(PATH_TRACED[name], list(PATH_TRACED).index(name), recording=name)


def _render(spec: SceneSpec, robot: Robot) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng([spec.seed, 77])
    settings = SimulationSettings(
        frames=FRAMES,
        rate_hz=RATE_HZ,
        width=WIDTH,
        height=HEIGHT,
        focal_px=WIDTH * rng.uniform(0.75, 1.2),
        lag_s=AFTERWARDS_S,
        seed=spec.seed,
        noise_sigma=rng.uniform(1.0, 3.0),
    )
    model = arm_model(spec.robot)
    robot = _restrained(robot, spec, model)
    T_camera_base = _camera_pose(robot, settings, spec, rng)
    shown = simulate(robot, replace(settings, T_camera_base=T_camera_base))
    # The simulator's lag only serves to have joint states after the last image.
    light = shown.image_stamps_ns - round(AFTERWARDS_S * 1e9)
    joints = JointTrajectory(shown.joint_names, shown.joint_stamps_ns, shown.joint_positions)
    motion = RobotMotion(robot.kinematics, joints, light)
    return {
        "images": shown.images,
        "link_labels": link_labels(robot, motion, shown.camera, shown.T_camera_base),
        "image_stamps_ns": light,
        "joint_names": np.array(shown.joint_names),
        "joint_stamps_ns": shown.joint_stamps_ns,
        "joint_positions": shown.joint_positions,
        **_camera_entries(shown.camera),
        "T_camera_base": shown.T_camera_base,
    }


def _restrained(robot: Robot, spec: SceneSpec, model: ArmModel) -> Robot:
    """Return the robot with joint limits so narrow that it moves as little as asked."""
    if spec.amplitude == 1.0 and not spec.wrist_only:
        return robot
    kinematics = copy.copy(robot.kinematics)
    # Some way through the usual motion, where the robot is known to keep off its table.
    middle = random_motion(robot, USUAL_MOTION_S, spec.seed)(0.5 * USUAL_MOTION_S)
    wrist = np.isin(np.array(kinematics.joint_names), model.arm_joints[-WRIST_JOINTS:])
    share = np.where(wrist | (not spec.wrist_only), spec.amplitude, 0.0)
    reach = np.maximum(share * USUAL_REACH_RAD, STILL_RAD)
    kinematics.lower = np.maximum(middle - reach, robot.kinematics.lower)
    kinematics.upper = np.minimum(middle + reach, robot.kinematics.upper)
    return replace(robot, kinematics=kinematics)


def _camera_pose(
    robot: Robot, settings: SimulationSettings, spec: SceneSpec, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the pose that the simulator would choose, from somewhat farther away."""
    camera = settings.camera()
    duration_s = (settings.frames - 1) / settings.rate_hz
    # The margin that the simulator records before and after; the motion depends on its length.
    path = random_motion(robot, 0.1 + settings.lag_s + duration_s + 0.1, settings.seed)
    positions = path(np.linspace(0.1, 0.1 + duration_s, settings.frames))
    T = surrounding_camera(robot, camera, positions, settings.seed)
    T[2, 3] *= rng.uniform(1.0, 1.3) * spec.farther
    T[:2, 3] += rng.uniform(-0.05, 0.05, 2) * T[2, 3]
    return T


def link_labels(
    robot: Robot, motion: RobotMotion, camera: Camera, T_camera_base: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the (N, H, W) links that pixels show, as in `BaseScene.link_labels`."""
    caster = RayCaster(robot.surface)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], axis=-1).astype(np.float64))
    labels = np.zeros((len(motion), camera.height, camera.width), np.uint8)
    for label, T_base_link in zip(labels, motion.link_poses(), strict=True):
        T_camera_link = T_camera_base @ T_base_link
        candidates = caster.candidate_pixels(T_camera_link, camera)
        anywhere = np.logical_or.reduce(list(candidates.values()))
        reaches = {link: mask[anywhere] for link, mask in candidates.items()}
        hits = caster.first_hits(np.zeros(3), rays[anywhere], T_camera_link, reaches)
        label[anywhere] = hits.link + 1
    return labels


def _read(name: str, robot: Robot) -> dict[str, NDArray[np.generic]]:
    """Read a path-traced recording, every other image, which makes its rate about `RATE_HZ`."""
    recording = load_recording(SHARED_DATA / name)
    recording = recording.subset(np.arange(0, len(recording), 2))
    truth = recording.reference_T_camera_base
    assert truth is not None
    joints = recording.joints
    assumed = match_joints(robot.kinematics, joints.names).assumed
    motion = RobotMotion(robot.kinematics, joints, recording.image_stamps_ns, assumed)
    stamps, _ = joints.series(joints.names[0])
    return {
        "images": np.stack([recording.images[i] for i in range(len(recording))]),
        "link_labels": link_labels(robot, motion, recording.camera, truth),
        "image_stamps_ns": recording.image_stamps_ns,
        "joint_names": np.array(joints.names),
        "joint_stamps_ns": stamps,
        "joint_positions": np.stack([joints.series(n)[1] for n in joints.names], axis=1),
        **_camera_entries(recording.camera),
        "T_camera_base": truth,
    }


def _camera_entries(camera: Camera) -> dict[str, NDArray[np.generic]]:
    return {
        "K": camera.K,
        "distortion": np.asarray(camera.distortion),
        "model": np.array(camera.model),
    }
