# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from calib_all_ros.collection.stop_and_go import JointConfigurations, StopAndGo, StopAndGoSettings

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
NAMES = ("a", "b")


def visit(
    session: StopAndGo,
    poses: Sequence[Sequence[float]],
    *,
    rest_s: float = 1.0,
    late_s: float = 0.0,
) -> list[float]:
    """Go from pose to pose, 0.5 s each, and rest; return the times (s) of the images taken.

    Joint states come at 100 Hz, images at 20 Hz, stamped late_s after their light.
    """
    corners = [(0.0, poses[0]), (rest_s, poses[0])]
    for pose in poses[1:]:
        end = corners[-1][0]
        corners += [(end + 0.5, pose), (end + 0.5 + rest_s, pose)]
    times = [time for time, _ in corners]
    taken = []
    for tick in range(round(100 * times[-1]) + 1):
        time = tick / 100
        values = [np.interp(time, times, [p[j] for _, p in corners]) for j in range(len(poses[0]))]
        stamp_ns = START_NS + round(time * SECOND_NS)
        session.add_joint_state(stamp_ns, NAMES, np.array(values))
        if tick % 5 == 0 and session.takes(stamp_ns + round(late_s * SECOND_NS)):
            taken.append(time)
    return taken


def hint(session: StopAndGo) -> str:
    (finding,) = session.findings()
    assert finding.level == "hint"
    return finding.sentence


def test_each_new_pose_is_taken_once_it_rests() -> None:
    session = StopAndGo(StopAndGoSettings(poses=3))
    taken = visit(session, [(0.0, 0.0), (0.3, 0.0), (0.3, -0.4)])
    # Rest begins up to a few milliseconds early, when the arm is within the noise of its end.
    assert taken == pytest.approx([0.5, 2.0, 3.5], abs=0.051)
    assert session.taken == 3 and session.is_complete
    assert session.findings() == []


def test_pose_that_was_taken_is_not_taken_again() -> None:
    session = StopAndGo(StopAndGoSettings())
    visit(session, [(0.0, 0.0), (0.3, 0.0), (0.0, 0.0), (0.05, 0.05), (0.3, 0.1)])
    assert session.taken == 2
    assert "2 of 16 poses are taken: move the arm to a pose that differs by 0.15 rad" in hint(
        session
    )


def test_whole_turns_are_no_difference() -> None:
    session = StopAndGo(StopAndGoSettings())
    visit(session, [(3.1, 0.0), (3.1 - 2 * np.pi, 0.0)])
    assert session.taken == 1


def test_too_short_a_rest_is_not_taken() -> None:
    session = StopAndGo(StopAndGoSettings())
    assert visit(session, [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)], rest_s=0.4) == []


def test_only_poses_of_the_list_are_taken_in_any_order() -> None:
    wanted = JointConfigurations(NAMES, np.array([[0.5, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    session = StopAndGo(StopAndGoSettings(), wanted)
    assert "0 of 3 poses are taken: move the arm to configuration 1 of the list" in hint(session)
    visit(session, [(0.0, 0.0), (1.0, 0.02), (1.0, 0.2), (0.48, 0.0)])
    assert session.taken == 2 and session.wanted == 3 and not session.is_complete
    assert hint(session) == (
        "2 of 3 poses are taken: move the arm to configuration 3 of the list ('b' is -1.00 rad "
        "off) and hold it still for 0.5 s"
    )
    visit(StopAndGo(StopAndGoSettings(), wanted), [(0.5, 0.0)])
    session = StopAndGo(StopAndGoSettings(), wanted)
    visit(session, [(1.0, 1.0), (1.0, 0.0), (0.5, 0.0)])
    assert session.is_complete


def test_list_of_joints_that_are_not_reported() -> None:
    wanted = JointConfigurations(("a", "c"), np.array([[0.5, 0.0]]))
    session = StopAndGo(StopAndGoSettings(), wanted)
    assert visit(session, [(0.5, 0.0)]) == []
    assert "the joint states lack c" in hint(session)


def test_several_images_of_each_pose() -> None:
    session = StopAndGo(StopAndGoSettings(images_per_pose=3, poses=2))
    taken = visit(session, [(0.0, 0.0), (1.0, 0.0)])
    assert taken == pytest.approx([0.5, 0.55, 0.6, 2.0, 2.05, 2.1], abs=0.051)
    assert session.is_complete


def test_image_has_to_be_of_the_rest_itself() -> None:
    # Stamped by a clock that is a second ahead: nothing is known of the arm at that time.
    assert visit(StopAndGo(StopAndGoSettings()), [(0.0, 0.0), (1.0, 0.0)], late_s=1.0) == []
    # A second behind: images of the rest look like images of the motion before.
    taken = visit(StopAndGo(StopAndGoSettings()), [(0.0, 0.0), (1.0, 0.0)], late_s=-1.0, rest_s=3.0)
    assert taken == pytest.approx([1.5, 5.0], abs=0.051)


def test_without_joint_states_nothing_is_taken() -> None:
    assert not StopAndGo(StopAndGoSettings()).takes(START_NS)
