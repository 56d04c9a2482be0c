# SPDX-License-Identifier: Apache-2.0
"""Long work in a process of its own, which ends at once when nobody waits for it any more.

The worker is a fresh interpreter, so that neither numba's and BLAS's threads nor the interpreter's
lock delay the node's callbacks, and all memory is given back at the end. Between the two stands a
small supervisor, which passes the worker's messages on. When the node closes its pipe, or dies in
whatever way, the supervisor kills the worker in the midst of its work and removes what was not
finished; only the supervisor puts a finished folder of results in its place.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from calib_all_ros.errors import CalibAllError
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.results.run_log import RunLog

# Work shares the machine with the drivers of camera and arm, which come first.
_NICENESS = 3
_SMALLEST_STEP = 0.01
_ENDING_S = 10.0
_PR_SET_PDEATHSIG = 1


# In front of a pickled message: the supervisor need not unpickle it, which takes heavy imports.
_ON_THE_WAY, _DONE, _FAILED = b"-", b"+", b"!"


@dataclass(frozen=True)
class StageProgress:
    """How far the work is: the name of its stage, and the stage's finished share."""

    stage: str
    share: float


@dataclass(frozen=True)
class LogLine:
    """A line of the work's log; ``level`` as in `logging`."""

    level: int
    text: str


