# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a dataset as a whole."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class DatasetError(CalibAllError):
    """A source without episodes, or a folder of results that cannot be gone on with."""
