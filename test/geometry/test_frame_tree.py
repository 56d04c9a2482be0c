# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import (
    ConnectedError,
    FrameTree,
    FrameTreeError,
    StaticTransform,
    cautions,
    edge_to_publish,
)


def some_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.from_rotvec(rng.normal(size=3), rng.normal(size=3))


POSE = StaticTransform("base", "optical", some_pose(0))


def edges(*chains: str) -> list[StaticTransform]:
    """Return the edges of chains like "world base link", each with a transform of its own."""
    found = []
    for chain in chains:
        frames = chain.split()
        for parent, child in pairwise(frames):
            found.append(StaticTransform(parent, child, some_pose(len(found) + 1)))
    return found


def pose_in(tree: list[StaticTransform], base: str, optical: str) -> np.ndarray:
    """Return T_base_optical as tf2 would look it up; every frame has one parent."""
    parents = {edge.child: edge for edge in tree}
    assert len(parents) == len(tree), "a frame has two parents"

    def from_root(frame: str) -> np.ndarray:
        if frame not in parents:
            return np.eye(4)
        edge = parents[frame]
        return from_root(edge.parent) @ edge.T_parent_child

    return se3.invert(from_root(base)) @ from_root(optical)


@pytest.mark.parametrize(
    ("chains", "child"),
    [
        ([], "optical"),
        (["base link1 hand"], "optical"),
        (["camera_link depth", "camera_link color optical"], "camera_link"),
        (["world base link1", "camera_link color optical"], "camera_link"),
        (["mast camera_link optical other", "world base"], "mast"),
        (["optical something"], "optical"),
    ],
)
def test_edge_puts_the_camera_where_the_calibration_says(chains: list[str], child: str) -> None:
    there = edges(*chains)
    edge = edge_to_publish(FrameTree(there), POSE)
    assert edge is not None
    assert (edge.parent, edge.child) == ("base", child)
    whole = [*there, edge]
    np.testing.assert_allclose(pose_in(whole, "base", "optical"), POSE.T_parent_child, atol=1e-12)


@pytest.mark.parametrize(
    ("chains", "parent", "child"),
    [
        (["base camera_link optical"], "base", "camera_link"),
        (["base optical"], "base", "optical"),
        (["world base", "world camera_link optical"], "world", "camera_link"),
        (["world table base", "table mount optical"], "table", "mount"),
        # The inverse was published, as other calibration tools do it.
        (["optical base"], "optical", "base"),
        (["camera_link optical world base"], "optical", "world"),
    ],
)
def test_connected_trees_are_refused_with_a_way_out(
    chains: list[str], parent: str, child: str
) -> None:
    there = edges(*chains)
    with pytest.raises(ConnectedError, match=f"stop what publishes {parent} -> {child}") as raised:
        edge_to_publish(FrameTree(there), POSE)
    assert f"'{child}' has the parent '{parent}'" in str(raised.value)
    obstacle, corrected = raised.value.obstacle, raised.value.corrected
    assert (obstacle.parent, obstacle.child) == (parent, child)
    assert corrected is not None
    mended = [e for e in there if (e.parent, e.child) != (parent, child)]
    np.testing.assert_allclose(
        pose_in([*mended, corrected], "base", "optical"), POSE.T_parent_child, atol=1e-12
    )
    # Once the obstacle is gone, the camera can be added.
    added = edge_to_publish(FrameTree(mended), POSE)
    assert added is not None
    np.testing.assert_allclose(
        pose_in([*mended, added], "base", "optical"), POSE.T_parent_child, atol=1e-12
    )


@pytest.mark.parametrize(
    ("chain", "moving", "obstacle"),
    [
        # A camera on the hand: what holds the camera has to go, not a joint of the robot.
        ("base link1 hand camera_link optical", ["link1", "hand"], "hand -> camera_link"),
        ("base optical", ["optical"], "base -> optical"),
    ],
)
def test_no_correction_is_offered_where_the_robot_moves_the_camera(
    chain: str, moving: list[str], obstacle: str
) -> None:
    with pytest.raises(ConnectedError, match=obstacle) as raised:
        edge_to_publish(FrameTree(edges(chain), moving), POSE)
    assert raised.value.corrected is None


def test_no_correction_is_offered_where_the_base_moves() -> None:
    tree = FrameTree(edges("world base", "world camera_link optical"), ["base"])
    with pytest.raises(ConnectedError, match="world -> camera_link") as raised:
        edge_to_publish(tree, POSE)
    assert raised.value.corrected is None


