# SPDX-License-Identifier: Apache-2.0
"""Errors of a dataset as a whole."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class DatasetError(CalibAllError):
    """A source without episodes, or a folder of results that cannot be gone on with."""
