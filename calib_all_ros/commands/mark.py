# SPDX-License-Identifier: Apache-2.0
"""`calib_all mark`: keeps reference marks, and finds what they point at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.commands.options import CommandError, stated_inputs
from calib_all_ros.commands.report import answer
from calib_all_ros.commands.result_options import (
    MarkAddOptions,
    MarkFindOptions,
    MarkImageOptions,
    MarkOptions,
)
from calib_all_ros.errors import EXIT_OK
from calib_all_ros.input_files import InputFiles
from calib_all_ros.marks.finder import FoundMark, UncertainMarkError, Vote, make_mark_finder
from calib_all_ros.marks.matching import MatchLimits
from calib_all_ros.marks.references import (
    PICTURES,
    ReferenceMark,
    add_reference,
    decode,
    load_references,
    read_picture,
    references_folder,
)
from calib_all_ros.models.checkpoints import checkpoint_folder
from calib_all_ros.options import options_of
from calib_all_ros.pictures.heat_map import HEAT_MAP_NAME, draw_votes
from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.solve_job import load_images

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]


def run(options: MarkOptions, log: RunLog) -> int:
    """Do what `calib_all mark` was asked for, and print what came of it; return the exit code.

    Raises:
        CalibAllError: The input cannot be used, files cannot be written, a model is missing, or
            the mark was not found surely; then the heat map has been written.
    """
    if isinstance(options, MarkAddOptions):
        document, text = _add(options)
    elif isinstance(options, MarkFindOptions):
        document, text = _find(options)
    else:
        document, text = _list(options)
    answer(options, document, text)
    return EXIT_OK


def _add(options: MarkAddOptions) -> tuple[dict[str, Any], str]:
    source: Path = options.source
    if _is_picture(options):
        content, ending, name = read_picture(source), source.suffix.lower(), source.stem
    else:
        frame, image = _recorded(options)
        encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        assert encoded
        content, ending, name = data.tobytes(), ".png", f"{source.stem}_{frame:06d}"
    reference = add_reference(
        references_folder(options.references),
        content,
        ending,
        options.name or name,
        options.pixel,
        options.link,
        options.note,
    )
    return _document(reference), f"added {_line(reference)}\n{reference.path}"


def _list(options: MarkOptions) -> tuple[dict[str, Any], str]:
    folder = references_folder(options.references)
    references = load_references(folder)
    document = {"folder": str(folder), "references": [_document(mark) for mark in references]}
    lines = [f"{len(references)} reference mark(s) in {folder}"]
    return document, "\n".join(lines + [f"  {_line(reference)}" for reference in references])


def _find(options: MarkFindOptions) -> tuple[dict[str, Any], str]:
    is_picture = _is_picture(options)
    asked = {"similarity": options.similarity, "margin": options.margin}
    limits = MatchLimits(**{name: value for name, value in asked.items() if value is not None})
    # What is missing shows before a large recording is read.
    finder = make_mark_finder(
        options.references,
        checkpoint_folder(options.checkpoints),
        options.device,
        options.link,
        limits,
    )
    if is_picture:
        image = decode(read_picture(options.source), f"the picture {options.source}")
    else:
        image = _recorded(options)[1]
    picture = options.out / HEAT_MAP_NAME
    try:
        found = finder.find(image)
    except UncertainMarkError as error:
        save_png(picture, draw_votes(image, error.votes, str(error)))
        raise CommandError(f"{error} (heat map: {picture})") from error
    save_png(picture, draw_votes(image, found.votes, found.summary, found.pixel))
    logger.info(found.summary)
    return _found_document(found, picture), _found_text(found, picture)


def _is_picture(options: MarkAddOptions | MarkFindOptions) -> bool:
    """Return whether a picture was given, not a recording, and hold the arguments against it."""
    if options.source.suffix.lower() not in PICTURES:
        return False
    for option in options_of(MarkImageOptions):
        if getattr(options, option.name) is None:
            continue
        raise CommandError(
            f"{option.flag} goes with a recording, and {options.source} is a picture"
        )
    return True


def _recorded(options: MarkAddOptions | MarkFindOptions) -> tuple[int, Image]:
    """Return the number of the recording's image that is meant, and the image."""
    recording = load_images(InputFiles(recording=options.source, **stated_inputs(options)))
    frame = options.frame or 0
    if frame >= len(recording):
        raise CommandError(
            f"there is no image {frame} in {options.source}: it has {len(recording)}, from 0"
        )
    return frame, recording.images[frame]


def _document(reference: ReferenceMark) -> dict[str, Any]:
    return {
        "name": reference.name,
        "pixel": reference.pixel,
        "link": reference.link,
        "note": reference.note,
        "file": reference.path,
    }


def _line(reference: ReferenceMark) -> str:
    u, v = reference.pixel
    height, width = reference.image.shape[:2]
    note = f": {reference.note}" if reference.note else ""
    return f"{reference.name}, ({u:g}, {v:g}) of {width}x{height}, {reference.link}{note}"


def _found_document(found: FoundMark, picture: Path) -> dict[str, Any]:
    return {
        "pixel": found.pixel,
        "link": found.link,
        "similarity": found.similarity,
        "margin": found.margin,
        "summary": found.summary,
        "votes": [_vote_document(vote) for vote in found.votes],
        "files": [picture],
    }


def _vote_document(vote: Vote) -> dict[str, Any]:
    match = vote.match
    return {
        "reference": vote.reference.name,
        "link": vote.reference.link,
        "pixel": match.best.pixel,
        "similarity": match.best.similarity,
        "margin": match.margin,
        "round_trip_patches": match.round_trip_patches,
        "agrees": vote.agrees,
        "doubts": vote.doubts,
    }


def _found_text(found: FoundMark, picture: Path) -> str:
    u, v = found.pixel
    lines = [found.summary]
    for vote in found.votes:
        place = f"({vote.match.best.pixel[0]:.1f}, {vote.match.best.pixel[1]:.1f})"
        why = ", and ".join(vote.doubts) or ("agrees" if vote.agrees else "disagrees")
        lines.append(f"  {vote.reference.name}: {place}, {why}")
    lines.append(f"heat map: {picture}")
    lines.append(f"for calib_all calibrate: --mark {u:.1f},{v:.1f} --eef-link {found.link}")
    return "\n".join(lines)
