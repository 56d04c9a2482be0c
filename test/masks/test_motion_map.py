# SPDX-License-Identifier: Apache-2.0
"""What moves before a standing camera."""

from __future__ import annotations

import numpy as np

from calib_all_ros.masks.motion_map import motion_map


def scene(count: int) -> np.ndarray:
    """A textured room with a dark block that stands elsewhere in every image."""
    random = np.random.default_rng(0)
    room = random.uniform(90, 200, (60, 90, 3))
    images = np.stack([room + random.normal(0, 2, room.shape) for _ in range(count)])
    for k in range(count):
        images[k, 20:40, 8 * k : 8 * k + 12] = 30.0
    return images.clip(0, 255).astype(np.uint8)


def test_the_moving_block_is_found_where_it_is() -> None:
    images = scene(9)
    found = motion_map(images[4], list(images))
    assert found is not None
    truth = np.zeros((60, 90), bool)
    truth[20:40, 32:44] = True
    assert np.count_nonzero(found & truth) / np.count_nonzero(found | truth) > 0.9


def test_a_brighter_lamp_is_no_motion() -> None:
    images = scene(9)
    brighter = np.clip(images[4].astype(int) + 25, 0, 255).astype(np.uint8)
    found = motion_map(brighter, list(images))
    assert found is not None
    assert not found[:15].any() and found[22:38, 34:42].all()


def test_what_stands_still_does_not_move() -> None:
    images = np.repeat(scene(1), 5, axis=0)
    found = motion_map(images[0], list(images))
    assert found is not None and not found.any()


def test_two_images_do_not_tell() -> None:
    images = scene(2)
    assert motion_map(images[0], list(images)) is None


def test_a_long_recording_is_sampled() -> None:
    images = scene(10)
    many = [images[k % 10] for k in range(400)]
    found = motion_map(images[3], many)
    assert found is not None and found[22:38, 26:34].all()
