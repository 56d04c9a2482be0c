# SPDX-License-Identifier: Apache-2.0
"""What does a dataset cost, how does it scale, and when is a moved camera noticed?

Simulated episodes, so that anybody can run it. CPU time counts: wall time says little while other
work runs on the machine.

    python -m benchmarks.dataset
    python -m benchmarks.dataset --parts workers
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dataset_episodes import write_dataset
from benchmarks.reporting import add_output_argument, markdown_table, publish
from calib_all_ros.dataset.background import background_of, displacement_px, likeness
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import Engine, Job, SingleProcess
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.jobs import EpisodeJob, SetupJob, SurveyJob
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.outcomes import Row
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.dataset.ray_engine import RayEngine
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import InputSelection
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import demo_urdf_path, load_robot
from calib_all_ros.settings import Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate

PARTS = ("cost", "workers", "moves")
SMALL = SimulationSettings(
    frames=12, rate_hz=4.0, width=320, height=240, focal_px=280.0, seed=1, supersample=1
)
LARGE = replace(SMALL, frames=30, width=640, height=480, focal_px=560.0)
MOVES = ((0, 0.0), (1, 0.0), (2, 0.0), (5, 0.0), (10, 0.0), (0, 0.1), (0, 0.25), (0, 0.5), (0, 2.0))
# Episodes are taken so often where workers are compared.
COPIES = 4
_SECONDS_PER_DAY = 86_400
# As the DROID paper counts them; and how many episodes a camera stays in its place.
DROID_EPISODES, DROID_CAMERAS, DROID_SETUP = 76_000, 3, 20


@dataclass
class Timed(SingleProcess):
    """One process that notes the CPU time of each kind of job."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
        """Do the jobs in order."""
        for number, job in enumerate(jobs):
            began = time.process_time()
            outcome = job()
            self.seconds[_kind(job)].append(time.process_time() - began)
            yield number, outcome


