# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

rclpy = pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from rclpy.parameter import Parameter

from calib_all_ros.nodes.parameters import ParameterError, declare
from calib_all_ros.options import options_of
from calib_all_ros.settings import Settings, SettingsError


@dataclass(frozen=True)
class Example:
    """Parameters of a node.

    Attributes:
        name: What it is called,
            in two lines.
        rate_hz: How often.
        topics: Which.
        weights: How much.
        loud: Whether.
        mode: How.
        settings: Of the solve.
    """

    name: str = "camera"
    rate_hz: float = 2.0
    topics: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    loud: bool = False
    mode: str = field(default="slow", metadata={"choices": ("slow", "fast")})
    settings: Settings = field(default_factory=Settings)


@pytest.fixture
def context(domain: int) -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    yield context
    rclpy.try_shutdown(context=context)


def declared(context: Any, **values: Any) -> Example:
    overrides = [Parameter(name.replace("__", "."), value=v) for name, v in values.items()]
    node = rclpy.create_node("example", context=context, parameter_overrides=overrides)
    try:
        return declare(node, Example)
    finally:
        node.destroy_node()


def test_defaults_are_those_of_the_dataclass(context: Any) -> None:
    assert declared(context) == Example()


def test_given_values_arrive_nested_ones_too(context: Any) -> None:
    example = declared(
        context, name="left", topics=["/a", "/b"], loud=True, settings__frames__count=7
    )
    assert (example.name, example.topics, example.loud) == ("left", ("/a", "/b"), True)
    assert example.settings.frames.count == 7


def test_whole_number_and_single_value_are_taken_as_people_write_them(context: Any) -> None:
    example = declared(context, rate_hz=3, topics="/a", weights=[1, 2])
    assert example.rate_hz == 3.0
    assert isinstance(example.rate_hz, float)
    assert example.topics == ("/a",)
    assert example.weights == (1.0, 2.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loud": 3}, "parameter loud of /example is 3; it must be true or false"),
        ({"rate_hz": "often"}, "rate_hz of /example is 'often'; it must be a number"),
        ({"name": 3}, "it must be a string"),
        ({"mode": "odd"}, "it must be one of: slow, fast"),
        ({"topics": [1, 2]}, "it must be a list of strings"),
    ],
)
def test_wrong_values_are_refused_in_words(
    context: Any, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        declared(context, **values)


def test_impossible_settings_are_refused(context: Any) -> None:
    with pytest.raises(SettingsError, match=r"frames\.count"):
        declared(context, settings__frames__count=0)


def test_every_parameter_is_described_and_read_only(context: Any) -> None:
    node = rclpy.create_node("example", context=context)
    declare(node, Example)
    for field_ in options_of(Example):
        descriptor = node.describe_parameter(field_.name)
        assert descriptor.description == field_.description
        assert descriptor.read_only
    assert node.describe_parameter("name").description == "What it is called, in two lines."
    assert "slow, fast" in node.describe_parameter("mode").additional_constraints
    node.destroy_node()


def test_undescribed_field_is_an_error() -> None:
    @dataclass(frozen=True)
    class Silent:
        """Says nothing."""

        name: str = ""

    with pytest.raises(TypeError, match="says nothing about name"):
        list(options_of(Silent))


def test_misspelt_parameter_is_pointed_out(context: Any, capfd: pytest.CaptureFixture[str]) -> None:
    declared(context, nmae="left")
    assert "no parameter nmae, ignored; it has: name, rate_hz, topics" in capfd.readouterr().err
