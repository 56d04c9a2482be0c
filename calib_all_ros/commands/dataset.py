# SPDX-License-Identifier: Apache-2.0
"""`calib_all dataset`: calibrate all episodes and cameras of a dataset, and write their table."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from calib_all_ros.commands.options import DatasetOptions, settings_of, stated_inputs
from calib_all_ros.commands.progress import JobBars
from calib_all_ros.commands.report import answer, listed, table
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import Engine, SingleProcess
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.outcomes import FAILED, STATUSES, Row
from calib_all_ros.dataset.page import write_page
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.dataset.record import changes_since, refusal, remove_results, write_record
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.dataset.table import write_tables
from calib_all_ros.dataset.writing_back import check_target, is_written, write_back
from calib_all_ros.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_REJECTED, CalibAllError
from calib_all_ros.input_files import InputSelection
from calib_all_ros.results.run_log import RunLog

logger = logging.getLogger(__name__)

_SHOWN_FAILURES = 10
_AGAIN_S = 2.0


@dataclass(frozen=True)
class FinishedDataset:
    """What came of a run.

    Attributes:
        rows: The table.
        files: What was written beside the results of the episodes.
        jobs_done: Jobs that this run has done.
        jobs_known: Jobs that earlier runs had done.
        notes: What else to say, one sentence each.
    """

    rows: tuple[Row, ...]
    files: tuple[Path, ...]
    jobs_done: int
    jobs_known: int
    notes: tuple[str, ...]


def run(options: DatasetOptions, log: RunLog) -> int:
    """Calibrate a dataset, write the table and print a summary; return the exit code.

    Raises:
        CalibAllError: The source or the folder of results cannot be used, or the dataset cannot be
            written anew; the summary is printed then.
    """
    plan = _plan(options)
    refs = find_episodes(options.source, cameras=options.cameras, episodes=options.episodes)
    anew = _absolute(options.write_lerobot)
    if anew is not None:
        # That it cannot be written must not turn up after the work.
        check_target(refs, plan.out, anew)
    changes = changes_since(options.source, plan)
    if options.redo:
        changes = ()
    if changes and not options.keep:
        raise refusal(plan, changes)
    notes = tuple(f"results of before are kept, though {change}" for change in changes)
    not_written: CalibAllError | None = None
    with ExitStack() as stack:
        # What a library prints must not come between the lines of the answer.
        stack.enter_context(redirect_stdout(sys.stderr))
        bars = stack.enter_context(JobBars(quiet=options.silent))
        journal = stack.enter_context(Journal(plan.out))
        # A cluster that cannot be joined must not cost what there is.
        engine = _engine(options)
        stack.callback(engine.close)
        if options.redo:
            journal.forget()
            remove_results(plan)
        elif options.retry:
            journal.retry()
        write_record(options.source, plan)
        for note in notes:
            logger.warning(note)
            bars.say(note)
        jobs = DatasetRun(plan, engine, journal, bars)
        try:
            with terminated_as_interrupted():
                rows = jobs(refs)
        except KeyboardInterrupt:
            print(
                f"calib_all: interrupted; {jobs.done_now} jobs were done and are kept, the same "
                "command goes on with the rest",
                file=sys.stderr,
            )
            return EXIT_INTERRUPTED
        files, missing = write_tables(plan.out, rows)
        page = write_page(plan.out, str(options.source), rows)
        notes, written = (*notes, *missing), (page, *files)
        try:
            if anew is not None and is_written(rows, plan.out, anew):
                notes = (*notes, f"{anew} has these results already and stays as it is")
            elif anew is not None:
                written = (*written, write_back(refs, rows, plan.out, anew))
        except CalibAllError as error:
            not_written = error
        log.copy_to(plan.out)
    finished = FinishedDataset(rows, written, jobs.done_now, jobs.done_before, notes)
    answer(options, as_document(finished), as_text(finished))
    if not_written is not None:
        raise not_written
    bad = {FAILED, "rejected"} if options.strict else {FAILED}
    return EXIT_REJECTED if any(row.verdict in bad for row in rows) else EXIT_OK


def as_text(finished: FinishedDataset) -> str:
    """Return a summary of some lines."""
    rows = finished.rows
    counts = Counter(row.verdict for row in rows)
    setups = {row.setup for row in rows if row.setup}
    together = sum(1 for row in rows if row.setup)
    rows_shown = [
        (
            "Episodes",
            f"{len(rows)}: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES),
        ),
        (
            "Setups",
            f"{together} episodes in {len(setups)} camera setups, {len(rows) - together} alone",
        ),
        ("Jobs", f"{finished.jobs_done} done, {finished.jobs_known} were done before"),
        ("CPU time", f"{sum(row.seconds for row in rows):.0f} s"),
    ]
    failed = [f"{row.episode}: {row.reasons[0]}" for row in rows if row.verdict == FAILED]
    if len(failed) > _SHOWN_FAILURES:
        more = len(failed) - _SHOWN_FAILURES
        failed[_SHOWN_FAILURES:] = [f"and {more} more, see the table"]
    rows_shown += listed("Failed", failed) + listed("Notes", finished.notes)
    return table(rows_shown + listed("Files", finished.files))


def as_document(finished: FinishedDataset) -> dict[str, object]:
    """Return the summary for scripts."""
    counts = Counter(row.verdict for row in finished.rows)
    return {
        "episodes": len(finished.rows),
        "verdicts": {status: counts[status] for status in STATUSES},
        "setups": sorted({row.setup for row in finished.rows if row.setup}),
        "failed": {row.episode: row.reasons[0] for row in finished.rows if row.verdict == FAILED},
        "jobs_done": finished.jobs_done,
        "jobs_done_before": finished.jobs_known,
        "notes": list(finished.notes),
        "files": [str(path) for path in finished.files],
    }


def _plan(options: DatasetOptions) -> DatasetPlan:
    common = InputSelection(**stated_inputs(options))
    # Workers may run in other folders.
    common = replace(
        common,
        urdf=_absolute(common.urdf),
        camera=_absolute(common.camera),
        mesh_paths=tuple(path.absolute() for path in common.mesh_paths),
    )
    intrinsics = tuple((name, path.absolute()) for name, path in options.intrinsics)
    return DatasetPlan(
        out=options.out.expanduser().absolute(),
        selection=DatasetSelection(common, intrinsics),
        settings=settings_of(options),
        reports=options.reports,
        joint_episodes=options.joint_episodes,
        joint_frames=options.joint_frames,
        tolerance_mm=options.tolerance_mm,
        tolerance_deg=options.tolerance_deg,
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def _engine(options: DatasetOptions) -> Engine:
    on_ray = options.ray or options.address is not None
    for name, given in (
        ("--workers", options.workers),
        ("--memory", options.memory_mb),
        ("--time-limit", options.time_limit_s),
    ):
        if given and not on_ray:
            raise DatasetError(f"{name} is for Ray: give --ray, too, or leave it out")
    if options.workers and options.address is not None:
        raise DatasetError("--workers is for this machine alone: a cluster says itself what it has")
    if not on_ray:
        return SingleProcess()
    from calib_all_ros.dataset.ray_engine import RayEngine

    return RayEngine(
        options.address,
        workers=options.workers,
        memory_mb=options.memory_mb,
        time_limit_s=options.time_limit_s,
    )


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, in the main thread; elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as stack:

        def interrupt(*_: object) -> None:
            # Numba passes over what is raised while it calls back, so it is said again.
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
            again.daemon = True
            stack.callback(again.cancel)
            again.start()
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, interrupt)
        stack.callback(signal.signal, signal.SIGTERM, before or signal.SIG_DFL)
        yield
