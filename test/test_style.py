# SPDX-License-Identifier: Apache-2.0
"""Style and types are part of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "check", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join
)
def test_clean(repository: Path, check: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", *check], cwd=repository, check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
