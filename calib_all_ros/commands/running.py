# SPDX-License-Identifier: Apache-2.0
"""Runs the command that was asked for; each imports what it needs when it runs."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from calib_all_ros.commands.annotate_options import AnnotateOptions, TrajectoryOptions
from calib_all_ros.commands.cameras_options import CamerasOptions
from calib_all_ros.commands.dataset_options import DatasetOptions
from calib_all_ros.commands.options import (
    CalibrateOptions,
    CheckOptions,
    CompareOptions,
    PlanOptions,
)
from calib_all_ros.exit_codes import EXIT_CANNOT_SAY, EXIT_OK, EXIT_REJECTED
from calib_all_ros.input_files import InputSelection
from calib_all_ros.results.run_log import RunLog

_Options = TypeVar("_Options", bound=InputSelection | PlanOptions)


def run(parsed: argparse.Namespace, log: RunLog) -> int:
    """Run a command.

    Args:
        parsed: Its arguments; ``command`` names it.
        log: Goes with its results.

    Returns:
        The exit code.

    Raises:
        CalibAllError: What the command raises.
    """
    return _COMMANDS[parsed.command](parsed, log)


def _calibrate(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.calibrate import run_calibrate

    return _by_verdict(run_calibrate(_options(CalibrateOptions, parsed), log))


def _cameras(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.cameras import run_cameras

    return _by_verdict(run_cameras(_options(CamerasOptions, parsed), log))


def _simulate(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.simulate import run_simulate

    run_simulate(parsed)
    return EXIT_OK


def _demo(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.demo import run_demo

    return _by_verdict(run_demo(parsed, log))


def _plan(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.plan import run_plan

    run_plan(_options(PlanOptions, parsed))
    return EXIT_OK


def _check(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.check import run_check

    outcome = run_check(_options(CheckOptions, parsed), log)
    return EXIT_CANNOT_SAY if outcome == "cannot say" else _by_verdict(outcome)


def _compare(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.compare import run_compare

    return EXIT_OK if run_compare(_options(CompareOptions, parsed)) else EXIT_REJECTED


def _annotate(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.annotate import run_annotate

    run_annotate(_options(AnnotateOptions, parsed), log)
    return EXIT_OK


def _trajectory(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.trajectory import run_trajectory

    run_trajectory(_options(TrajectoryOptions, parsed), log)
    return EXIT_OK


def _dataset(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.dataset import run_dataset

    return run_dataset(_options(DatasetOptions, parsed), log)


def _mark(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.mark import run_mark

    return run_mark(parsed)


def _doctor(parsed: argparse.Namespace, log: RunLog) -> int:
    from calib_all_ros.commands.doctor import run_doctor

    return EXIT_OK if run_doctor(parsed) else EXIT_REJECTED


_COMMANDS: dict[str, Callable[[argparse.Namespace, RunLog], int]] = {
    "calibrate": _calibrate,
    "cameras": _cameras,
    "simulate": _simulate,
    "demo": _demo,
    "plan": _plan,
    "check": _check,
    "compare": _compare,
    "annotate": _annotate,
    "trajectory": _trajectory,
    "dataset": _dataset,
    "mark": _mark,
    "doctor": _doctor,
}


def _by_verdict(status: str) -> int:
    return EXIT_REJECTED if status == "rejected" else EXIT_OK


def _options(kind: type[_Options], parsed: argparse.Namespace) -> _Options:
    """Return what the arguments say about the fields of a command's options."""
    fields = {field.name for field in dataclasses.fields(kind)}
    # argparse collects in lists what may be repeated.
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(parsed).items()
        if name in fields
    }
    return kind(**given)
