"""The objects of a database, with definitions that are the same on every version of PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.gen import schema_objects as queries
from agentrows.migrate.expected_objects import ObjectKey
from agentrows.migrate.server import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agentrows.db.sources import Connection
    from agentrows.gen.models import SchemaObject

ATTEMPTS: Final = 5
DROPPED: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.InternalServerError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedTableError,
)
"""The errors for objects that are dropped, or locked in turn, while the server describes them."""
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
SPACES: Final = re.compile(r"[ \t\n]+")
COLUMN_ALIAS: Final = re.compile(r""" AS (?:"[^"]+"|\w+)(?=\))""")
"""The name of the column of a subquery in a policy, which only PostgreSQL 15 and older write."""


class SchemaReadError(Exception):
    """The objects of a schema cannot be read now; the text is the reason."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a database; `is_valid` is False for an index that a failed build left."""

    definition: str
    is_valid: bool


async def read_objects(
    db: Connection, schemas: Collection[str], tables: Collection[str]
) -> dict[str, dict[ObjectKey, StoredObject]]:
    """Return the objects of these tables by schema, then by key.

    In a transaction of the caller the query runs in a savepoint that is rolled back, so that the
    transaction keeps its settings and can continue.

    Raises:
        SchemaReadError: another session locks a table or changes the schema, or this role may not
            read the server's catalog.

    """
    rows = await _read_rows(db, sorted(schemas), sorted(tables))
    extensions = {row.schema_name for row in rows if row.kind == "extension"}
    qualifiers = {schema: qualifier({schema, *extensions}) for schema in schemas}
    objects: dict[str, dict[ObjectKey, StoredObject]] = {schema: {} for schema in schemas}
    for row in rows:
        if row.kind == "extension" or row.definition is None:
            continue
        key = ObjectKey(row.kind, row.table_name, row.name)
        definition = normalize(row.kind, row.definition, qualifiers[row.schema_name])
        objects[row.schema_name][key] = StoredObject(definition, row.is_valid)
    return objects


async def _read_rows(db: Connection, schemas: list[str], tables: list[str]) -> list[SchemaObject]:
    for attempt in range(ATTEMPTS):
        savepoint = db.transaction() if db.is_in_transaction() else None
        if savepoint is not None:
            await savepoint.start()
        try:
            return await queries.list_schema_objects(db, schemas=schemas, tables=tables)
        except asyncpg.LockNotAvailableError as error:
            raise SchemaReadError("another session locks a table") from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise SchemaReadError(f"the server refused to describe it: {error}") from error
        except DROPPED as error:
            # An object was dropped between its row in the catalog and its definition.
            if attempt == ATTEMPTS - 1:
                raise SchemaReadError(f"the server cannot describe it: {error}") from error
        finally:
            # The query sets lock_timeout until the end of the transaction.
            if savepoint is not None:
                await savepoint.rollback()
    raise AssertionError  # pragma: no cover


def qualifier(schemas: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of the names of these schemas before another name, outside of strings."""
    names = "|".join(re.escape(name) for schema in schemas for name in (schema, quote(schema)))
    return re.compile(rf"""(?<![\w'".])(?:{names})\.(?=[\w"])""")


def normalize(kind: str, definition: str, qualifiers: re.Pattern[str]) -> str:
    """Return a definition without line breaks, aliases, and the names of schemas.

    The server writes the schema of each name that is not on the search_path.
    """
    text = SPACES.sub(" ", definition)
    if kind == "policy":
        text = COLUMN_ALIAS.sub("", text)
    if "." in text:
        text = qualifiers.sub("", text)
    return CONTROL.sub(lambda character: f"\\x{ord(character[0]):02x}", text)
