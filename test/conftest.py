# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several parts of the tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development recordings; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"development recordings not found at {SHARED_DATA}")
    return SHARED_DATA
