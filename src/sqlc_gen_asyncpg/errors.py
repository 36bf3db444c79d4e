"""What the generator refuses, collected: every problem of a run is reported, one per line.

sqlc shows a plugin's stderr only when it exits with another code than 0, so there are no warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AlreadyReported", "GeneratorError", "InternalError", "Refused", "Report"]


class Refused(Exception):
    """One thing that cannot be generated; the message says which one, and the cure."""


class AlreadyReported(Refused):
    """A thing depends on another that was refused and is in the report; it gets no line."""


class InternalError(Exception):
    """A fault of the generator itself; the message names the query that it occurred in."""


class GeneratorError(Exception):
    """Everything that was refused; `str()` gives one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        """Take the lines, at least one."""
        super().__init__("\n".join(problems))


@dataclass(slots=True)
class Report:
    """The problems met so far, in the order they were met."""

    problems: list[str] = field(default_factory=list[str])

    def add(self, where: str, message: object) -> None:
        """Note a problem of `where`."""
        self.add_line(" ".join(f"{where}: {message}".split()))

    def add_line(self, line: str) -> None:
        """Note a problem as it will be printed; the same one twice is reported once."""
        if line not in self.problems:
            self.problems.append(line)

    def raise_if_any(self) -> None:
        """Raise GeneratorError if anything was refused."""
        if self.problems:
            raise GeneratorError(self.problems)

    def catch(self, where: str) -> _Catch:
        """Return a context that notes a Refused as a problem of `where` and ends it."""
        return _Catch(self, where)


@dataclass(slots=True)
class _Catch:
    report: Report
    where: str

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Note a Refused and go on behind the context."""
        if not isinstance(error, Refused):
            return False
        if not isinstance(error, AlreadyReported):
            self.report.add(self.where, error)
        return True
