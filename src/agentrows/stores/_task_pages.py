"""The order of tasks in lists, and positions in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentrows.errors import InvalidValue
from agentrows.gen.models import VersionedTask
from agentrows.stores._pages import PageOrder
from agentrows.validation import INT64, check_int64, check_row, check_text

BEFORE_ALL_TIMES: Final = INT64.start
"""The place of a task without a time in the order of lists."""


@dataclass(frozen=True, slots=True)
class TaskPosition:
    """The position of a task in lists: a page starts after it."""

    status_ns: int | None
    """The time of the status in nanoseconds since 1970; None is after all times."""
    id: str


class TaskOrder(PageOrder[VersionedTask, tuple[int, str]]):
    """The order of tasks: the latest status first, and those without a time last."""

    def position(self, row: VersionedTask, name: str) -> tuple[int, str]:
        """Return the position of a task."""
        check_row(name, row, self.model)
        return read_position(row)


LATEST_FIRST: Final = TaskOrder(VersionedTask, ("status_ns", "id"), (INT64.stop - 1, ""))


def read_position(after: VersionedTask | TaskPosition) -> tuple[int, str]:
    """Return the time and the id after which a page starts."""
    time = check_time("after.status_ns", after.status_ns)
    return BEFORE_ALL_TIMES if time is None else time, check_text("after.id", after.id)


def check_time(name: str, value: int | None) -> int | None:
    """Return the time of a status in nanoseconds since 1970, or None."""
    if value is None:
        return None
    # The smallest and the largest integer are the positions before and after all times.
    if check_int64(name, value) in (INT64.start, INT64.stop - 1):
        raise InvalidValue(f"{name} must be within the years 1678 to 2262")
    return value
