# SPDX-License-Identifier: Apache-2.0
"""What happens to images, and to the masks made of them: people, light, bumps, lenses, noise."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.takes import Take
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera

Generator = np.random.Generator


def bumped(take: Take, angle_deg: float, rng: Generator) -> Take:
    """Turn the camera by an angle about any axis, from some frame in the middle on.

    Either pose is right: nothing in the recording says which one will be needed.
    """
    frame = int(rng.integers(len(take) // 4, 3 * len(take) // 4))
    axis = rng.normal(size=3)
    turn = se3.from_rotvec(np.radians(angle_deg) * axis / np.linalg.norm(axis), np.zeros(3))
    turns = np.stack([np.eye(3) if i < frame else turn[:3, :3] for i in range(len(take))])
    turned = _turned(take, turns)
    return replace(turned, truths=(*take.truths, turn @ take.truths[0]), detail=f"frame {frame}")


def shaken(take: Take, sigma_px: float, rng: Generator) -> Take:
    """Turn the camera in every image by another small angle that moves it so many pixels."""
    angles = rng.normal(0.0, sigma_px / take.camera.K[0, 0], (len(take), 3))
    turns = np.stack([se3.from_rotvec(angle, np.zeros(3))[:3, :3] for angle in angles])
    return _turned(take, turns)


def _turned(take: Take, turns: NDArray[np.float64]) -> Take:
    """Turn the camera in each image by one of (N, 3, 3) rotations: exact, a homography."""
    camera = take.scene.camera
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], axis=-1).astype(np.float64)).reshape(-1, 3)
    images, masks = take.images.copy(), take.masks.copy()
    surroundings = _surroundings(take)
    for i, R in enumerate(turns):
        if not np.array_equal(R, np.eye(3)):
            seen = camera.project(rays @ R).reshape(*u.shape, 2)
            images[i], masks[i] = _resampled(take.images[i], take.masks[i], surroundings, seen)
    return replace(take, images=images, masks=masks)


def _surroundings(take: Take) -> NDArray[np.uint8]:
    """Return (H, W, 3) what is mostly seen at each pixel: hardly anything of the robot."""
    return np.asarray(np.median(take.images[:: max(1, len(take) // 15)], axis=0), dtype=np.uint8)


def _resampled(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    surroundings: NDArray[np.uint8],
    seen: NDArray[np.floating],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return image and mask as they look when pixels show the (H, W, 2) places ``seen``.

    What lies outside of the image is filled with the surroundings, mirrored at the border.
    """
    u, v = (np.ascontiguousarray(seen[..., i], dtype=np.float32) for i in range(2))
    result = cv2.remap(surroundings, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    off = (seen < 0.0) | (seen > [image.shape[1] - 1, image.shape[0] - 1])
    inside = ~np.any(off, axis=-1, keepdims=True)
    own = cv2.remap(image, u, v, cv2.INTER_LINEAR)
    new_mask = cv2.remap(mask.astype(np.uint8), u, v, cv2.INTER_NEAREST) > 0
    pixels = np.where(inside, own, result).astype(np.uint8)
    return pixels, np.asarray(new_mask)


def through_lens(take: Take, k1: float, rng: Generator) -> Take:
    """Take the images through a lens with radial distortion that camera_info does not know of."""
    camera = take.scene.camera
    lens = Camera(
        camera.K, camera.width, camera.height, np.array([k1, 0.0, 0.0, 0.0, 0.0]), "plumb_bob"
    )
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = lens.rays(np.stack([u, v], axis=-1).astype(np.float64))
    seen = camera.project(rays.reshape(-1, 3)).reshape(*u.shape, 2)
    images, masks = take.images.copy(), take.masks.copy()
    surroundings = _surroundings(take)
    for i in range(len(take)):
        images[i], masks[i] = _resampled(take.images[i], take.masks[i], surroundings, seen)
    return replace(take, images=images, masks=masks)


def _sheet(rng: Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Return an (H, W, 3) cloth: blotches and stripes of two colours."""
    blotches = cv2.resize(rng.random((height // 12 + 2, width // 12 + 2)), (width, height))
    stripes = 0.5 + 0.5 * np.sin(np.arange(height) * rng.uniform(0.2, 0.6))[:, None]
    share = np.clip(0.6 * blotches + 0.4 * stripes, 0.0, 1.0)[..., None]
    colours = rng.uniform(20, 235, (2, 3))
    return np.asarray(share * colours[0] + (1.0 - share) * colours[1], dtype=np.uint8)


def _walk(take: Take, height_share: float, rng: Generator) -> NDArray[np.bool_]:
    """Return the (N, H, W) silhouette of somebody who crosses the view once or twice."""
    count, height, width = take.masks.shape
    tall = height_share * height
    robot_v, _ = np.nonzero(take.masks.any(axis=0))
    middle = float(np.clip(robot_v.mean() + rng.uniform(-0.1, 0.1) * height, 0, height))
    phase, crossings = rng.uniform(0.0, 0.3), rng.uniform(1.0, 2.0)
    bodies = np.zeros((count, height, width), np.uint8)
    for i, body in enumerate(bodies):
        along = phase + crossings * i / count
        # A triangle wave from one side of the view to the other.
        u = width * (1.3 * abs((along + 1.0) % 2.0 - 1.0) - 0.15)
        swing = 0.06 * tall * np.sin(8.0 * np.pi * along)
        for side in (-1.0, 1.0):
            hip = round(u), round(middle + 0.1 * tall)
            foot = round(u + side * (0.05 * tall + swing)), round(middle + 0.5 * tall)
            cv2.line(body, hip, foot, 1, max(1, round(0.09 * tall)))
        trunk = max(1, round(0.12 * tall)), max(1, round(0.22 * tall))
        cv2.ellipse(body, (round(u), round(middle - 0.05 * tall)), trunk, 0, 0, 360, 1, -1)
        head = round(u), round(middle - 0.38 * tall)
        cv2.circle(body, head, max(1, round(0.08 * tall)), 1, -1)
    return np.asarray(bodies > 0)


def person_in_front(take: Take, height_share: float, rng: Generator) -> Take:
    """Let somebody walk between camera and robot; masks show the robot that is left."""
    bodies = _walk(take, height_share, rng)
    return replace(_dressed(take, bodies, bodies, rng), masks=take.masks & ~bodies)


def person_segmented(take: Take, height_share: float, rng: Generator) -> Take:
    """Let somebody walk between camera and robot; masks take the person for the robot."""
    bodies = _walk(take, height_share, rng)
    return replace(_dressed(take, bodies, bodies, rng), masks=take.masks | bodies)


def person_behind(take: Take, height_share: float, rng: Generator) -> Take:
    """Let somebody walk behind the robot."""
    bodies = _walk(take, height_share, rng)
    return _dressed(take, bodies, bodies & ~take.masks, rng)


def _dressed(
    take: Take, bodies: NDArray[np.bool_], shown: NDArray[np.bool_], rng: Generator
) -> Take:
    """Paint moving bodies where they are seen; their clothes move with them."""
    height, width = bodies.shape[1:]
    cloth = _sheet(rng, height, 3 * width)
    images = take.images.copy()
    for image, body, seen in zip(images, bodies, shown, strict=True):
        columns = np.flatnonzero(body.any(axis=0))
        if len(columns):
            moved = np.roll(cloth, int(columns[0]), axis=1)[:, :width]
            soft = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 0.7)[..., None]
            image[:] = np.rint(soft * moved + (1.0 - soft) * image).astype(np.uint8)
    return replace(take, images=images)


def small_occluder(take: Take, hidden_share: float, rng: Generator) -> Take:
    """Put something still before the robot that hides a share of it, all images together."""
    seen = take.masks.sum(axis=0)
    places = np.argwhere(seen > 0)
    v, u = places[rng.integers(len(places))]
    thing = np.zeros(seen.shape, np.uint8)
    for radius in range(2, max(seen.shape)):
        cv2.ellipse(thing, (int(u), int(v)), (radius, round(1.4 * radius)), 20, 0, 360, 1, -1)
        if seen[thing > 0].sum() >= hidden_share * seen.sum():
            break
    hidden = np.broadcast_to(thing > 0, take.masks.shape)
    return replace(_dressed(take, hidden, hidden, rng), masks=take.masks & ~hidden)


def _lit(take: Take, gain: NDArray[np.floating]) -> Take:
    """Multiply images by (N, 1 or H, 1 or W) gains, as light and exposure do before the gamma."""
    # 8-bit values are about the 1/2.2th power of the light.
    factor = np.asarray(gain, dtype=np.float32)[..., None] ** (1 / 2.2)
    images = np.stack(
        [np.clip(i * f + 0.5, 0, 255) for i, f in zip(take.images, factor, strict=True)]
    )
    return replace(take, images=images.astype(np.uint8))


def flicker(take: Take, sigma: float, rng: Generator) -> Take:
    """Expose every image a little differently."""
    return _lit(take, np.exp(rng.normal(0.0, sigma, (len(take), 1, 1))))


def exposure_ramp(take: Take, change: float, rng: Generator) -> Take:
    """Let the light grow or fade steadily by a factor of ``1 + change``."""
    low, high = (1.0 + change) ** -0.5, (1.0 + change) ** 0.5
    ends = (low, high) if rng.random() < 0.5 else (high, low)
    return _lit(take, np.geomspace(*ends, len(take))[:, None, None])


def light_switched(take: Take, strength: float, rng: Generator) -> Take:
    """Switch off a lamp at one side: the light falls by up to ``strength``, less farther away."""
    frame = int(rng.integers(len(take) // 4, 3 * len(take) // 4))
    slope = np.linspace(0.2, 1.0, take.masks.shape[2])[:: 1 if rng.random() < 0.5 else -1]
    after = np.arange(len(take))[:, None, None] >= frame
    return _lit(take, np.where(after, 1.0 - strength * slope, 1.0))


def moving_shadow(take: Take, strength: float, rng: Generator) -> Take:
    """Let the soft shadow of something out of view cross it."""
    count, _, width = take.masks.shape
    centre = np.linspace(-0.2, 1.2, count)[:: 1 if rng.random() < 0.5 else -1] * width
    off = (np.arange(width) - centre[:, None]) / (rng.uniform(0.1, 0.2) * width)
    return _lit(take, 1.0 - strength * np.exp(-0.5 * off**4)[:, None, :])


def noisy(take: Take, sigma: float, rng: Generator) -> Take:
    """Add sensor noise."""
    images = take.images.copy()
    for image in images:
        noise = rng.normal(0.0, sigma, image.shape).astype(np.float32)
        image[:] = np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
    return replace(take, images=images)


def jpeg(take: Take, quality: float, rng: Generator) -> Take:
    """Compress the images."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    images = take.images.copy()
    for image in images:
        _, compressed = cv2.imencode(".jpg", image, setting)
        image[:] = np.asarray(cv2.imdecode(compressed, cv2.IMREAD_COLOR))
    return replace(take, images=images)
