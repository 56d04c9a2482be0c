# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with foundation models before they have seen an image."""

from __future__ import annotations

from calib_all_ros.errors import CalibAllError


class ModelError(CalibAllError):
    """A model cannot be used as asked; the message says why and what to do."""


class ModelUnavailableError(ModelError):
    """A library, a checkpoint or a device is missing; the message says what to install.

    For a checkpoint it says which file to download from where to which folder, with its size and
    SHA-256 as far as they are known.
    """
