# SPDX-License-Identifier: Apache-2.0
"""The way from episodes to rows: look, group, solve, join by pose, ask every episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.dataset.engine import Engine, Failure
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.jobs import EpisodeJob, SetupJob, SurveyJob
from calib_all_ros.dataset.journal import MOST_ATTEMPTS, Journal
from calib_all_ros.dataset.outcomes import FAILED, Row, SetupSolved
from calib_all_ros.dataset.plan import SURVEYS, DatasetPlan
from calib_all_ros.dataset.setups import (
    Background,
    CameraSetup,
    by_background,
    by_pose,
    make_setup,
)
from calib_all_ros.dataset.survey import BACKGROUND_NAME, Surveyed, read_background, source_state
from calib_all_ros.results.calibration import FILE_NAME as RESULT_NAME

AnyJob = TypeVar("AnyJob", SurveyJob, SetupJob, EpisodeJob)
Progress = Callable[[str, int, int], None]
_KEPT_BACKGROUNDS = 64


@dataclass
class DatasetRun:
    """Works through a dataset; what the journal says is done is not done again.

    Attributes:
        plan: What all jobs have in common.
        engine: What runs them.
        journal: Which are done.
        on_progress: Called with the stage, and how many of its jobs are finished of how many.
        rows: The table as far as it is known, by episode.
        done_before: Jobs that earlier runs have done.
        done_now: Jobs that this run has done.
    """

    plan: DatasetPlan
    engine: Engine
    journal: Journal
    on_progress: Progress | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    done_before: int = 0
    done_now: int = 0
    _current: str = ""
    _why_alone: dict[EpisodeRef, str] = field(default_factory=dict)

    def __call__(self, refs: Sequence[EpisodeRef]) -> tuple[Row, ...]:
        """Do everything; return the rows, sorted by episode."""
        background = lru_cache(_KEPT_BACKGROUNDS)(self._read_background)
        surveyed = self._look(refs)
        setups = self._grouped(surveyed, background)
        solved = dict(self._solve(setups, surveyed))
        setups = self._broken_up(setups, solved, surveyed)
        solved |= dict(self._solve([s for s in setups if s.identity not in solved], surveyed))
        poses = {
            setup.identity: outcome.pose
            for setup in setups
            if _usable(outcome := solved[setup.identity])
        }
        joined: tuple[CameraSetup, ...] = ()
        if self.plan.joint_episodes > 1:
            joined = by_pose(setups, poses, surveyed, background, self.plan.tolerance)
        again = dict(self._solve(joined, surveyed))
        # A joint pose that cannot be used leaves its parts as they were.
        setups = _replaced(setups, [s for s in joined if _usable(again[s.identity])])
        self._ask(setups, solved | again, surveyed)
        return tuple(self.rows[name] for name in sorted(self.rows))

    def _broken_up(
        self,
        setups: Iterable[CameraSetup],
        solved: dict[str, SetupSolved | Failure],
        surveyed: dict[EpisodeRef, Surveyed],
    ) -> tuple[CameraSetup, ...]:
        """Return the setups, those of several episodes without a usable pose taken apart."""
        parts: list[CameraSetup] = []
        for setup in setups:
            outcome = solved[setup.identity]
            if _usable(outcome) or len(setup.members) == 1:
                parts.append(setup)
                continue
            why = outcome.sentence if isinstance(outcome, Failure) else outcome.reasons[0]
            for ref in setup.members:
                parts.append(make_setup([ref], surveyed))
                self._why_alone[ref] = (
                    f"solved without the {len(setup.members) - 1} other episodes whose background "
                    f"is the same, for together there was no usable pose: {why}"
                )
        return tuple(parts)

    def _look(self, refs: Sequence[EpisodeRef]) -> dict[EpisodeRef, Surveyed]:
        surveyed = {}
        jobs = [SurveyJob(self.plan, ref, source_state(ref)) for ref in refs]
        for job, outcome in self._finished("look", jobs):
            if isinstance(outcome, Surveyed):
                surveyed[job.ref] = outcome
            elif isinstance(outcome, Failure):
                self._fail(job.ref, outcome)
        return surveyed

    def _grouped(
        self, surveyed: dict[EpisodeRef, Surveyed], background: Background
    ) -> tuple[CameraSetup, ...]:
        if self.plan.joint_episodes == 1:
            return tuple(make_setup([ref], surveyed) for ref in surveyed)
        count = iter(range(1, len(surveyed) + 1))

        def advance() -> None:
            if self.on_progress:
                self.on_progress("group", next(count), len(surveyed))

        return by_background(surveyed, background, advance)

    def _solve(
        self, setups: Iterable[CameraSetup], surveyed: dict[EpisodeRef, Surveyed]
    ) -> Iterator[tuple[str, SetupSolved | Failure]]:
        def images(setup: CameraSetup) -> int:
            return sum(surveyed[ref].frames for ref in setup.members)

        # The longest first, so that no core waits at the end for one that was begun last.
        jobs = [SetupJob(self.plan, s) for s in sorted(setups, key=images, reverse=True)]
        for job, outcome in self._finished("solve", jobs):
            assert isinstance(outcome, SetupSolved | Failure)
            yield job.setup.identity, outcome

    def _ask(
        self,
        setups: Iterable[CameraSetup],
        solved: dict[str, SetupSolved | Failure],
        surveyed: dict[EpisodeRef, Surveyed],
    ) -> None:
        jobs = []
        for setup in setups:
            outcome = solved[setup.identity]
            if isinstance(outcome, Failure):
                # Of an episode alone: setups of several that failed were taken apart.
                self._fail(setup.members[0], outcome)
                continue
            size = len(setup.members)
            # A job that carried all members would be a large one to send.
            label, share = (setup.name, setup.identity, size), outcome.seconds / size
            for ref in setup.members:
                print_of, why = surveyed[ref].fingerprint, self._why_alone.get(ref, "")
                jobs.append(EpisodeJob(self.plan, ref, print_of, *label, share, why))
        for job, row in self._finished("episodes", jobs):
            if isinstance(row, Failure):
                self._fail(job.ref, row)
            elif isinstance(row, Row):
                self.rows[job.ref.name] = row

    def _finished(
        self, stage: str, jobs: Sequence[AnyJob]
    ) -> Iterator[tuple[AnyJob, Surveyed | SetupSolved | Row | Failure]]:
        """Yield every job with its outcome, those first that are done or not to be begun."""
        begin, finished = [], 0

        def report() -> None:
            if self.on_progress:
                self.on_progress(stage, finished, len(jobs))

        for job in jobs:
            known = self._known(job)
            if known is None:
                begin.append(job)
                continue
            finished += 1
            yield job, known
        self.done_before += finished
        report()
        try:
            for number, outcome in self.engine.map_unordered(self._begun(begin)):
                job = begin[number]
                self.journal.finish(job.identity, self._place(job), outcome)
                finished, self.done_now = finished + 1, self.done_now + 1
                report()
                yield job, outcome
        except KeyboardInterrupt:
            if self._current:
                self.journal.interrupt(self._current)
            raise

    def _known(self, job: AnyJob) -> Surveyed | SetupSolved | Row | Failure | None:
        if self.journal.crashes(job.identity):
            return Failure(
                f"it ended the whole process {MOST_ATTEMPTS} times and is not begun again: run "
                "`calib_all calibrate` on it to see why, then give --retry"
            )
        name = BACKGROUND_NAME if isinstance(job, SurveyJob) else RESULT_NAME
        if not (job.folder / name).is_file():
            return None
        return self.journal.outcome(job.identity, self._place(job))

    def _begun(self, jobs: Sequence[AnyJob]) -> Iterator[AnyJob]:
        """Yield jobs; where one can end this process, note in the journal that it is begun."""
        for job in jobs:
            if not self.engine.isolated:
                self._current = job.identity
                self.journal.begin(job.identity)
            yield job
        self._current = ""

    def _place(self, job: AnyJob) -> str:
        return job.folder.relative_to(self.plan.out).as_posix()

    def _read_background(self, ref: EpisodeRef) -> NDArray[np.uint8]:
        return read_background(self.plan.out / SURVEYS / ref.name)

    def _fail(self, ref: EpisodeRef, failure: Failure) -> None:
        self.rows[ref.name] = Row(
            ref.name, ref.source, ref.camera or "", FAILED, reasons=(failure.sentence,)
        )


def _usable(outcome: SetupSolved | Failure) -> TypeGuard[SetupSolved]:
    return isinstance(outcome, SetupSolved) and outcome.verdict != "rejected"


def _replaced(
    setups: Sequence[CameraSetup], joined: Sequence[CameraSetup]
) -> tuple[CameraSetup, ...]:
    """Return the setups, those that were joined in place of their parts."""
    taken = {ref for setup in joined for ref in setup.members}
    return (*(s for s in setups if s.members[0] not in taken), *joined)
