# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from io import StringIO

import pytest

from calib_all_ros.commands import progress
from calib_all_ros.commands.progress import StageBars


class Terminal(StringIO):
    """A terminal that remembers what was shown, and says when something was."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "search" in text:
            self.shown.set()
        return super().write(text)


def test_long_stage_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 0.0)
    terminal = Terminal()
    with StageBars(file=terminal) as bars:
        bars("search", 0.5)
        assert terminal.shown.wait(30.0)
        bars("refine", 0.0)
    assert "search" in terminal.getvalue()
    assert "100%" in terminal.getvalue(), "the next stage begins when this one is done"


def test_bar_appears_while_a_stage_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 0.05)
    terminal = Terminal()
    with StageBars(file=terminal) as bars:
        bars("search", 0.0)
        assert terminal.shown.wait(30.0)


def test_short_stages_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 3600.0)
    terminal = Terminal()
    with StageBars(file=terminal) as bars:
        bars("search", 0.0)
        bars("search", 1.0)
        bars("refine", 0.3)
    assert terminal.getvalue() == ""


def test_no_bars_when_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOWN_AFTER_S", 0.0)
    file, quiet = StringIO(), Terminal()
    with StageBars(file=file) as bars:
        bars("search", 0.5)
        bars.say("compiling")
    with StageBars(quiet=True, file=quiet) as bars:
        bars("search", 0.5)
        bars.say("compiling")
    assert file.getvalue() == "compiling\n"
    assert quiet.getvalue() == ""
