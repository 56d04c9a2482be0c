# SPDX-License-Identifier: Apache-2.0
"""The page as text; how it looks and behaves in a browser is for `test_page_in_browser.py`."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.page import REPORT_NAME, write_report
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot

VOID = {"meta", "link", "img", "input", "br"}
REFERRING = ("src", "href", "xlink:href", "action", "data", "poster", "srcset", "formaction")


class Page(HTMLParser):
    """Tags, ids, what is referred to and the words of a page; fails where tags do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.labels: list[str | None] = []
        self.words = ""
        self.policy = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.references += [value or "" for name, value in attrs if name in REFERRING]
        if tag == "img" or given.get("role") == "img":
            self.labels.append(given.get("alt") or given.get("aria-label"))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words += " " + " ".join(data.split())


@pytest.fixture(scope="module")
def path(
    tmp_path_factory: pytest.TempPathFactory,
    calibration: Calibration,
    simulated_recording: Recording,
    demo_robot: Robot,
    evidence: Evidence,
) -> Path:
    folder = tmp_path_factory.mktemp("report") / "new"
    return write_report(folder, calibration, simulated_recording, demo_robot, evidence)


def test_page_says_everything(path: Path, calibration: Calibration) -> None:
    assert path.name == REPORT_NAME
    words = Page(path).words
    for text in (
        "Usable with care",
        "in nine cases of ten within 1.2 mm in position and 0.061 deg in rotation.",
        "Images and joint states are out of step",
        "1 of 6 images shows the robot as it was 0.38 s earlier.",
        "Stamp images when they are exposed.",
        "Joint finger_joint was not recorded.",
        "Image 7, worst (left out)",
        "Image 10, best",
        "The mark on hand, image 3",
        "Followed through 17 of 20 images.",
        "/data/kitchen bag",
        "calib_all_ros 0.1.0",
        "0.340 pixels",
        "75.0 %",
        "5.2 seconds",
        "3 (changed)",
    ):
        assert text in words, text
    x, y, z = calibration.T_base_camera[:3, 3]
    assert f"{x:+.5f}, {y:+.5f}, {z:+.5f} m" in words
    assert f"static_transform_publisher --x {float(x)!r}" in words
    assert "<origin xyz=" in words


def test_page_refers_to_nothing_outside(path: Path) -> None:
    page = Page(path)
    inside = [target for target in page.references if target.startswith("#")]
    others = set(page.references) - set(inside)
    assert all(target.startswith(("data:,", "data:image/jpeg;base64,")) for target in others)
    assert {target[1:] for target in inside} <= set(page.ids)
    # The style sheet fetches nothing either.
    text = path.read_text(encoding="utf-8")
    assert "@import" not in text
    assert {target[:1] for target in re.findall(r"url\(([^)]*)\)", text)} <= {"#"}


def test_page_is_sound(path: Path) -> None:
    page = Page(path)
    assert len(set(page.ids)) == len(page.ids)
    assert len(page.labels) == 8 + 5 and all(page.labels)
    assert page.tags.count("h1") == 1
    assert path.stat().st_size < 3_000_000


def test_policy_allows_the_page_s_own_script_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = Page(path).policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "img-src data:;" in policy


def test_names_of_the_user_s_cannot_become_markup(
    tmp_path: Path, calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> None:
    nasty = "</pre><script>document.title='taken'</script><img src=x onerror='1'>"
    hostile = replace(
        calibration,
        camera=replace(calibration.camera, frame_id=nasty),
        notes=(nasty,),
        quality={nasty: 1.0},
        provenance=replace(
            calibration.provenance,
            recording=nasty,
            settings={nasty: nasty},
            stage_times_s={nasty: 1.0},
        ),
    )
    page = Page(write_report(tmp_path, hostile, simulated_recording, demo_robot))
    assert page.words.count(nasty) >= 6
    assert page.tags.count("script") == 1
    # Six images with the robot, and one with its mask.
    assert page.tags.count("img") == 7


def test_an_old_calibration_gets_a_page(tmp_path: Path, bare: Calibration) -> None:
    page = Page(write_report(tmp_path, bare))
    assert "Accepted: you can use this pose" in page.words
    for sentence in (
        "The recording was not at hand, so nothing could be drawn on its images.",
        "The uncertainty of the pose was not estimated.",
        "No quality figures were recorded.",
        "No settings were recorded.",
        "No figures of single images were measured.",
    ):
        assert sentence in page.words
    assert "svg" not in page.tags


def test_a_given_pose_has_no_before(
    tmp_path: Path, calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> None:
    given = replace(calibration, stages={})
    page = Page(write_report(tmp_path, given, simulated_recording, demo_robot))
    assert "The robot drawn on the images" in page.words
    assert "coarse" not in page.words and "before" not in page.words
    assert "input" not in page.tags and page.tags.count("img") == 7


def test_same_result_same_page(
    path: Path,
    tmp_path: Path,
    calibration: Calibration,
    simulated_recording: Recording,
    demo_robot: Robot,
    evidence: Evidence,
) -> None:
    again = write_report(tmp_path / "again", calibration, simulated_recording, demo_robot, evidence)
    assert again.read_bytes() == path.read_bytes()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, bare: Calibration) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "file", bare)
