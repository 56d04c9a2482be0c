# SPDX-License-Identifier: Apache-2.0
"""Small LeRobot datasets of both versions, made by hand from the simulator's images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.camera_info import camera_document
from calib_all_ros.results.calibration import (
    Calibration,
    Covariance,
    Provenance,
    RobotRecord,
    Verdict,
)
from calib_all_ros.simulation.simulator import SimulatedRecording

WHY = "pip install '.[datasets]'"
TOP, SIDE = "observation.images.top", "observation.images.side"
FPS = 4
EPISODES = ((0, 5), (0, 20), (16, 20))
"""First frame and end of each episode in the simulated recording."""


@dataclass(frozen=True)
class Truth:
    """What went into the datasets.

    Attributes:
        images: By camera, (N, H, W, 3) of the simulated recording.
        arm: (N, 7) radians.
        state: (N, 8) the arm's joints, and the gripper from 0 to 100.
        state_names: Names of the columns as LeRobot's robots give them.
        camera: Camera of both views.
        T_camera_base: (4, 4) of the camera `TOP`.
    """

    images: dict[str, NDArray[np.uint8]]
    arm: NDArray[np.float64]
    state: NDArray[np.float64]
    state_names: tuple[str, ...]
    camera: Camera
    T_camera_base: NDArray[np.float64]
    top: str = TOP
    side: str = SIDE
    fps: float = FPS
    lengths: tuple[int, ...] = tuple(end - start for start, end in EPISODES)

    def frames(self, episode: int) -> slice:
        return slice(*EPISODES[episode])


@pytest.fixture(scope="session")
def truth(simulated: SimulatedRecording) -> Truth:
    joints = JointTrajectory(
        simulated.joint_names, simulated.joint_stamps_ns, simulated.joint_positions
    )
    arm_names = tuple(f"joint_{number}" for number in range(1, 8))
    arm, valid = joints.at(simulated.image_stamps_ns, arm_names)
    assert valid.all()
    gripper = np.linspace(0.0, 100.0, len(arm))
    flipped = np.ascontiguousarray(simulated.images[:, :, ::-1])
    return Truth(
        {TOP: simulated.images, SIDE: flipped},
        arm,
        np.column_stack([arm, gripper]),
        (*(f"{name}.pos" for name in arm_names), "gripper.pos"),
        simulated.camera,
        simulated.T_camera_base,
    )


@pytest.fixture(scope="session")
def camera_json(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.json"
    path.write_text(json.dumps(camera_document(truth.camera, "base_link")), encoding="utf-8")
    return path


def encode(path: Path, images: Any, fps: float | None = None, **options: str) -> None:
    """Write a video; the options are the encoder's."""
    av = pytest.importorskip("av", reason=WHY)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps or FPS).limit_denominator(1000))
        stream.width, stream.height = images[0].shape[1], images[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "12", "g": "2", "bf": "0", **options}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def features_of(truth: Truth, dtype: str = "video") -> dict[str, Any]:
    height, width = truth.camera.height, truth.camera.width
    scalar = {"shape": [1], "names": None}
    vector = {"dtype": "float32", "shape": [8], "names": list(truth.state_names)}
    pictures = {
        "dtype": dtype,
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {"video.fps": FPS, "video.codec": "h264"} if dtype == "video" else None,
    }
    return {
        "action": vector,
        "observation.state": vector,
        TOP: pictures,
        SIDE: pictures,
        "timestamp": {"dtype": "float32", **scalar},
        "frame_index": {"dtype": "int64", **scalar},
        "episode_index": {"dtype": "int64", **scalar},
        "index": {"dtype": "int64", **scalar},
        "task_index": {"dtype": "int64", **scalar},
    }


def info_of(truth: Truth, version: str, dtype: str = "video") -> dict[str, Any]:
    frames = sum(end - start for start, end in EPISODES)
    info = {
        "codebase_version": version,
        "robot_type": "demo_arm",
        "total_episodes": len(EPISODES),
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(EPISODES)}"},
        "features": features_of(truth, dtype),
    }
    if version == "v2.1":
        return {
            **info,
            "total_videos": 2 * len(EPISODES),
            "total_chunks": 1,
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": (
                "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
            ),
        }
    return {
        **info,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }


def table_of(truth: Truth, episodes: Sequence[int], stored_images: bool = False) -> Any:
    pa = pytest.importorskip("pyarrow", reason=WHY)
    rows: dict[str, list[Any]] = {}

    def add(key: str, values: Any) -> None:
        rows.setdefault(key, []).extend(values)

    for episode in episodes:
        frames = truth.frames(episode)
        state = truth.state[frames].astype(np.float32)
        count = len(state)
        first = sum(end - start for start, end in EPISODES[:episode])
        add("action", state)
        add("observation.state", state)
        if stored_images:
            for key, images in truth.images.items():
                add(key, [{"bytes": png_of(i), "path": "frame.png"} for i in images[frames]])
        add("timestamp", (np.arange(count) / FPS).astype(np.float32))
        add("frame_index", np.arange(count))
        add("episode_index", np.full(count, episode))
        add("index", np.arange(count) + first)
        add("task_index", np.zeros(count, dtype=np.int64))
    columns = {
        key: pa.array([v.tolist() for v in values], pa.list_(pa.float32(), 8))
        if key in ("action", "observation.state")
        else pa.array(values)
        for key, values in rows.items()
    }
    return pa.table(columns)


def png_of(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))[1])


