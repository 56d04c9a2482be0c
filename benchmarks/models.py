# SPDX-License-Identifier: Apache-2.0
"""How long do the foundation models take?

A model whose checkpoint is not there runs with random weights of the published size, which takes as
long; what it answers then means nothing. A model whose library is missing is skipped, with the
reason.

    python -m benchmarks.models --devices cpu cuda
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reporting import add_output_argument, markdown_table, publish
from calib_all_ros.errors import CalibAllError
from calib_all_ros.marks.dinov2 import Dinov2Features
from calib_all_ros.masks.grounding_dino import GroundingDino
from calib_all_ros.masks.sam2 import Sam2
from calib_all_ros.models.checkpoints import FoundCheckpoint, checkpoint_folder, find_checkpoint
from calib_all_ros.models.libraries import ModelUnavailableError, choose_device, require
from calib_all_ros.tracking.cotracker import CoTracker3

CLIP_IMAGES = 48
PUBLISHED_WINDOWS = {"cotracker3_offline": 60, "cotracker3_online": 16}
# BERT's vocabulary: its size, and the words whose numbers Grounding DINO relies on.
VOCABULARY = 30522
WORDS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
WORDS |= {20478: "robotic", 2849: "arm"}


@dataclass(frozen=True)
class Timing:
    """Seconds to load a model, and for one image with it, once warm."""

    loaded_s: float
    image_s: float


def clip(count: int = CLIP_IMAGES) -> list[NDArray[np.uint8]]:
    """Return (480, 640, 3) images of a texture that moves two pixels to the right each time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    return [np.ascontiguousarray(texture[:480, 80 - k : 720 - k]) for k in range(count)]


def time_dinov2(checkpoint: FoundCheckpoint, device: str) -> Timing:
    began = time.perf_counter()
    features = Dinov2Features(checkpoint, device)
    loaded_s = time.perf_counter() - began
    image = clip(1)[0]
    return Timing(loaded_s, _best_of(lambda: features(image)))


def time_cotracker(checkpoint: FoundCheckpoint, device: str) -> Timing:
    began = time.perf_counter()
    tracker = CoTracker3(checkpoint, device)
    loaded_s = time.perf_counter() - began
    images = clip()
    points = np.array([[320.0 + 6 * u, 240.0 + 6 * v] for u in (-1, 0, 1) for v in (-1, 0, 1)])
    seconds = _best_of(lambda: tracker.track_points(images, points))
    return Timing(loaded_s, seconds / len(images))


def time_grounding_dino(checkpoint: FoundCheckpoint, device: str) -> Timing:
    began = time.perf_counter()
    detector = GroundingDino(checkpoint, device)
    loaded_s = time.perf_counter() - began
    image = clip(1)[0]
    return Timing(loaded_s, _best_of(lambda: detector.detect(image)))


def time_sam2(checkpoint: FoundCheckpoint, device: str) -> Timing:
    began = time.perf_counter()
    segmenter = Sam2(checkpoint, device)
    loaded_s = time.perf_counter() - began
    images = clip(6)
    mask = np.zeros(images[0].shape[:2], bool)
    mask[160:320, 200:440] = True
    track = segmenter.track()
    track.seed(images[0], mask)
    track.step(images[1])
    began = time.perf_counter()
    for image in images[2:]:
        track.step(image)
    return Timing(loaded_s, (time.perf_counter() - began) / len(images[2:]))


def random_dinov2(folder: Path) -> None:
    """Save a ViT-B/14, the paper's size."""
    transformers = require("transformers", "foundation")
    config = transformers.Dinov2Config(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=518,
        patch_size=14,
    )
    transformers.Dinov2Model(config).save_pretrained(folder / "dinov2-base")


