# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from calib_all_ros.monitoring.monitor import UNSURE_BECAUSE, sentence_of
from calib_all_ros.monitoring.state import State


@pytest.mark.parametrize("cause", UNSURE_BECAUSE)
def test_every_doubt_has_a_reason(cause: str) -> None:
    sentence = sentence_of(State.UNSURE, cause, {}, State.UNSURE, None)
    assert sentence.startswith(("cannot tell", "not yet known"))


@pytest.mark.parametrize("state", [State.OK, State.MOVED, State.OUT_OF_STEP, State.OCCLUDED])
def test_there_is_something_to_say_without_figures(state: State) -> None:
    assert sentence_of(state, "", {}, State.OK, 1.0)


def test_how_far_a_camera_was_moved() -> None:
    figures = {"outline_shift_px": 21.3, "outline_shift_mm": 71.8, "background_shift_px": 20.0}
    told = sentence_of(State.MOVED, "", figures, State.MOVED, 1.0)
    assert "21 px (72 mm at its distance)" in told and "calibrate again" in told
    told = sentence_of(
        State.MOVED,
        "",
        {"background_shift_px": 20.2, "background_rotation_deg": 2.04},
        State.MOVED,
        None,
    )
    assert "background has shifted by 20 px (a turn of about 2.0 deg)" in told


@pytest.mark.parametrize(
    ("believed", "ago", "words"),
    [
        (State.OK, 0.4, "in its place when last seen, just now"),
        (State.OK, 12.3, "in its place when last seen, 12 s ago"),
        (State.UNSURE, None, "not known yet"),
    ],
)
def test_what_is_believed_while_the_robot_stands_still(
    believed: State, ago: float | None, words: str
) -> None:
    assert words in sentence_of(State.STILL, "", {}, believed, ago)


@pytest.mark.parametrize(("lag_ms", "words"), [(83.0, "83 ms later"), (-61.0, "61 ms earlier")])
def test_images_out_of_step(lag_ms: float, words: str) -> None:
    assert words in sentence_of(State.OUT_OF_STEP, "", {"lag_ms": lag_ms}, State.OK, 1.0)
