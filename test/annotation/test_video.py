# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.palette import link_colour
from calib_all_ros.annotation.picture import HIDDEN, WAY, AnnotationPainter
from calib_all_ros.annotation.video import AnnotatedVideo, OpencvVideo, open_video


def frames_of(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    found = []
    while True:
        more, frame = video.read()
        if not more:
            return found
        found.append(frame[..., ::-1])


@pytest.mark.parametrize("with_pyav", [True, False])
def test_video_holds_every_picture(
    annotated: AnnotatedRecording,
    annotations: list[FrameAnnotation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_pyav: bool,
) -> None:
    if with_pyav:
        pytest.importorskip("av", reason="pip install '.[datasets]'")
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    path = tmp_path / "annotated.mp4"
    video = AnnotatedVideo(path, annotated)
    for annotation in annotations:
        video.add(annotation)
    video.close()
    frames = frames_of(path)
    assert len(frames) == len(annotations)
    painter = AnnotationPainter(annotated)
    for annotation, frame in zip(annotations, frames, strict=True):
        image = annotated.recording.images[annotation.index]
        expected = painter.picture(image, annotation)[: frame.shape[0], : frame.shape[1]]
        assert np.abs(frame.astype(int) - expected).mean() < 6.0
    # Four images a second were recorded.
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(4.0, rel=0.01)


def test_encoder_is_chosen_by_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(open_video(tmp_path / "a.mp4", 10.0, 64, 48), OpencvVideo)


def test_only_the_last_seconds_of_the_way_are_drawn(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    there = annotations[0]
    begin = replace(there, eef=replace(there.eef, pixel=np.array([20.0, 20.0])))
    painter, fresh = AnnotationPainter(annotated), AnnotationPainter(annotated)
    grey = np.full((240, 320, 3), 100, np.uint8)
    painter.picture(grey, begin)
    expected = fresh.picture(grey, there)
    assert (painter.picture(grey, there) != expected).any()
    # At four images a second, thirty images are more than five seconds.
    for _ in range(29):
        last = painter.picture(grey, there)
        expected = fresh.picture(grey, there)
    np.testing.assert_array_equal(last, expected)


def test_picture_shows_links_way_and_depth(
    annotated: AnnotatedRecording, annotations: list[FrameAnnotation]
) -> None:
    painter = AnnotationPainter(annotated)
    annotation = annotations[0]
    grey = np.full((240, 320, 3), 100, np.uint8)
    picture = painter.picture(grey, annotation)
    height = picture.shape[0] - 240
    left, right = picture[height:, :320], picture[height:, 320:640]
    link = int(np.bincount(annotation.links[annotation.links >= 0]).argmax())
    colour = (50 + 0.5 * np.array(link_colour(link))).astype(int)
    on_link = np.abs(left[annotation.links == link] - colour).max(axis=1) < 3
    assert on_link.mean() > 0.8
    u, v = np.rint(annotation.eef.pixel).astype(int)
    ring = left[v - 6 : v + 7, u - 6 : u + 7].reshape(-1, 3)
    point = WAY if annotation.eef.visible else HIDDEN
    assert (np.abs(ring.astype(int) - point).max(axis=1) < 10).any()
    # The background of the depth panel is the dimmed image.
    assert (right[annotation.links < 0] == 35).all()
    assert (right[annotation.links >= 0] != 35).any(axis=1).mean() > 0.99
