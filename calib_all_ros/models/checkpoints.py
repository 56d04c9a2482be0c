# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of models: where publishers offer them, which are on this machine, their integrity.

Folders of transformers' format are recognised by the ``model_type`` in their ``config.json``,
whatever they are called, also inside a cache of the Hugging Face Hub; CoTracker3's files by their
names. Nothing is downloaded and nothing is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib_all_ros.models.libraries import ModelError, ModelUnavailableError

Kind = Literal["transformers", "original"]

_HUB = "https://huggingface.co"
FOLDER_VARIABLE = "CALIB_ALL_CHECKPOINTS"
# models--OWNER--NAME/snapshots/COMMIT/config.json, as the cache of the Hugging Face Hub has it.
_DEEPEST = 3
_LFS_POINTER = b"version https://git-lfs"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Model:
    """A model that the package can use.

    Attributes:
        title: Its authors' name for it.
        part: What it does here.
        model_types: What ``config.json`` calls it in folders of transformers' format.
        authors_files: Pattern of its authors' files, which are not read; its groups tell the size.
    """

    title: str
    part: str
    model_types: tuple[str, ...] = ()
    authors_files: str | None = None


MODELS = {
    "dinov2": Model(
        "DINOv2",
        "finding the mark",
        ("dinov2", "dinov2_with_registers"),
        r"dinov2_vit(s|b|l|g)14(?:_reg4)?_pretrain\.pth",
    ),
    "cotracker3_offline": Model("CoTracker3 offline", "tracking the mark"),
    "cotracker3_online": Model("CoTracker3 online", "tracking the mark in long videos"),
    "grounding_dino": Model(
        "Grounding DINO",
        "finding the arm by a text",
        ("grounding-dino",),
        r"groundingdino_swin(t|b)_.*\.pth",
    ),
    "sam2": Model(
        "SAM 2",
        "masks of the arm",
        ("sam2", "sam2_video"),
        r"sam2(?:\.1)?_hiera_(tiny|small|base_plus|large)\.pt",
    ),
}


@dataclass(frozen=True)
class Download:
    """A checkpoint that its publishers offer.

    Sizes and SHA-256 are those that independent projects which pin these files record, the same in
    all of them.

    Attributes:
        model: Key of ``MODELS``.
        kind: ``original`` is a file of the authors, ``transformers`` a folder of the Hub.
        name: Name of the file or folder to keep it under.
        address: Of the file, or of the page of the repository that is the folder.
        licence: Of the weights, an SPDX identifier.
        size_bytes: Of the file, of ``model.safetensors`` in a folder.
        sha256: Of the same file.
        authors_size: What the authors' file of the same size has in its name.
    """

    model: str
    kind: Kind
    name: str
    address: str
    licence: str
    size_bytes: int
    sha256: str
    authors_size: str = ""


def _hub(model: str, repository: str, authors_size: str, size: int, sha256: str) -> Download:
    name, address = repository.rpartition("/")[2], f"{_HUB}/{repository}"
    return Download(model, "transformers", name, address, "Apache-2.0", size, sha256, authors_size)


def _cotracker3(mode: str, size: int, sha256: str) -> Download:
    name = f"scaled_{mode}.pth"
    address = f"{_HUB}/facebook/cotracker3/resolve/main/{name}"
    return Download(f"cotracker3_{mode}", "original", name, address, "CC-BY-NC-4.0", size, sha256)


# The first of each model is the one to recommend.
DOWNLOADS = (
    _hub(
        "dinov2",
        "facebook/dinov2-base",
        "b",
        346_345_912,
        "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
    ),
    _hub(
        "dinov2",
        "facebook/dinov2-small",
        "s",
        88_249_960,
        "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
    ),
    _hub(
        "dinov2",
        "facebook/dinov2-large",
        "l",
        1_217_522_888,
        "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
    ),
    _cotracker3(
        "offline", 101_890_938, "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834"
    ),
    _cotracker3(
        "online", 101_695_610, "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218"
    ),
    _hub(
        "grounding_dino",
        "IDEA-Research/grounding-dino-tiny",
        "t",
        689_359_096,
        "1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
    ),
    _hub(
        "grounding_dino",
        "IDEA-Research/grounding-dino-base",
        "b",
        933_400_872,
        "5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-small",
        "small",
        184_305_280,
        "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-tiny",
        "tiny",
        155_908_064,
        "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-base-plus",
        "base_plus",
        323_476_296,
        "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-large",
        "large",
        897_897_416,
        "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
    ),
)


def recommended(model: str) -> Download:
    """Return the checkpoint of a model to download if there is none yet."""
    return next(download for download in DOWNLOADS if download.model == model)


def how_to_get(download: Download, folder: Path) -> str:
    """Return what to do to have a checkpoint in a folder."""
    weights = "" if download.kind == "original" else "model.safetensors: "
    return (
        f"download {download.address} ({weights}{download.size_bytes / 1e6:.0f} MB, "
        f"{download.size_bytes} bytes, SHA-256 {download.sha256}, licence {download.licence}) "
        f"with {download_command(download, folder)}"
    )


