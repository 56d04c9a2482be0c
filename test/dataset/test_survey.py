# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import DatasetSelection, EpisodeRef
from calib_all_ros.dataset.setups import make_setup
from calib_all_ros.dataset.survey import Surveyed, source_state, survey
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import InputSelection

ROBOTS = "panda: panda.urdf\nso101: {urdf: so101.urdf, units: so101.json, gripper: '0:100'}\n"


@pytest.fixture
def ref(tmp_path: Path) -> EpisodeRef:
    """An episode of a LeRobot dataset with a table of robots beside it."""
    (tmp_path / "data" / "meta").mkdir(parents=True)
    (tmp_path / "data" / "meta" / "info.json").write_text("{}")
    (tmp_path / "robots.yaml").write_text(ROBOTS)
    for name in ("panda.urdf", "so101.json", "own.json"):
        (tmp_path / name).write_text("1")
    reading = (("units", str(tmp_path / "own.json")), ("robots", str(tmp_path / "robots.yaml")))
    return EpisodeRef("a", "lerobot", tmp_path / "data", 0, "top", reading)


@pytest.mark.parametrize(
    "name",
    ["data/meta/info.json", "own.json", "robots.yaml", "panda.urdf", "so101.urdf", "so101.json"],
)
def test_every_file_that_an_address_leads_to_counts(
    ref: EpisodeRef, tmp_path: Path, name: str
) -> None:
    before = source_state(ref)
    assert source_state(ref) == before
    (tmp_path / name).write_text("panda: other.urdf\n")
    assert source_state(ref) != before


def test_a_broken_table_of_robots_is_left_to_loading(ref: EpisodeRef, tmp_path: Path) -> None:
    before = source_state(ref)
    for text in ("[", "3", "- a"):
        (tmp_path / "robots.yaml").write_text(text)
        assert source_state(ref) != before
    (tmp_path / "robots.yaml").unlink()
    assert source_state(ref) != before


def test_joint_states_that_are_understood_otherwise_are_others(
    two_setups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ref,) = find_episodes(two_setups / "b0")
    selection = DatasetSelection(InputSelection(masks="recorded"))
    first = survey(ref, selection, tmp_path)
    assert survey(ref, selection, tmp_path) == first
    recording, robot = ref.load(selection)
    series = {name: recording.joints.series(name) for name in recording.joints.names}
    degrees = {name: (stamps, positions / 57.3) for name, (stamps, positions) in series.items()}
    other = replace(recording, joints=JointTrajectory.from_series(degrees))
    monkeypatch.setattr(EpisodeRef, "load", lambda *_: (other, robot))
    assert survey(ref, selection, tmp_path).fingerprint != first.fingerprint


def test_a_setup_is_its_episodes_their_content_and_what_they_were_seen_with() -> None:
    ref = EpisodeRef("a", "folder", Path("/a"))
    known = Surveyed("stream", "print", 5, 20, True)

    def identity(surveyed: Surveyed) -> str:
        return make_setup([ref], {ref: surveyed}).identity

    assert identity(known) == identity(replace(known, first_stamp_ns=6))
    others = [replace(known, stream="other"), replace(known, fingerprint="other")]
    assert len({identity(known), *map(identity, others)}) == 3