def _kind(job: object) -> str:
    kinds = {SurveyJob: "look", SetupJob: "solve a setup", EpisodeJob: "ask an episode"}
    return kinds[type(job)]  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--episodes", type=int, default=4, help="of each of two setups")
    add_output_argument(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, sections = Path(name), []
        truth = write_dataset(folder / "small", SMALL, 2, arguments.episodes)
        if "cost" in arguments.parts:
            write_dataset(folder / "large", LARGE, 1, 2)
            sections += _cost(folder, truth)
        if "workers" in arguments.parts:
            sections += _workers(folder)
        if "moves" in arguments.parts:
            sections += _moves()
    publish("Datasets", sections, arguments.out)


def _run(source: Path, out: Path, engine: Engine, **changes: Any) -> tuple[tuple[Row, ...], float]:
    """Return the rows and the wall time."""
    selection = DatasetSelection(InputSelection(masks=changes.pop("masks", "recorded")))
    plan = DatasetPlan(out, selection, Settings(), **{"reports": "none", **changes})
    began = time.perf_counter()
    with Journal(out) as journal:
        rows = DatasetRun(plan, engine, journal)(find_episodes(source))
    return rows, time.perf_counter() - began


def _cost(folder: Path, truth: np.ndarray) -> list[str]:
    _run(folder / "small", folder / "warm", SingleProcess())
    cases = {
        "masks, together": ("small", {}),
        "masks, each alone": ("small", {"joint_episodes": 1}),
        "masks, together, with pages": ("small", {"reports": "all"}),
        "images only, 640x480, together": ("large", {"masks": "auto"}),
    }
    table, seconds = [], {}
    for number, (name, (source, changes)) in enumerate(cases.items()):
        engine = Timed()
        rows, wall_s = _run(folder / source, folder / f"cost{number}", engine, **changes)
        count = len(rows)
        seconds[name] = {kind: float(np.mean(parts)) for kind, parts in engine.seconds.items()}
        total_s = sum(map(sum, engine.seconds.values())) / count
        errors = [
            1e3 * se3.difference(row.pose.matrix, truth[int(row.episode[1])])[1]
            for row in rows
            if row.pose is not None and source == "small"
        ]
        expected = [row.expected_position_mm for row in rows if row.expected_position_mm]
        table.append(
            [
                name,
                f"{count}",
                *(f"{seconds[name].get(kind, 0.0):.2f}" for kind in
                  ("look", "solve a setup", "ask an episode")),
                f"{total_s:.1f}",
                f"{1000 * total_s / 3600:.2f}",
                f"{3600 * count / wall_s:.0f}",
                f"{np.median(errors):.2f}" if errors else "",
                f"{np.median(expected):.1f}" if expected else "",
            ]
        )  # fmt: skip
    again = Timed()
    _, again_s = _run(folder / "small", folder / "cost0", again)
    header = [
        "Episodes of a setup", "Episodes", "Look, CPU s", "Solve a setup, CPU s",
        "Ask an episode, CPU s", "Each episode, CPU s", "1,000 episodes, CPU h",
        "Episodes an hour, one process, wall", "Error, mm", "Expected error, mm",
    ]  # fmt: skip
    return [
        markdown_table(header, table),
        f"A second run over finished results did {sum(map(len, again.seconds.values()))} jobs and "
        f"took {again_s:.2f} s.",
        _droid(seconds["images only, 640x480, together"]),
    ]


def _droid(seconds: dict[str, float]) -> str:
    views = DROID_EPISODES * (DROID_CAMERAS - 1)
    each_s = seconds["look"] + seconds["ask an episode"] + seconds["solve a setup"] / DROID_SETUP
    days = views * each_s / _SECONDS_PER_DAY
    # A wrist camera's background is never the same, and a search that finds nothing is a long one.
    wrist_days = DROID_EPISODES * seconds["solve a setup"] / _SECONDS_PER_DAY
    return (
        f"DROID on paper: {DROID_EPISODES} episodes with {DROID_CAMERAS} cameras, of which the "
        f"wrist's cannot be calibrated: {views} views. If a camera stays where it is for "
        f"{DROID_SETUP} episodes, each takes {each_s:.1f} CPU s ({seconds['look']:.2f} to look, "
        f"{seconds['ask an episode']:.1f} to ask, {seconds['solve a setup']:.0f} / {DROID_SETUP} "
        f"for its setup), in all {days:.0f} days of a core as here, {24 * days / 64:.0f} hours of "
        f"64 cores. The wrist cameras, unless left out by --only-camera, would add some "
        f"{wrist_days:.0f} core days, to be rejected. Assumed: images only, at 640x480, intrinsics "
        "given, no pages, the videos' decoding as dear as that of JPEG files, and no time lost to "
        "the shared disk."
    )


def _workers(folder: Path) -> list[str]:
    many = folder / "many"
    many.mkdir()
    for episode in (folder / "small").iterdir():
        for copy in range(COPIES):
            (many / f"{episode.name}-{copy}").symlink_to(episode)
    rows = []
    first_s = 0.0
    for workers in (1, 2):
        try:
            engine = RayEngine(workers=workers)
        except ModelUnavailableError as error:
            return [f"Workers were not compared: {error}"]
        # The first run compiles and fills the workers' caches.
        _run(folder / "small", folder / f"warm{workers}", engine)
        table, wall_s = _run(many, folder / f"ray{workers}", engine)
        engine.close()
        first_s = first_s or wall_s
        busy = sum(row.seconds for row in table) / wall_s
        hourly = 3600 * len(table) / wall_s
        rows.append(
            [f"{workers}", f"{wall_s:.1f}", f"{hourly:.0f}", f"{first_s / wall_s:.2f}",
             f"{busy:.2f}"]
        )  # fmt: skip
    header = ["Ray workers", "Wall, s", "Episodes an hour", "Speed over one", "Cores kept busy"]
    return [markdown_table(header, rows)]


def _moves() -> list[str]:
    robot = load_robot(demo_urdf_path())
    still = simulate(robot, SMALL)
    first, rows = background_of(_recording(still)), []
    for millimetres, degrees in MOVES:
        turn = np.radians(degrees) * np.array([0.3, 0.9, 0.1])
        shift = 1e-3 * millimetres * np.array([0.8, 0.5, 0.3])
        T_camera_base = se3.from_rotvec(turn, shift) @ still.T_camera_base
        other = replace(SMALL, frames=6, rate_hz=2.0, T_camera_base=T_camera_base)
        second = background_of(_recording(simulate(robot, other)))
        displaced = displacement_px(first, second)
        rows.append(
            [
                f"{millimetres}",
                f"{degrees:g}",
                "none found" if displaced is None else f"{displaced:.2f}",
                likeness(first, second).value,
            ]
        )
    header = ["Camera moved by, mm", "deg", "Background moved by, px of 320", "Said"]
    return [markdown_table(header, rows)]


def _recording(simulated: Any) -> Recording:
    joints = JointTrajectory(
        simulated.joint_names, simulated.joint_stamps_ns, simulated.joint_positions
    )
    return Recording(
        "simulated", simulated.camera, simulated.image_stamps_ns,
        FrameList(list(simulated.images)), joints,
    )  # fmt: skip


if __name__ == "__main__":
    main()
