"""The errors of the generator: all problems of a run are collected, and reported one per line.

sqlc shows a plugin's stderr only if its exit code is not 0, so there are no warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["AlreadyReported", "GeneratorError", "InternalError", "Place", "Refused", "Report"]


class Place(Protocol):
    """The subject of a problem; `str()` is its position and its name."""

    def of_directive(self, words: str, /) -> Place:
        """Return the place of the line `-- py:` that begins with these words."""
        ...

    def of_token(self, offset: int, /) -> Place:
        """Return the place of the token with this offset in the SQL."""
        ...


class Refused(Exception):
    """A thing that cannot be generated; the message names the problem and its cure.

    The cause, if it is known more exactly than the query: the line `-- py:` that begins with
    `directive`, or the token with this `offset` in the SQL.
    """

    def __init__(self, message: str, *, directive: str = "", offset: int | None = None) -> None:
        """Store the message and its cause."""
        super().__init__(message)
        self.directive = directive
        self.offset = offset


class AlreadyReported(Refused):
    """A thing that depends on another, refused one, which is in the report; it gets no line."""


class InternalError(Exception):
    """A fault of the generator itself; the message names the query in which it occurred."""


class GeneratorError(Exception):
    """All problems of a run; `str()` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        """Take the lines; there is at least one."""
        super().__init__("\n".join(problems))


@dataclass(slots=True)
class Report:
    """The problems so far, in their order."""

    problems: list[str] = field(default_factory=list[str])

    def add(self, where: str | Place, message: object) -> None:
        """Add a problem of `where`."""
        self.add_line(" ".join(f"{where}: {message}".split()))

    def add_line(self, line: str) -> None:
        """Add a problem as it will be printed, unless the same line exists."""
        if line not in self.problems:
            self.problems.append(line)

    def raise_if_any(self) -> None:
        """Raise GeneratorError if there is a problem."""
        if self.problems:
            raise GeneratorError(self.problems)

    def catch(self, where: str | Place) -> _Catch:
        """Return a context that adds a Refused as a problem of `where` and suppresses it."""
        return _Catch(self, where)


@dataclass(slots=True)
class _Catch:
    report: Report
    where: str | Place

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Add a Refused to the report and suppress it."""
        if not isinstance(error, Refused):
            return False
        if not isinstance(error, AlreadyReported):
            where = self.where
            if error.directive and not isinstance(where, str):
                where = where.of_directive(error.directive)
            if error.offset is not None and not isinstance(where, str):
                where = where.of_token(error.offset)
            self.report.add(where, error)
        return True