def stats_of(truth: Truth, episodes: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Statistics of the numbers, and of pictures as LeRobot lays them out."""
    state = np.concatenate([truth.state[truth.frames(e)] for e in episodes])
    count = [len(state)]
    vector = {
        "min": state.min(0).tolist(),
        "max": state.max(0).tolist(),
        "mean": state.mean(0).tolist(),
        "std": state.std(0).tolist(),
        "count": count,
    }
    grey = [[[0.5]], [[0.5]], [[0.5]]]
    pictures = {"min": grey, "max": grey, "mean": grey, "std": grey, "count": count}
    return {"action": vector, "observation.state": vector, TOP: pictures, SIDE: pictures}


def write_json(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=4), encoding="utf-8")


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def encoded() -> Callable[..., None]:
    """What writes a video."""
    return encode


@pytest.fixture(scope="session")
def dataset_v21(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2.1, videos; do not change it."""
    pq = pytest.importorskip("pyarrow.parquet", reason=WHY)
    root = tmp_path_factory.mktemp("lerobot") / "v21"
    write_json(root / "meta/info.json", info_of(truth, "v2.1"))
    indices = range(len(EPISODES))
    lengths = [end - start for start, end in EPISODES]
    rows = [{"episode_index": i, "tasks": ["wave"], "length": lengths[i]} for i in indices]
    write_lines(root / "meta/episodes.jsonl", rows)
    write_lines(root / "meta/tasks.jsonl", [{"task_index": 0, "task": "wave"}])
    stats = [{"episode_index": i, "stats": stats_of(truth, [i])} for i in indices]
    write_lines(root / "meta/episodes_stats.jsonl", stats)
    (root / "data/chunk-000").mkdir(parents=True)
    for i in indices:
        pq.write_table(table_of(truth, [i]), root / f"data/chunk-000/episode_{i:06d}.parquet")
        for key, images in truth.images.items():
            encode(root / f"videos/chunk-000/{key}/episode_{i:06d}.mp4", images[truth.frames(i)])
    return root


def write_v30(root: Path, truth: Truth, dtype: str) -> None:
    """Write version 3.0: episodes 0 and 1 share each file, episode 2 has its own."""
    pa, pq = (pytest.importorskip(m, reason=WHY) for m in ("pyarrow", "pyarrow.parquet"))
    write_json(root / "meta/info.json", info_of(truth, "v3.0", dtype))
    write_json(root / "meta/stats.json", stats_of(truth, range(len(EPISODES))))
    # LeRobot wants the task to be the index of a pandas table.
    task = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"}
    told = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [{**task, "metadata": None}],
    }
    tasks = pa.table({"task_index": [0], "task": ["wave"]})
    tasks = tasks.replace_schema_metadata({"pandas": json.dumps(told)})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    for folder in ("meta/episodes/chunk-000", "data/chunk-000"):
        (root / folder).mkdir(parents=True)
    rows, first = [], 0
    for i, (start, end) in enumerate(EPISODES):
        row: dict[str, Any] = {
            "episode_index": i,
            "tasks": ["wave"],
            "length": end - start,
            "data/chunk_index": 0,
            "data/file_index": int(i == 2),
            "dataset_from_index": first,
            "dataset_to_index": first + end - start,
        }
        before_s = EPISODES[0][1] / FPS if i == 1 else 0.0
        for key in truth.images if dtype == "video" else ():
            row[f"videos/{key}/chunk_index"] = 0
            row[f"videos/{key}/file_index"] = int(i == 2)
            row[f"videos/{key}/from_timestamp"] = before_s
            row[f"videos/{key}/to_timestamp"] = before_s + (end - start) / FPS
        for key, entries in stats_of(truth, [i]).items():
            row |= {f"stats/{key}/{name}": value for name, value in entries.items()}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        rows.append(row)
        first += end - start
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, root / "meta/episodes/chunk-000/file-000.parquet")
    for number, episodes in enumerate([(0, 1), (2,)]):
        data = table_of(truth, episodes, stored_images=dtype == "image")
        path = root / f"data/chunk-000/file-{number:03d}.parquet"
        pq.write_table(data, path, row_group_size=6 if dtype == "image" else None)
        for key, images in truth.images.items() if dtype == "video" else ():
            shown = np.concatenate([images[truth.frames(i)] for i in episodes])
            encode(root / f"videos/{key}/chunk-000/file-{number:03d}.mp4", shown)


@pytest.fixture(scope="session")
def dataset_v30(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 3.0, videos; do not change it."""
    root = tmp_path_factory.mktemp("lerobot") / "v30"
    write_v30(root, truth, "video")
    return root


@pytest.fixture(scope="session")
def dataset_v30_images(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 3.0, the images in the data files; do not change it."""
    root = tmp_path_factory.mktemp("lerobot") / "v30_images"
    write_v30(root, truth, "image")
    return root


@pytest.fixture(scope="session", params=["v21", "v30"])
def dataset_path(request: pytest.FixtureRequest) -> Path:
    """Each version in turn; do not change it."""
    path: Path = request.getfixturevalue(f"dataset_{request.param}")
    return path


@pytest.fixture(scope="session")
def calibrated(truth: Truth) -> Calibration:
    """A result for the camera of the datasets, as accurate as can be."""
    return Calibration(
        T_camera_base=truth.T_camera_base,
        camera=truth.camera,
        robot=RobotRecord("demo_arm", "base_link", None, "hash"),
        verdict=Verdict("accepted"),
        provenance=Provenance("somewhere", "fingerprint", "0.1.0", "2030-01-01T00:00:00+00:00"),
        quality={"expected_position_mm": 4.0, "expected_rotation_deg": 0.5},
        covariance=Covariance(np.diag([1e-6] * 3 + [1e-5] * 3)),
        lag_ms=12.0,
    )
