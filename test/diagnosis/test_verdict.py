# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from calib_all_ros.diagnosis.verdict import verdict_of
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.records import Cause, Finding, Severity, Verdict


def finding(cause: Cause, severity: Severity = "rejected", strength: float = 1.0) -> Finding:
    return Finding(cause, severity, f"{cause} shows", "do something", strength)


def test_nothing_found_is_accepted_without_a_word() -> None:
    assert verdict_of([]) == Verdict("accepted", ())


def test_the_gravest_comes_first() -> None:
    found = verdict_of([finding("images_late", "warning", 9.0), finding("bad_masks", "rejected")])
    assert found.status == "rejected"
    assert found.causes == ("bad_masks", "images_late")
    assert found.reasons == (
        "bad_masks shows: do something",
        "images_late shows: do something",
    )


def test_the_stronger_of_two_comes_first() -> None:
    found = verdict_of([finding("images_late", strength=2.0), finding("bad_masks", strength=3.0)])
    assert found.causes == ("bad_masks", "images_late")


def test_what_explains_comes_before_what_follows() -> None:
    strengths: tuple[tuple[Cause, float], ...] = (
        ("unexplained", 9.0),
        ("degenerate_view", 8.0),
        ("wrong_intrinsics", 1.0),
    )
    found = verdict_of([finding(cause, strength=strength) for cause, strength in strengths])
    assert found.causes == ("wrong_intrinsics", "degenerate_view", "unexplained")


def test_a_moved_camera_comes_first() -> None:
    found = verdict_of([finding("images_late", strength=9.0), finding("camera_moved")])
    assert found.causes == ("camera_moved", "images_late")


def test_notes_are_no_warnings() -> None:
    found = verdict_of([finding("light_changed", "note")])
    assert found.status == "accepted"
    assert found.reasons == () and found.causes == ()
    assert [note.cause for note in found.findings] == ["light_changed"]


def test_what_the_recording_warns_of_is_a_warning() -> None:
    found = verdict_of([], ["3 images have no joint states."])
    assert found == Verdict("warning", ("3 images have no joint states.",))


def test_a_cause_is_named_once() -> None:
    found = verdict_of([finding("unexplained"), finding("unexplained", strength=2.0)])
    assert found.causes == ("unexplained",) and len(found.reasons) == 2


def test_unknown_causes_and_severities_are_mistakes() -> None:
    with pytest.raises(ResultError, match="unknown 'moon phase'"):
        Finding("moon phase", "rejected", "", "")  # type: ignore[arg-type]
    with pytest.raises(ResultError, match="unknown 'fatal'"):
        Finding("bad_masks", "fatal", "", "")  # type: ignore[arg-type]
