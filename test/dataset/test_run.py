# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from calib_all_ros.dataset import setups
from calib_all_ros.dataset.background import Likeness
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import Job, SingleProcess
from calib_all_ros.dataset.jobs import EpisodeJob, SetupJob
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.outcomes import Pose, Row, SetupSolved
from calib_all_ros.dataset.plan import EPISODES, SETUPS, DatasetPlan
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.geometry import se3
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.simulation.simulator import SimulatedRecording

PlanFor = Callable[[Path], DatasetPlan]

PROGRAM = """
import pickle, sys
from calib_all_ros.dataset import setups
from calib_all_ros.dataset.background import Likeness
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import SingleProcess
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.run import DatasetRun
plan = pickle.loads(bytes.fromhex(sys.argv[1]))
with Journal(plan.out) as journal:
    DatasetRun(plan, SingleProcess(), journal)(find_episodes(sys.argv[2]))
"""


class Interrupted(SingleProcess):
    """Ctrl-C while a job runs."""

    def __init__(self, after: int) -> None:
        self.after = after

    def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
        for number, job in enumerate(jobs):
            if self.after == 0:
                raise KeyboardInterrupt
            self.after -= 1
            yield number, job()


class Untouched(SingleProcess):
    """Does nothing, for there is nothing to do."""

    def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
        assert list(jobs) == []
        return iter(())


def run(source: Path, plan: DatasetPlan, engine: SingleProcess | None = None) -> DatasetRun:
    with Journal(plan.out) as journal:
        finished = DatasetRun(plan, engine or SingleProcess(), journal)
        finished(find_episodes(source))
    return finished


def found(rows: dict[str, Row]) -> dict[str, tuple[str, str, Pose | None, float | None]]:
    """What must not depend on how often a run was disturbed."""
    return {name: (row.verdict, row.setup, row.pose, row.lag_ms) for name, row in rows.items()}


def test_a_bumped_camera_is_two_setups(
    whole: DatasetRun, first_camera: SimulatedRecording, second_camera: SimulatedRecording
) -> None:
    rows = whole.rows
    assert {name: row.verdict for name, row in rows.items()} == dict.fromkeys(rows, "accepted")
    assert len({rows[name].setup for name in ("a0", "a1", "a2")}) == 1
    assert rows["b0"].setup == rows["b1"].setup != rows["a0"].setup != ""
    assert [rows[name].solved_with for name in sorted(rows)] == [3, 3, 3, 2, 2]
    for name, row in rows.items():
        truth = (first_camera if name.startswith("a") else second_camera).T_camera_base
        assert row.pose is not None
        degrees, metres = se3.difference(row.pose.matrix, truth)
        assert metres < 2e-3 and degrees < 0.1


def test_every_episode_gets_the_result_of_its_setup(whole: DatasetRun, two_setups: Path) -> None:
    result = Calibration.load(whole.plan.out / EPISODES / "a1")
    joint = Calibration.load(whole.plan.out / SETUPS / whole.rows["a1"].setup)
    np.testing.assert_array_equal(result.T_camera_base, joint.T_camera_base)
    assert "solved together with the 2 other episodes of camera setup a0-" in result.notes[0]
    assert result.provenance.recording == str(two_setups / "a1")
    stamps = json.loads((two_setups / "a1" / "timestamps.json").read_text())["image_stamps_ns"]
    assert {frame.stamp_ns for frame in result.frames} <= set(stamps)


def test_nothing_is_done_twice(whole: DatasetRun, two_setups: Path) -> None:
    before = whole.journal.path.read_bytes()
    again = run(two_setups, whole.plan, Untouched())
    assert again.done_before == whole.done_now == 5 + 2 + 5
    assert again.rows == whole.rows
    assert whole.journal.path.read_bytes() == before


def test_an_interrupted_run_goes_on(
    whole: DatasetRun, two_setups: Path, tmp_path: Path, plan_for: PlanFor
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(two_setups, plan_for(tmp_path), Interrupted(after=5))
    last = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[-1])
    assert last["interrupted"].startswith("setup ")
    rest = run(two_setups, plan_for(tmp_path))
    assert (rest.done_before, rest.done_now) == (5, whole.done_now - 5)
    assert found(rest.rows) == found(whole.rows)


