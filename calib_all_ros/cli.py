# SPDX-License-Identifier: Apache-2.0
"""The command line `calib_all`: runs a command, and says by its exit code what came of it.

Everything heavy is imported by the command that is run, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any, NoReturn

from calib_all_ros import __version__
from calib_all_ros.commands.options import (
    BY_VERDICT,
    CalibrateOptions,
    CamerasOptions,
    CommandError,
    CommandOptions,
    DatasetOptions,
    DemoOptions,
    SimulateOptions,
)
from calib_all_ros.commands.result_options import (
    AnnotateOptions,
    CheckOptions,
    CompareOptions,
    DoctorOptions,
    MarkAddOptions,
    MarkFindOptions,
    MarkListOptions,
    MarkOptions,
    PlanOptions,
    TrajectoryOptions,
)
from calib_all_ros.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERNAL_ERROR,
    EXIT_INTERRUPTED,
    CalibAllError,
)
from calib_all_ros.options import REQUIRED, Option, options_of
from calib_all_ros.results.run_log import RunLog

Commands = dict[str, "type[CommandOptions] | tuple[type[CommandOptions], Commands]"]

COMMANDS: Commands = {
    "calibrate": CalibrateOptions,
    "cameras": CamerasOptions,
    "simulate": SimulateOptions,
    "demo": DemoOptions,
    "plan": PlanOptions,
    "check": CheckOptions,
    "compare": CompareOptions,
    "annotate": AnnotateOptions,
    "trajectory": TrajectoryOptions,
    "dataset": DatasetOptions,
    "mark": (
        MarkOptions,
        {"add": MarkAddOptions, "list": MarkListOptions, "find": MarkFindOptions},
    ),
    "doctor": DoctorOptions,
}
MODULES = {"demo": "simulate"}
"""Modules of `calib_all_ros.commands` that are not called as their command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    with RunLog(arguments) as log:
        try:
            command, options = parse(arguments)
            if options is None:
                return EXIT_BAD_INPUT
            if options.verbose:
                log.show_on_stderr()
            module = import_module(f"calib_all_ros.commands.{MODULES.get(command, command)}")
            exit_code: int = module.run(options, log)
            return exit_code
        except CalibAllError as error:
            return _fail(str(error), EXIT_BAD_INPUT, as_json)
        except KeyboardInterrupt:
            return _fail("interrupted, nothing was written", EXIT_INTERRUPTED, as_json)
        except Exception as error:  # whatever else is raised is a bug, not a message for users
            path = log.keep(error)
            sentence = f"internal error, {type(error).__name__}: {error}; please report it with"
            return _fail(f"{sentence} {path}", EXIT_INTERNAL_ERROR, as_json)


def parse(arguments: Sequence[str]) -> tuple[str, Any]:
    """Return which command is meant, and its options.

    Where none is named, the help is printed to stderr, and the options are None.

    Raises:
        CommandError: The arguments do not make sense.
    """
    parser = Parser(
        prog="calib_all",
        description="Find the pose of a fixed camera relative to a robot's base, from a recording.",
        epilog=_filled(f"exit codes: {BY_VERDICT}"),
    )
    parser.add_argument("--version", action="version", version=f"calib_all {__version__}")
    parser.flags.append("--version")
    _add_commands(parser, COMMANDS, "COMMAND")
    parsed = vars(parser.parse_args(_with_lists_attached(arguments)))
    kind = parsed.get("kind")
    if kind is None:
        parsed["parser"].print_help(sys.stderr)
        return parsed.get("command", ""), None
    # argparse collects in lists what may be repeated.
    given = {
        option.name: tuple(value) if isinstance(value, list) else value
        for option in options_of(kind)
        for value in (parsed[option.name],)
    }
    return parsed["COMMAND"], kind(**given)


