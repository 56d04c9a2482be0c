# SPDX-License-Identifier: Apache-2.0
"""Where a result came from: settings, inputs, and what was estimated beside the pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calib_all_ros.report import words
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.settings import Settings


def setting_rows(settings: Mapping[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """Return names, values and whether they are the defaults."""
    defaults = dict(_flat(Settings().to_mapping()))
    return tuple(
        (name, _plain(value), name not in defaults or defaults[name] == value)
        for name, value in _flat(settings)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def fact_rows(calibration: Calibration) -> tuple[tuple[str, str], ...]:
    """Return what is known of the inputs and the making; what is not known is left out."""
    provenance, robot, camera = calibration.provenance, calibration.robot, calibration.camera
    K, chosen = camera.K, provenance.evidence
    facts = [
        ("Recording", provenance.recording),
        ("Its fingerprint", provenance.fingerprint),
        ("Images used", ", ".join(str(frame) for frame in provenance.frames_used)),
        ("Robot", f"{robot.name}, base frame {robot.base_frame}"),
        ("Robot description", robot.description_hash),
        ("Link of the mark", robot.eef_link or ""),
        (
            "Camera",
            f"{camera.frame_id}, {camera.width} x {camera.height} pixels, {camera.model}; "
            f"fx {K[0, 0]:.2f}, fy {K[1, 1]:.2f}, cx {K[0, 2]:.2f}, cy {K[1, 2]:.2f}",
        ),
        ("Distortion", ", ".join(f"{value:.6g}" for value in camera.distortion)),
        *((f"Evidence: {choice.part}", f"{choice.used}; {choice.why}") for choice in chosen),
        ("Estimated beside the pose", _nuisances(calibration)),
        ("Made by", f"calib_all_ros {provenance.package_version}"),
        ("Made at", provenance.created),
    ]
    return tuple((name, value) for name, value in facts if value)


def _nuisances(calibration: Calibration) -> str:
    parts = []
    if calibration.lag_ms is not None:
        parts.append(f"images stamped {words.lag(calibration.lag_ms)}")
    if calibration.mask_bias_px is not None:
        shape = "fat" if calibration.mask_bias_px > 0 else "thin"
        parts.append(f"outlines {abs(calibration.mask_bias_px):.2f} px too {shape}")
    if calibration.focal_scale is not None:
        parts.append(f"focal length times {calibration.focal_scale:.4f}")
    if calibration.joint_offsets is not None:
        largest = max(calibration.joint_offsets.items(), key=lambda item: abs(item[1]))
        parts.append(f"joints off by up to {largest[1]:+.4f} rad or m ({largest[0]})")
    return ", ".join(parts)
