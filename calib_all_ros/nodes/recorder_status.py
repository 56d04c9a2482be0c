# SPDX-License-Identifier: Apache-2.0
"""How it stands with the recorder: for people, for the log and for diagnostics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import String

from calib_all_ros.collection.finding import Finding
from calib_all_ros.nodes import levelled_log
from calib_all_ros.nodes.messages import LATCHED, diagnostic

_REPEAT_LOG_S = 5.0
_LOGGED_AS = {"error": "error", "warn": "warn", "hint": "ok", "note": "ok"}


class RecorderStatus:
    """The topics ~/status and /diagnostics, and the log."""

    def __init__(self, node: Node) -> None:
        """Say nothing yet."""
        self._node = node
        self._status = node.create_publisher(String, "~/status", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._said = ""
        self._logged: dict[str, tuple[str, float]] = {}

    def show(self, state: str, findings: Sequence[Finding], figures: Mapping[str, object]) -> None:
        """Tell how it stands; to be called about once a second.

        Args:
            state: What the recorder does, in words.
            findings: What there is to say, the most important first.
            figures: For diagnostics.
        """
        sentence = f"{state}; {findings[0].sentence}" if findings else state
        self._say(sentence)
        for finding in findings:
            if finding.level in ("error", "warn"):
                self.log(finding.topic, finding.level, finding.sentence)
        # Hints take turns anyway: one at a time is enough in the log.
        hints = [finding for finding in findings if finding.level == "hint"]
        for hint in hints[:1]:
            self.log("hint", hint.level, hint.sentence)
        levels = {_LOGGED_AS[finding.level] for finding in findings}
        level = next((level for level in ("error", "warn") if level in levels), "ok")
        values = dict(figures)
        for number, finding in enumerate(findings, 1):
            values[f"{finding.level}_{number}"] = finding.sentence
        self._diagnostics.publish(
            diagnostic(
                f"{self._node.get_name()}: recording",
                level,
                sentence,
                values,
                self._node.get_clock().now().nanoseconds,
            )
        )

    def log(self, topic: str, level: str, sentence: str) -> None:
        """Log a sentence, about each topic at most one in five seconds."""
        before, when = self._logged.get(topic, ("", 0.0))
        now = time.monotonic()
        if before and now - when < _REPEAT_LOG_S:
            return
        self._logged[topic] = (sentence, now)
        levelled_log.log(self._node, _LOGGED_AS[level], sentence)

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._status.publish(String(data=sentence))
