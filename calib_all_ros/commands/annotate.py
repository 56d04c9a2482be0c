# SPDX-License-Identifier: Apache-2.0
"""`calib_all annotate`: label every frame of a recording by its calibration."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from calib_all_ros import __version__
from calib_all_ros.annotation.bag import write_annotated_bag
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.folder import PARTS, write_folder
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.commands.annotate_dataset import annotate_dataset, is_whole_dataset
from calib_all_ros.commands.annotate_options import AnnotateOptions
from calib_all_ros.commands.calibrated_inputs import (
    CalibratedInputs,
    annotated_inputs,
    load_calibrated,
)
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.results.run_log import RunLog

logger = logging.getLogger(__name__)

_PICTURES = frozenset(("depth_png", "depth_npy", "masks", "gripper"))
_GROUPS = {"depth": ("depth_png", "depth_npy")}


def run_annotate(options: AnnotateOptions, log: RunLog) -> None:
    """Annotate a recording, or a whole LeRobot dataset, and print what was written.

    Args:
        options: What to do.
        log: Goes with the folder.

    Raises:
        CalibAllError: The input cannot be used, or the output cannot be written.
    """
    if options.out is options.bag is options.lerobot is None:
        raise AnnotationError("nothing to write: give --out DIR, --bag OUT or --lerobot OUT")
    parts = _parts(options)
    if is_whole_dataset(options):
        _run_on_dataset(options, parts)
        return
    if options.out is not None:
        _require_empty(options.out)
    quiet = options.quiet or options.json
    with ExitStack() as stack:
        folder = None
        if options.out is not None:
            # The folder comes first: that it cannot be written must not turn up after the work.
            folder = stack.enter_context(whole_or_nothing(options.out))
        bars = stack.enter_context(StageBars(quiet=quiet))
        stack.enter_context(announce_compilation(lambda: bars.say(COMPILING)))
        bars("read", 0.0)
        inputs = load_calibrated(options)
        bars("read", 1.0)
        annotated = annotated_inputs(options, inputs)
        if folder is not None:
            write_folder(folder, annotated, parts, _provenance(inputs), bars)
        if options.bag is not None:
            notes = write_annotated_bag(options.bag, annotated, bars)
            annotated = replace(annotated, notes=(*annotated.notes, *notes))
        if options.lerobot is not None:
            # Only who annotates a LeRobot dataset needs what that needs.
            from calib_all_ros.annotation.lerobot_features import write_annotated_dataset

            pictures = not _PICTURES.isdisjoint(parts)
            write_annotated_dataset(options.lerobot, annotated, pictures=pictures, on_progress=bars)
        for note in annotated.notes:
            logger.info(note)
        if folder is not None:
            log.copy_to(folder)
    summary = _summary(options, annotated, inputs)
    if options.json:
        print(json.dumps(summary))
    elif not options.quiet:
        print(_as_text(summary))


def _run_on_dataset(options: AnnotateOptions, parts: Sequence[str]) -> None:
    with ExitStack() as stack:
        bars = stack.enter_context(StageBars(quiet=options.quiet or options.json))
        stack.enter_context(announce_compilation(lambda: bars.say(COMPILING)))
        pictures = not _PICTURES.isdisjoint(parts)
        dataset = annotate_dataset(options, bars, pictures=pictures)
    if options.json:
        summary = {"recording": str(options.recording), **asdict(dataset)}
        print(json.dumps({**summary, "written": [str(options.lerobot)]}))
    elif not options.quiet:
        total = len(dataset.annotated) + len(dataset.left_out)
        lines = [
            f"episodes annotated {len(dataset.annotated)} of {total}",
            f"written            {options.lerobot}",
        ]
        lines += [f"- {name} is not annotated: {why}" for name, why in dataset.left_out.items()]
        print("\n".join(lines))


def _parts(options: AnnotateOptions) -> tuple[str, ...]:
    if options.only is None:
        return tuple(PARTS)
    parts = [name for given in options.only for name in _GROUPS.get(given, (given,))]
    if unknown := [name for name in parts if name not in PARTS]:
        raise AnnotationError(
            f"no part '{unknown[0]}' for --only; there are: {', '.join((*_GROUPS, *PARTS))}"
        )
    return tuple(parts)


def _require_empty(out: Path) -> None:
    """Make sure that frames of an earlier run do not stay among the new ones."""
    if out.is_dir() and any(out.iterdir()):
        raise AnnotationError(f"{out} is not empty: name a new folder")


def _provenance(inputs: CalibratedInputs) -> dict[str, Any]:
    calibration = inputs.calibration
    return {
        "recording": inputs.recording.source,
        "fingerprint": inputs.recording.fingerprint,
        "calibration": inputs.source,
        "verdict": calibration.verdict.status,
        "robot": inputs.robot.name,
        "base_frame": calibration.robot.base_frame,
        "package_version": __version__,
    }


def _summary(
    options: AnnotateOptions, annotated: AnnotatedRecording, inputs: CalibratedInputs
) -> dict[str, Any]:
    asked = options.out, options.bag, options.lerobot
    written = [path for path in asked if path is not None]
    return {
        "recording": inputs.recording.source,
        "verdict": inputs.calibration.verdict.status,
        "frames": len(annotated.frames),
        "frames_in_recording": len(inputs.recording),
        "eef_link": annotated.end_effector.link,
        "gripper_links": list(annotated.end_effector.gripper_links),
        "notes": list(annotated.notes),
        "written": [str(path) for path in written],
    }


def _as_text(summary: dict[str, Any]) -> str:
    lines = [
        f"frames annotated   {summary['frames']} of {summary['frames_in_recording']}",
        f"end-effector       {summary['eef_link']}",
        f"gripper            {', '.join(summary['gripper_links'])}",
        f"written            {', '.join(summary['written'])}",
    ]
    return "\n".join([*lines, *(f"- {note}" for note in summary["notes"])])
