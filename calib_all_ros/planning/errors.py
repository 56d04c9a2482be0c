# SPDX-License-Identifier: Apache-2.0
"""The error of everything that concerns planning a recording."""

from calib_all_ros.errors import CalibAllError


class PlanningError(CalibAllError):
    """No configurations can be proposed as asked; the message says why and what to do."""