def random_grounding_dino(folder: Path) -> None:
    """Save Swin-T with BERT, the paper's size."""
    transformers = require("transformers", "foundation")
    config = transformers.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 96,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 7,
            "out_indices": [2, 3, 4],
        },
        text_config={"model_type": "bert", "vocab_size": VOCABULARY},
    )
    place = folder / "grounding-dino-tiny"
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(place)
    words = (WORDS.get(k, f"[unused{k}]") for k in range(VOCABULARY))
    (place / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def random_sam2(folder: Path) -> None:
    """Save SAM 2.1 with the backbone Hiera-T; the paper takes Hiera-L."""
    transformers = require("transformers", "foundation")
    model = transformers.Sam2VideoModel(transformers.Sam2VideoConfig())
    model.save_pretrained(folder / "sam2.1-hiera-tiny")


def random_cotracker(model: str) -> Callable[[Path], None]:
    """Return what saves a CoTracker3."""

    def save(folder: Path) -> None:
        torch = require("torch", "foundation")
        library = require("cotracker.predictor", "foundation")
        online = model.endswith("online")
        predictor = library.CoTrackerOnlinePredictor if online else library.CoTrackerPredictor
        made = predictor(checkpoint=None, window_len=PUBLISHED_WINDOWS[model]).model
        torch.save(made.state_dict(), folder / f"scaled_{model.removeprefix('cotracker3_')}.pth")

    return save


@dataclass(frozen=True)
class Job:
    """How to time a model, what to call what is timed, and how to make random weights."""

    model: str
    what: str
    measure: Callable[[FoundCheckpoint, str], Timing]
    make: Callable[[Path], None]


JOBS = (
    Job("dinov2", "features of an image", time_dinov2, random_dinov2),
    Job(
        "cotracker3_offline",
        f"9 points through {CLIP_IMAGES} images, each",
        time_cotracker,
        random_cotracker("cotracker3_offline"),
    ),
    Job(
        "cotracker3_online",
        f"9 points through {CLIP_IMAGES} images, each",
        time_cotracker,
        random_cotracker("cotracker3_online"),
    ),
    Job("grounding_dino", "boxes in an image", time_grounding_dino, random_grounding_dino),
    Job("sam2", "mask followed to an image", time_sam2, random_sam2),
)


def model_times(devices: list[str], checkpoints: Path, models: list[str]) -> list[str]:
    """Time the models; return paragraphs and a table."""
    rows, skipped = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for job in JOBS:
            if job.model not in models:
                continue
            try:
                checkpoint, weights = _checkpoint(job, checkpoints, Path(scratch))
            except CalibAllError as error:
                skipped.append(f"{job.model}: {error}")
                continue
            for device in devices:
                try:
                    timing = job.measure(checkpoint, choose_device(device))
                except CalibAllError as error:
                    skipped.append(f"{job.model} on {device}: {error}")
                    continue
                cells = (f"{timing.loaded_s:.1f}", f"{1e3 * timing.image_s:.1f}")
                rows.append((job.model, checkpoint.variant, weights, job.what, device, *cells))
                print(" | ".join(rows[-1]), flush=True)
    header = ("model", "variant", "weights", "what", "device", "load s", "ms")
    sections = ["Images of 640x480 in float32, once warm.", markdown_table(header, rows)]
    return sections + [f"Skipped, {reason}" for reason in skipped]


def _checkpoint(job: Job, checkpoints: Path, scratch: Path) -> tuple[FoundCheckpoint, str]:
    try:
        return find_checkpoint(job.model, checkpoints), "published"
    except ModelUnavailableError:
        _seed()
        job.make(scratch)
        return find_checkpoint(job.model, scratch), "random"


def _seed() -> Any:
    return require("torch", "foundation").manual_seed(0)


def _best_of(work: Callable[[], object], repeats: int = 2) -> float:
    """Return the least seconds of some repetitions after a first one that does not count."""
    work()
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return min(durations)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--checkpoints`` and ``--models``."""
    names = [job.model for job in JOBS]
    parser.add_argument("--checkpoints", type=Path, help="folder of checkpoints")
    parser.add_argument("--models", nargs="+", choices=names, default=names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", nargs="+", default=["cpu"], help="cpu, cuda, cuda:1 ...")
    add_model_arguments(parser)
    add_output_argument(parser)
    arguments = parser.parse_args()
    folder = checkpoint_folder(arguments.checkpoints)
    publish(
        "Foundation models",
        model_times(arguments.devices, folder, arguments.models),
        arguments.out,
    )


if __name__ == "__main__":
    main()