def test_same_edge_from_somebody_else_is_published_as_it_is() -> None:
    driver = edges("camera_link color optical")
    mine = edge_to_publish(FrameTree(driver), POSE)
    assert mine is not None
    rounded = StaticTransform(mine.parent, mine.child, mine.T_parent_child.round(6))
    again = edge_to_publish(FrameTree([*driver, rounded]), POSE)
    assert again is not None
    assert (again.parent, again.child) == ("base", "camera_link")
    np.testing.assert_array_equal(again.T_parent_child, rounded.T_parent_child)


def test_nothing_is_needed_where_the_robot_description_is_right() -> None:
    there = edges("world base", "camera_link optical")
    mine = edge_to_publish(FrameTree(there), POSE)
    assert mine is not None
    mount = StaticTransform("world", "camera_link", there[0].T_parent_child @ mine.T_parent_child)
    assert edge_to_publish(FrameTree([*there, mount]), POSE) is None
    # A robot that happens to hold the camera there now is another matter.
    with pytest.raises(ConnectedError):
        edge_to_publish(FrameTree([*there, mount], ["camera_link"]), POSE)


def test_slashes_in_front_of_names_do_not_matter_those_inside_do() -> None:
    driver = [StaticTransform("/left/link", "left/optical", some_pose(1))]
    pose = StaticTransform("/base", "/left/optical", some_pose(2))
    edge = edge_to_publish(FrameTree(driver), pose)
    assert edge is not None
    assert (edge.parent, edge.child) == ("base", "left/link")


def test_edges_that_tf2_ignores_are_ignored() -> None:
    nonsense = [StaticTransform(*ends, np.eye(4)) for ends in (("a", "a"), ("", "b"), ("b", "/"))]
    assert FrameTree(nonsense).frames == frozenset()


@pytest.mark.parametrize("chains", [["camera_link optical", "mast optical"], ["base b", "c b"]])
def test_two_parents_are_named(chains: list[str]) -> None:
    pose = StaticTransform("b", "optical", np.eye(4))
    first, second = (chain.split()[0] for chain in chains)
    with pytest.raises(FrameTreeError, match=f"several parents .* '{first}' and '{second}'"):
        edge_to_publish(FrameTree(edges(*chains)), pose)


def test_two_parents_elsewhere_are_no_obstacle() -> None:
    tree = FrameTree(edges("a x", "b x", "camera_link optical"))
    edge = edge_to_publish(tree, POSE)
    assert edge is not None
    assert edge.child == "camera_link"


def test_loops_are_named() -> None:
    with pytest.raises(FrameTreeError, match=r"has a loop, c -> a -> b -> c"):
        edge_to_publish(FrameTree(edges("a b c a", "c optical")), POSE)


@pytest.mark.parametrize(("base", "optical"), [("", "optical"), ("base", "/"), ("cam", "/cam")])
def test_frames_must_be_two(base: str, optical: str) -> None:
    with pytest.raises(FrameTreeError, match="name both, and differently"):
        edge_to_publish(FrameTree([]), StaticTransform(base, optical, np.eye(4)))


def test_moving_mount_is_pointed_out() -> None:
    tree = FrameTree(edges("table pan tilt optical", "base link1"), ["tilt", "link1"])
    assert edge_to_publish(tree, POSE) is not None
    (caution,) = cautions(tree, POSE)
    assert "pan -> tilt over /tf" in caution
    assert "link1" not in caution


@pytest.mark.parametrize(
    ("chains", "hint"),
    [
        (["world left/base left/hand"], "no frame 'base' but 'left/base'"),
        (["world panda_link0", "camera_link optical"], "no frame 'base' but 'world'"),
        (["base hand", "left/link left/optical"], "no frame 'optical' but 'left/optical'"),
    ],
)
def test_names_that_are_probably_wrong_are_pointed_out(chains: list[str], hint: str) -> None:
    (caution,) = cautions(FrameTree(edges(*chains)), POSE)
    assert hint in caution


@pytest.mark.parametrize("chains", [[], ["base hand"], ["camera_link optical"]])
def test_nothing_is_pointed_out_without_reason(chains: list[str]) -> None:
    assert cautions(FrameTree(edges(*chains)), POSE) == ()


def test_situation_changes_with_frames_and_fixed_transforms_above() -> None:
    chain = edges("mast pan optical")
    before = FrameTree(chain, ["pan"]).situation("optical")
    moved = [StaticTransform("mast", "pan", some_pose(9)), chain[1]]
    assert FrameTree(moved, ["pan"]).situation("optical") == before
    assert FrameTree([*chain, *edges("x y")], ["pan"]).situation("optical") == before
    assert FrameTree(moved).situation("optical") != before
    assert FrameTree(chain[1:]).situation("optical") != before
