# SPDX-License-Identifier: Apache-2.0
"""Reference marks: a picture, a pixel in it, the link that carries the mark, and a note.

Each is two files of one folder, ``NAME.yaml`` and the picture it names. All references of a folder
are of the same place on a robot, the same robot or others; several pictures make a match surer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.models.checkpoints import data_home
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.yaml_text import dump

Image = NDArray[np.uint8]

FOLDER_VARIABLE = "CALIB_ALL_MARKS"
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Names of picture files end like this."""

_KEYS = {"picture", "pixel", "link", "note"}


class MarkError(CalibAllError):
    """A mark or a reference mark cannot be used; the message says why and what to do."""


class NoReferencesError(MarkError):
    """There is no reference mark to look for; the message says how to add one."""


@dataclass(frozen=True, eq=False)
class ReferenceMark:
    """A mark in a reference picture.

    Attributes:
        name: Name of its files, without ending.
        image: (H, W, 3) RGB.
        pixel: (2,) (u, v) of the mark, pixel centres at integer coordinates.
        link: Link of the pictured robot that carries the mark.
        note: What the user wants to remember.
        path: Its YAML file.
    """

    name: str
    image: Image
    pixel: NDArray[np.float64]
    link: str
    note: str
    path: Path


def references_folder(given: Path | None) -> Path:
    """Return the folder of reference marks, which need not exist.

    Args:
        given: What the user asked for; None takes ``$CALIB_ALL_MARKS``, and without that
            ``calib_all_ros/marks`` in the XDG data home, ``~/.local/share``.
    """
    if given is not None:
        return given.expanduser()
    variable = os.environ.get(FOLDER_VARIABLE)
    return Path(variable).expanduser() if variable else data_home() / "calib_all_ros/marks"


def load_references(folder: Path) -> tuple[ReferenceMark, ...]:
    """Return the reference marks of a folder, sorted by name; none where there is no folder.

    Raises:
        MarkError: A file cannot be read or does not say what it must.
    """
    try:
        paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    except OSError as error:
        raise MarkError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    return tuple(_load(path) for path in paths)


def add_reference(
    folder: Path,
    picture: bytes,
    ending: str,
    name: str,
    pixel: tuple[float, float],
    link: str,
    note: str = "",
) -> ReferenceMark:
    """Add a reference mark to a folder, which is made if there is none.

    The YAML file, which makes the mark one, is written last; both files appear whole or not at
    all. A name that is taken gets a number.

    Args:
        folder: Where to.
        picture: Content of a picture file; it is kept byte by byte.
        ending: The one of its file's name, e.g. ``.png``.
        name: What to call it; other characters than letters, digits, ``.``, ``_`` and ``-`` become
            ``_``.
        pixel: (u, v) of the mark.
        link: Link that carries it.
        note: Anything.

    Raises:
        MarkError: The picture cannot be read, the pixel lies outside of it, there is no link, or
            the same mark is there already.
        ResultError: The folder cannot be written to.
    """
    image = decode(picture, f"the picture {name}{ending}")
    place = _inside(np.asarray(pixel, dtype=np.float64), image, f"{name}{ending}")
    if not link.strip():
        raise MarkError("a mark needs the name of the link that carries it (--link)")
    for other in load_references(folder):
        same = np.array_equal(other.image, image) and np.array_equal(other.pixel, place)
        if same and other.link == link:
            raise MarkError(f"this mark is there already: {other.path}")
    free = _free_name(folder, re.sub(r"[^\w.-]+", "_", name).strip("._") or "mark")
    document = {"picture": free + ending, "pixel": list(place), "link": link, "note": note}
    write_atomically(folder / (free + ending), picture)
    path = folder / f"{free}.yaml"
    try:
        write_atomically(path, dump(document).encode())
    except BaseException:
        (folder / (free + ending)).unlink(missing_ok=True)
        raise
    return ReferenceMark(free, image, place, link, note, path)


def decode(content: bytes, what: str) -> Image:
    """Return the RGB image in a picture file's content, turned as its EXIF data say.

    Args:
        content: Of the file.
        what: The file, for the message.

    Raises:
        MarkError: It is no picture that OpenCV can read.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise MarkError(f"{what} cannot be read as a picture; give a PNG or JPEG file")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_picture(path: Path) -> bytes:
    """Return the content of a picture file.

    Raises:
        MarkError: There is no such file, or it cannot be read.
    """
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise MarkError(f"cannot read the picture {path}: {error.strerror or error}") from error


def _load(path: Path) -> ReferenceMark:
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise MarkError(f"the reference mark {path} cannot be read: {reason}") from error
    picture, pixel, link, note = _fields(document, path)
    image = decode(read_picture(path.parent / picture), f"the picture {path.parent / picture}")
    place = _inside(pixel, image, str(path))
    return ReferenceMark(path.stem, image, place, link, note, path)


def _fields(document: Any, path: Path) -> tuple[str, NDArray[np.float64], str, str]:
    """Return picture, pixel, link and note of a reference mark's file."""
    if not isinstance(document, Mapping) or not _KEYS - {"note"} <= set(document) <= _KEYS:
        raise MarkError(
            f"{path} is no reference mark: it must have picture, pixel and link, may have a note, "
            "and nothing else"
        )
    picture, link, note = document["picture"], document["link"], document.get("note") or ""
    if not isinstance(picture, str) or not picture or Path(picture).name != picture:
        raise MarkError(f"{path}: picture must be the name of a file beside it, got {picture!r}")
    if not isinstance(link, str) or not link.strip():
        raise MarkError(f"{path}: link must be the name of a link, got {link!r}")
    try:
        pixel = np.asarray(document["pixel"], dtype=np.float64)
    except (TypeError, ValueError):
        pixel = np.empty(0)
    if pixel.shape != (2,):
        raise MarkError(f"{path}: pixel must be two numbers, [u, v], got {document['pixel']!r}")
    return picture, pixel, link, str(note)


def _inside(pixel: NDArray[np.float64], image: Image, where: str) -> NDArray[np.float64]:
    height, width = image.shape[:2]
    # Written so that NaN is outside, too.
    if not ((pixel >= 0.0).all() and (pixel <= (width - 1, height - 1)).all()):
        u, v = pixel
        raise MarkError(
            f"{where}: the pixel ({u:g}, {v:g}) lies outside of the picture, which is "
            f"{width}x{height}: u from 0 to {width - 1}, v from 0 to {height - 1}"
        )
    return pixel


def _free_name(folder: Path, name: str) -> str:
    """Return the name, with a number where one of the folder's files has it already."""
    taken = {path.stem for path in folder.glob("*")} if folder.is_dir() else set()
    numbered = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)
