# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.writing import JointSamples, write_bag, write_folder


def content(bags: Any) -> dict[str, Any]:
    stamps = np.arange(bags.start_ns - 10**7, bags.stamps[-1] + 2 * 10**7, 10**7)
    return {
        "images": (bags.picture(i) for i in range(6)),
        "image_stamps_ns": np.array(bags.stamps),
        "joints": JointSamples(bags.joints, stamps, np.array([bags.position(s) for s in stamps])),
        "camera": bags.camera,
        "urdf": "<robot name='r'/>",
        "masks": [bags.mask(i) for i in range(6)],
    }


@pytest.mark.parametrize("compressed", [True, False])
def test_bag_reads_back(bags: Any, compressed: bool) -> None:
    path = bags.folder / "written"
    write_bag(path, **content(bags), compressed=compressed)
    recording = load_recording(RecordingSource(path, masks="recorded"))
    assert recording.image_stamps_ns.tolist() == bags.stamps
    for i in range(6):
        difference = np.abs(recording.images[i].astype(int) - bags.picture(i)).mean()
        assert difference < 4 if compressed else difference == 0
    positions, valid = recording.joints.at(bags.stamps, bags.joints)
    assert valid.all()
    np.testing.assert_allclose(positions, [bags.position(s) for s in bags.stamps], atol=1e-12)
    np.testing.assert_array_equal(recording.camera.K, bags.camera.K)
    assert recording.urdf == "<robot name='r'/>"
    assert recording.masks is not None
    np.testing.assert_array_equal(recording.masks[4], bags.mask(4))
    assert recording.warnings == ()


def test_robot_description_is_latched(bags: Any) -> None:
    path = bags.folder / "written"
    write_bag(path, **content(bags))
    with Reader(path) as reader:
        (connection,) = (c for c in reader.connections if c.topic == "/robot_description")
    assert connection.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL


def test_folder_has_the_keys_of_the_development_recordings(bags: Any, shared_data: Path) -> None:
    path = bags.folder / "written"
    write_folder(path, **content(bags), T_camera_base=np.eye(4), base_frame="base")
    for name in ("camera.json", "joint_states.json", "timestamps.json"):
        written = json.loads((path / name).read_text())
        original = json.loads((shared_data / "real_franka" / name).read_text())
        assert set(written) == set(original)
    assert sorted(p.name for p in (path / "frames").iterdir())[0] == "000000.jpg"
    assert len(list((path / "masks").iterdir())) == 6


def test_number_of_images_must_match_the_stamps(bags: Any) -> None:
    few = content(bags) | {"image_stamps_ns": bags.stamps[:4]}
    with pytest.raises(ValueError, match="zip"):
        write_folder(bags.folder / "w", **few, T_camera_base=None, base_frame="base")