@dataclass(frozen=True)
class Done:
    """The work's result, its last message."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """Why there is no result; the last message.

    Attributes:
        sentence: What is wrong, and what to do.
        internal: It is a fault of this package rather than of its input.
    """

    sentence: str
    internal: bool


Message = StageProgress | LogLine | Done | Failed
_TAGS: dict[type, bytes] = {Done: _DONE, Failed: _FAILED}


class Work:
    """What a piece of work may use while it runs.

    Attributes:
        folder: Where to put files, which appear in the folder of results when all is done; None
            where no such folder was named.
    """

    def __init__(self, connection: Connection, folder: Path | None, log: RunLog) -> None:
        """Report through ``connection``."""
        self.folder = folder
        self._connection = connection
        self._log = log
        self._last = StageProgress("", 0.0)

    def progress(self, stage: str, share: float) -> None:
        """Report the finished share of a stage; steps too small to be seen are left out."""
        same = stage == self._last.stage
        if same and share < 1.0 and abs(share - self._last.share) < _SMALLEST_STEP:
            return
        self._last = StageProgress(stage, share)
        self.send(self._last)

    def copy_log_to(self, folder: Path) -> Path:
        """Put the log so far with the results."""
        return self._log.copy_to(folder)

    def send(self, message: Message) -> None:
        """Send a message to the owner."""
        tag = _TAGS.get(type(message), _ON_THE_WAY)
        self._connection.send_bytes(tag + pickle.dumps(message))


@dataclass(frozen=True)
class _Order:
    """What the supervisor is asked for; the work stays pickled, for its imports are heavy."""

    function: bytes
    out: Path | None
    replaces: tuple[str, ...]


class WorkerProcess:
    """A piece of work that runs in a process of its own, as its owner sees it."""

    def __init__(
        self,
        function: Callable[[Work], Any],
        out: Path | None = None,
        replaces: tuple[str, ...] = (),
    ) -> None:
        """Start the process.

        Args:
            function: What to do; a picklable object whose module must not need ROS.
            out: Folder of results, which appear whole or not at all.
            replaces: Patterns of files of earlier results in that folder, which are replaced.
        """
        self._process, self._connection = _spawn("supervise")
        self._connection.send(_Order(pickle.dumps(function), out, replaces))
        self._answered = False

    @property
    def pid(self) -> int:
        """The number of the supervisor's process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def messages(self) -> list[Message]:
        """Return what has arrived since the last call; the last of all is Done or Failed."""
        arrived: list[Message] = []
        try:
            while not self._answered and self._connection.poll():
                message = self._connection.recv()
                arrived.append(message)
                self._answered = isinstance(message, Done | Failed)
        except (EOFError, OSError):
            if not self._connection.closed and not self.running:
                self._answered = True
                arrived.append(_sudden_end(self._process.returncode))
        return arrived

    def cancel(self) -> None:
        """Tell the process to end, without waiting; nothing half-written is left."""
        self._connection.close()

    def close(self) -> None:
        """Cancel, and wait until the process has ended."""
        self.cancel()
        try:
            self._process.wait(timeout=_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Ended(Exception):  # noqa: N818, it is no error
    """The work ended without a result; carries the pickled message for the owner, if any."""

    def __init__(self, last_words: bytes | None) -> None:
        super().__init__()
        self.last_words = last_words


def supervise(descriptor: int) -> None:
    """Have a piece of work done, and put its results in place: the life of the supervisor.

    Args:
        descriptor: The pipe to the owner.
    """
    # Ctrl-C reaches all processes of a terminal; the owner decides what it means for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    owner = Connection(descriptor)
    try:
        order: _Order = owner.recv()
        with tempfile.TemporaryDirectory(prefix="calib_all-") as scratch:
            if order.out is None:
                answer = _work_done(order, owner, scratch, None)
            else:
                with whole_or_nothing(order.out, order.replaces) as folder:
                    answer = _work_done(order, owner, scratch, folder)
        owner.send_bytes(answer)
    except _Ended as ended:
        if ended.last_words is not None:
            owner.send_bytes(ended.last_words)
    except CalibAllError as error:
        owner.send(Failed(str(error), internal=False))
    except (EOFError, OSError):
        # Nobody is there any more.
        return


def _work_done(order: _Order, owner: Connection, scratch: str, folder: Path | None) -> bytes:
    """Run the worker, pass its messages on, and return its pickled result.

    Args:
        order: What to do.
        owner: Who waits for it.
        scratch: Folder for temporary files.
        folder: Folder for results.

    Raises:
        _Ended: There is none.
    """
    process, worker = _spawn("work")
    try:
        worker.send((order.function, folder, Path(scratch), os.getpid()))
        while True:
            if owner in wait([owner, worker]):
                # It has nothing to say, so this is the end of the pipe.
                raise _Ended(None)
            try:
                message = worker.recv_bytes()
            except (EOFError, ConnectionResetError):
                raise _Ended(pickle.dumps(_sudden_end(process.wait()))) from None
            tag, message = message[:1], message[1:]
            if tag == _FAILED:
                raise _Ended(message)
            if tag == _DONE:
                return message
            owner.send_bytes(message)
    finally:
        process.kill()
        process.wait()


def work(descriptor: int) -> None:
    """Receive a piece of work and do it: the life of the worker.

    Args:
        descriptor: The pipe to the supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    if sys.platform == "linux":
        # Should the supervisor be killed, this process must not go on by itself.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = Connection(descriptor)
    try:
        function, folder, scratch, supervisor = connection.recv()
    except EOFError:
        return
    if os.getppid() != supervisor:
        return
    with RunLog(["worker"], scratch) as log:
        context = Work(connection, folder, log)
        logging.getLogger("calib_all_ros").addHandler(_Forwarding(context))
        context.send(_answer(function, context, log))


def _answer(function: bytes, context: Work, log: RunLog) -> Done | Failed:
    try:
        # Unpickling imports the modules that do the work, which takes a second or two.
        return Done(pickle.loads(function)(context))
    except CalibAllError as error:
        return Failed(str(error), internal=False)
    except Exception as error:  # whatever else is raised is a bug, not a message for users
        path = log.keep(error)
        sentence = f"internal error, {type(error).__name__}: {error}; please report it with {path}"
        return Failed(sentence, internal=True)


def _sudden_end(exit_code: int) -> Failed:
    how = f"exit code {exit_code}"
    if exit_code < 0:
        how = f"killed by {signal.Signals(-exit_code).name}"
    sentence = (
        f"the worker's process ended without an answer ({how}): look for its last words above, and "
        "whether the machine ran out of memory"
    )
    return Failed(sentence, internal=True)


def _spawn(function: str) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a fresh interpreter in a function of this module, with a pipe to it."""
    ours, theirs = Pipe()
    # Modules are to be found where this process finds them, not in whatever the current folder is.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import {function}; "
        f"{function}({theirs.fileno()})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
    )
    theirs.close()
    return process, ours


class _Forwarding(logging.Handler):
    """Sends the package's log to the owner as well."""

    def __init__(self, context: Work) -> None:
        super().__init__(logging.INFO)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        self._context.send(LogLine(record.levelno, record.getMessage().strip()))
