# SPDX-License-Identifier: Apache-2.0
"""What becomes of errors that libraries raise while a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from calib_all_ros.errors import CalibAllError
from calib_all_ros.models.errors import ModelError


@contextmanager
def failures_of(name: str) -> Iterator[None]:
    """Turn what a library raises while a model runs into an error of this package.

    Device memory that runs out, a device that fails and a checkpoint that does not fit its model
    come as `RuntimeError` from torch; another version of a library than the one this was written
    for raises whatever it does. A model is optional, so its failure must not be that of the whole.

    Args:
        name: Of the model, as people call it.

    Raises:
        ModelError: The model failed.
    """
    try:
        yield
    except CalibAllError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{name} failed: {reason}") from error
