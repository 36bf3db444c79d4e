"""The losses of a downgrade: tables with rows that down files drop, and columns of such tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.migrate import relations, server
from agentrows.migrate.index_statements import dropped_objects
from agentrows.migrate.status import read_states
from agentrows.migrate.table_names import split_table_name
from agentrows.migrate.work import decide

if TYPE_CHECKING:
    from agentrows.db.sources import Connection
    from agentrows.migrate.track import LoadedTrack


@dataclass(frozen=True, slots=True)
class Loss:
    """A table with rows, or a column of such a table, that a down file drops."""

    file: str
    table: str
    column: str | None = None

    def __str__(self) -> str:
        """Return the form of a question: the table event, or the column user_id of task."""
        name = f"the table {self.table}"
        return name if self.column is None else f"the column {self.column} of {self.table}"


async def find_losses(
    db: Connection, known: LoadedTrack, *, version: int | None, count: int
) -> tuple[Loss, ...]:
    """Return the tables with rows, and their columns, that a downgrade drops, in its order.

    The target is a version, or without one `count` versions below the applied one.

    It is read from the text of the files: statements in a DO block are not recognized.
    """
    (state,) = await read_states(db, [known], await server.read_session(db))
    target = max(state.version - count, 0) if version is None else version
    losses: list[Loss] = []
    lost: set[tuple[str, str]] = set()
    for step in decide(state, target).steps:
        if step.direction == "up":
            continue
        for written, column in dropped_objects(step.file):
            schema, table = split_table_name(written)
            key = (schema or state.table_names.schema, table)
            if key in lost or not await relations.has_rows(db, *key):
                continue
            losses.append(Loss(step.file.label, table, column))
            if column is None:
                lost.add(key)
    return tuple(losses)