def test_a_killed_run_goes_on(
    whole: DatasetRun, two_setups: Path, tmp_path: Path, plan_for: PlanFor
) -> None:
    plan = plan_for(tmp_path)
    arguments = pickle.dumps(plan).hex(), str(two_setups)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
    journal, deadline = tmp_path / "journal.jsonl", time.monotonic() + 300
    while not (journal.is_file() and b'"SetupSolved"' in journal.read_bytes()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with journal.open("ab") as file:
        file.write(b'{"job": "half a li')
    rest = run(two_setups, plan)
    assert rest.done_before >= 6 and rest.done_now >= 1
    assert rest.done_before + rest.done_now == whole.done_now
    assert found(rest.rows) == found(whole.rows)
    assert not list(tmp_path.rglob(".unfinished-*"))


def test_failures_are_rows_and_stop_nothing(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    source, plan = tmp_path / "source", plan_for(tmp_path / "results")
    source.mkdir()
    (source / "b0").symlink_to(two_setups / "b0")
    shutil.copytree(two_setups / "b1", source / "b1")
    (source / "b1" / "joint_states.json").write_text("[")
    (source / "broken.mcap").write_bytes(b"nothing")
    rows = run(source, plan).rows
    assert {name: row.verdict for name, row in rows.items()} == {
        "b0": "accepted",
        "b1": "failed",
        "broken.mcap": "failed",
    }
    assert "joint_states.json" in rows["b1"].reasons[0]
    # A repaired file counts without --redo, and the rest is not done again where it is the same.
    shutil.copy(two_setups / "b1" / "joint_states.json", source / "b1")
    rows = run(source, plan).rows
    assert rows["b1"].verdict == "accepted" and rows["b1"].setup == rows["b0"].setup != ""


def test_an_episode_that_contradicts_its_setup_is_solved_alone(
    tmp_path: Path,
    plan_for: PlanFor,
    two_setups: Path,
    second_camera: SimulatedRecording,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were the backgrounds deceiving, the poses would still tell."""
    plan = replace(plan_for(tmp_path / "results"), joint_episodes=2)
    monkeypatch.setattr(setups, "alike", lambda pictures, _: [list(range(len(pictures)))])
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a0", "a1", "a2", "b0"):
        (source / name).symlink_to(two_setups / name)
    rows = run(source, plan).rows
    assert rows["a0"].setup == rows["a1"].setup == rows["a2"].setup != ""
    pose = rows["b0"].pose
    assert pose is not None and rows["b0"].setup == ""
    assert 1e3 * se3.difference(pose.matrix, second_camera.T_camera_base)[1] < 5.0
    note = Calibration.load(plan.out / EPISODES / "b0").notes[0]
    assert note.startswith("solved alone, for it contradicts the 3 other episodes")


class Scripted(SingleProcess):
    """Looks at episodes, and says of solves what came of them: two places, a and b."""

    def __init__(self) -> None:
        self.solved: list[tuple[str, ...]] = []

    def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
        for number, job in enumerate(jobs):
            if isinstance(job, SetupJob):
                names = tuple(ref.name for ref in job.setup.members)
                self.solved.append(names)
                places = {name[0] for name in names}
                verdict = "accepted" if len(places) == 1 else "rejected"
                T = se3.from_rotvec(np.zeros(3), [float("a" in places), 0.0, 1.0])
                pose = Pose(tuple(T.ravel()), tuple((1e-6 * np.eye(6)).ravel()))
                yield number, SetupSolved(verdict, ("the camera moved",), names, pose, 1.0)
            elif isinstance(job, EpisodeJob):
                about = (job.ref.name, job.ref.source, "", "accepted", (), (job.why_alone,))
                yield number, Row(*about, setup=job.setup, solved_with=job.setup_size)
            else:
                yield number, job()


def test_a_setup_without_a_usable_pose_is_taken_apart(
    tmp_path: Path, plan_for: PlanFor, two_setups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "alike", lambda pictures, _: [list(range(len(pictures)))])
    monkeypatch.setattr(setups, "likeness", lambda *_: Likeness.UNKNOWN)
    engine = Scripted()
    rows = run(two_setups, plan_for(tmp_path), engine).rows
    first, alone, joined = engine.solved[0], engine.solved[1:6], engine.solved[6:]
    assert sorted(first) == sorted(rows)
    assert sorted(alone) == [(name,) for name in sorted(rows)]
    # Each alone, and then by their poses.
    assert sorted(joined) == [("a0", "a1", "a2"), ("b0", "b1")]
    assert [rows[name].solved_with for name in sorted(rows)] == [3, 3, 3, 2, 2]
    assert "together there was no usable pose: the camera moved" in rows["b0"].reasons[0]


def test_poses_join_what_backgrounds_cannot(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    """The same two episodes before another wall: nothing to recognise, but the same pose."""
    source = tmp_path / "source"
    for number, name in enumerate(("a0", "a1", "b0")):
        shutil.copytree(two_setups / name, source / name)
        rng = np.random.default_rng(number)
        wall = cv2.GaussianBlur(rng.integers(0, 255, (180, 240, 3), np.uint8), (0, 0), 2.0)
        for path in sorted((source / name / "frames").iterdir()):
            image, mask = cv2.imread(str(path)), path.parents[1] / "masks" / f"{path.stem}.png"
            robot = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)[..., None] > 0
            cv2.imwrite(str(path), np.where(robot, image, wall))
    rows = run(source, plan_for(tmp_path / "results")).rows
    assert rows["a0"].setup == rows["a1"].setup != "" == rows["b0"].setup
    assert [rows[name].solved_with for name in ("a0", "a1", "b0")] == [2, 2, 1]


def test_a_job_that_ends_the_process_is_given_up(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    source, plan = tmp_path / "source", plan_for(tmp_path / "results")
    source.mkdir()
    (source / "b0").symlink_to(two_setups / "b0")
    (ref,) = find_episodes(source)

    class Dying(SingleProcess):
        """Stands for a segmentation fault: nothing after it is executed."""

        def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
            next(iter(jobs))
            raise SystemExit

    for _ in range(3):
        with pytest.raises(SystemExit):
            run(source, plan, Dying())
    rows = run(source, plan, Untouched()).rows
    assert rows[ref.name].verdict == "failed"
    assert "ended the whole process 3 times" in rows[ref.name].reasons[0]


def test_a_node_with_another_version_says_so(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    plan = replace(plan_for(tmp_path / "results"), package_version="99.0")
    rows = run(two_setups, plan).rows
    assert {row.verdict for row in rows.values()} == {"failed"}
    assert "install one version on all nodes" in rows["a0"].reasons[0]


def test_another_robot_or_camera_is_another_setup(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    """The images are the same, so only what they were seen with can tell."""
    source, plan = tmp_path / "source", plan_for(tmp_path / "results")
    shutil.copytree(two_setups / "b0", source / "b0")

    def solved() -> str:
        return run(source, plan, Scripted()).rows["b0"].setup

    known = [solved()]
    assert solved() == known[0]
    urdf, camera = source / "b0" / "robot.urdf", source / "b0" / "camera.json"
    urdf.write_text(urdf.read_text().replace("<robot", "<robot version='1.0'", 1))
    known.append(solved())
    document = json.loads(camera.read_text())
    document["K"][0][0] += 1.0
    camera.write_text(json.dumps(document))
    known.append(solved())
    assert len(set(known)) == 3


def test_weak_members_do_not_spoil_a_setup(
    tmp_path: Path, two_setups: Path, plan_for: PlanFor
) -> None:
    source, plan = tmp_path / "source", plan_for(tmp_path / "results")
    for name in ("a0", "a1", "a2"):
        shutil.copytree(two_setups / name, source / name)
    still(source / "a1")
    states = source / "a2" / "joint_states.json"
    joints = json.loads(states.read_text())
    joints["stamps_ns"] = [stamp + 10**12 for stamp in joints["stamps_ns"]]
    states.write_text(json.dumps(joints))
    rows = run(source, plan).rows
    assert rows["a0"].setup == rows["a1"].setup == rows["a2"].setup != ""
    assert [rows[name].verdict for name in sorted(rows)] == ["accepted", "warning", "warning"]
    for name, why in (("a1", "the robot does not move"), ("a2", "no image has joint states")):
        assert "only the background says" in rows[name].reasons[0]
        assert why in rows[name].reasons[0]
    described = yaml.safe_load((plan.out / SETUPS / rows["a0"].setup / "setup.yaml").read_text())
    assert [part["episode"] for part in described["solved_with"]] == ["a0", "a1"]
    assert list(described["left_out"]) == ["a2"]


def still(episode: Path) -> None:
    """Let the robot stand still as in the first image."""
    for folder in ("frames", "masks"):
        first, *others = sorted((episode / folder).iterdir())
        for path in others:
            shutil.copy(first, path)
    stamp = json.loads((episode / "timestamps.json").read_text())["image_stamps_ns"][0]
    states = json.loads((episode / "joint_states.json").read_text())
    at = int(np.searchsorted(states["stamps_ns"], stamp))
    states["positions"] = [states["positions"][at]] * len(states["positions"])
    (episode / "joint_states.json").write_text(json.dumps(states))
