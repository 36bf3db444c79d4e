"""Down files that fail because policies use a column that they drop.

kagent rolls its tracks back by itself, and leaves its tracking table dirty if a file fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.gen.policies import find_policies_of_columns
from agentrows.migrate.index_statements import dropped_objects
from agentrows.migrate.table_names import split_table_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from agentrows.migrate.missing_objects import Applied


@dataclass(frozen=True, slots=True)
class BlockedRollback:
    """A down file of an applied version that fails while these policies exist.

    `policies`: each policy with its table, such as `agentrows_owner on task`.
    """

    track: str
    file: str
    table: str
    column: str
    policies: tuple[str, ...]


async def find_blocked_rollbacks(
    db: asyncpg.Connection, applied: Iterable[Applied]
) -> tuple[BlockedRollback, ...]:
    """Return the down files of applied versions that drop a column which policies use."""
    blocked: list[BlockedRollback] = []
    for track in applied:
        files = {
            (split_table_name(table)[1], column): migration.down.label
            for migration in track.migrations
            for table, column in dropped_objects(migration.down)
            if column is not None
        }
        if not files:
            continue
        blocked += [
            BlockedRollback(
                track.known.track.name,
                files[row.table, row.column],
                row.table,
                row.column,
                tuple(row.policies),
            )
            for row in await find_policies_of_columns(
                db,
                schema=track.table_names.schema,
                table_names=[table for table, _ in files],
                column_names=[column for _, column in files],
            )
        ]
    return tuple(blocked)
