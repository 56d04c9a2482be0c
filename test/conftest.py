# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several parts of the tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
SMALL = SimulationSettings(frames=20, rate_hz=4.0, width=320, height=240, focal_px=280.0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


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