def download_command(download: Download, folder: Path) -> str:
    """Return a command that downloads a checkpoint into a folder, made if there is none."""
    target = shlex.quote(str(folder / download.name))
    if download.kind == "original":
        return f"curl --location --fail --create-dirs --output {target} {download.address}"
    repository = download.address.removeprefix(f"{_HUB}/")
    # The repositories hold the same weights again in another format.
    again = "*.pt" if download.model == "sam2" else "*.bin"
    return f"hf download {repository} --exclude '{again}' --local-dir {target}"


_ORIGINALS = {download.name: download for download in DOWNLOADS if download.kind == "original"}
_MODEL_OF_TYPE = {name: key for key, model in MODELS.items() for name in model.model_types}


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint on disk.

    Attributes:
        path: The file, or the folder of transformers' format.
        kind: Which of the two it is.
        variant: Its name, without the ending of a file.
    """

    path: Path
    kind: Kind
    variant: str

    def weight_files(self) -> tuple[Path, ...]:
        """Return the files that hold the weights, sorted."""
        if self.kind == "original":
            return (self.path,)
        return tuple(sorted(self.path.glob("*.safetensors")))

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
        instead: What to download in its place.
    """

    model: str
    path: Path
    reason: str
    instead: Download


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
            message says what to download from where to where.
        ModelError: the folder cannot be read.
    """
    found, unusable = scan(folder)
    if found.get(model):
        return found[model][0]
    for strange in unusable:
        if strange.model == model:
            target = folder.parent if folder.is_file() else folder
            how = how_to_get(strange.instead, target)
            raise ModelUnavailableError(f"{strange.path} {strange.reason}: {how}")
    how = how_to_get(recommended(model), folder)
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
    for model, candidate in _candidates(folder):
        if isinstance(candidate, Unusable):
            unusable.append(candidate)
        elif (reason := _why_unusable(candidate)) is not None:
            unusable.append(Unusable(model, candidate.path, reason, recommended(model)))
        else:
            found.setdefault(model, []).append(candidate)
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


def _candidates(folder: Path) -> Iterator[tuple[str, FoundCheckpoint | Unusable]]:
    """Yield what by file name or ``config.json`` claims to be a checkpoint of a known model."""
    if folder.is_file():
        yield from _files(folder.parent, [folder.name])
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
            yield from _files(here, sorted(files))


def _files(folder: Path, names: list[str]) -> Iterator[tuple[str, FoundCheckpoint | Unusable]]:
    for name in names:
        if name in _ORIGINALS:
            path = folder / name
            yield _ORIGINALS[name].model, FoundCheckpoint(path, "original", path.stem)
        for key, model in MODELS.items():
            match = re.fullmatch(model.authors_files or "", name)
            if match is not None:
                yield key, Unusable(key, folder / name, *_authors_file(key, match[1]))


def _authors_file(model: str, size: str) -> tuple[str, Download]:
    """Return why a file of a model's authors is not used, and the folder to have instead."""
    offered = [download for download in DOWNLOADS if download.model == model]
    instead = next((one for one in offered if one.authors_size == size), offered[0])
    title = MODELS[model].title
    return f"is a file of {title}'s authors, and only folders of the Hub are read", instead


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


@dataclass(frozen=True)
class Integrity:
    """What the SHA-256 of a checkpoint's weights says.

    Attributes:
        status: ``published`` is a file that is known; ``differs`` has the name of one that is
            known and another content; ``unknown`` is anything else.
        sha256: Of each file of weights, in the order of `FoundCheckpoint.weight_files`.
        remark: The same as a sentence, with what to do.
    """

    status: Literal["published", "differs", "unknown"]
    sha256: tuple[str, ...]
    remark: str


def verify(model: str, checkpoint: FoundCheckpoint) -> Integrity:
    """Compare the content of a checkpoint of a model with those that are known."""
    sha256 = tuple(_sha256_of(path) for path in checkpoint.weight_files())
    offered = [download for download in DOWNLOADS if download.model == model]
    match = next((download for download in offered if sha256 == (download.sha256,)), None)
    if match is not None:
        return Integrity("published", sha256, f"this is {match.name} as published")
    named = _of_same_name(model, checkpoint)
    if named is not None:
        remark = (
            f"this is not {named.name} as published ({named.sha256}): download "
            f"{named.address} again, unless it is meant to be another revision"
        )
        return Integrity("differs", sha256, remark)
    remark = "nothing to compare with; compare the SHA-256 with that of whoever gave you the file"
    return Integrity("unknown", sha256, remark)


def size_remark(model: str, checkpoint: FoundCheckpoint) -> str | None:
    """Return what is wrong with the size of a checkpoint, None if nothing is known to be."""
    named = _of_same_name(model, checkpoint)
    size = checkpoint.size_bytes()
    if named is None or named.size_bytes == size:
        return None
    return (
        f"has {size} bytes, {named.name} as published has {named.size_bytes}: look whether the "
        "download was complete"
    )


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _of_same_name(model: str, checkpoint: FoundCheckpoint) -> Download | None:
    name = checkpoint.path.name if checkpoint.kind == "original" else checkpoint.variant
    return next((one for one in DOWNLOADS if (one.model, one.name) == (model, name)), None)
