# SPDX-License-Identifier: Apache-2.0
"""The device that models run on."""

from __future__ import annotations

import logging
import re

from calib_all_ros.models.errors import ModelError, ModelUnavailableError
from calib_all_ros.models.libraries import reason_of, require

logger = logging.getLogger(__name__)

_CUDA = re.compile(r"cuda(?::(\d+))?")
_OTHER_BUILD = "install a build of torch for the GPU, see https://pytorch.org/get-started/locally/"


def choose_device(name: str) -> str:
    """Return the device to run on, as torch calls it.

    Args:
        name: ``auto`` takes CUDA where torch can use it and the CPU elsewhere, and logs why;
            ``cpu``, ``cuda`` and ``cuda:1`` (the second GPU) take what they say.

    Raises:
        ModelError: ``name`` is none of these.
        ModelUnavailableError: torch is missing, or CUDA was asked for where torch has none.
    """
    if name == "cpu":
        return name
    asked = _CUDA.fullmatch(name)
    if asked is None and name != "auto":
        raise ModelError(f"'{name}' is no device; use auto, cpu, cuda or cuda:N")
    if asked is not None and asked[1] is not None:
        _check_number(name, int(asked[1]))
    obstacle = cuda_obstacle("cuda" if asked is None else name)
    if obstacle is None:
        return "cuda" if asked is None else name
    why, todo = obstacle
    if asked is None:
        logger.info("models run on the CPU: %s", why)
        return "cpu"
    raise ModelUnavailableError(
        f"{name} was asked for, but {why}: {todo}, or choose the device cpu"
    )


def cuda_obstacle(device: str = "cuda") -> tuple[str, str] | None:
    """Return why torch cannot compute on a CUDA device and what to do, None where it can.

    Raises:
        ModelUnavailableError: torch is missing or broken.
    """
    torch = require("torch", "foundation")
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA", _OTHER_BUILD
    if not torch.cuda.is_available():
        return (
            f"torch {torch.__version__}, built for CUDA {torch.version.cuda}, finds no NVIDIA GPU "
            "with a driver that is new enough",
            "look at nvidia-smi, and update the driver or install a torch for an older CUDA",
        )
    try:
        # A GPU that this build has no kernels for, or that another process keeps, is listed too.
        torch.zeros(1, device=device).add_(1).item()
    except Exception as error:
        why = f"torch {torch.__version__} cannot compute on {device} ({reason_of(error)})"
        return why, _OTHER_BUILD
    return None


def _check_number(name: str, number: int) -> None:
    count = int(require("torch", "foundation").cuda.device_count())
    if 0 < count <= number:
        raise ModelUnavailableError(
            f"{name} was asked for, but torch sees {count} CUDA device(s), up to cuda:{count - 1}"
        )
