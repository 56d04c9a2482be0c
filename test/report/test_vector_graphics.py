# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib

from calib_all_ros.report import vector_graphics as vector


def drawn(name: str = "line", description: str = "A line.") -> str:
    with vector.drawing():
        figure = vector.new_figure(2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=vector.USED, label="a <b> & c")
        axes.legend()
        return vector.svg_of(figure, name, description)


def ids(svg: str) -> set[str]:
    return {element.attrib["id"] for element in ET.fromstring(svg).iter() if "id" in element.attrib}


def test_colours_are_those_of_the_page() -> None:
    svg = drawn()
    assert "stroke: var(--used)" in svg
    assert "fill: var(--ink)" in svg
    # All placeholders are gone, and nothing else has a colour of its own.
    assert "#0" not in svg


def test_same_figure_same_bytes_and_ids_of_its_own() -> None:
    assert drawn() == drawn()
    assert ids(drawn())
    assert not ids(drawn()) & ids(drawn("other"))


def test_size_is_the_page_s_and_text_is_text() -> None:
    root = ET.fromstring(drawn(description='Says "<this>" & that.'))
    assert "width" not in root.attrib and "viewBox" in root.attrib
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'Says "<this>" & that.'
    assert "a <b> & c" in {element.text for element in root.iter()}
    assert not [element for element in root.iter() if element.tag.endswith(("style", "metadata"))]


def test_settings_of_matplotlib_are_neither_used_nor_changed() -> None:
    plain = drawn()
    with matplotlib.rc_context({"font.size": 30.0, "text.usetex": True, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert drawn() == plain
        assert dict(matplotlib.rcParams) == before


def test_no_home_to_write_to_is_no_reason_to_talk(tmp_path: Path) -> None:
    program = (
        "from calib_all_ros.report import vector_graphics as vector\nwith vector.drawing(): pass\n"
    )
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    hidden = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "HOME": str(nowhere)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert (run.stdout, run.stderr) == ("", "")


def test_pyplot_stays_away() -> None:
    program = (
        "import sys\n"
        "from calib_all_ros.report import vector_graphics as vector\n"
        "assert 'matplotlib' not in sys.modules\n"
        "with vector.drawing(): vector.svg_of(vector.new_figure(1.0), 'n', 'd')\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert run.stdout == "True False\n"