class Parser(argparse.ArgumentParser):
    """Raises what is wrong with the arguments instead of ending the process, with a suggestion."""

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of `argparse.ArgumentParser`."""
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)
        self.flags = ["--help"]
        self.set_defaults(parser=self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Name a mistyped option before those that are missing."""
        ours = args if self.get_default("kind") else takewhile(_is_flag, args)
        for argument in filter(_is_flag, takewhile("--".__ne__, ours)):
            name = argument.partition("=")[0]
            if not any(flag.startswith(name) for flag in self.flags):
                self.error(f"there is no option {name}{_suggestion(name, self.flags)}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `CommandError`."""
        wrong = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if wrong:
            message += _suggestion(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        raise CommandError(f"{message} (see {self.prog} --help)")


def _is_flag(argument: str) -> bool:
    return argument.startswith("--") and argument != "--"


def _suggestion(given: str, known: Sequence[str]) -> str:
    # Dashes, which all options have, are no likeness.
    words = {name.lstrip("-"): name for name in known}
    near = difflib.get_close_matches(given.lstrip("-"), words, n=1, cutoff=0.6)
    return f"; did you mean {words[near[0]]}?" if near else ""


def _add_commands(parser: Parser, commands: Commands, metavar: str) -> None:
    group = parser.add_subparsers(dest=metavar, metavar=metavar)
    for name, kind in commands.items():
        kind, actions = kind if isinstance(kind, tuple) else (kind, {})
        summary, _, description = inspect.cleandoc(kind.__doc__ or "").partition("\n")
        command = group.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=_filled(description or summary),
            epilog=_epilog(kind),
        )
        if actions:
            _add_commands(command, actions, "ACTION")
        else:
            add_options(command, kind)


def _epilog(kind: type[CommandOptions]) -> str:
    examples = [
        textwrap.fill(example, _width(), initial_indent="  ", subsequent_indent="      ",
                      break_on_hyphens=False, break_long_words=False)
        for example in kind.EXAMPLES
    ]  # fmt: skip
    return "\n".join(["examples:", *examples, "", _filled(f"exit codes: {kind.EXIT_CODES}")])


def _filled(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(p.split()), _width()) for p in paragraphs)


def _width() -> int:
    return shutil.get_terminal_size().columns - 2


def add_options(parser: Parser, kind: type[Any]) -> None:
    """Add the options that a dataclass states to a command's arguments."""
    parser.set_defaults(kind=kind)
    groups: dict[str, argparse._ArgumentGroup | Parser] = {"": parser}
    exclusive: dict[str, argparse._MutuallyExclusiveGroup] = {}
    ends = {"solve": 1, "output": 2}
    for option in sorted(options_of(kind), key=lambda option: ends.get(option.group, 0)):
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        target: argparse._ActionsContainer = groups[option.group]
        if option.exclusive and option.exclusive not in exclusive:
            exclusive[option.exclusive] = target.add_mutually_exclusive_group(
                required=option.one_of
            )
        target = exclusive.get(option.exclusive, target)
        flags, details = _argument(option)
        parser.flags += flags
        target.add_argument(*flags, **details)


def _argument(option: Option) -> tuple[list[str], dict[str, Any]]:
    """Return what argparse calls an option, and its details."""
    details: dict[str, Any] = {"help": option.description.replace("%", "%%")}
    needed = option.default is REQUIRED
    if not needed:
        details["default"] = [] if option.several and option.default == () else option.default
    if not option.flag.startswith("-"):
        details |= {"metavar": option.flag, "type": option.read}
        return [option.name], details if needed else {**details, "nargs": "?"}
    details |= {"dest": option.name, "required": needed}
    if option.kind is bool:
        details["action"] = "store_true"
    else:
        details |= {"metavar": option.metavar, "type": option.read}
        details |= {"choices": option.choices} if option.choices else {}
        details |= {"action": "append"} if option.several else {}
    return list(option.flags or (option.flag,)), details


def _with_lists_attached(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--option -1,2`` as ``--option=-1,2``.

    argparse takes a list of numbers that begins with a minus sign for an option.
    """
    attached: list[str] = []
    for argument in arguments:
        is_list = re.fullmatch(r"-[\d.][\d.eE+-]*(,[\d.eE+-]+)+", argument)
        if is_list and attached and re.fullmatch(r"--[a-z][a-z-]*", attached[-1]):
            attached[-1] += f"={argument}"
        else:
            attached.append(argument)
    return attached


def _fail(sentence: str, exit_code: int, as_json: bool) -> int:
    print(f"calib_all: error: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": sentence, "exit_code": exit_code}))
    return exit_code
