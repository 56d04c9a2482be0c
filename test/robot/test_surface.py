# SPDX-License-Identifier: Apache-2.0
"""The merged surface, mesh files, and their agreement with independent renderings."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.description import load_robot
from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.robot.surface import RobotSurface, cluster_vertices, load_mesh, welded

COLLADA = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><created>2020-01-01T00:00:00Z</created><modified>2020-01-01T00:00:00Z</modified>
<unit name="u" meter="{unit}"/><up_axis>{up}</up_axis></asset>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="12">0 0 0 1 0 0 0 2 0 0 0 3</float_array>
<technique_common><accessor source="#a" count="4" stride="3"><param name="X" type="float"/>
<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="4"><input semantic="VERTEX" source="#v" offset="0"/>
<p>0 2 1 0 1 3 0 3 2 1 2 3</p></triangles></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s"><node id="n"><matrix>{matrix}</matrix>
<instance_geometry url="#g"/></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


def two_links() -> RobotSurface:
    box = trimesh.creation.box(extents=[1.0, 1.0, 1.0])
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    return RobotSurface.from_meshes([box, None, ball], ["box", "empty", "ball"])


def test_links_are_merged_in_order() -> None:
    surface = two_links()
    assert surface.link_names == ("box", "empty", "ball")
    assert surface.vertices.dtype == np.float32
    assert surface.faces.dtype == surface.link_of_vertex.dtype == np.int32
    np.testing.assert_array_equal(
        np.unique(surface.link_of_face, return_counts=True), [[0, 2], [12, 5120]]
    )
    assert (surface.link_of_vertex[surface.faces] == surface.link_of_face[:, None]).all()


def test_links_can_be_left_out() -> None:
    surface = two_links().without_links(["box"])
    assert surface.link_names == ("box", "empty", "ball")
    assert set(surface.link_of_face) == {2}
    np.testing.assert_allclose(
        np.linalg.norm(surface.vertices[surface.faces], axis=-1), 0.5, atol=1e-6
    )
    with pytest.raises(RobotError, match="no link 'hand'; there are: box, empty, ball"):
        surface.without_links(["hand"])


def test_samples_are_even_and_on_the_surface() -> None:
    points, links = two_links().sample(20_000, seed=1)
    box_share = 6.0 / (6.0 + np.pi)
    assert (links == 0).mean() == pytest.approx(box_share, abs=0.015)
    np.testing.assert_allclose(np.abs(points[links == 0]).max(axis=1), 0.5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points[links == 2], axis=1), 0.5, atol=2e-3)
    np.testing.assert_allclose(points[links == 2].mean(axis=0), 0.0, atol=0.02)
    again, _ = two_links().sample(20_000, seed=1)
    np.testing.assert_array_equal(points, again)


def test_simplified_keeps_shape_and_links() -> None:
    surface = two_links()
    coarse = surface.simplified(0.1)
    assert coarse.link_names == surface.link_names
    assert len(coarse.faces) < 0.2 * len(surface.faces)
    radii = np.linalg.norm(coarse.vertices[coarse.link_of_vertex == 2], axis=1)
    assert np.abs(radii - 0.5).max() < 0.01
    assert coarse is surface.simplified(0.1)
    assert surface.simplified(0.0) is surface


def test_welding_merges_equal_vertices_only() -> None:
    vertices = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [9, 9, 9.0]]
    )
    faces = np.array([[0, 1, 2], [3, 4, 5], [0, 3, 1], [1, 2, 0]])
    mesh = welded(vertices, faces)
    assert (len(mesh.vertices), len(mesh.faces)) == (4, 2)


@pytest.mark.parametrize("up", ["Z_UP", "Y_UP", "X_UP"])
def test_collada_unit_is_applied_and_up_axis_is_not(tmp_path: Path, up: str) -> None:
    matrix = "1 0 0 10  0 1 0 0  0 0 1 0  0 0 0 1"
    path = tmp_path / "m.dae"
    path.write_text(COLLADA.format(unit="0.01", up=up, matrix=matrix))
    vertices = load_mesh(path).vertices
    np.testing.assert_allclose(vertices.min(axis=0), [0.10, 0.0, 0.0])
    np.testing.assert_allclose(vertices.max(axis=0), [0.11, 0.02, 0.03])


def test_mirrored_collada_node_keeps_faces_outwards(tmp_path: Path) -> None:
    path = tmp_path / "m.dae"
    volumes = []
    for sign in (1, -1):
        matrix = f"{sign} 0 0 0  0 1 0 0  0 0 1 0  0 0 0 1"
        path.write_text(COLLADA.format(unit="1", up="Z_UP", matrix=matrix))
        volumes.append(load_mesh(path).volume)
    np.testing.assert_allclose(volumes, [1.0, 1.0])


@pytest.mark.parametrize("name", ["m.stl", "m.dae", "m.obj", "m.xyz"])
def test_unreadable_and_empty_meshes_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(RobotError, match=name):
        load_mesh(tmp_path / name)


@pytest.mark.parametrize(
    ("recording", "urdf"),
    [
        ("d1", "panda/panda"),
        ("d2", "ur5e/ur5e_robotiq85"),
        ("d3", "xarm7/xarm7_gripper"),
    ],
)
def test_projected_vertices_fill_the_masks_of_independent_renderings(
    recording: str, urdf: str, shared_data: Path
) -> None:
    folder = shared_data / recording
    truth = json.loads((folder / "camera.json").read_text())
    camera = Camera(truth["K"], truth["width"], truth["height"], np.zeros(0), "pinhole")
    robot = load_robot(shared_data / "robots" / f"{urdf}.urdf", base_frame=truth["base_frame"])
    surface = robot.surface
    frames = [0, 25, 50]
    q = joint_positions(folder, robot.kinematics.joint_names)[frames]
    for frame, T_base_link in zip(frames, robot.kinematics.forward(q), strict=True):
        mask = cv2.imread(str(folder / "masks" / f"{frame:06d}.png"), cv2.IMREAD_GRAYSCALE) > 127
        T = (np.array(truth["T_cam_base"]) @ T_base_link)[surface.link_of_vertex]
        points = np.einsum("vij,vj->vi", T[:, :3, :3], surface.vertices) + T[:, :3, 3]
        u, v = np.round(camera.project(points)).astype(int).T
        # Rounding to a pixel can leave the mask by one.
        assert cv2.dilate(mask.astype(np.uint8), np.ones((3, 3)))[v, u].mean() > 0.9995
        drawn = np.zeros(mask.shape, np.uint8)
        drawn[v, u] = 1
        drawn = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((25, 25)))
        # The dots come up to the outline on every side, so the mask's box is reached.
        box, expected = cv2.boundingRect(drawn), cv2.boundingRect(mask.astype(np.uint8))
        np.testing.assert_allclose(box, expected, atol=2)


def joint_positions(folder: Path, names: tuple[str, ...]) -> NDArray[np.float64]:
    states = json.loads((folder / "joint_states.json").read_text())
    images = np.array(json.loads((folder / "timestamps.json").read_text())["image_stamps_ns"])
    stamps, positions = np.array(states["stamps_ns"]), np.array(states["positions"])
    zero = stamps[0]
    columns = [positions[:, states["names"].index(name)] for name in names]
    return np.stack([np.interp(images - zero, stamps - zero, x) for x in columns], axis=1)


def clustered(mesh: trimesh.Trimesh, cell_m: float) -> trimesh.Trimesh:
    vertices, faces, _ = cluster_vertices(
        mesh.vertices, mesh.faces, np.zeros(len(mesh.vertices), int), cell_m
    )
    return trimesh.Trimesh(vertices, faces, process=False)


def test_flat_faces_and_sharp_edges_stay_where_they_are() -> None:
    fine = trimesh.creation.box(extents=[1.0, 0.7, 0.4])
    for _ in range(4):
        fine = fine.subdivide()
    coarse = clustered(fine, 0.13)
    assert len(coarse.faces) < 0.2 * len(fine.faces)
    np.testing.assert_allclose(coarse.bounds, fine.bounds, atol=3e-3)
    assert coarse.volume == pytest.approx(fine.volume, rel=0.02)


def test_a_sphere_does_not_shrink() -> None:
    fine = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    coarse = clustered(fine, 0.02)
    assert len(coarse.faces) < 0.05 * len(fine.faces)
    assert coarse.is_watertight
    assert coarse.volume == pytest.approx(fine.volume, rel=0.01)


def test_groups_are_not_mixed() -> None:
    box = trimesh.creation.box(extents=[0.1, 0.1, 0.1])
    vertices = np.concatenate([box.vertices, box.vertices])
    faces = np.concatenate([box.faces, box.faces + 8])
    groups = np.repeat([3, 7], 8)
    new_vertices, new_faces, new_groups = cluster_vertices(vertices, faces, groups, 0.05)
    assert len(new_vertices) == 16
    np.testing.assert_array_equal(np.unique(new_groups, return_counts=True), [[3, 7], [8, 8]])
    assert (new_groups[new_faces] == new_groups[new_faces][:, :1]).all()


def test_what_lies_in_one_cell_vanishes() -> None:
    box = trimesh.creation.box(extents=[0.01, 0.01, 0.01])
    _, faces, _ = cluster_vertices(box.vertices, box.faces, np.zeros(8, int), 1.0)
    assert len(faces) == 0


def test_repeated_triangles_are_dropped() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    faces = np.array([[0, 1, 2], [1, 2, 0], [2, 1, 0]])
    _, kept, _ = cluster_vertices(vertices, faces, np.zeros(3, int), 0.1)
    assert len(kept) == 1
