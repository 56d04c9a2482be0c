# SPDX-License-Identifier: Apache-2.0
"""Prints what was measured as Markdown, and appends it to a file when asked."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--out FILE``."""
    parser.add_argument("--out", type=Path, help="append the tables to this Markdown file")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every row has as many cells as the header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Return one sentence on what the numbers were measured with."""
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        names = [s for s in cpu_info.read_text().splitlines() if s.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    today = datetime.now(timezone.utc).date()
    return (
        f"{today}, {cores} cores ({model}), Python {platform.python_version()}, "
        f"load average {load:.1f} at the end."
    )


def publish(title: str, sections: Sequence[str], out: Path | None) -> None:
    """Print a report, and append it to ``out``.

    Args:
        title: Headline.
        sections: Paragraphs and tables.
        out: Markdown file to append to, or None.
    """
    text = "\n\n".join([f"## {title}", machine(), *sections])
    print("\n" + text, flush=True)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n\n")
