# SPDX-License-Identifier: Apache-2.0
"""The root of every error this package raises on purpose."""


class CalibAllError(Exception):
    """Bad input or usage.

    The message is one sentence for the user: what is wrong, where, and what to do. The command
    line prints it and exits with code 2. Each concern has its own subclass in its own module.
    """
