# SPDX-License-Identifier: Apache-2.0
"""Errors of annotating."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class AnnotationError(CalibAllError):
    """A recording cannot be annotated as asked, or trajectories cannot be drawn."""
