# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses as the parameters of a node."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node

from calib_all_ros.errors import CalibAllError
from calib_all_ros.options import Option, options_of

Kind = TypeVar("Kind")
Value = str | int | float | bool | tuple[str, ...] | tuple[float, ...]


class ParameterError(CalibAllError):
    """A ROS parameter has the wrong type or an impossible value."""


def declare(node: Node, kind: type[Kind]) -> Kind:
    """Declare a dataclass's fields as parameters of a node, and return it with their values.

    They cannot be changed afterwards. Whole numbers are taken for numbers with a fraction, and a
    single value for a list of one, as people write them on a command line.

    Raises:
        ParameterError: A value has the wrong type or is not allowed.
        CalibAllError: The dataclass itself refuses the values.
    """
    values: dict[str, Value] = {}
    fields = list(options_of(kind))
    for field in fields:
        allowed = f"one of: {', '.join(map(str, field.choices))}" if field.choices else ""
        descriptor = ParameterDescriptor(
            description=field.description,
            additional_constraints=allowed,
            read_only=True,
            # Else a whole number given for a number with a fraction is refused by rclpy, in words
            # that do not say what to write instead.
            dynamic_typing=True,
        )
        try:
            given = node.declare_parameter(field.name, _to_ros(field), descriptor).value
        except InvalidParameterValueException as error:
            raise ParameterError(f"parameter {field.name} of {_name(node)}: {error}") from error
        values[field.name] = _from_ros(field, given, node)
    _warn_of_unknown(node, [field.name for field in fields])
    built: Kind = _build(kind, values, "")
    return built


def _to_ros(field: Option) -> Any:
    if isinstance(field.default, tuple):
        # ROS cannot tell the type of an empty list.
        return list(field.default) or ([""] if get_args(field.kind)[0] is str else [float("nan")])
    return field.default


def _from_ros(field: Option, given: Any, node: Node) -> Value:
    try:
        value = _converted(field.kind, given)
    except (TypeError, ValueError):
        raise ParameterError(
            f"parameter {field.name} of {_name(node)} is {given!r}; it must be {_words(field)} "
            f"({field.description.rstrip('.')})"
        ) from None
    if field.choices and value not in field.choices:
        raise ParameterError(
            f"parameter {field.name} of {_name(node)} is {given!r}; it must be {_words(field)}"
        )
    return value


def _converted(kind: Any, given: Any) -> Value:
    """Return a parameter's value as the dataclass wants it.

    Raises:
        TypeError, ValueError: It has another type.
    """
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        items = list(given) if isinstance(given, list | tuple) or hasattr(given, "tolist") else None
        values = [given] if items is None else items
        if item is str:
            return tuple(_converted(str, value) for value in values if value != "")  # type: ignore[return-value]
        return tuple(number for number in map(_number, values) if number == number)
    if kind is float:
        return _number(given)
    if isinstance(given, bool) is not (kind is bool) or not isinstance(given, kind):
        raise TypeError
    value: Value = given
    return value


def _number(given: Any) -> float:
    if isinstance(given, bool | str):
        raise TypeError
    return float(given)


def _words(field: Option) -> str:
    if field.choices:
        return f"one of: {', '.join(map(str, field.choices))}"
    if get_origin(field.kind) is tuple:
        return "a list of strings" if get_args(field.kind)[0] is str else "a list of numbers"
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}[
        field.kind
    ]


def _warn_of_unknown(node: Node, known: list[str]) -> None:
    # rclpy ignores parameters that nobody declares, so a misspelt name would go unnoticed.
    given = getattr(node, "_parameter_overrides", {})
    unknown = sorted(name for name in given if not node.has_parameter(name))
    if unknown:
        node.get_logger().warning(
            f"{_name(node)} has no parameter {', '.join(unknown)}, ignored; it has: "
            f"{', '.join(known)}"
        )


def _name(node: Node) -> str:
    return str(node.get_fully_qualified_name())


def _build(kind: type[Any], values: dict[str, Value], prefix: str) -> Any:
    hints = get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            arguments[field.name] = _build(hints[field.name], values, f"{name}.")
        else:
            arguments[field.name] = values[name]
    return kind(**arguments)
