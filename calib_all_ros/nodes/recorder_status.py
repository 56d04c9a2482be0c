# SPDX-License-Identifier: Apache-2.0
"""Status of the recorder: for people, for the log and for diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.nodes.executable import log_sentence, steady_timer
from calib_all_ros.nodes.messages import LATCHED, diagnostic

_SERVICES = ("start", "stop", "discard")
# The recorder answers at once, except that closing a large bag takes a moment.
_PATIENCE_S = 30.0
_REPEAT_LOG_S = 5.0
_LOGGED_AS = {"error": "error", "warn": "warn", "hint": "ok", "note": "ok"}


class RecorderClient:
    """Listens for finished recordings, and calls the recorder's services.

    Attributes:
        group: Callback group of services that wait for an answer of the recorder: they must not
            keep the node's other callbacks from running meanwhile.
    """

    def __init__(self, node: Node, name: str, on_recording: Callable[[str], None]) -> None:
        """Begin to listen.

        Args:
            node: Whose communication this is.
            name: Of the recorder node, relative to the namespace or absolute.
            on_recording: Called with the path of a finished recording, "" while there is none.
        """
        self._node = node
        self.group = ReentrantCallbackGroup()
        self._subscription = node.create_subscription(
            String, f"{name}/recording", lambda message: on_recording(message.data), LATCHED
        )
        self._clients = {
            service: node.create_client(Trigger, f"{name}/{service}", callback_group=self.group)
            for service in _SERVICES
        }

    @property
    def present(self) -> bool:
        """Whether there is a recorder."""
        return bool(self._node.count_publishers(self._subscription.topic_name))

    @property
    def topic(self) -> str:
        """Where it announces its recordings."""
        return str(self._subscription.topic_name)

    async def call(self, service: str) -> tuple[bool, str]:
        """Call "start", "stop" or "discard"; return whether it succeeded, and what was said."""
        client = self._clients[service]
        name = self._node.resolve_service_name(client.srv_name)
        if not client.service_is_ready():
            return False, f"there is no service {name}: start the recorder"
        answer = client.call_async(Trigger.Request())

        def give_up() -> None:
            if not answer.done():
                client.remove_pending_request(answer)
                answer.set_result(None)

        timer = steady_timer(self._node, _PATIENCE_S, give_up)
        response: Any = await answer
        self._node.destroy_timer(timer)
        if response is None:
            return False, f"{name} gave no answer within {_PATIENCE_S:.0f} s"
        return bool(response.success), str(response.message)


class RecorderStatus:
    """The topics ~/status and /diagnostics, and the log."""

    def __init__(self, node: Node) -> None:
        """Say nothing yet."""
        self._node = node
        self._status = node.create_publisher(String, "~/status", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._said = ""
        self._logged: dict[str, tuple[str, float]] = {}

    def show(
        self, state: str, findings: Sequence[RecordingIssue], figures: Mapping[str, object]
    ) -> None:
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
        log_sentence(self._node, _LOGGED_AS[level], sentence)

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._status.publish(String(data=sentence))
