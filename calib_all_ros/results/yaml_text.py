# SPDX-License-Identifier: Apache-2.0
"""YAML with full precision and readable matrices: one matrix row, or one table row, a line."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

_SCALARS = (bool, int, float, str, type(None))


class _FlowList(list[Any]):
    """A list written on one line, in brackets."""


class _FlowMapping(dict[str, Any]):
    """A mapping written on one line, in braces: a row of a table."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes blocks, except for what is marked as one line; repeats instead of referring."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(
    _FlowList,
    lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True),
)
_Dumper.add_representer(
    _FlowMapping,
    lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True),
)


def plain(value: Any) -> Any:
    """Return ``value`` made of what YAML knows: arrays, dataclasses, paths and enums converted.

    Raises:
        TypeError: a type that has no plain form; a mistake of the caller, not of the user.
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    raise TypeError(f"no plain form for {type(value).__name__}")


def dump(document: Mapping[str, Any], *, tables: tuple[str, ...] = ()) -> str:
    """Return ``document`` as YAML text.

    Args:
        document: anything that :func:`plain` takes.
        tables: top-level keys that hold a list of flat mappings, written one a line.
    """
    laid_out = {key: _one_line_where_short(item) for key, item in plain(document).items()}
    for key in tables:
        laid_out[key] = [_FlowMapping(row) for row in laid_out[key]]
    return str(
        yaml.dump(laid_out, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    )


def _one_line_where_short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _one_line_where_short(item) for key, item in value.items()}
    if isinstance(value, list):
        # Sentences read better one a line, numbers and names side by side.
        if all(isinstance(item, _SCALARS) and " " not in str(item) for item in value):
            return _FlowList(value)
        return [_one_line_where_short(item) for item in value]
    return value
