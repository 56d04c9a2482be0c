# SPDX-License-Identifier: Apache-2.0
"""Whether camera and robot tell the same time."""

from __future__ import annotations

from collections.abc import Iterable

from calib_all_ros.collection.finding import Finding
from calib_all_ros.collection.stream_check import StreamCheck

# Images come later than joint states by exposure, processing and transport, tens of milliseconds;
# a wrong clock is usually wrong by more than a second. The solve finds lags of some 100 ms itself.
_MOST_APART_S = 0.5
_LARGEST_LAG_S = 0.25
_FEWEST = 5


def clock_findings(images: StreamCheck, joints: Iterable[StreamCheck]) -> list[Finding]:
    """Compare how much later than their stamps images and joint states arrive.

    A constant difference of some 10 ms is normal and does no harm.
    """
    delays = [check.delay_s for check in joints if check.count >= _FEWEST]
    known = [delay for delay in delays if delay is not None]
    if images.count < _FEWEST or images.delay_s is None or not known:
        return []
    # The slowest publisher of joint states may be a gripper with a clock of its own.
    apart = max((images.delay_s - delay for delay in known), key=abs)
    if abs(apart) <= _LARGEST_LAG_S:
        return []
    direction = "behind" if apart > 0 else "ahead of"
    if abs(apart) <= _MOST_APART_S:
        return [
            Finding(
                "warn",
                "clocks",
                f"images come {abs(apart):.2f} s {'later' if apart > 0 else 'earlier'} after their "
                "stamps than joint states do: if this is not the way of the images but the clocks, "
                "synchronise them (chrony, PTP)",
            )
        ]
    return [
        Finding(
            "error",
            "clocks",
            f"the stamps of the images are {abs(apart):.1f} s {direction} those of the joint "
            "states: synchronise the clocks of camera and robot (chrony, PTP), or set "
            "use_sim_time alike in all nodes",
        )
    ]
