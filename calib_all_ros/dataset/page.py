# SPDX-License-Identifier: Apache-2.0
"""``index.html``: the table of a dataset, to sort and filter in any browser without a network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jinja2

from calib_all_ros import __version__
from calib_all_ros.dataset.outcomes import STATUSES, Row
from calib_all_ros.results.atomic_file import write_atomically

PAGE_NAME = "index.html"
# A browser cannot show a row for each of 200,000 episodes; the worst are what people look for.
MOST_ROWS = 5000
_WORST_FIRST = {status: -number for number, status in enumerate(STATUSES)}
_TEMPLATES = Path(__file__).parent / "template"


def write_page(folder: Path, source: str, rows: Sequence[Row]) -> Path:
    """Write ``index.html`` with a row for every episode and camera, the worst first.

    Args:
        folder: Of the dataset's results; the page links to the reports in it.
        source: Name of the dataset.
        rows: The table.

    Raises:
        ResultError: The file cannot be written.
    """
    path = folder / PAGE_NAME
    write_atomically(path, render(source, rows).encode())
    return path


def render(source: str, rows: Sequence[Row]) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = Counter(row.verdict for row in rows)
    script = (_TEMPLATES / "dataset.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shown = sorted(rows, key=lambda row: (_WORST_FIRST[row.verdict], row.episode))[:MOST_ROWS]
    return environment.get_template("dataset.html.j2").render(
        source=source,
        rows=shown,
        total=len(rows),
        counts=[(status, counts[status]) for status in STATUSES],
        setups=len({row.setup for row in rows if row.setup}),
        version=__version__,
        style=(_TEMPLATES / "dataset.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=f"sha256-{digest}",
    )
