# SPDX-License-Identifier: Apache-2.0
"""Writing of a recording in a thread, so that a slow disk does not stop reception.

What waits for the disk is bounded; messages that find no room are counted, never dropped silently.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.mcap_file import CHUNK_BYTES
from calib_all_ros.collection.stream_writer import BagStream, StorageFullError, StreamMessage

# Joint states and the like are small and cannot be replaced: they may use this much more.
_SMALL_BYTES = 100_000
_ROOM_FOR_SMALL = 1.25
# Messages are written together, a chunk of the file each time: readers, and the index of a long
# recording, want no more than some chunks a second.
_GATHER_S = 0.2


class BackgroundWriter:
    """A thread that writes messages to a `BagStream` in the order in which they are put."""

    def __init__(self, stream: BagStream, *, max_queued_megabytes: float = 256.0) -> None:
        """Start the thread.

        Args:
            stream: Where to write; it belongs to the thread from now on.
            max_queued_megabytes: How much may wait for the disk.
        """
        self._stream = stream
        self._limit = max_queued_megabytes * 1e6
        self._queue: deque[StreamMessage] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._discarding = False
        self._finished: Path | None = None
        self._failure: CollectionError | None = None
        self.lost: dict[str, int] = {}
        """Messages of each topic that found no room, or came after a failure."""
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> CollectionError | None:
        """Why nothing more is written; what was written before is good."""
        return self._failure

    @property
    def is_done(self) -> bool:
        """Whether the recording is closed, or discarded."""
        return not self._thread.is_alive()

    @property
    def bytes_written(self) -> int:
        """Size of the recording."""
        return self._stream.bytes_written

    @property
    def counts(self) -> dict[str, int]:
        """Messages of each topic that are written."""
        return dict(self._stream.counts)

    def put(self, message: StreamMessage, *, wait: bool = False) -> bool:
        """Hand over a message and return whether it was taken.

        Args:
            message: The message.
            wait: Wait for room instead of losing it.
        """
        size = len(message.data)
        limit = self._limit * (_ROOM_FOR_SMALL if size < _SMALL_BYTES else 1.0)
        with self._changed:
            while wait and self._queued_bytes + size > limit and self._queue and not self._failure:
                self._changed.wait()
            if self._closing or self._failure or self._queued_bytes + size > limit:
                self.lost[message.topic] = self.lost.get(message.topic, 0) + 1
                return False
            self._queue.append(message)
            self._queued_bytes += size
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Have the recording finished once everything is written; returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def discard(self) -> None:
        """Have the recording deleted; returns at once."""
        with self._changed:
            self._discarding = True
        self.close()

    def result(self, timeout_s: float | None = None) -> Path | None:
        """Wait for the end and return the recording's folder; None if discarded or in time not.

        Raises:
            CollectionError: It could not be finished.
        """
        self._thread.join(timeout_s)
        if self._finished is None and self._failure is not None and not self._discarding:
            raise self._failure
        return self._finished

    def _run(self) -> None:
        while self._write_next():
            pass
        if self._discarding:
            self._stream.discard()
            return
        try:
            self._finished = self._stream.close()
        except CollectionError as error:
            self._failure = error

    def _write_next(self) -> bool:
        """Write what waits, and return whether there may be more."""
        batch = self._next_batch()
        if batch is not None:
            self._write(batch)
        # Returning lets go of the batch, which may be all that there is in memory.
        return batch is not None

    def _next_batch(self) -> list[StreamMessage] | None:
        """Return what waits; None when there is nothing more to come."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            until = time.monotonic() + _GATHER_S
            while not self._closing and self._queued_bytes < CHUNK_BYTES:
                left = until - time.monotonic()
                if left <= 0.0:
                    break
                self._changed.wait(left)
            if self._discarding or not self._queue:
                return None
            batch, size = [], 0
            while self._queue and size < CHUNK_BYTES:
                batch.append(self._queue.popleft())
                size += len(batch[-1].data)
        return batch

    def _write(self, batch: list[StreamMessage]) -> None:
        try:
            self._store(batch)
        finally:
            with self._changed:
                self._queued_bytes -= sum(len(message.data) for message in batch)
                self._changed.notify_all()

    def _store(self, batch: list[StreamMessage]) -> None:
        """Write a batch; of one that is too large for what is left, what there is room for."""
        if self._failure is None:
            try:
                self._stream.write(batch)
                return
            except StorageFullError as error:
                if len(batch) > 1:
                    self._store(batch[: len(batch) // 2])
                    self._store(batch[len(batch) // 2 :])
                    return
                self._failure = error
            except CollectionError as error:
                self._failure = error
        for message in batch:
            self.lost[message.topic] = self.lost.get(message.topic, 0) + 1
