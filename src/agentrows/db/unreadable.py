"""Errors for stored rows that the driver cannot decode; they name the row, not its content.

The driver's error for such a value names neither the row nor the column. A read is therefore run
again with codecs that mark these values, and its connection is closed after that.

Rows that the driver can decode leave the executor as records. A generated function then validates
them, so a value that only its model refuses (NULL in a required field, an unknown member of an
enum) raises `pydantic.ValidationError` there, which the executor cannot translate.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, cast

import asyncpg

from agentrows.db.codecs import PooledConnection, decode_json, encode_json
from agentrows.errors import UnreadableRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import date, datetime

    from agentrows.db.sources import Connection

__all__ = ["is_unreadable", "raise_unreadable"]

logger = logging.getLogger(__name__)

WRITES: Final = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|CALL|COPY)\b", re.IGNORECASE)
RETURNS: Final = re.compile(r"\bRETURNING\b", re.IGNORECASE)
TABLE: Final = re.compile(
    r"\b(?:FROM|INTO|UPDATE)\s+(?:ONLY\s+)?([a-z_][a-z0-9_.]*)", re.IGNORECASE
)
YEAR: Final = re.compile(r"year -?[0-9]+ is out of range")
LONGEST_KEY: Final = 100
TIMES: Final = ("timestamptz", "timestamp", "date")
NO_YEAR: Final = "its year is not between 1 and 9999"
MARK_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Marked:
    """A replacement for a value that cannot be decoded."""

    problem: str


def is_unreadable(error: BaseException, query: str) -> bool:
    """Return whether an error is that of decoding a row of the statement."""
    if isinstance(error, UnreadableRow):
        return True
    if WRITES.search(query) and not RETURNS.search(query):
        return False
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return False
    return isinstance(error, OverflowError | RecursionError) or (
        isinstance(error, ValueError) and bool(YEAR.match(str(error)))
    )


async def raise_unreadable(
    error: BaseException,
    query: str,
    connection: Connection,
    call: Callable[[Connection, float | None], Awaitable[object]],
    *,
    limit_s: float,
) -> NoReturn:
    """Raise UnreadableRow; the message identifies the row if the call may be repeated.

    The second run of the call is limited to `limit_s`, at most 10 s.
    """
    match = TABLE.search(query)
    table = match[1] if match else "the result"
    problem = f"a value: {error if isinstance(error, UnreadableRow) else NO_YEAR}"
    limit_s = min(limit_s, MARK_TIMEOUT_S)
    if limit_s > 0 and not WRITES.search(query) and isinstance(connection, PooledConnection):
        try:
            async with asyncio.timeout(limit_s):
                await _mark_values(connection)
                problem = _describe(await call(connection, limit_s)) or problem
        except Exception:
            logger.debug("could not identify an unreadable row", exc_info=True)
        finally:
            connection.terminate()
    raise UnreadableRow(
        f"a row of {table}, stored by another writer, cannot be returned: {problem}"
    ) from error


def _describe(rows: object) -> str | None:
    """Return the column, the key and the problem of the first row with a marked value."""
    records = cast("Iterable[object]", rows if isinstance(rows, list) else [rows])
    for record in records:
        if not isinstance(record, asyncpg.Record):
            continue
        values = dict(record.items())
        for column, value in values.items():
            if isinstance(value, Marked):
                keys = ", ".join(
                    f"{name} {str(key)[:LONGEST_KEY]!r}"
                    for name, key in values.items()
                    if (name == "id" or name.endswith("_id")) and not isinstance(key, Marked | None)
                )
                return f"{column} of the row with {keys or 'no key in the result'}: {value.problem}"
    return None


async def _mark_values(connection: PooledConnection) -> None:
    """Register codecs that return a mark for each value that cannot be decoded."""
    for name in TIMES:
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_write_time, decoder=_read_time
        )
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=encode_json, decoder=_read_json
        )


def _write_time(value: date | datetime) -> str:
    if value.year in (1, 9999) and getattr(value, "tzinfo", None) is None:
        return "-infinity" if value.year == 1 else "infinity"
    return value.isoformat()


def _read_time(text: str) -> object:
    is_late = len(text.partition("-")[0]) > len("9999") and text[0].isdigit()
    return Marked(NO_YEAR) if is_late or text.endswith(" BC") else text


def _read_json(text: str) -> object:
    try:
        return decode_json(text)
    except UnreadableRow as error:
        return Marked(str(error))
