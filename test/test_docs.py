# SPDX-License-Identifier: Apache-2.0
"""What the documentation says of parameters, files and links is true.

`python test/test_docs.py` writes the tables of parameters anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.publisher import PublisherParameters
from calib_all_ros.nodes.recorder_parameters import RecorderParameters
from calib_all_ros.options import Option, options_of

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PARAMETERS: dict[str, type[Any]] = {
    "recorder": RecorderParameters,
    "calibrator": CalibratorParameters,
    "publisher": PublisherParameters,
    "monitor": MonitorParameters,
}
PAGES = [*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md"), *(REPOSITORY / "benchmarks").glob("*.md")]
HEADER = "| Parameter | Type | Default | Meaning |\n|---|---|---|---|\n"
TABLE = re.compile(re.escape(HEADER) + r"(?:\|.*\n)*")


def row(field: Option) -> str:
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean"}
    kind = kinds.get(field.kind) or ("strings" if "str" in str(field.kind) else "numbers")
    default = field.default
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, tuple):
        default = f"[{', '.join(map(str, default))}]"
    shown = "" if default in ("", "[]") else f"`{default}`"
    return f"| `{field.name}` | {kind} | {shown} | {field.description.replace('|', '/')} |\n"


def table(kind: type[Any]) -> str:
    return HEADER + "".join(row(field) for field in options_of(kind))


@pytest.mark.parametrize("node", PARAMETERS)
def test_tables_of_parameters_are_those_of_the_nodes(node: str) -> None:
    found = TABLE.search((DOCS / "nodes" / f"{node}.md").read_text(encoding="utf-8"))
    assert found, f"docs/nodes/{node}.md has no table of parameters"
    assert found[0] == table(PARAMETERS[node]), "run: python test/test_docs.py"


@pytest.mark.parametrize("node", PARAMETERS)
def test_parameter_files_hold_the_defaults_and_nothing_else(node: str) -> None:
    document = yaml.safe_load((REPOSITORY / "config" / f"{node}.yaml").read_text(encoding="utf-8"))
    (section,) = document.values()
    found = dict(flattened(section["ros__parameters"]))
    for field in options_of(PARAMETERS[node]):
        default = field.default
        if isinstance(default, tuple):
            # ROS cannot tell the type of an empty list: one with an empty string stands for it.
            default = list(default) or [""]
        written = found.pop(field.name)
        assert (written, type(written)) == (default, type(default)), field.name
    assert found == {}


def flattened(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items = []
    for name, value in values.items():
        if isinstance(value, dict):
            items += flattened(value, f"{prefix}{name}.")
        else:
            items.append((f"{prefix}{name}", value))
    return items


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in anchors, f"{page.name} links to {target}"


def write_tables() -> None:
    for node, kind in PARAMETERS.items():
        path = DOCS / "nodes" / f"{node}.md"
        text = path.read_text(encoding="utf-8")
        path.write_text(TABLE.sub(lambda _, k=kind: table(k), text), encoding="utf-8")


if __name__ == "__main__":
    write_tables()
