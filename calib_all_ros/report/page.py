# SPDX-License-Identifier: Apache-2.0
"""``report.html``: one file to read a calibration in any browser, without a network.

The page carries its style, its few lines of script, its plots and photographs itself. A content
security policy in it forbids the browser to fetch anything or to run any other script, whatever
names of topics and files it shows.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report import words
from calib_all_ros.report.document import Document, collect
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot

REPORT_NAME = "report.html"

_TEMPLATES = Path(__file__).parent / "template"


def write_report(
    folder: Path,
    calibration: Calibration,
    recording: Recording | None = None,
    robot: Robot | None = None,
    evidence: Evidence | None = None,
) -> Path:
    """Write ``report.html`` with everything that is known of a calibration.

    Args:
        folder: Where to write; made if missing.
        calibration: The result.
        recording: What it was calibrated from or checked on; without it the page has no pictures.
        robot: Its robot; without it the page has no pictures either.
        evidence: What was seen in the images; without it some plots are missing.

    Returns:
        The file.

    Raises:
        ResultError: The file cannot be written.
    """
    path = folder / REPORT_NAME
    page = render(collect(calibration, recording, robot, evidence))
    write_atomically(path, page.encode())
    return path


def render(document: Document) -> str:
    """Return the page of a document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = words.sentence
    script = _own("behaviour.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        document=document,
        calibration=document.calibration,
        style=_own("style.css"),
        script=script,
        script_digest=f"sha256-{digest}",
    )


def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
