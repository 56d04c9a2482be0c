# SPDX-License-Identifier: Apache-2.0
"""Which files make up a bag, with or without metadata.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from calib_all_ros.recording.recording import RecordingError

_SUFFIXES = (".mcap", ".db3", ".bag")
_COMPRESSED_SUFFIXES = (".zstd", ".zst")


@dataclass(frozen=True)
class BagFiles:
    """The files of one bag.

    Attributes:
        files: Storage files, .mcap, .db3 or .bag, each possibly with .zstd behind.
        promised: How many messages metadata.yaml says each file (by name) has.
        promised_total: How many messages metadata.yaml says there are, if it says so.
        warnings: Files that are missing, and the like.
    """

    files: tuple[Path, ...]
    promised: dict[str, int]
    promised_total: int | None
    warnings: tuple[str, ...]


def is_bag(path: Path) -> bool:
    """Return whether a path is a bag file, or a folder that holds one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_storage_files(path))
    return is_storage_file(path)


def is_storage_file(path: Path) -> bool:
    """Return whether a file's name is that of a bag's storage."""
    plain = path.with_suffix("") if path.suffix in _COMPRESSED_SUFFIXES else path
    return plain.suffix in _SUFFIXES


def is_compressed_file(path: Path) -> bool:
    """Return whether a storage file is compressed as a whole."""
    return path.suffix in _COMPRESSED_SUFFIXES


def find_bag_files(path: Path) -> BagFiles:
    """Return the files of the bag at ``path``, a file or a folder.

    The folder's own files count where metadata.yaml is missing (the recorder was killed) or
    broken.

    Raises:
        RecordingError: There are none, or files of ROS 1 and ROS 2 are mixed.
    """
    if path.is_file():
        return BagFiles((path,), {}, None, ())
    present = _storage_files(path)
    names, promised, total, warnings = _read_metadata(path / "metadata.yaml")
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        warnings = (
            *warnings,
            f"metadata.yaml names files that are not in {path}: {', '.join(missing)}",
        )
    files = tuple(path / name for name in names if name not in missing) or present
    if not files:
        raise RecordingError(
            f"{path} holds no bag file: give a folder with .mcap, .db3 or .bag files"
        )
    if len({is_ros1_file(file) for file in files}) > 1:
        raise RecordingError(f"{path} mixes .bag files of ROS 1 with ROS 2: give one bag")
    return BagFiles(files, promised, total, warnings)


def is_ros1_file(path: Path) -> bool:
    """Return whether a storage file is one of ROS 1."""
    return ".bag" in path.suffixes[-2:]


def _storage_files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and is_storage_file(p)))


def _read_metadata(
    path: Path,
) -> tuple[list[str], dict[str, int], int | None, tuple[str, ...]]:
    """Return file names, messages promised per file and in total, and warnings."""
    if not path.is_file():
        return [], {}, None, ()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        # Old versions write the folder's name in front.
        names = [Path(name).name for name in document["relative_file_paths"]]
        files = document.get("files") or []
        promised = {Path(f["path"]).name: int(f["message_count"]) for f in files}
        return names, promised, int(document["message_count"]), ()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return [], {}, None, (f"{path} cannot be read: the files of its folder are taken",)
