"""Pages of a list: the position after which a page starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from agentrows.validation import END_OF_TIME, check_aware, check_row, check_text

if TYPE_CHECKING:
    from pydantic import BaseModel

PagePosition: TypeAlias = tuple[datetime | None, str]
"""The time (None is before all others) and the id of the row after which a page starts."""
OLDEST: Final[PagePosition] = (None, "")
NEWEST: Final[PagePosition] = (END_OF_TIME, "")


def page_after(time: datetime | None, id: str, *, name: str = "after") -> PagePosition:
    """Return the position of a row, after which the next page starts."""
    if time is None:
        return None, id
    # The driver returns infinity and -infinity without a time zone.
    if getattr(time, "tzinfo", UTC) is None:
        time = time.replace(tzinfo=UTC)
    return check_aware(name, time), id


def check_after(
    value: BaseModel | None, model: type[BaseModel], *text_fields: str, name: str = "after"
) -> None:
    """Raise InvalidValue unless `after` is None or a row of the model with valid text fields."""
    if value is None:
        return
    check_row(name, value, model)
    for field in text_fields:
        check_text(f"{name}.{field}", getattr(value, field))
