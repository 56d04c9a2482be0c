# SPDX-License-Identifier: Apache-2.0
"""The root of every error this package raises on purpose, and exit codes."""

EXIT_OK = 0
EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3
EXIT_CANNOT_SAY = 4
EXIT_INTERRUPTED = 130


class CalibAllError(Exception):
    """Bad input or usage.

    The message is one sentence for the user: what is wrong, where, and what to do. The command
    line prints it and exits with code 2. Each concern has its own subclass in its own module.
    """


def exit_code_of(status: str) -> int:
    """Return the exit code of a verdict."""
    return {"rejected": EXIT_REJECTED, "cannot say": EXIT_CANNOT_SAY}.get(status, EXIT_OK)
