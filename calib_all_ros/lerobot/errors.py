# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a LeRobot dataset."""

from __future__ import annotations

from calib_all_ros.recording.recording import RecordingError


class LerobotError(RecordingError):
    """A LeRobot dataset that cannot be read, written, or used as a recording."""
