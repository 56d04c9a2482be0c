# SPDX-License-Identifier: Apache-2.0
"""The recorder as another node sees it: where its recording is, and its services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from calib_all_ros.nodes.messages import LATCHED
from calib_all_ros.nodes.timing import steady_timer

_SERVICES = ("start", "stop", "discard")
# The recorder answers at once, except that closing a large bag takes a moment.
_PATIENCE_S = 30.0


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
