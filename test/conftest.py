# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several parts of the tests need."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate
from calib_all_ros.solving.motion import RobotMotion

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
SMALL = SimulationSettings(frames=20, rate_hz=4.0, width=320, height=240, focal_px=280.0)


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Checkpoints and reference marks on this machine must not change what tests find."""
    nothing = tmp_path_factory.mktemp("nothing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALIB_ALL_CHECKPOINTS", str(nothing / "checkpoints"))
        patch.setenv("CALIB_ALL_MARKS", str(nothing / "marks"))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def run_example(repository: Path) -> Callable[..., str]:
    """Runs an example by its number and returns what it prints."""

    def run(number: int, *arguments: object) -> str:
        (program,) = (repository / "examples").glob(f"{number:02d}_*.py")
        command = [sys.executable, program, *arguments]
        done = subprocess.run(
            [str(word) for word in command], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development recordings; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"development recordings not found at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def simulated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated recording with masks and its true pose; do not change it."""
    path = tmp_path_factory.mktemp("simulated") / "recording"
    simulate_to(path, settings=SMALL)
    return path


@pytest.fixture(scope="session")
def simulated_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a rosbag2; do not change it."""
    path = tmp_path_factory.mktemp("simulated") / "bag"
    simulate_to(path, settings=SMALL, as_bag=True)
    return path


@pytest.fixture(scope="session")
def demo_robot() -> Robot:
    """The demo arm."""
    return load_robot(demo_urdf_path())


@pytest.fixture(scope="session")
def simulated(demo_robot: Robot) -> SimulatedRecording:
    """The same simulation as `simulated_folder` in memory, images without JPEG artefacts."""
    return simulate(demo_robot, SMALL)


@pytest.fixture(scope="session")
def simulated_motion(demo_robot: Robot, simulated: SimulatedRecording) -> RobotMotion:
    """The robot's motion at the images of `simulated`."""
    joints = JointTrajectory(
        simulated.joint_names, simulated.joint_stamps_ns, simulated.joint_positions
    )
    return RobotMotion(demo_robot.kinematics, joints, simulated.image_stamps_ns)


@pytest.fixture(scope="session")
def simulated_recording(simulated: SimulatedRecording, simulated_motion: RobotMotion) -> Recording:
    """`simulated` as it would be read from a file, with masks."""
    return Recording(
        source="simulated",
        camera=simulated.camera,
        image_stamps_ns=simulated.image_stamps_ns,
        images=FrameList(list(simulated.images)),
        joints=simulated_motion.joints,
        masks=FrameList(list(simulated.masks)),
        reference_T_camera_base=simulated.T_camera_base,
        base_frame=simulated.base_frame,
    )


@pytest.fixture
def emulated_nvdiffrast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the emulation in nvdiffrast's place, which then runs on the device "cpu"."""
    pytest.importorskip("torch", reason="pip install '.[foundation]'")
    path = REPOSITORY / "test" / "nvdiffrast_emulation.py"
    spec = importlib.util.spec_from_file_location("nvdiffrast.torch", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)
