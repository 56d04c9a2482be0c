# SPDX-License-Identifier: Apache-2.0
"""What was sent before the recording began and belongs into it."""

from __future__ import annotations

from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.recording.bag_storage import TF_MESSAGE

# Static transforms come from many nodes, a message each, and some repeat theirs.
_MOST_TRANSFORMS = 500


class LatchedMessages:
    """Keeps the last message of each topic; of static transforms, every one that differs."""

    def __init__(self) -> None:
        """Begin without any."""
        self._last: dict[str, StreamMessage] = {}
        self._transforms: dict[tuple[str, bytes], StreamMessage] = {}

    def add(self, message: StreamMessage) -> bool:
        """Keep a message and return whether it is new."""
        if message.kind != TF_MESSAGE:
            known = self._last.get(message.topic)
            self._last[message.topic] = message
            return known is None or known.data != message.data
        key = (message.topic, message.data)
        is_new = key not in self._transforms and len(self._transforms) < _MOST_TRANSFORMS
        if is_new:
            self._transforms[key] = message
        return is_new

    def has(self, kind: str) -> bool:
        """Return whether there is a message of this type."""
        return any(message.kind == kind for message in self.messages())

    def messages(self) -> list[StreamMessage]:
        """Return them all."""
        return [*self._last.values(), *self._transforms.values()]
