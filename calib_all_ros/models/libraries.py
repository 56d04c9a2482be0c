# SPDX-License-Identifier: Apache-2.0
"""Libraries that the package works without: imported when a model is made, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from calib_all_ros.models.errors import ModelUnavailableError

# Libraries that no extra can name, because the package index does not have them.
_SOURCES = {
    "cotracker": "pip install git+https://github.com/facebookresearch/co-tracker",
    # It is compiled with nvcc against the installed torch, which pip's isolation would hide.
    "nvdiffrast": (
        "pip install 'calib_all_ros[cuda]' and then, with the CUDA toolkit (nvcc) that torch was "
        "built for, pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast"
    ),
}


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
