# SPDX-License-Identifier: Apache-2.0
"""Engines that run jobs: this process, or a cluster."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from calib_all_ros.errors import CalibAllError

Result = TypeVar("Result", covariant=True)


class Job(Protocol[Result]):
    """A job: it is called without arguments, wherever there is room."""

    def __call__(self) -> Result:
        """Do it."""
        ...


@dataclass(frozen=True)
class Failure:
    """A job that came to nothing.

    Attributes:
        sentence: What went wrong and what to do.
        detail: Where in the program, for what nobody expected; "" for bad input.
    """

    sentence: str
    detail: str = ""


class Engine(Protocol):
    """Runs jobs in any order and says what came of each."""

    @property
    def isolated(self) -> bool:
        """Whether a job that ends its process leaves this one alive."""
        ...

    def map_unordered(self, jobs: Iterable[Job[Result]]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield the number of each job and its outcome, as they are finished."""
        ...

    def close(self) -> None:
        """Stop what is running."""
        ...


def attempt(job: Job[Result]) -> Result | Failure:
    """Do a job; return what it raises as a failure."""
    try:
        return job()
    except CalibAllError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("there was not enough memory: run fewer jobs at a time on this machine")
    except Exception as error:  # one broken episode must not stop the others
        reason = " ".join(str(error).split())
        return Failure(
            f"internal error, {type(error).__name__}: {reason}; please report it with the journal",
            traceback.format_exc(),
        )


class SingleProcess:
    """Runs one job after the other in this process."""

    isolated = False

    def map_unordered(self, jobs: Iterable[Job[Result]]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield the number of each job and its outcome, in order."""
        for number, job in enumerate(jobs):
            yield number, attempt(job)

    def close(self) -> None:
        """There is nothing to stop."""
