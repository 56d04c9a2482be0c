# SPDX-License-Identifier: Apache-2.0
"""Timers that go on while simulated time stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> Any:
    """Call ``callback`` every ``period_s`` seconds of real time, whatever /clock says.

    A node that watches for silence must notice that a player with its /clock has stopped.
    """
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
