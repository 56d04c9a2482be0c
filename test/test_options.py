# SPDX-License-Identifier: Apache-2.0
"""Options stated as fields of dataclasses."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from calib_all_ros.cli import Parser, add_options
from calib_all_ros.options import Range, names, option, options_of


@dataclass(frozen=True)
class Inner:
    """How.

    Attributes:
        speed: How fast,
            in words.
        share: How much.
    """

    speed: str = field(default="slow", metadata={"choices": ("slow", "fast")})
    share: float = field(default=0.5, metadata={"within": Range(above=0, below=1)})


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What several have."""

    TITLE = "shared"

    seed: int | None = option("of chance", default=None, within=Range(least=0))
    topics: tuple[str, ...] = option("where", "TOPIC", default=())


@dataclass(frozen=True, kw_only=True)
class Example(Shared):
    """All of it."""

    source: Path = option("what to read", flags=("SOURCE",))
    out: Path = option("where to", "DIR")
    links: tuple[str, ...] | None = option("some", "A,B", default=None, parse=names)
    way: Literal["up", "down"] = option("which way", default="up")
    loud: bool = option("or not", default=False)
    count: int = option("how many", "N", default=3, group="shared")


def parsed(*arguments: str) -> dict[str, Any]:
    parser = Parser(prog="example")
    add_options(parser, Example)
    return vars(parser.parse_args(arguments))


def test_own_options_come_before_those_of_the_bases() -> None:
    found = [(each.name, each.group) for each in options_of(Example)]
    assert found == [
        ("source", ""), ("out", ""), ("links", ""), ("way", ""), ("loud", ""),
        ("count", "shared"), ("seed", "shared"), ("topics", "shared"),
    ]  # fmt: skip


def test_docstrings_describe_nested_fields() -> None:
    @dataclass(frozen=True)
    class Outer:
        """All."""

        inner: Inner = field(default_factory=Inner)

    speed, share = options_of(Outer)
    assert (speed.name, speed.description) == ("inner.speed", "How fast, in words.")
    assert speed.expected("slow") == "" and speed.expected("odd") == "slow or fast"
    assert share.expected(0.5) == ""
    for wrong in (0.0, 1.0, float("nan")):
        assert share.expected(wrong) == "a number above 0 and below 1"


def test_a_command_line() -> None:
    given = parsed("here", "--out", "o", "--topic", "/a", "--topic", "/b", "--links", "l, m")
    assert (given["source"], given["out"]) == (Path("here"), Path("o"))
    assert given["topics"] == ["/a", "/b"] and given["links"] == ("l", "m")
    assert (given["way"], given["loud"], given["count"], given["seed"]) == ("up", False, 3, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--way", "left"), "invalid choice"),
        (("--count", "2.5"), "'2.5' is not a whole number"),
        (("--seed", "-1"), "'-1' is not a whole number from 0"),
        (("--topics", "/a"), "no option --topics; did you mean --topic"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(Exception, match=message):
        parsed("here", "--out", "o", *arguments)


@pytest.mark.parametrize(
    ("within", "words"),
    [
        (Range(least=1), "from 1"),
        (Range(above=0), "above 0"),
        (Range(least=0, most=1), "from 0 to 1"),
    ],
)
def test_ranges_in_words(within: Range, words: str) -> None:
    assert str(within) == words
    assert 1 in within
    assert [x for x in (-1.0, math.inf, math.nan) if within.__contains__(x)] == []


def test_numbers_that_are_none() -> None:
    (seed,) = (each for each in options_of(Shared) if each.name == "seed")
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 0"):
        seed.read("x")
