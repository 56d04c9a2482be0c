# SPDX-License-Identifier: Apache-2.0
"""Journal of the jobs that are done: a file that only grows, one JSON object a line.

A job is done when its line is there; the line is written after the job's folder. Whoever is killed
in between does the job again, which changes nothing. Half a line at the end, left by a killed
process, is passed over.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import dacite

from calib_all_ros.dataset.engine import Failure
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.outcomes import Row, SetupSolved
from calib_all_ros.dataset.survey import Surveyed
from calib_all_ros.results.yaml_text import plain

logger = logging.getLogger(__name__)

FILE_NAME = "journal.jsonl"
# A job that ended the process so often is not begun again.
MOST_ATTEMPTS = 3
Outcome = Surveyed | SetupSolved | Row
_KINDS: dict[str, type[Outcome]] = {kind.__name__: kind for kind in (Surveyed, SetupSolved, Row)}


class Journal:
    """The journal of a folder of results, as a context manager that locks it."""

    def __init__(self, folder: Path) -> None:
        """Name the journal.

        Args:
            folder: Of the results; made if it is not there.
        """
        self.path = folder / FILE_NAME
        self._done: dict[str, Outcome] = {}
        self._last: dict[str, str] = {}
        self._begun: dict[str, int] = {}

    def __enter__(self) -> Journal:
        """Lock and read it.

        Raises:
            DatasetError: Another process writes to it, or it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        except OSError as error:
            raise DatasetError(
                f"cannot write {self.path} ({error.strerror}): choose another --out"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise DatasetError(
                f"another process works on {self.path.parent}: wait for it, or choose another --out"
            ) from None
        except OSError as error:
            # Some network file systems have no locks.
            logger.warning(
                "%s cannot be locked (%s): see that no other process works on it",
                self.path,
                error.strerror,
            )
        content = self.path.read_bytes()
        for line in content.splitlines():
            self._read(line)
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock it."""
        self._file.close()

    def outcome(self, identity: str, place: str) -> Outcome | None:
        """Return what came of a job, None if it is not done.

        Args:
            identity: Of the job.
            place: Of its result; another job that wrote there since has undone this one.
        """
        return self._done.get(identity) if self._last.get(place) == identity else None

    def crashes(self, identity: str) -> bool:
        """Return whether a job ended the process too often to be begun again."""
        return self._begun.get(identity, 0) >= MOST_ATTEMPTS

    def begin(self, identity: str) -> None:
        """Note that a job is begun in this process."""
        self._begun[identity] = self._begun.get(identity, 0) + 1
        self._write({"begun": identity})

    def interrupt(self, identity: str) -> None:
        """Note that a job was ended on purpose."""
        self._begun.pop(identity, None)
        self._write({"interrupted": identity})

    def retry(self) -> None:
        """Let jobs be begun again that ended the process too often."""
        for identity in list(self._begun):
            self.interrupt(identity)

    def finish(self, identity: str, place: str, outcome: Outcome | Failure) -> None:
        """Note what came of a job; one that failed is begun again by the next run.

        Args:
            identity: Of the job.
            place: Of its result.
            outcome: What came of it.
        """
        self._begun.pop(identity, None)
        if not isinstance(outcome, Failure):
            self._done[identity], self._last[place] = outcome, identity
        kind, content = type(outcome).__name__, plain(outcome)
        self._write({"job": identity, "place": place, "kind": kind, "outcome": content})

    def forget(self) -> None:
        """Empty it."""
        self._file.truncate(0)
        self._done, self._last, self._begun = {}, {}, {}

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if "begun" in entry:
                self._begun[entry["begun"]] = self._begun.get(entry["begun"], 0) + 1
                return
            identity = entry.get("interrupted") or entry["job"]
            self._begun.pop(identity, None)
            if "kind" in entry and entry["kind"] in _KINDS:
                kind = _KINDS[entry["kind"]]
                config = dacite.Config(cast=[tuple], type_hooks={float: float})
                self._done[identity] = dacite.from_dict(kind, entry["outcome"], config)
                self._last[entry["place"]] = identity
        except (ValueError, KeyError, TypeError, dacite.DaciteError):
            # The line of a process that was killed while it wrote: the job is done again.
            return
