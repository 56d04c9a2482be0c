# SPDX-License-Identifier: Apache-2.0
"""Optional libraries, their errors, and the device that models run on.

A library is imported when a model is made, and not before.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from calib_all_ros.errors import CalibAllError

logger = logging.getLogger(__name__)

_CUDA = re.compile(r"cuda(?::(\d+))?")
_OTHER_BUILD = "install a build of torch for the GPU, see https://pytorch.org/get-started/locally/"
# Libraries that no extra can name, because the package index does not have them.
_SOURCES = {
    "cotracker": "pip install git+https://github.com/facebookresearch/co-tracker",
    # It is compiled with nvcc against the installed torch, which pip's isolation would hide.
    "nvdiffrast": (
        "pip install 'calib_all_ros[cuda]' and then, with the CUDA toolkit (nvcc) that torch was "
        "built for, pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast"
    ),
}


class ModelError(CalibAllError):
    """A model cannot be used as asked; the message says why and what to do."""


class ModelUnavailableError(ModelError):
    """A library, a checkpoint or a device is missing; the message says what to install.

    For a checkpoint it says what to download from where to which folder, with size and SHA-256.
    """


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


def require(module: str, extra: str) -> Any:
    """Import a module of a library that need not be installed.

    Args:
        module: Its full name, ``nvdiffrast.torch``.
        extra: The extra of this package that installs it: ``foundation``, ``cuda``, ``datasets`` or
            ``ray``.

    Raises:
        ModelUnavailableError: it is not installed, or what is installed cannot be imported; the
            message says which of the two, and what to do.
    """
    library = module.partition(".")[0]
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name == library:
            raise ModelUnavailableError(
                f"{library} is not installed: {how_to_install(library, extra)}"
            ) from None
        raise _broken(module, extra, error) from error
    except Exception as error:  # broken binaries raise OSError, RuntimeError, AttributeError...
        raise _broken(module, extra, error) from error
    if module == "transformers":
        # Its bars would come between ours.
        found.utils.logging.disable_progress_bar()
    return found


def how_to_install(library: str, extra: str) -> str:
    """Return the command that installs a library."""
    return _SOURCES.get(library, f"pip install 'calib_all_ros[{extra}]'")


def reason_of(error: BaseException) -> str:
    """Return kind and message of an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _broken(module: str, extra: str, error: Exception) -> ModelUnavailableError:
    library = module.partition(".")[0]
    return ModelUnavailableError(
        f"{library} is installed, but {module} cannot be imported ({reason_of(error)}): "
        f"pip uninstall {library} and then {how_to_install(library, extra)}"
    )


def load_pretrained(kind: str, folder: Path, title: str) -> Any:
    """Return a model of transformers, in float32 on the CPU, ready for inference.

    Args:
        kind: Its class in transformers.
        folder: Of transformers' format.
        title: What people call the model.

    Raises:
        ModelUnavailableError: torch or transformers is missing, or lacks a part.
        ModelError: The folder cannot be loaded, or lacks weights of the model.
    """
    require("torch", "foundation")
    transformers = require("transformers", "foundation")
    try:
        model_class = getattr(transformers, kind)
    except Exception as error:  # a library that lacks a part must not be taken for a damaged file
        raise _broken(f"transformers.{kind}", "foundation", error) from error
    try:
        model, report = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # torch, safetensors and transformers have kinds of their own
        raise ModelError(
            f"{folder} cannot be loaded as {title} ({reason_of(error)}): download it again"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers fills them with random numbers.
        raise ModelError(
            f"{folder} lacks {len(missing)} of {title}'s weights ({missing[0]} ...): download it "
            "again"
        )
    return model.float().eval()


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
