# SPDX-License-Identifier: Apache-2.0
"""Simulated recordings on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings

SMALL = SimulationSettings(
    frames=3, rate_hz=2.0, width=160, height=120, focal_px=140.0, jpeg_quality=98
)


@pytest.mark.parametrize("as_bag", [False, True])
def test_written_recording_is_read_back(tmp_path: Path, as_bag: bool) -> None:
    made = simulate_to(tmp_path / "demo", settings=SMALL, as_bag=as_bag)
    read = load_recording(RecordingSource(tmp_path / "demo", masks="recorded"))
    assert len(read.images) == 3
    np.testing.assert_array_equal(read.image_stamps_ns, made.image_stamps_ns)
    np.testing.assert_allclose(read.camera.K, made.camera.K)
    difference = np.abs(read.images[1].astype(float) - made.images[1])
    assert difference.mean() < 6.0
    assert read.masks is not None
    np.testing.assert_array_equal(read.masks[1], made.masks[1])
    assert read.urdf is not None
    assert "demo_arm" in read.urdf
    q, valid = read.joints.at(made.image_stamps_ns, list(made.joint_names))
    assert valid.all()
    exact = made.joint_positions[np.searchsorted(made.joint_stamps_ns, made.image_stamps_ns)]
    np.testing.assert_allclose(q, exact, atol=1e-3)
    if not as_bag:
        assert read.reference_T_camera_base is not None
        np.testing.assert_allclose(read.reference_T_camera_base, made.T_camera_base)
        assert read.base_frame == "base_link"


def test_an_existing_recording_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SimulationError, match="exists already"):
        simulate_to(tmp_path, settings=SMALL)
