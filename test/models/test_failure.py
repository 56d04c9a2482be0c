# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.models.errors import ModelError
from calib_all_ros.models.failure import failures_of


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("CUDA out of memory.\n Tried 2 GiB"), "CUDA out of memory. Tried 2 GiB"),
        (TypeError("forward() got an unexpected argument"), "forward() got an unexpected argument"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_a_library_raises_is_the_failure_of_its_model(error: Exception, sentence: str) -> None:
    with pytest.raises(ModelError) as raised, failures_of("SAM 2"):
        raise error
    assert str(raised.value) == f"SAM 2 failed: {sentence}"


@pytest.mark.parametrize("error", [CalibAllError("unsure"), KeyboardInterrupt()])
def test_what_is_said_already_and_interrupts_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, failures_of("SAM 2"):
        raise error
    assert raised.value is error
