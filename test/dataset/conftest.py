# SPDX-License-Identifier: Apache-2.0
"""Small simulated datasets: one long recording each, cut into episodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import SingleProcess
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.geometry import se3
from calib_all_ros.input_files import InputSelection
from calib_all_ros.recording.writing import JointSamples, write_folder
from calib_all_ros.robot.description import Robot, demo_urdf_path, read_description
from calib_all_ros.settings import FrameSettings, SearchEffort, Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate

FRAMES = 6
"""Images of an episode."""
MARGIN_NS = 150_000_000
MOVED = se3.from_rotvec([0.0, 0.03, 0.0], [0.02, 0.0, 0.0])
"""What the second camera differs by from the first: 2 cm and 1.7 degrees."""


def small(frames: int, **changes: object) -> SimulationSettings:
    """Return the settings of a simulation that takes a second or two."""
    values = {"seed": 1, "rate_hz": 4.0, "width": 240, "height": 180, "focal_px": 210.0}
    return SimulationSettings(frames=frames, supersample=1, **{**values, **changes})  # type: ignore[arg-type]


def write_episodes(folder: Path, name: str, simulated: SimulatedRecording) -> None:
    """Write a simulation as episodes of `FRAMES` images: NAME0, NAME1, ..."""
    urdf = read_description(demo_urdf_path(), mesh_paths=[])
    for number, begin in enumerate(range(0, len(simulated.images), FRAMES)):
        part = slice(begin, begin + FRAMES)
        stamps = simulated.image_stamps_ns[part]
        known = simulated.joint_stamps_ns
        during = (known >= stamps[0] - MARGIN_NS) & (known <= stamps[-1] + MARGIN_NS)
        write_folder(
            folder / f"{name}{number}",
            images=simulated.images[part],
            image_stamps_ns=stamps,
            joints=JointSamples(
                simulated.joint_names, known[during], simulated.joint_positions[during]
            ),
            camera=simulated.camera,
            urdf=urdf,
            T_camera_base=simulated.T_camera_base,
            base_frame=simulated.base_frame,
            masks=simulated.masks[part],
        )


@pytest.fixture(scope="session")
def first_camera(demo_robot: Robot) -> SimulatedRecording:
    """Three episodes in one place."""
    return simulate(demo_robot, small(3 * FRAMES))


@pytest.fixture(scope="session")
def second_camera(demo_robot: Robot, first_camera: SimulatedRecording) -> SimulatedRecording:
    """Two episodes of the same camera, bumped."""
    T_camera_base = MOVED @ first_camera.T_camera_base
    return simulate(demo_robot, small(2 * FRAMES, T_camera_base=T_camera_base))


@pytest.fixture(scope="session")
def two_setups(
    tmp_path_factory: pytest.TempPathFactory,
    first_camera: SimulatedRecording,
    second_camera: SimulatedRecording,
) -> Path:
    """Episodes a0, a1, a2 and b0, b1 of a camera that was bumped between them; do not change."""
    folder = tmp_path_factory.mktemp("dataset") / "two_setups"
    write_episodes(folder, "a", first_camera)
    write_episodes(folder, "b", second_camera)
    return folder


@pytest.fixture(scope="session")
def plan_for() -> Callable[[Path], DatasetPlan]:
    """Makes a plan that takes masks, searches little and writes no pages, for a folder."""
    settings = Settings(
        frames=FrameSettings(count=FRAMES),
        search=SearchEffort(hypotheses=1500, candidates=8, finalists=1, attempts=1),
    )
    selection = DatasetSelection(InputSelection(masks="recorded"))
    return lambda out: DatasetPlan(out=out, selection=selection, settings=settings, reports="none")


@pytest.fixture(scope="session")
def write() -> Callable[[Path, str, SimulatedRecording], None]:
    """Writes a simulation as episodes."""
    return write_episodes


@pytest.fixture(scope="session")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    two_setups: Path,
    plan_for: Callable[[Path], DatasetPlan],
) -> DatasetRun:
    """A run over `two_setups` that nothing disturbed; do not change its folder."""
    plan = plan_for(tmp_path_factory.mktemp("whole"))
    with Journal(plan.out) as journal:
        finished = DatasetRun(plan, SingleProcess(), journal)
        finished(find_episodes(two_setups))
    return finished
