# SPDX-License-Identifier: Apache-2.0
"""The jobs that a dataset consists of, each a function of a small record, for any process.

A job loads at most one episode at a time, but for the solve of a setup, which keeps the index of
the episodes whose images it is fitted to. It writes its own folder, whole or not at all, and may
be done again at any time with the same result.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.joining import join, varied_frames
from calib_all_ros.dataset.membership import examine, result_for, unchecked_result
from calib_all_ros.dataset.outcomes import Row, SetupSolved, pose_of, row_of
from calib_all_ros.dataset.plan import EPISODES, SETUPS, SURVEYS, DatasetPlan, Reports
from calib_all_ros.dataset.setups import CameraSetup
from calib_all_ros.dataset.survey import Surveyed, survey
from calib_all_ros.errors import CalibAllError
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.page import REPORT_NAME
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solve_job import CalibrationJob

SETUP_FILE = "setup.yaml"
_LEFT_BY_KILLED = ".unfinished-*"
# An episode that had a page of its own may get a setup's.
_EARLIER = (*RESULT_PICTURES, "contact_sheet.png", REPORT_NAME)


@dataclass(frozen=True)
class SurveyJob:
    """Look at an episode."""

    plan: DatasetPlan
    ref: EpisodeRef
    state: str

    @property
    def identity(self) -> str:
        """What the journal calls it."""
        return f"look {self.ref.name} {self.state}"

    @property
    def folder(self) -> Path:
        """Where the background goes."""
        return self.plan.out / SURVEYS / self.ref.name

    def __call__(self) -> Surveyed:
        """Do it."""
        self.plan.check_version()
        return survey(self.ref, self.plan.selection, self.folder)


@dataclass(frozen=True)
class SetupJob:
    """Solve a setup of one episode or several."""

    plan: DatasetPlan
    setup: CameraSetup

    @property
    def identity(self) -> str:
        """What the journal calls it."""
        return f"setup {self.setup.identity}"

    @property
    def folder(self) -> Path:
        """Where its result goes."""
        return self.plan.out / SETUPS / self.setup.name

    def __call__(self) -> SetupSolved:
        """Do it."""
        self.plan.check_version()
        began = time.process_time()
        plan, members = self.plan, self.setup.members
        chosen = [members[i] for i in _spread(len(members), plan.joint_episodes)]
        settings, alone = plan.settings, len(members) == 1
        share = -(-_most_frames(settings, plan.joint_frames) // len(chosen))
        parts: dict[EpisodeRef, Recording] = {}
        left_out: dict[str, str] = {}
        for ref in chosen:
            try:
                recording, robot = ref.load(plan.selection)
                if not alone:
                    recording = varied_frames(recording, robot, settings.frames, share)
                parts[ref] = recording
            except CalibAllError as error:
                left_out[ref.name] = str(error)
                # The others can do without it.
                if len(left_out) == len(chosen):
                    raise
        joint = next(iter(parts.values()))
        if not alone:
            name = f"camera setup {self.setup.name} of {len(members)} episodes"
            joint = join(tuple(parts.values()), name)
            count = min(settings.frames.count * plan.joint_frames, round(0.75 * len(joint)))
            frames = replace(settings.frames, count=max(settings.frames.count, count))
            settings = replace(settings, frames=frames)
        calibration = solve_into(self.folder, joint, robot, settings, plan.reports)
        describe_setup(self.folder, self.setup, parts, left_out, calibration)
        return SetupSolved(
            verdict=calibration.verdict.status,
            reasons=calibration.verdict.reasons,
            solved_with=tuple(ref.name for ref in parts),
            pose=pose_of(calibration),
            seconds=time.process_time() - began,
        )


@dataclass(frozen=True)
class EpisodeJob:
    """Give an episode its result: that of its setup if it agrees with it, else its own.

    Attributes:
        plan: What all jobs have in common.
        ref: The episode.
        fingerprint: Of its content.
        setup: Name of its setup, which is solved.
        setup_identity: Of that.
        setup_size: Episodes of that.
        setup_seconds: The episode's share of the setup's CPU time.
        why_alone: Why the setup has no other episodes, where it might have had.
    """

    plan: DatasetPlan
    ref: EpisodeRef
    fingerprint: str
    setup: str
    setup_identity: str
    setup_size: int
    setup_seconds: float = 0.0
    why_alone: str = ""

    @property
    def identity(self) -> str:
        """What the journal calls it."""
        return f"episode {self.ref.name} {self.fingerprint[:16]} {self.setup_identity}"

    @property
    def folder(self) -> Path:
        """Where its result goes."""
        return self.plan.out / EPISODES / self.ref.name

    def __call__(self) -> Row:
        """Do it."""
        self.plan.check_version()
        began = time.process_time()
        plan = self.plan
        joint = Calibration.load(plan.out / SETUPS / self.setup)
        if self.setup_size == 1:
            notes = (self.why_alone,) if self.why_alone else ()
            result = replace(joint, notes=(*notes, *joint.notes))
            return self._saved(result, began)
        recording, robot = self.ref.load(plan.selection)
        others = f"{self.setup_size - 1} other episodes of camera setup {self.setup}"
        note = f"solved together with the {others}"
        try:
            member = examine(recording, robot, joint, plan.settings, plan.tolerance)
        except CalibAllError as error:
            return self._saved(unchecked_result(recording, joint, str(error), note), began)
        if member.belongs:
            return self._saved(result_for(recording, joint, member, note), began)
        note = f"solved alone, for it contradicts the {others}: {member.why}"
        result = solve_into(self.folder, recording, robot, plan.settings, plan.reports, note)
        return self._row(result, began, of_setup=False)

    def _saved(self, result: Calibration, began: float) -> Row:
        with fresh(self.folder) as folder:
            result.save(folder)
        return self._row(result, began, of_setup=True)

    def _row(self, result: Calibration, began: float, *, of_setup: bool) -> Row:
        out = self.plan.out
        report = (out / SETUPS / self.setup if of_setup else self.folder) / REPORT_NAME
        return row_of(
            result,
            episode=self.ref.name,
            source=self.ref.source,
            camera=self.ref.camera or "",
            setup=self.setup if of_setup and self.setup_size > 1 else "",
            solved_with=self.setup_size if of_setup else 1,
            seconds=self.setup_seconds + time.process_time() - began,
            result=self.folder.relative_to(out).as_posix(),
            report=report.relative_to(out).as_posix() if report.is_file() else "",
        )


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most)).tolist()})


def _most_frames(settings: Settings, times: int) -> int:
    """Return how many frames a joint solve may choose from; each is decoded once."""
    fitted = settings.frames.count * times
    return max(2 * fitted, fitted + settings.frames.background_count)


def solve_into(
    target: Path,
    recording: Recording,
    robot: Robot,
    settings: Settings,
    reports: Reports,
    note: str = "",
) -> Calibration:
    """Calibrate a recording and write its folder of results.

    Args:
        target: The folder.
        recording: An episode, or several as one.
        robot: Its robot.
        settings: Of the solve.
        reports: Whether to write pictures and a page, too.
        note: Goes with the result.

    Raises:
        CalibAllError: The recording cannot be used, or the folder cannot be written.
    """
    job = CalibrationJob(recording, robot)
    run = job.calibrate(settings)
    calibration = run.calibration
    if note:
        calibration = replace(calibration, notes=(note, *calibration.notes))
    with fresh(target) as folder:
        if reports == "none":
            calibration.save(folder)
            return calibration
        return job.save(folder, calibration, run.evidence)


@contextmanager
def fresh(target: Path) -> Iterator[Path]:
    """Do as `whole_or_nothing`, in a folder in which a killed process may have left something."""
    for left in target.glob(_LEFT_BY_KILLED):
        shutil.rmtree(left, ignore_errors=True)
    with whole_or_nothing(target, _EARLIER) as folder:
        yield folder


def describe_setup(
    folder: Path,
    setup: CameraSetup,
    parts: Mapping[EpisodeRef, Recording],
    left_out: Mapping[str, str],
    calibration: Calibration,
) -> None:
    """Write which episodes a setup consists of, and whose image is which of the joint recording.

    Args:
        folder: Where to.
        setup: The setup.
        parts: What was solved together.
        left_out: What was to be, and why it was not.
        calibration: The result.

    Raises:
        ResultError: The file cannot be written.
    """
    first, table = 0, []
    for ref, part in parts.items():
        table.append(
            {"episode": ref.name, "source": ref.source, "first_image": first, "images": len(part)}
        )
        first += len(part)
    document = {
        "setup": setup.name,
        "verdict": calibration.verdict.status,
        "members": [ref.name for ref in setup.members],
        "solved_with": table,
        "left_out": left_out,
    }
    text = yaml_text.dump(document, tables=("solved_with",))
    write_atomically(folder / SETUP_FILE, text.encode())
