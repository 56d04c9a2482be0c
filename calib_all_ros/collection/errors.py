# SPDX-License-Identifier: Apache-2.0
"""The error of everything that concerns collecting a recording."""

from calib_all_ros.errors import CalibAllError


class CollectionError(CalibAllError):
    """A recording cannot be begun, continued or finished."""
