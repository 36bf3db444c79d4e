"""Pages of a list: the position after which a page starts, and the token of the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from agentrows.stores._page_tokens import KeyValue, digest_of_list, read_token, write_token
from agentrows.validation import (
    END_OF_TIME,
    check_aware,
    check_int64,
    check_number,
    check_row,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentrows.db.executor import Executor

__all__ = ["NEWEST", "OLDEST", "Page", "PageOrder", "PagePosition", "Pages"]

T = TypeVar("T")
Row = TypeVar("Row", bound=BaseModel)
Key = TypeVar("Key", bound="tuple[KeyValue, ...]")

PagePosition: TypeAlias = tuple[datetime | None, str]
"""The time (None is before all others) and the id of the row after which a page starts."""
OLDEST: Final[PagePosition] = (None, "")
NEWEST: Final[PagePosition] = (END_OF_TIME, "")


class Page(list[T]):
    """The rows of a page, a list, and the token of the page after them."""

    __slots__ = ("_write_token",)

    def __init__(
        self, rows: Iterable[T] = (), write_token: Callable[[], str] | None = None
    ) -> None:
        super().__init__(rows)
        self._write_token = write_token

    @property
    def next_token(self) -> str | None:
        """The text to pass as `after` for the next page, also in another process.

        None if the list ends here: there was no `limit`, or the page has fewer rows. A page of
        exactly the last rows has a token, and the page after it is empty. The token stays valid
        when its row is changed or deleted.
        """
        return None if self._write_token is None else self._write_token()

    def __reduce__(self) -> tuple[type[list[T]], tuple[list[T]]]:
        """Copy and pickle the rows alone."""
        return list, (list(self),)


@dataclass(frozen=True, slots=True)
class PageOrder(Generic[Row, Key]):
    """The order of a list: the model of its rows, and the fields of the key by which it is sorted.

    `first` is the position before all rows; each of its values has the type of its field, where
    None and a datetime are times.
    """

    model: type[Row]
    fields: tuple[str, ...]
    first: Key

    def position(self, row: Row, name: str) -> Key:
        """Return the position of a row.

        Raises:
            InvalidValue: `row` is no row of the model, or a value of its key cannot be stored.

        """
        check_row(name, row, self.model)
        values = [
            _check_value(f"{name}.{field}", getattr(row, field), like, name)
            for field, like in zip(self.fields, self.first, strict=True)
        ]
        return cast("Key", tuple(values))


@dataclass(frozen=True, slots=True)
class Pages(Generic[Row, Key]):
    """One list: its order, and the digest of everything that determines its rows.

    `filters` contains the user and every other argument of `method` except `limit` and `after`;
    the argument for the position is called `name`.
    """

    db: Executor
    method: str
    order: PageOrder[Row, Key]
    filters: Mapping[str, object]
    name: str = "after"

    def start(self, after: Row | str | None) -> Key:
        """Return the position after which a page starts.

        Raises:
            InvalidValue: `after` is no row and no token of this list.

        """
        if after is None:
            return self.order.first
        if not isinstance(after, str):
            return self.order.position(after, self.name)
        keys = self.db.options.page_token_keys
        values = read_token(self.name, after, self._digest, keys, self.order.first)
        return cast("Key", tuple(values))

    def page(self, rows: list[Row], limit: int | None, *, reverse: bool = False) -> Page[Row]:
        """Return a page of rows, which are in the order of the list or get the opposite one."""
        is_last = limit is None or limit == 0 or len(rows) < limit
        last = None if is_last else rows[-1]
        ordered = rows[::-1] if reverse else rows
        return Page(ordered, None if last is None else lambda: self._write_token(last))

    def _write_token(self, row: Row) -> str:
        position = self.order.position(row, self.name)
        return write_token(position, self._digest, self.db.options.page_token_keys)

    @property
    def _digest(self) -> bytes:
        return digest_of_list(self.method, self.filters)


def _check_value(field: str, value: object, like: KeyValue, name: str) -> KeyValue:
    """Return a value of a row's key as PostgreSQL compares it."""
    if isinstance(like, str):
        return check_text(field, cast("str", value))
    if isinstance(like, int):
        return check_int64(field, cast("int", value))
    if isinstance(like, float):
        return float(check_number(field, cast("float", value)))
    if value is None:
        return None
    # The driver returns infinity and -infinity without a time zone.
    time = cast("datetime", value)
    if getattr(time, "tzinfo", UTC) is None:
        time = time.replace(tzinfo=UTC)
    return check_aware(name, time)
