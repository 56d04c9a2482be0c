# SPDX-License-Identifier: Apache-2.0
"""A new dataset with more features; the original stays as it is.

Videos are hard links where the file system allows them; data files are written anew, row group by
row group. The new folder appears when everything is in it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calib_all_ros.lerobot.added_features import AddedFeature, FeatureSource
from calib_all_ros.lerobot.address import INFO_FILE
from calib_all_ros.lerobot.calibrations import Results, calibration_additions
from calib_all_ros.lerobot.data_files import DataRewriter
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.metadata_files import EpisodeColumn, rewrite_episodes, write_json
from calib_all_ros.lerobot.naming import ANNOTATION, CALIBRATION
from calib_all_ros.lerobot.statistics import aggregate_all, as_document

STATS_FILE = "meta/stats.json"
DATA_PATTERN = "data/*/*.parquet"
_OWN = (f"{CALIBRATION}.", f"{ANNOTATION}.")
# Nothing changes these in place, so that sharing them with the original is safe.
_LINKED = ("videos", "images")

OnFile = Callable[[int, int], None]


def write_calibrations(
    dataset: LerobotDataset,
    out: Path | str,
    results: Results,
    *,
    on_progress: OnFile | None = None,
) -> Path:
    """Write a dataset in which each frame knows where its cameras are.

    For each camera ``C`` (short for its feature, see `lerobot.naming.camera_name`) there are

    ===============================  =======  ====  ==========================================
    ``calibration.C.T_base_camera``  float32  [16]  (4, 4) row by row, maps points of the optical
                                                    frame to the base, metres
    ``calibration.C.K``              float32  [9]   (3, 3) row by row, intrinsics in pixels
    ``calibration.C.distortion``     float32  [D]   lens distortion
    ``calibration.C.verdict``        int64    [1]   see `VERDICTS`
    ``calibration.C.quality``        float32  [3]   expected error of position (m) and rotation
                                                    (rad), time lag of the images (s)
    ===============================  =======  ====  ==========================================

    and columns ``calibration/C/...`` in the metadata of the episodes. Where an episode was not
    calibrated, its verdict is -1 and matrices are all zeros, which is no pose; an expected error
    that is not known is -1, a time lag that was not estimated 0.

    Args:
        dataset: The original, which stays as it is.
        out: Folder of the new dataset; it must not exist, or be empty.
        results: Calibrations by episode and feature of the camera; each is asked for once.
        on_progress: Called with the number of data files written, and of all.

    Returns:
        The new folder.

    Raises:
        LerobotError: A result is of no episode or camera of the dataset, cameras have different
            lens models in different episodes, or as `write_features`.
        ModelUnavailableError: pyarrow is not installed.
    """
    sources, columns = calibration_additions(dataset, results)
    return write_features(dataset, out, sources, columns=columns, on_progress=on_progress)


def write_features(
    dataset: LerobotDataset,
    out: Path | str,
    sources: Sequence[FeatureSource],
    *,
    columns: Sequence[EpisodeColumn] = (),
    on_progress: OnFile | None = None,
) -> Path:
    """Write a dataset of the same version with more features.

    Features of this package that are already there are replaced; `kept_values.kept_values` hands
    on what they were.

    Args:
        dataset: The original.
        out: Folder of the new one; it must not exist, or be empty.
        sources: The features and their values.
        columns: What is added to the metadata of the episodes.
        on_progress: Called with the number of data files written, and of all.

    Returns:
        The new folder.

    Raises:
        LerobotError: The features do not fit, the original is damaged, or the folder cannot be
            written to.
        ModelUnavailableError: pyarrow is not installed.
    """
    features = [feature for source in sources for feature in source.features]
    _check(dataset, features)
    target = Path(out).expanduser().absolute()
    with _new_folder(dataset, target) as staging:
        rewriter = DataRewriter(dataset, sources)
        files = sorted(dataset.path.glob(DATA_PATTERN))
        for number, path in enumerate(files):
            rewriter.rewrite(path, staging / path.relative_to(dataset.path))
            if on_progress is not None:
                on_progress(number + 1, len(files))
        missing = sorted(set(dataset.episode_indices) - set(rewriter.statistics))
        if missing:
            raise LerobotError(
                f"{dataset.path} has no data of {len(missing)} episodes, the first of them "
                f"{missing[0]}: the dataset is not complete"
            )
        written = {path.relative_to(dataset.path) for path in files}
        written |= _write_metadata(dataset, staging, features, rewriter, columns)
        _bring_the_rest(dataset.path, staging, written)
    return target


def _check(dataset: LerobotDataset, features: Sequence[AddedFeature]) -> None:
    keys = [feature.key for feature in features]
    for key in keys:
        if "/" in key or not key.startswith(_OWN):
            raise LerobotError(
                f"{key} cannot be added to {dataset.path}: names of added features begin with "
                f"{' or '.join(_OWN)} and have no '/'"
            )
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise LerobotError(
            f"two cameras of {dataset.path} would share {', '.join(twice)}: write them into two "
            "datasets"
        )


def _write_metadata(
    dataset: LerobotDataset,
    staging: Path,
    features: Sequence[AddedFeature],
    rewriter: DataRewriter,
    columns: Sequence[EpisodeColumn],
) -> set[Path]:
    """Write info, statistics and episodes; return the files, relative to the dataset."""
    keys = {feature.key for feature in features}
    described = {k: v for k, v in dict(dataset.info["features"]).items() if k not in keys}
    described |= {feature.key: feature.entry() for feature in features}
    write_json(staging / INFO_FILE, {**dataset.info, "features": described})
    written = {Path(INFO_FILE)}
    if (dataset.path / STATS_FILE).is_file():
        stats = json.loads((dataset.path / STATS_FILE).read_text(encoding="utf-8"))
        stats = {key: value for key, value in stats.items() if key not in keys}
        whole = aggregate_all(rewriter.statistics)
        stats |= {key: as_document(value) for key, value in whole.items()}
        write_json(staging / STATS_FILE, stats)
        written.add(Path(STATS_FILE))
    return written | rewrite_episodes(dataset, staging, features, rewriter.statistics, columns)


def _bring_the_rest(source: Path, staging: Path, written: set[Path]) -> None:
    """Link or copy every file that was not written; the hub's own notes stay behind."""
    for folder, folders, names in os.walk(source):
        here = Path(folder).relative_to(source)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            relative = here / name
            if relative in written:
                continue
            place = staging / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            # In the hub's cache, files are links to blobs.
            original = (source / relative).resolve()
            if relative.parts[0] not in _LINKED or not _linked(original, place):
                shutil.copy2(original, place)


def _linked(original: Path, place: Path) -> bool:
    try:
        place.hardlink_to(original)
    except OSError:  # another file system, or one without hard links
        return False
    return True


@contextmanager
def _new_folder(dataset: LerobotDataset, target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the target that takes its place at success."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LerobotError(f"{target} exists already: name a new folder for the dataset")
    if target.is_relative_to(dataset.path.resolve()):
        raise LerobotError(f"{target} lies in the original dataset: name a folder outside of it")
    staging = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield staging
        staging.chmod(0o777 & ~_umask())
        staging.replace(target)
    except BaseException as error:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError):
            raise LerobotError(
                f"cannot write the dataset {target} ({error.strerror or error}): choose a place "
                "with space that you can write to"
            ) from error
        raise


def _umask() -> int:
    """Return the process's file mode mask, which POSIX only tells while setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
