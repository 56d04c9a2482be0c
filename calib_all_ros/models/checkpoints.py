# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on this machine: which folder they lie in, and which file or folder is which.

Two formats are recognised: folders of the transformers' format by the ``model_type`` in their
``config.json``, whatever they are called, also inside a cache of the Hugging Face Hub; and files
of the models' authors by their names. Nothing is downloaded, and nothing is loaded here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.models.downloads import DOWNLOADS, MODELS, Kind, how_to_get, recommended
from calib_all_ros.models.errors import ModelError, ModelUnavailableError

FOLDER_VARIABLE = "CALIB_ALL_CHECKPOINTS"
# models--OWNER--NAME/snapshots/COMMIT/config.json, as the cache of the Hugging Face Hub has it.
_DEEPEST = 3
_ORIGINALS = {download.name: download for download in DOWNLOADS if download.kind == "original"}
_MODEL_OF_TYPE = {name: key for key, model in MODELS.items() for name in model.model_types}
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint on disk.

    Attributes:
        path: The file, or the folder of the transformers' format.
        kind: Which of the two it is.
        variant: Of a file the publishers' variant (``vits14``, ``sam2.1_hiera_tiny``), of a
            folder its name.
    """

    path: Path
    kind: Kind
    variant: str

    def weight_files(self) -> tuple[Path, ...]:
        """Return the files that hold the weights, sorted."""
        return (self.path,) if self.kind == "original" else _safetensors(self.path)

    def size_bytes(self) -> int:
        """Return how large the weights are on disk."""
        return sum(path.stat().st_size for path in self.weight_files())


@dataclass(frozen=True)
class Unusable:
    """Something that looks like a checkpoint and is none.

    Attributes:
        model: Key of ``MODELS``.
        path: The file or folder.
        reason: What is wrong with it, to follow the path in a sentence.
    """

    model: str
    path: Path
    reason: str


def checkpoint_folder(given: Path | None) -> Path:
    """Return the folder that checkpoints are looked for in, which need not exist.

    Args:
        given: What the user asked for; None takes ``$CALIB_ALL_CHECKPOINTS``, and without that
            ``calib_all_ros/checkpoints`` in the XDG data home, ``~/.local/share``.
    """
    if given is not None:
        return given.expanduser()
    variable = os.environ.get(FOLDER_VARIABLE)
    return Path(variable).expanduser() if variable else data_home() / "calib_all_ros/checkpoints"


def data_home() -> Path:
    """Return the XDG data home; the standard has relative paths in the variable ignored."""
    variable = Path(os.environ.get("XDG_DATA_HOME", ""))
    return variable if variable.is_absolute() else Path.home() / ".local" / "share"


def find_checkpoint(model: str, folder: Path) -> FoundCheckpoint:
    """Return the checkpoint of a model to use: of several the largest, which was got on purpose.

    Args:
        model: Key of ``MODELS``.
        folder: Folder to look in, or the checkpoint itself.

    Raises:
        ModelUnavailableError: there is none, or what there is is no complete checkpoint; the
            message says which file to download from where to where.
        ModelError: the folder cannot be read.
    """
    found, unusable = scan(folder)
    if found.get(model):
        return found[model][0]
    how = how_to_get(recommended(model), folder)
    for strange in unusable:
        if strange.model == model:
            raise ModelUnavailableError(f"{strange.path} {strange.reason}: {how}")
    where = f"in {folder}" if folder.exists() else f"because there is no folder {folder}"
    raise ModelUnavailableError(f"there is no checkpoint of {MODELS[model].title} {where}: {how}")


def scan(folder: Path) -> tuple[dict[str, tuple[FoundCheckpoint, ...]], tuple[Unusable, ...]]:
    """Return all checkpoints of each model, the largest first, and what only looks like one.

    Args:
        folder: Folder to look in, or a checkpoint.

    Raises:
        ModelError: the folder cannot be read.
    """
    _check_readable(folder)
    found: dict[str, list[FoundCheckpoint]] = {}
    unusable = []
    for model, checkpoint in _candidates(folder):
        reason = _why_unusable(checkpoint)
        if reason is None:
            found.setdefault(model, []).append(checkpoint)
        else:
            unusable.append(Unusable(model, checkpoint.path, reason))
    ordered = {
        model: tuple(sorted(checkpoints, key=lambda c: (-c.size_bytes(), str(c.path))))
        for model, checkpoints in found.items()
    }
    return ordered, tuple(unusable)


def _check_readable(folder: Path) -> None:
    try:
        folder.stat()
        if folder.is_dir():
            os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ModelError(
            f"the folder of checkpoints {folder} cannot be read ({error.strerror}); make it "
            "readable, or name another one"
        ) from None


def _candidates(folder: Path) -> Iterator[tuple[str, FoundCheckpoint]]:
    """Yield what by file name or ``config.json`` claims to be a checkpoint of a known model."""
    if folder.is_file():
        yield from _originals(folder.parent, [folder.name])
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        if len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        folders.sort()
        model = _MODEL_OF_TYPE.get(_model_type(here / "config.json"))
        if model is not None:
            # The authors' file may lie in it as well; it is the same checkpoint.
            yield model, FoundCheckpoint(here, "transformers", _folder_name(here))
        else:
            yield from _originals(here, sorted(files))


def _originals(folder: Path, names: list[str]) -> Iterator[tuple[str, FoundCheckpoint]]:
    for name in names:
        if name in _ORIGINALS:
            download = _ORIGINALS[name]
            yield download.model, FoundCheckpoint(folder / name, "original", download.variant)


def _folder_name(folder: Path) -> str:
    """Return the model's name, which a cache of the Hub keeps two folders up."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.resolve().name


def _model_type(config: Path) -> str:
    try:
        document = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(document.get("model_type", "")) if isinstance(document, dict) else ""


def _why_unusable(checkpoint: FoundCheckpoint) -> str | None:
    files = checkpoint.weight_files()
    if not files:
        return "has a config.json but no *.safetensors"
    for path in files:
        try:
            with path.open("rb") as stream:
                start = stream.read(len(_LFS_POINTER))
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if start == _LFS_POINTER:
            return "holds a pointer of git-lfs instead of the weights"
        if not start:
            return "is empty"
    return None


def _safetensors(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.safetensors")))
