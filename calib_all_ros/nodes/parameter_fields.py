# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses as ROS parameters: one definition of name, type, default and meaning.

Needs no ROS, so that documentation and launch files can be checked without.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_origin, get_type_hints

Value = str | int | float | bool | tuple[str, ...] | tuple[float, ...]


@dataclass(frozen=True)
class ParameterField:
    """One ROS parameter.

    Attributes:
        name: With dots where dataclasses are nested, e.g. "settings.frames.count".
        kind: Its Python type: str, int, float, bool, tuple[str, ...] or tuple[float, ...].
        default: What it is when nobody sets it.
        description: What it means, one line.
        choices: The only values allowed; any if empty.
    """

    name: str
    kind: Any
    default: Value
    description: str
    choices: tuple[Value, ...] = ()


def fields_of(kind: type[Any], prefix: str = "") -> Iterator[ParameterField]:
    """Yield the ROS parameters that a frozen dataclass stands for.

    A field that is itself a dataclass contributes its own fields under its name and a dot. The
    descriptions are those of the section ``Attributes:`` of the class's docstring; values that
    are allowed may be listed in a field's metadata, under "choices".

    Args:
        kind: The dataclass; every field needs a default.
        prefix: Put in front of all names.

    Raises:
        TypeError: A field has no default, no description, or a type that is no ROS parameter.
    """
    hints = get_type_hints(kind)
    descriptions = _descriptions(kind)
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from fields_of(hint, f"{name}.")
            continue
        if field.default is dataclasses.MISSING:
            raise TypeError(f"{kind.__name__}.{field.name} needs a default to be a ROS parameter")
        if field.name not in descriptions:
            raise TypeError(f"the docstring of {kind.__name__} says nothing about {field.name}")
        if hint not in (str, int, float, bool) and get_origin(hint) is not tuple:
            raise TypeError(f"{kind.__name__}.{field.name}: {hint} is no type of ROS parameters")
        choices = tuple(field.metadata.get("choices", ()))
        yield ParameterField(name, hint, field.default, descriptions[field.name], choices)


def _descriptions(kind: type[Any]) -> dict[str, str]:
    """Return what the section "Attributes:" of a docstring says of each attribute."""
    text = inspect.getdoc(kind) or ""
    _, _, section = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = None
    for line in section.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2].strip()
        elif name and line.startswith("        "):
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found
