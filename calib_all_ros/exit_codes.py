# SPDX-License-Identifier: Apache-2.0
"""How a command ended, as the shell sees it."""

EXIT_OK = 0
EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3
EXIT_CANNOT_SAY = 4
EXIT_INTERRUPTED = 130
