# SPDX-License-Identifier: Apache-2.0
"""Discovery of episodes and cameras: in a LeRobot dataset, or in a folder of recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path

from calib_all_ros.dataset.episodes import EpisodeRef, Kind
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.errors import CalibAllError
from calib_all_ros.lerobot.address import LerobotAddress, find_address
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.recording.bag import Bag
from calib_all_ros.recording.bag_storage import CAMERA_INFO, is_storage_file
from calib_all_ros.recording.bag_topics import camera_info_beside, image_base, image_topics
from calib_all_ros.recording.folder import FRAMES_FOLDER

_METADATA = "metadata.yaml"
# How LeRobot's address says what is not which episode and camera.
_READING = tuple(
    field.name
    for field in fields(LerobotAddress)
    if field.name not in ("path", "episode", "camera")
)


def find_episodes(
    source: Path | str, *, cameras: Sequence[str] = (), episodes: Sequence[str] = ()
) -> tuple[EpisodeRef, ...]:
    """Return every episode and camera, sorted by name.

    A folder with metadata.yaml is a bag, split or not; one with frames/ is a recording; one with
    meta/info.json is a LeRobot dataset; any other folder is searched, and each bag file in it is an
    episode. Of a bag all image topics are cameras, but for depth and what is called a mask, and if
    some have a camera_info beside them, only these.

    Args:
        source: A dataset or a folder.
        cameras: Names of cameras or patterns of them ("*wrist*"); all where empty.
        episodes: Names of episodes or patterns of them; all where empty.

    Raises:
        DatasetError: There is nothing to calibrate.
        RecordingError: The source is a LeRobot dataset that is not complete.
    """
    # Other processes may run in other folders.
    path = Path(source).expanduser().absolute()
    address = find_address(path)
    if address is not None:
        found = list(_of_lerobot(address, ""))
    else:
        if not path.exists():
            raise DatasetError(
                f"{path} does not exist: give a folder of recordings or a LeRobot dataset"
            )
        found = list(_of_folder(path, path))
    kept = [ref for ref in found if _wanted(ref, cameras, episodes)]
    if not kept:
        what = f"none of its {len(found)} episodes is meant" if found else "there is no recording"
        raise DatasetError(
            f"{source} holds nothing to calibrate: {what}; give a LeRobot dataset, or a folder "
            "with bags, recording folders or .npz files"
        )
    return tuple(sorted(_distinct(kept), key=lambda ref: ref.name))


def _of_folder(path: Path, root: Path) -> Iterator[EpisodeRef]:
    name = path.relative_to(root).as_posix() if path != root else path.name
    address = find_address(path) if path.is_dir() else None
    if address is not None:
        yield from _of_lerobot(address, f"{name}/")
    elif path.is_file():
        if path.suffix == ".npz":
            yield EpisodeRef(name.removesuffix(".npz"), "folder", path)
        elif is_storage_file(path):
            yield from _of_bag(path, name)
    elif (path / FRAMES_FOLDER).is_dir():
        yield EpisodeRef(name, "folder", path)
    elif (path / _METADATA).is_file():
        yield from _of_bag(path, name)
    else:
        for child in sorted(path.iterdir()):
            if not child.name.startswith(".") and (child.is_dir() or child.is_file()):
                yield from _of_folder(child, root)


def _of_bag(path: Path, name: str) -> Iterator[EpisodeRef]:
    topics: list[str] = []
    # Loading a broken one says what is wrong with it, in its row of the table.
    with suppress(CalibAllError):
        bag = Bag(path)
        try:
            topics = _cameras_of(bag)
        finally:
            bag.close()
    for topic in topics or (None,):
        yield EpisodeRef(_joined(name, topic), "bag", path, camera=topic)


def _cameras_of(bag: Bag) -> list[str]:
    topics = [topic for topic in image_topics(bag) if "mask" not in topic.lower()]
    # Of a raw topic and its compressed twin the raw one is taken.
    topics = [
        topic for topic in topics if image_base(topic) == topic or image_base(topic) not in topics
    ]
    infos = bag.of_type(CAMERA_INFO)
    described = [
        topic
        for topic in topics
        if {camera_info_beside(topic), f"{image_base(topic)}/camera_info"} & set(infos)
    ]
    return described or topics


def _of_lerobot(address: LerobotAddress, prefix: str) -> Iterator[EpisodeRef]:
    kind: Kind = "lerobot"
    reading = tuple(
        (name, str(value)) for name in _READING if (value := getattr(address, name)) is not None
    )
    try:
        dataset = LerobotDataset.open(address.path)
    except CalibAllError:
        if not prefix:
            raise
        # Of several, the others are done; loading it says what is wrong, in its row of the table.
        yield EpisodeRef(prefix.rstrip("/"), kind, address.path, reading=reading)
        return
    episodes = dataset.episode_indices if address.episode is None else (address.episode,)
    cameras = dataset.cameras if address.camera is None else (address.camera,)
    for episode in episodes:
        for camera in cameras:
            name = _joined(f"{prefix}episode_{episode:06d}", camera)
            yield EpisodeRef(name, kind, address.path, episode, camera, reading)


def _joined(name: str, camera: str | None) -> str:
    if camera is None:
        return name
    return f"{name}/{re.sub(r'[^A-Za-z0-9_.-]+', '_', camera.strip('/'))}"


def _wanted(ref: EpisodeRef, cameras: Sequence[str], episodes: Sequence[str]) -> bool:
    if cameras and not any(fnmatchcase(ref.camera or "", pattern) for pattern in cameras):
        return False
    names = {ref.name, ref.name.rpartition("/")[0], str(ref.episode)}
    return not episodes or any(fnmatchcase(name, p) for name in names for p in episodes)


def _distinct(refs: list[EpisodeRef]) -> Iterator[EpisodeRef]:
    """Yield the episodes, numbered where two would write to one folder."""
    taken: dict[str, int] = {}
    for ref in refs:
        count = taken[ref.name] = taken.get(ref.name, 0) + 1
        yield ref if count == 1 else replace(ref, name=f"{ref.name}-{count}")
