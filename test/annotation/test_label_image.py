# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.label_image import (
    depth_millimetres,
    grey_png,
    indexed_png,
    labels_of,
)
from calib_all_ros.annotation.palette import link_colour, palette


def test_indexed_png_shows_the_palette_and_holds_the_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 12, (31, 57))
    content = indexed_png(labels, palette(11))
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(shown[..., ::-1], palette(11)[labels])


def test_other_libraries_read_the_labels(tmp_path: object) -> None:
    image = pytest.importorskip("PIL.Image", reason="matplotlib brings Pillow along")
    import io

    labels = np.random.default_rng(1).integers(0, 200, (20, 33))
    opened = image.open(io.BytesIO(indexed_png(labels, palette(199))))
    assert opened.mode == "P"
    assert np.array_equal(np.array(opened), labels)


def test_too_many_links_for_an_indexed_png_are_told() -> None:
    with pytest.raises(AnnotationError, match="the robot has 256 links"):
        indexed_png(np.zeros((4, 4), int), palette(256))


def test_labels_begin_at_one() -> None:
    links = np.array([[-1, 0], [4, 299]], dtype=np.int16)
    assert labels_of(links).tolist() == [[0, 1], [5, 300]]


def test_depth_is_rounded_to_millimetres_and_clipped() -> None:
    depth = np.array([[0.0, 0.0204, 1.2346], [65.5349, 65.6, 900.0]], dtype=np.float32)
    assert depth_millimetres(depth).tolist() == [[0, 20, 1235], [65535, 65535, 65535]]


def test_sixteen_bits_survive_the_png() -> None:
    image = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    decoded = cv2.imdecode(np.frombuffer(grey_png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == np.uint16 and np.array_equal(decoded, image)


def test_colours_are_far_from_each_other_and_from_the_background() -> None:
    colours = (palette(16) / 255.0).astype(np.float32)
    lab = cv2.cvtColor(colours[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e3 * np.eye(len(lab))
    assert apart.min() > 40.0
    assert tuple(palette(3)[0]) == (0, 0, 0)
    assert link_colour(64) == link_colour(0)
