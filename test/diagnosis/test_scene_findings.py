# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from calib_all_ros.diagnosis.scene import (
    Bump,
    CameraFigures,
    DynamicObjectFigures,
    LightFigures,
    SceneFigures,
)
from calib_all_ros.diagnosis.scene_findings import scene_findings

STILL = CameraFigures(1.0, 100, (), (0.0, 9.0), 0.0, 0.1, 0.01)
STEADY = LightFigures(0.0, 0.0, 0.005, 0.0, 3)
ALONE = DynamicObjectFigures(0.0, 0.0, (), 0.0, 0.95, 0.0, 0.0, 0.0, 0.0)
HEALTHY = SceneFigures(STILL, STEADY, ALONE)
BUMP = Bump(11, 12, 3.0, 3.25, 5.0, 0.5)


def test_nothing_is_wrong() -> None:
    assert scene_findings(HEALTHY) == []
    assert scene_findings(SceneFigures(None, None, None)) == []
    assert SceneFigures(None, None, None).quality() == {}
    assert HEALTHY.quality()["background_shake_px"] == 0.1


@pytest.mark.parametrize(("shift_px", "severity"), [(5.0, "rejected"), (1.0, "warning")])
def test_bump_names_images_and_the_part_to_use(shift_px: float, severity: str) -> None:
    bump = replace(BUMP, shift_px=shift_px)
    camera = replace(STILL, bumps=(bump,), good_part_s=(3.25, 9.75))
    (finding,) = scene_findings(replace(HEALTHY, camera=camera))
    assert (finding.cause, finding.severity) == ("camera_moved", severity)
    assert f"{shift_px:.1f} px between images 11 and 12" in finding.evidence
    assert "--start 3.24 --end 9.76" in finding.advice
    assert finding.strength >= 1.0


def test_the_largest_of_several_bumps_is_named() -> None:
    camera = replace(STILL, bumps=(BUMP, replace(BUMP, before=20, after=21, shift_px=9.0)))
    (finding,) = scene_findings(replace(HEALTHY, camera=camera))
    assert "images 20 and 21" in finding.evidence and "largest of 2" in finding.evidence


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({"shake_px": 1.0}, "warning"),
        ({"shake_px": 3.0}, "rejected"),
        ({"drift_px": 1.5}, "warning"),
        ({"drift_px": 4.0}, "rejected"),
    ],
)
def test_shaking_and_drifting_camera(change: dict[str, float], severity: str) -> None:
    (finding,) = scene_findings(replace(HEALTHY, camera=replace(STILL, **change)))
    assert (finding.cause, finding.severity) == ("camera_moved", severity)
    assert f"{next(iter(change.values())):.1f} px" in finding.evidence


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({"gain_spread": 0.2}, "note"),
        ({"local": 0.08}, "warning"),
        ({"local": 0.3, "gain_spread": 0.2}, "rejected"),
        ({"cut_off_share": 0.4}, "warning"),
    ],
)
def test_light(change: dict[str, float], severity: str) -> None:
    (finding,) = scene_findings(replace(HEALTHY, light=replace(STEADY, **change)))
    assert (finding.cause, finding.severity) == ("light_changed", severity)


def test_dynamic_objects_count_where_the_pose_explains_the_robot() -> None:
    seen = replace(ALONE, share=0.05, largest_share=0.05, images=tuple(range(9)), image_share=0.5)
    (finding,) = scene_findings(replace(HEALTHY, dynamic_objects=seen))
    assert (finding.cause, finding.severity) == ("moving_object", "rejected")
    assert "5 % of the image" in finding.evidence and "and 3 more" in finding.evidence
    wrong_pose = replace(seen, explained=0.3)
    assert scene_findings(replace(HEALTHY, dynamic_objects=wrong_pose)) == []
    apart = replace(wrong_pose, apart_share=0.02, apart_image_share=0.5)
    (finding,) = scene_findings(replace(HEALTHY, dynamic_objects=apart))
    assert finding.cause == "moving_object" and "50 % of the images" in finding.evidence


def test_one_image_with_something_is_not_enough() -> None:
    seen = replace(ALONE, share=0.01, largest_share=0.2, images=(4,), image_share=0.03)
    assert scene_findings(replace(HEALTHY, dynamic_objects=seen)) == []
