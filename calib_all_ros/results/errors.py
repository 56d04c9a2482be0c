# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with results: files that cannot be written, read or found."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class ResultError(CalibAllError):
    """A result cannot be written, read or found; the message says which and what to do."""
