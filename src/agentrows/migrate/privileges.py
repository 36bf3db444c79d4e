"""Checks of the rights that a run needs, before it writes anything.

Only the owner of a table can index or alter it. Without this check, a role that may create tables
would commit the run's transaction and fail in the first file after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError
from agentrows.migrate import relations
from agentrows.migrate.index_statements import altered_tables
from agentrows.migrate.table_names import split_table_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from agentrows.migrate.ledger import TableNames
    from agentrows.migrate.track import File

SHOWN: Final = 3
"""The number of tables that an error lists."""


async def check_privileges(
    db: asyncpg.Connection, changes: Iterable[tuple[TableNames, Sequence[File]]]
) -> None:
    """Raise ConfigError unless this role can change the tables of these files, and record that.

    Tables that do not exist yet are not checked: the run creates them.
    """
    owned: set[tuple[str, str]] = set()
    written: set[tuple[str, str]] = set()
    for names, files in changes:
        written |= {(names.schema, names.table), (names.schema, names.history_table)}
        for file in files:
            owned.update(changed_tables([(names, file)]))
    refused = await relations.find_not_owned(db, sorted(owned))
    if refused:
        raise ConfigError(
            f"this role does not own {_tables(refused)}, and only the owner can index or alter "
            f"them: connect as {refused[0][1]}, or as a member of it. Nothing was written"
        )
    refused = await relations.find_not_writable(db, sorted(written))
    if refused:
        raise ConfigError(
            f"this role cannot write {_tables(refused)}, where migrations are recorded: connect as "
            f"{refused[0][1]}, or as a member of it. Nothing was written"
        )


def changed_tables(files: Iterable[tuple[TableNames, File]]) -> list[tuple[str, str]]:
    """Return the schema and name of each table that these files index or alter."""
    named = [
        (names, *split_table_name(made_on))
        for names, file in files
        for made_on in altered_tables(file)
    ]
    return sorted({(schema or names.schema, table) for names, schema, table in named})


def _tables(refused: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(table for table, _ in refused[:SHOWN])
    more = len(refused) - SHOWN
    return f"{names} and {more} more" if more > 0 else names
