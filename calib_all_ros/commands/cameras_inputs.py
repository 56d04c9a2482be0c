# SPDX-License-Identifier: Apache-2.0
"""Which cameras of a recording are calibrated, and what is read for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from calib_all_ros.annotation.bag_topics import camera_name
from calib_all_ros.commands.cameras_options import CamerasOptions
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.errors import CalibAllError
from calib_all_ros.input_files import MASK_SOURCES, InputFiles
from calib_all_ros.solve_job import load_images

_LEROBOT_PREFIX = "observation.images."


class CamerasError(CalibAllError):
    """Arguments of `calib_all cameras` that do not go together or to the recording."""


class CameraInput(NamedTuple):
    """One camera: its name, where its images are, what to read, and how masks are made."""

    name: str
    topic: str
    files: InputFiles
    mask_source: str | None


def camera_inputs(options: CamerasOptions) -> list[CameraInput]:
    """Return the cameras to calibrate.

    Raises:
        CamerasError: The recording has no two cameras, or the arguments for each camera are not as
            many as the cameras.
        CalibAllError: The recording cannot be read.
    """
    assert options.recording is not None
    found = find_episodes(options.recording)
    if len({(ref.path, ref.episode) for ref in found}) > 1:
        raise CamerasError(
            f"{options.recording} holds several recordings ({found[0].name}, {found[1].name}, ...):"
            " name one of them, or use `calib_all dataset`"
        )
    if found[0].kind == "bag" and found[0].camera is None:
        # Opening it again says what is wrong with it, or that it has no images.
        load_images(options.input_files())
    topics = options.image_topics or tuple(ref.camera for ref in found if ref.camera)
    if len(topics) < 2:
        listed = f"only the images of {topics[0]}" if topics else "the images of one camera only"
        raise CamerasError(
            f"{options.recording} is read for {listed}: name several cameras by --image-topic, or "
            "use `calib_all calibrate`"
        )
    if len(set(topics)) < len(topics):
        raise CamerasError("one --image-topic is named twice: name each camera once")
    each = [options.camera_info_topics, options.camera_files, options.camera_masks[1:]]
    if any(each) and not options.image_topics:
        raise CamerasError(
            "what is given for each camera goes by the order of --image-topic: name the cameras, "
            f"too: {', '.join(topics)}"
        )
    infos = _for_each(options.camera_info_topics, topics, "--camera-info-topic")
    intrinsics = _for_each(options.camera_files, topics, "--camera")
    once = len(options.camera_masks) == 1
    masks = _for_each(options.camera_masks * (len(topics) if once else 1), topics, "--masks")
    return [
        _input(options, found[0], topic, name, info, file, mask)
        for topic, name, info, file, mask in zip(
            topics, _names(topics), infos, intrinsics, masks, strict=True
        )
    ]


def clock_groups(clocks: Sequence[str], inputs: Sequence[CameraInput]) -> list[list[str]] | None:
    """Return the names of the cameras on each clock that is shared, None to find out.

    Args:
        clocks: The arguments of --clock.
        inputs: The cameras, by whose names or topics a clock's cameras are named.

    Raises:
        CamerasError: A camera is unknown, or on two clocks.
    """
    if list(clocks) in ([], ["auto"]):
        return None
    if list(clocks) == ["own"]:
        return []
    if list(clocks) == ["one"]:
        return [[each.name for each in inputs]]
    known = {key: each.name for each in inputs for key in (each.name, each.topic)}
    groups, taken = [], set[str]()
    for clock in clocks:
        group = []
        for asked in (part.strip() for part in clock.split(",")):
            if asked not in known:
                raise CamerasError(
                    f"--clock {clock}: there is no camera '{asked}'; say auto, one, own, or "
                    f"several of {', '.join(each.name for each in inputs)}"
                )
            if known[asked] in taken:
                raise CamerasError(f"--clock {clock}: camera '{asked}' is on a clock already")
            taken.add(known[asked])
            group.append(known[asked])
        groups.append(group)
    return groups


def _for_each(
    given: Sequence[Path] | Sequence[str], topics: Sequence[str], option: str
) -> Sequence[Path | str | None]:
    if given and len(given) != len(topics):
        raise CamerasError(
            f"{option} is given {len(given)} time(s) for {len(topics)} cameras: give it once for "
            "each, in the order of --image-topic"
        )
    return given or [None] * len(topics)


def _input(
    options: CamerasOptions,
    ref: EpisodeRef,
    topic: str,
    name: str,
    info: Path | str | None,
    file: Path | str | None,
    masks: Path | str | None,
) -> CameraInput:
    source = str(masks) if masks in MASK_SOURCES else None
    files = replace(
        options.input_files(),
        recording=Path(replace(ref, camera=topic).source),
        image_topic=topic,
        camera_info_topic=None if info is None else str(info),
        camera=None if file is None else Path(file),
        masks="auto" if masks is None or source else str(masks),
    )
    return CameraInput(name, topic, files, source)


def _names(topics: Sequence[str]) -> list[str]:
    """Return short names where they tell the cameras apart, else what all of the topics say."""
    short = [camera_name(topic.removeprefix(_LEROBOT_PREFIX)) for topic in topics]
    if len(set(short)) == len(short):
        return short
    return [topic.strip("/").replace("/", "_") for topic in topics]
