# SPDX-License-Identifier: Apache-2.0
r"""ADD and AUC on sequences in DREAM's format: the table by which the field compares itself.

DREAM-real (panda-3cam_azure, panda-3cam_kinect360, panda-3cam_realsense, panda-orb) is downloaded
by DREAM's own ``data/DOWNLOAD.sh`` (github.com/NVlabs/DREAM). A camera that stands in several
places, as that of panda-orb does, is noticed in the images, and each stretch is solved on its own.

    python -m benchmarks.dream real/panda-3cam_azure real/panda-orb \
        --urdf panda.urdf --mesh-path franka_description
    python -m benchmarks.dream --simulated
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.dream_evaluation import (
    ANNOTATIONS,
    IMAGES,
    NONE,
    Evaluation,
    EvaluationOptions,
    evaluate,
)
from benchmarks.dream_report import report_document, report_sections
from benchmarks.ndds import PANDA_KEYPOINTS, NddsSequence, read_sequence
from benchmarks.ndds_writing import write_ndds
from benchmarks.reporting import add_output_argument, publish
from benchmarks.scenes import benchmark_robot
from calib_all_ros.errors import CalibAllError
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.settings import Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.folders) == options.simulated:
        parser.error("give either folders of sequences or --simulated")
    if options.folders and options.urdf is None:
        parser.error("give the URDF of the recorded robot (--urdf FILE)")
    try:
        settings = Settings() if options.config is None else Settings.from_file(options.config)
        if options.frames is not None:
            settings = replace(settings, frames=replace(settings.frames, count=options.frames))
        if options.urdf is None:
            robot = benchmark_robot()
        else:
            robot = load_robot(options.urdf, mesh_paths=options.mesh_paths)
    except CalibAllError as error:
        parser.error(str(error))
    how = EvaluationOptions(
        settings=settings,
        every=options.every,
        rate_hz=options.rate,
        masks=None if options.masks == NONE else options.masks,
        segments=options.segments,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folders = options.folders or simulated_set(Path(scratch), robot)
        evaluations, failures = _evaluate(folders, robot, options.keypoints, how)
    title = "DREAM's metrics" + (" on simulated sequences" if options.simulated else "")
    publish(title, report_sections(evaluations, failures, how), options.out)
    if options.json is not None:
        text = json.dumps(report_document(evaluations, failures, how), indent=1)
        write_atomically(options.json, f"{text}\n".encode())


def simulated_set(
    folder: Path, robot: Robot, settings: SimulationSettings | None = None
) -> list[Path]:
    """Write two small sequences: of a camera that stands still, and of one that stands twice.

    Args:
        folder: Where; each sequence is a folder in it.
        robot: Who moves; its keypoints are DREAM's if it is a Panda, and else all links.
        settings: What to simulate; the seed is that of the first recording.
    """
    settings = settings or SimulationSettings(frames=60, width=480, height=360, focal_px=420.0)
    links = robot.kinematics.link_names
    panda = set(PANDA_KEYPOINTS) <= set(links)
    takes = [
        simulate(robot, replace(settings, seed=settings.seed + number))
        for number in tqdm(range(3), desc="simulating")
    ]
    paths = []
    for name, chosen in (("still", takes[:1]), ("moved", takes[1:])):
        path = folder / name
        write_ndds(
            path,
            robot,
            chosen,
            PANDA_KEYPOINTS if panda else links,
            robot_class="panda" if panda else robot.name,
        )
        paths.append(path)
    return paths


def _evaluate(
    folders: list[Path], robot: Robot, keypoints: list[str] | None, options: EvaluationOptions
) -> tuple[list[Evaluation], dict[str, str]]:
    """Evaluate each sequence; one that cannot be does not stop the others."""
    evaluations, failures = [], {}
    for folder in folders:
        try:
            evaluations.append(evaluate(_read(folder, keypoints), robot, options))
        except CalibAllError as error:
            failures[folder.name] = str(error)
    return evaluations, failures


def _read(folder: Path, keypoints: list[str] | None) -> NddsSequence:
    with tqdm(desc=f"{folder.name}: reading") as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return read_sequence(folder, keypoints, on_progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="sequences in NDDS format")
    parser.add_argument("--simulated", action="store_true", help="two small simulated sequences")
    parser.add_argument("--urdf", type=Path, help="the recorded robot")
    parser.add_argument(
        "--mesh-path",
        type=Path,
        action="append",
        default=[],
        dest="mesh_paths",
        help="folder with the packages that the URDF names; may be repeated",
    )
    parser.add_argument(
        "--keypoints",
        nargs="+",
        help="links; default: DREAM's seven of a Panda, all annotated ones of other robots",
    )
    parser.add_argument("--frames", type=int, help="frames that each pose is fitted to")
    parser.add_argument(
        "--every", type=_positive, default=1, help="use every so many frames; all are evaluated"
    )
    parser.add_argument("--rate", type=float, default=30.0, help="nominal frame rate, Hz")
    parser.add_argument(
        "--masks", default=NONE, help="folder of masks inside of each sequence's; default: none"
    )
    parser.add_argument(
        "--segments",
        choices=(IMAGES, ANNOTATIONS, NONE),
        default=IMAGES,
        help="what tells where the camera stood still",
    )
    parser.add_argument("--config", type=Path, help="settings of the solver, YAML")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    add_output_argument(parser)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


if __name__ == "__main__":
    main()
