# SPDX-License-Identifier: Apache-2.0
"""Run of a node: start, spin, end in order, with an exit code that tells how it went."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from calib_all_ros.errors import EXIT_BAD_INPUT, EXIT_INTERNAL_ERROR, CalibAllError

# A signal is noticed after that long, when no message wakes the executor.
_LONGEST_WAIT_S = 0.2


def log_sentence(node: Node, level: str, sentence: str) -> None:
    """Log a sentence.

    Args:
        node: Whose log.
        level: "ok" becomes INFO, "error" ERROR, the others ("warn", "stale") WARN.
        sentence: What there is to say.
    """
    logger = node.get_logger()
    # One line each: rclpy refuses a second severity on the same line.
    if level == "ok":
        logger.info(sentence)
    elif level == "error":
        logger.error(sentence)
    else:
        logger.warning(sentence)


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> Any:
    """Call ``callback`` every ``period_s`` seconds of real time, whatever /clock says.

    A node that watches for silence must notice that a player with its /clock has stopped.
    """
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


class Finished(Exception):  # noqa: N818, it is no error
    """Raised inside a callback: the node has done what it was started for."""

    def __init__(self, exit_code: int = 0) -> None:
        """Say with which exit code the process ends."""
        super().__init__(exit_code)
        self.exit_code = exit_code


class _Interruption:
    """Notes SIGINT and SIGTERM, so that no callback is cut short by them."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


def run(factory: Callable[[], Node], arguments: Sequence[str] | None = None) -> int:
    """Run one node until it is interrupted or finished, and return the process's exit code.

    After SIGINT or SIGTERM the node's ``close()``, if it has one, puts things in order, with
    publishers and log still working; it may return an exit code, which is 0 otherwise.

    Args:
        factory: Makes the node, after ROS has been initialised.
        arguments: The command line, ``sys.argv`` if None.
    """
    # rclpy's own handlers would take down the context first, and with it every last message.
    rclpy.init(
        args=None if arguments is None else list(arguments),
        signal_handler_options=SignalHandlerOptions.NO,
    )
    interruption = _Interruption()
    node = None
    try:
        node = factory()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not interruption.came:
            executor.spin_once(timeout_sec=_LONGEST_WAIT_S)
        return _closed(node)
    except Finished as finished:
        _closed(node)
        return finished.exit_code
    except ExternalShutdownException:
        return _closed(node)
    except CalibAllError as error:
        _log_of(node).fatal(str(error))
        _closed(node)
        return EXIT_BAD_INPUT
    except Exception:
        _log_of(node).fatal(f"internal error, please report it:\n{traceback.format_exc()}")
        _closed(node)
        return EXIT_INTERNAL_ERROR
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


def exit_with(factory: Callable[[], Node]) -> NoReturn:
    """Run a node as a program."""
    sys.exit(run(factory))


def _closed(node: Node | None) -> int:
    close = getattr(node, "close", None)
    if close is None:
        return 0
    return int(close() or 0)


def _log_of(node: Node | None) -> Any:
    return get_logger("calib_all_ros") if node is None else node.get_logger()
