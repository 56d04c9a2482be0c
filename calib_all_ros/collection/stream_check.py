# SPDX-License-Identifier: Apache-2.0
"""Checks of one stream of messages by their stamps and the times of their receipt."""

from __future__ import annotations

from collections import deque
from statistics import median

from calib_all_ros.collection.finding import RecordingIssue

_SECOND_NS = 1_000_000_000
# Enough for medians that do not jump about; a recording of hours keeps no more.
_KEPT = 300
_FEWEST = 10
_LATE_FACTOR = 1.6
_JUMP_S = 1.0
# A few frames lost here and there do no harm.
_LOST_SHARE = 0.05
_LONG_GAP_S = 0.5


class StreamCheck:
    """Follows the stamps of one stream.

    Attributes:
        count: Messages so far.
        dropped: Messages that are missing between those that came, by the usual interval.
        first_ns: First stamp.
        last_ns: Latest stamp.
        first_receipt_ns: When the first message came.
        last_receipt_ns: When the last message came.
    """

    def __init__(self, what: str, source: str, remedy: str) -> None:
        """Begin.

        Args:
            what: What the messages are: "images".
            source: The topic they come on.
            remedy: What to do about messages that are lost on the way.
        """
        self._what, self._source, self._remedy = what, source, remedy
        self.count = 0
        self.dropped = 0
        self.first_ns = 0
        self.last_ns = 0
        self.first_receipt_ns = 0
        self.last_receipt_ns = 0
        self._intervals: deque[int] = deque(maxlen=_KEPT)
        self._least_delay_ns: int | None = None
        self._period_ns = 0
        self._backwards = 0
        self._farthest_back_ns = 0
        self._repeated = 0
        self._jumps = 0
        self._largest_jump_ns = 0
        self._unstamped = 0
        self._pauses = 0
        self._longest_pause_ns = 0

    def add(self, stamp_ns: int, receipt_ns: int) -> None:
        """Take note of a message."""
        if stamp_ns == 0:
            self._unstamped += 1
        if self.count == 0:
            self.first_ns, self.first_receipt_ns = stamp_ns, receipt_ns
        else:
            self._compare(stamp_ns - self.last_ns, receipt_ns - self.last_receipt_ns)
        self.count += 1
        self.last_ns, self.last_receipt_ns = stamp_ns, receipt_ns
        delay_ns = receipt_ns - stamp_ns
        if self._least_delay_ns is None or delay_ns < self._least_delay_ns:
            self._least_delay_ns = delay_ns

    @property
    def period_s(self) -> float | None:
        """The usual interval between stamps; None as long as too few have come."""
        if len(self._intervals) < _FEWEST:
            return None
        return median(self._intervals) / _SECOND_NS

    @property
    def delay_s(self) -> float | None:
        """How much later than their stamps messages come at least; None at first.

        A machine that is busy makes messages late, but none makes them early.
        """
        return None if self._least_delay_ns is None else self._least_delay_ns / _SECOND_NS

    def pause_s(self, now_ns: int) -> float:
        """Return how long nothing has come."""
        return (now_ns - self.last_receipt_ns) / _SECOND_NS if self.count else 0.0

    def findings(self) -> list[RecordingIssue]:
        """Return what is wrong with the stamps."""
        where = f"{self._what} on {self._source}"
        found = []
        if self._unstamped and self._unstamped == self.count:
            return [
                RecordingIssue(
                    "warn",
                    f"stamps of {where}",
                    f"the {where} have no stamps, so the time of their receipt is used, which is "
                    "late and uneven: set stamps in the driver",
                )
            ]
        if self._backwards:
            found.append(
                RecordingIssue(
                    "warn",
                    f"order of {where}",
                    f"the stamps of the {where} went back {self._backwards} times, by up to "
                    f"{self._farthest_back_ns / _SECOND_NS:.3f} s: keep other publishers and "
                    "played bags off the topic, and do not set the clock while recording",
                )
            )
        if self._jumps:
            found.append(
                RecordingIssue(
                    "warn",
                    f"jumps of {where}",
                    f"the stamps of the {where} jumped ahead {self._jumps} times, by up to "
                    f"{self._largest_jump_ns / _SECOND_NS:.1f} s, while messages came as usual: "
                    "do not set the clock while recording, and record again",
                )
            )
        expected = self.count + self.dropped
        many = self.dropped > _LOST_SHARE * expected and self.dropped >= _FEWEST // 2
        if many or self._longest_pause_ns > _LONG_GAP_S * _SECOND_NS:
            found.append(
                RecordingIssue(
                    "warn",
                    f"drops of {where}",
                    f"{self.dropped} of {expected} {where} are missing (longest gap "
                    f"{self._longest_pause_ns / _SECOND_NS:.2f} s): {self._remedy}",
                )
            )
        return found

    def _compare(self, interval_ns: int, receipt_interval_ns: int) -> None:
        if interval_ns < 0:
            self._backwards += 1
            self._farthest_back_ns = max(self._farthest_back_ns, -interval_ns)
            return
        if interval_ns == 0:
            self._repeated += 1
            return
        if interval_ns - max(receipt_interval_ns, 0) > _JUMP_S * _SECOND_NS:
            self._jumps += 1
            self._largest_jump_ns = max(self._largest_jump_ns, interval_ns)
            return
        # The median costs more than the rest: it is looked at now and then.
        if self.count % _FEWEST == 0 and len(self._intervals) >= _FEWEST:
            self._period_ns = int(median(self._intervals))
        if self._period_ns and interval_ns > _LATE_FACTOR * self._period_ns:
            self.dropped += round(interval_ns / self._period_ns) - 1
            self._longest_pause_ns = max(self._longest_pause_ns, interval_ns)
        self._intervals.append(interval_ns)
