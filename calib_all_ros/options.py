# SPDX-License-Identifier: Apache-2.0
"""Options of commands, nodes and settings: each stated once, as a field of a frozen dataclass.

Command lines, ROS parameters, their documentation and the checks of settings are made from these
fields. As everything that `calib_all --help` needs, this imports nothing heavy.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

REQUIRED: Any = dataclasses.MISSING


class Range(NamedTuple):
    """Numbers that are allowed; what is None bounds nothing."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, number: object) -> bool:
        """Return whether a number is allowed; NaN never is."""
        assert isinstance(number, int | float)
        return (
            (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and number < (math.inf if self.below is None else self.below)
        )

    def __str__(self) -> str:
        """Return it in words that go behind "a number"."""
        bounds = (("from", self.least), ("above", self.above))
        words = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
        ends = (("to", self.most), ("and below", self.below))
        return " ".join(words + [f"{word} {end:g}" for word, end in ends if end is not None])


@dataclass(frozen=True)
class Option:
    """One field of a dataclass, as command lines and nodes show it.

    Attributes:
        name: The field's, with dots where dataclasses are nested, e.g. "settings.frames.count".
        kind: Its Python type, without None.
        default: What it is when nobody sets it; `REQUIRED` where it has to be given.
        description: What it means.
        group: Title of the class that states it, its ``TITLE``, or another one.
        choices: The only values allowed; any if empty.
        within: Numbers allowed.
        metavar: What stands for a value in the help of a command.
        flags: How it is called on a command line; empty takes the name. A flag without dashes is an
            argument that has no name there.
        parse: Reads a value from text; None goes by the type.
        repeated: Whether each value is given by itself, as those of any tuple that has no `parse`.
        exclusive: Options of a group with the same word here exclude each other.
        one_of: Whether one of those that exclude each other has to be given.
        setting: Dotted name of the setting that it sets where it is given.
    """

    name: str
    kind: Any
    default: Any
    description: str
    group: str = ""
    choices: tuple[Any, ...] = ()
    within: Range | None = None
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    repeated: bool = False
    exclusive: str = ""
    one_of: bool = False
    setting: str = ""

    @property
    def several(self) -> bool:
        """Whether it is given once for each of its values."""
        return self.repeated or (self.parse is None and get_origin(self.kind) is tuple)

    @property
    def flag(self) -> str:
        """How it is called on a command line first; without dashes if it has no name there."""
        name = self.name.removesuffix("s") if self.several else self.name
        return self.flags[0] if self.flags else f"--{name.replace('_', '-')}"

    def expected(self, value: Any) -> str:
        """Return what a value has to be, in words, "" if it is that."""
        if self.choices and value not in self.choices:
            return f"{', '.join(map(str, self.choices[:-1]))} or {self.choices[-1]}"
        if self.within is not None and value not in self.within:
            return f"a {_number_word(self.kind)} {self.within}"
        return ""

    def read(self, text: str) -> Any:
        """Return a value, or one of several, from a command line.

        Raises:
            ArgumentTypeError: It is none.
        """
        if self.parse is not None:
            return self.parse(text)
        kind = get_args(self.kind)[0] if get_origin(self.kind) is tuple else self.kind
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value != value or (self.within is not None and value not in self.within):
            what = f"{_number_word(kind)} {self.within or ''}".strip()
            raise argparse.ArgumentTypeError(f"'{text}' is not a {what}")
        return value


def option(
    description: str, metavar: str | None = None, *, default: Any = REQUIRED, **details: Any
) -> Any:
    """Return a field of a dataclass that is an option.

    Args:
        description: What it means.
        metavar: What stands for a value in the help.
        default: What it is when nobody sets it.
        details: Other attributes of `Option`.
    """
    details = {"description": description, "metavar": metavar, **details}
    return dataclasses.field(default=default, metadata=details)


def options_of(kind: type[Any], prefix: str = "") -> tuple[Option, ...]:
    """Return the options that a frozen dataclass stands for: its own first, then its bases'.

    A field that is itself a dataclass contributes its own fields under its name and a dot. What
    `option` does not describe, the section ``Attributes:`` of the class's docstring does.

    Raises:
        TypeError: Nothing describes a field.
    """
    return tuple(_options(kind, prefix))


def _options(kind: type[Any], prefix: str) -> Iterator[Option]:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for owner in kind.__mro__:
        descriptions = _descriptions(owner)
        for name in [name for name in inspect.get_annotations(owner) if name in fields]:
            field = fields.pop(name)
            hint = _without_none(hints[name])
            if isinstance(hint, type) and dataclasses.is_dataclass(hint):
                yield from options_of(hint, f"{prefix}{name}.")
                continue
            details = {"group": vars(owner).get("TITLE", ""), **field.metadata}
            if get_origin(hint) is Literal:
                details["choices"], hint = get_args(hint), str
            if "description" not in details and name not in descriptions:
                raise TypeError(f"the docstring of {kind.__name__} says nothing about {name}")
            details.setdefault("description", descriptions.get(name))
            yield Option(f"{prefix}{name}", hint, field.default, **details)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else hint
    return hint


def _descriptions(kind: type[Any]) -> dict[str, str]:
    """Return what the section "Attributes:" of a docstring says of each attribute."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
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


def _number_word(kind: type[Any]) -> str:
    return "whole number" if kind is int else "number"


def names(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(name.strip() for name in text.split(","))


def numbers(count: int, form: str, example: str = "") -> Callable[[str], tuple[float, ...]]:
    """Return what reads so many finite numbers between commas.

    Args:
        count: How many.
        form: What they are, for the message: "X,Y,Z".
        example: Some, for the message.
    """

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count or not all(map(math.isfinite, values)):
            what = f"e.g. {example}" if example else f"{count} numbers"
            raise argparse.ArgumentTypeError(f"'{text}' is not {form}, {what}")
        return values

    return parse
