# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with marks, their references and the search for them."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class MarkError(CalibAllError):
    """A mark or a reference mark cannot be used; the message says why and what to do."""


class NoReferencesError(MarkError):
    """There is no reference mark to look for; the message says how to add one."""
