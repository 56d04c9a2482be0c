# SPDX-License-Identifier: Apache-2.0
"""What the lerobot library makes of our datasets, and we of the library's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.annotation.frame_annotation import EndEffectorView, FrameAnnotation
from calib_all_ros.annotation.lerobot_features import annotation_features, frame_values
from calib_all_ros.lerobot.added_features import FeatureSource
from calib_all_ros.lerobot.calibrations import write_calibrations
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.episodes import load_episode
from calib_all_ros.lerobot.writing import write_features

pytest.importorskip("lerobot", reason="the library under test is heavy: pip install lerobot")
lerobot_dataset = pytest.importorskip(
    "lerobot.datasets.lerobot_dataset",
    reason="lerobot is there, but not what it imports (torch, torchvision, datasets)",
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def opened(path: Path) -> Any:
    return lerobot_dataset.LeRobotDataset("somebody/something", root=path, video_backend="pyav")


def check(truth: Any, calibrated: Any, item: dict[str, Any], frame: int) -> None:
    """Compare an item of a data loader with what was written."""
    np.testing.assert_allclose(
        item["calibration.top.T_base_camera"], calibrated.T_base_camera.ravel(), atol=1e-6
    )
    np.testing.assert_allclose(item["calibration.top.K"], calibrated.camera.K.ravel(), rtol=1e-6)
    assert item["calibration.top.verdict"] == 2
    assert not item["calibration.side.T_base_camera"].numpy().any()
    assert item["calibration.side.verdict"] == -1
    image = item[truth.top].numpy().transpose(1, 2, 0) * 255
    assert np.abs(image - truth.images[truth.top][frame]).mean() < 3.0
    np.testing.assert_allclose(item["observation.state"], truth.state[frame], rtol=1e-5)


@pytest.fixture
def results(truth: Any, calibrated: Any) -> Any:
    """The camera `top` is calibrated in episodes 0 and 1, the camera `side` in episode 2."""
    return {(0, truth.top): calibrated, (1, truth.top): calibrated, (2, truth.side): calibrated}


def test_the_library_reads_what_we_write(
    truth: Any, calibrated: Any, results: Any, dataset_v30: Path, tmp_path: Path
) -> None:
    out = write_calibrations(LerobotDataset.open(dataset_v30), tmp_path / "out", results)
    dataset = opened(out)
    assert dataset.num_episodes == 3 and len(dataset) == 29
    check(truth, calibrated, dataset[12], 7)
    last = dataset[28]
    assert last["calibration.top.verdict"] == -1 and last["calibration.side.verdict"] == 2
    assert dataset.meta.episodes[1]["calibration/top/status"] == "accepted"
    assert dataset.meta.episodes[2]["calibration/top/status"] is None
    np.testing.assert_allclose(
        dataset.meta.stats["calibration.top.T_base_camera"]["mean"],
        calibrated.T_base_camera.ravel() * 25 / 29,
        atol=1e-6,
    )
    torch = pytest.importorskip("torch")
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    assert batch["calibration.top.T_base_camera"].shape == (4, 16)


def test_the_librarys_own_tools_keep_the_features(
    truth: Any, calibrated: Any, results: Any, dataset_v30: Path, tmp_path: Path
) -> None:
    tools = pytest.importorskip("lerobot.datasets.dataset_tools")
    out = write_calibrations(LerobotDataset.open(dataset_v30), tmp_path / "out", results)
    dataset = opened(out)
    kept = tools.split_dataset(dataset, {"kept": [0, 1]}, output_dir=tmp_path / "split")["kept"]
    assert kept.num_episodes == 2
    kept = opened(tmp_path / "split" / "kept")
    check(truth, calibrated, kept[12], 7)
    assert kept.meta.stats["calibration.top.verdict"]["count"] == 25


def test_the_librarys_converter_takes_version_2_1(
    truth: Any,
    calibrated: Any,
    results: Any,
    dataset_v21: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    converter = pytest.importorskip("lerobot.datasets.v30.convert_dataset_v21_to_v30")
    out = tmp_path / "somebody" / "something"
    write_calibrations(LerobotDataset.open(dataset_v21), out, results)
    monkeypatch.setattr(converter, "HF_LEROBOT_HOME", tmp_path)
    converter.convert_dataset("somebody/something", push_to_hub=False, force_conversion=True)
    dataset = opened(out)
    assert dataset.meta.info["codebase_version"] == "v3.0"
    check(truth, calibrated, dataset[12], 7)
    ours = load_episode(LerobotDataset.open(out), 1, truth.top)
    np.testing.assert_allclose(ours.camera.K, truth.camera.K, rtol=1e-6)
    shown = truth.images[truth.top][truth.frames(1)]
    assert np.abs(ours.images[7].astype(float) - shown[7]).mean() < 3.0


def test_the_library_reads_annotations(truth: Any, dataset_v30: Path, tmp_path: Path) -> None:
    width, height = truth.camera.width, truth.camera.height
    links = np.full((height, width), -1, np.int16)
    links[:60] = 1
    view = EndEffectorView(np.eye(4), np.eye(4), np.array([7.0, 8.0]), 1.5, True, "")
    depth_m = np.where(links == 1, np.float32(2.0), np.float32(0.0))
    row = frame_values(FrameAnnotation(1, 0, links, depth_m, links == 1, view), truth.top)
    source = FeatureSource(
        annotation_features(truth.top, width, height, links=("base_link", "hand")),
        lambda e: {key: [value] * e.length for key, value in row.items()} if e.index == 1 else None,
    )
    dataset = opened(write_features(LerobotDataset.open(dataset_v30), tmp_path / "out", [source]))
    item = dataset[6]
    np.testing.assert_allclose(item["annotation.top.eef_pixel"], [7.0, 8.0])
    np.testing.assert_allclose(item["annotation.top.eef_depth"], 1.5)
    assert item["annotation.top.eef_visible"] and not dataset[1]["annotation.top.eef_visible"]
    masks = item["annotation.top.link_masks"]
    np.testing.assert_allclose(masks[0] * 255, links + 1, atol=1e-4)
    np.testing.assert_array_equal(item["annotation.top.depth"][0], depth_m * 1000)


@pytest.mark.parametrize("videos", [True, False], ids=["videos", "images"])
def test_we_read_and_extend_what_the_library_writes(
    truth: Any, calibrated: Any, tmp_path: Path, videos: bool
) -> None:
    dtype = "video" if videos else "image"
    size = (truth.camera.height, truth.camera.width, 3)
    made = lerobot_dataset.LeRobotDataset.create(
        "somebody/something",
        truth.fps,
        {
            "observation.state": {"dtype": "float32", "shape": (8,), "names": truth.state_names},
            truth.top: {"dtype": dtype, "shape": size, "names": ["height", "width", "channels"]},
        },
        root=tmp_path / "made",
        robot_type="demo_arm",
        use_videos=videos,
    )
    for episode in (0, 2):
        frames = truth.frames(episode)
        for image, state in zip(truth.images[truth.top][frames], truth.state[frames], strict=True):
            frame = {"observation.state": state.astype(np.float32), truth.top: image}
            made.add_frame({**frame, "task": "wave"})
        made.save_episode()
    made.finalize()
    dataset = LerobotDataset.open(tmp_path / "made")
    assert dataset.version == "v3.0" and dataset.episode_indices == (0, 1)
    recording = load_episode(dataset, 1, truth.top, camera_model=truth.camera)
    shown = truth.images[truth.top][truth.frames(2)]
    for index, image in enumerate(shown):
        difference = np.abs(recording.images[index].astype(float) - image).mean()
        assert difference < (8.0 if videos else 0.01)
    stamps = np.arange(4) * 250_000_000
    positions, _ = recording.joints.at(stamps, [f"joint_{n}" for n in range(1, 8)])
    np.testing.assert_allclose(positions, truth.arm[truth.frames(2)], atol=1e-6)

    out = write_calibrations(dataset, tmp_path / "out", {(1, truth.top): calibrated})
    item = opened(out)[6]
    np.testing.assert_allclose(
        item["calibration.top.T_base_camera"], calibrated.T_base_camera.ravel(), atol=1e-6
    )
