# SPDX-License-Identifier: Apache-2.0
"""Settings of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from calib_all_ros.collection.coverage import CoverageGoals
from calib_all_ros.collection.stop_and_go import StopAndGoSettings
from calib_all_ros.collection.stream_writer import StorageLimits

MODES = ("continuous", "stop_and_go")


@dataclass(frozen=True)
class CollectionSettings:
    """How a recording is collected.

    Attributes:
        mode: "continuous", or "stop_and_go".
        goals: What a recording has to reach.
        stop_and_go: When images are taken in stop and go.
        storage: When to stop for want of space.
        max_queued_megabytes: How much may wait for the disk.
        inspection_interval_s: Images so far apart are looked at, seconds.
    """

    mode: str = "continuous"
    goals: CoverageGoals = field(default_factory=CoverageGoals)
    stop_and_go: StopAndGoSettings = field(default_factory=StopAndGoSettings)
    storage: StorageLimits = field(default_factory=StorageLimits)
    max_queued_megabytes: float = 256.0
    inspection_interval_s: float = 0.25
