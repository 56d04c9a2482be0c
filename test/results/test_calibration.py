# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Covariance, Verdict


def edited(path: Path, **changes: Any) -> Path:
    document = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        if value is None:
            del document[key]
        else:
            document[key] = value
    path.write_text(yaml.safe_dump(document))
    return path


def test_round_trip_loses_nothing(calibration: Calibration, tmp_path: Path) -> None:
    loaded = Calibration.load(calibration.save(tmp_path / "pose.yaml"))
    np.testing.assert_array_equal(loaded.T_camera_base, calibration.T_camera_base)
    np.testing.assert_array_equal(loaded.camera.K, calibration.camera.K)
    np.testing.assert_array_equal(loaded.camera.distortion, calibration.camera.distortion)
    assert (loaded.camera.width, loaded.camera.height) == (640, 480)
    assert loaded.camera.frame_id == "kitchen_optical_frame"
    assert loaded.robot == calibration.robot
    assert loaded.verdict == calibration.verdict
    assert loaded.quality == calibration.quality
    assert loaded.frames == calibration.frames
    assert loaded.covariance is not None
    assert calibration.covariance is not None
    np.testing.assert_array_equal(loaded.covariance.matrix, calibration.covariance.matrix)
    assert loaded.covariance.order == calibration.covariance.order
    assert (loaded.lag_ms, loaded.mask_bias_px, loaded.focal_scale) == (3.0, -0.7, None)
    assert loaded.joint_offsets == {"joint1": 0.001, "joint2": -0.0025}
    np.testing.assert_array_equal(loaded.point_offset_m, calibration.point_offset_m)
    np.testing.assert_array_equal(loaded.stages["coarse"], calibration.stages["coarse"])
    assert loaded.provenance.frames_used == (0, 4, 9)
    assert loaded.provenance.settings == {
        "search": {"seeds": [1, 2], "name": None},
        "fast": True,
    }


def test_a_bare_calibration_round_trips(calibration: Calibration, tmp_path: Path) -> None:
    bare = Calibration(
        calibration.T_camera_base,
        calibration.camera,
        calibration.robot,
        Verdict("accepted"),
        calibration.provenance,
    )
    loaded = Calibration.load(bare.save(tmp_path))
    assert loaded.verdict == Verdict("accepted")
    assert loaded.covariance is None
    assert loaded.point_offset_m is None
    assert loaded.frames == ()
    assert loaded.quality == {}


def test_file_says_what_users_and_scripts_look_for(
    calibration: Calibration, tmp_path: Path
) -> None:
    text = calibration.save(tmp_path).read_text()
    document = yaml.safe_load(text)
    T_camera_base = np.array(document["T_camera_base"]["matrix"])
    T_base_camera = np.array(document["T_base_camera"]["matrix"])
    np.testing.assert_allclose(T_camera_base @ T_base_camera, np.eye(4), atol=1e-15)
    assert document["T_base_camera"]["translation_m"] == T_base_camera[:3, 3].tolist()
    assert "maps points in kitchen_optical_frame to panda_link0" in text
    assert document["verdict"]["status"] == "warning"
    assert document["verdict"]["reasons"][1] == "Köln: masks thin."
    assert document["lag_ms"] == 3
    assert document["camera"]["D"][4] == 1 / 7
    row = ", ".join(repr(float(value)) for value in calibration.T_base_camera[1])
    assert f"  - [{row}]\n" in text
    assert "- {index: 0, stamp_ns: 1760100999657378684, iou: 0.9, " in text
    assert (
        "--child-frame-id kitchen_optical_frame" in document["paste"]["static_transform_publisher"]
    )


@pytest.mark.parametrize("place", ["", "new", "deep/er"])
def test_folders_get_a_calibration_yaml(
    calibration: Calibration, tmp_path: Path, place: str
) -> None:
    path = calibration.save(tmp_path / place)
    assert path == tmp_path / place / "calibration.yaml"
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == ["calibration.yaml"]
    Calibration.load(tmp_path / place)


def test_file_is_readable_by_others(calibration: Calibration, tmp_path: Path) -> None:
    assert calibration.save(tmp_path).stat().st_mode & stat.S_IRUSR
    plain = tmp_path / "plain"
    plain.touch()
    assert calibration.save(tmp_path).stat().st_mode == plain.stat().st_mode


def test_failed_write_keeps_the_old_file(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = calibration.save(tmp_path)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ResultError, match="No space left on device"):
        replace(calibration, lag_ms=99.0).save(tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_place_is_named(calibration: Calibration, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultError, match=r"cannot write .*file/x/calibration\.yaml"):
        calibration.save(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1, 2", "broken, not YAML"),
        ("\x00", "broken, not YAML"),
        ("- 1\n", "not a calibration"),
        ("", "not a calibration"),
        ("K: 1\n", "no format_version"),
        ("format_version: 99\n", "format version 99, this package reads 1"),
        ("format_version: 1\n", "no 'camera'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(content)
    with pytest.raises(ResultError, match=message) as raised:
        Calibration.load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"cannot read .*calibration\.yaml"):
        Calibration.load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"T_camera_base": {"matrix": np.eye(4).tolist()}},
        {"T_camera_base": {"matrix": np.diag([1.0, 1.0, -1.0, 1.0]).tolist()}},
        {"T_camera_base": {"matrix": [[1.0, 2.0]]}},
        {"T_camera_base": "identity"},
        {"T_base_camera": None},
        {"verdict": {"status": "maybe", "reasons": ["x"]}},
        {"verdict": {"reasons": []}},
        {"quality": {"iou_mean": "good"}},
        {"frames": [{"index": 0}]},
        {"camera": {"frame_id": "c", "width": 1, "height": 1, "K": [[0]], "D": [], "model": "x"}},
        {"lag_ms": "late"},
        {"stages": {"coarse": {}}},
    ],
    ids=lambda changes: str(*changes),
)
def test_damaged_files_are_refused(
    calibration: Calibration, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = edited(calibration.save(tmp_path), **changes)
    with pytest.raises(ResultError, match="broken calibration"):
        Calibration.load(path)


def test_records_check_themselves(calibration: Calibration) -> None:
    with pytest.raises(ResultError, match="needs a reason"):
        Verdict("rejected")
    with pytest.raises(ResultError, match="accepted, warning, rejected"):
        Verdict("fine")  # type: ignore[arg-type]
    with pytest.raises(ResultError, match="6x6"):
        Covariance(np.eye(3))
    with pytest.raises(ResultError, match="not a rigid transform"):
        replace(calibration, T_camera_base=2 * np.eye(4))
    with pytest.raises(ResultError, match="stage 'coarse'"):
        replace(calibration, stages={"coarse": np.eye(3)})
    with pytest.raises(ResultError, match="point_offset_m"):
        replace(calibration, point_offset_m=np.array([np.nan, 0.0, 0.0]))
