"""The losses of a downgrade: rows that down files delete with their table or column, or alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.migrate import relations, server
from agentrows.migrate.index_statements import dropped_containers, dropped_objects, emptied_tables
from agentrows.migrate.status import read_states
from agentrows.migrate.table_names import split_table_name
from agentrows.migrate.work import decide

if TYPE_CHECKING:
    from agentrows.db.sources import Connection
    from agentrows.migrate.status import State
    from agentrows.migrate.track import File, LoadedTrack


@dataclass(frozen=True, slots=True)
class Loss:
    """A table with rows that a down file drops, a column of such a table, or rows of it.

    `table`: with its schema if that is not the schema of the track. `is_kept`: the file deletes
    rows with DELETE or TRUNCATE, and the table stays.
    """

    file: str
    table: str
    column: str | None = None
    is_kept: bool = False

    def __str__(self) -> str:
        """Return the form of a question: the table event, or the column user_id of task."""
        name = f"the table {self.table}"
        return name if self.column is None else f"the column {self.column} of {self.table}"

    def describe(self) -> str:
        """Return a sentence: the file, and the rows that it deletes."""
        if self.is_kept:
            return f"{self.file} deletes rows of {self}"
        return f"{self.file} drops {self}, which has rows"


async def find_losses(
    db: Connection, known: LoadedTrack, *, version: int | None, count: int
) -> tuple[Loss, ...]:
    """Return the tables with rows, and their columns, that a downgrade drops, in its order.

    The target is a version, or without one `count` versions below the applied one. Tables of which
    the files delete rows are included, with those that TRUNCATE … CASCADE empties besides, and the
    tables and columns that DROP SCHEMA, EXTENSION, TYPE and DOMAIN drop with CASCADE.

    It is read from the text of the files: statements in a DO block are not recognized. Views and
    materialized views have no rows of their own; a new type of a column keeps the rows.
    """
    (state,) = await read_states(db, [known], await server.read_session(db))
    target = max(state.version - count, 0) if version is None else version
    losses: list[Loss] = []
    lost: set[str] = set()
    for step in decide(state, target).steps:
        if step.direction == "up":
            continue
        for schema, table, column, is_kept in await _find_targets(db, state, step.file):
            name = table if schema == state.table_names.schema else f"{schema}.{table}"
            if name in lost or not await relations.has_rows(db, schema, table):
                continue
            losses.append(Loss(step.file.label, name, column, is_kept))
            if column is None:
                lost.add(name)
    return tuple(dict.fromkeys(losses))


async def _find_targets(
    db: Connection, state: State, file: File
) -> list[tuple[str, str, str | None, bool]]:
    """Return the schema, table and column of each target of a file, and whether the table stays."""
    home = state.table_names.schema
    targets: list[tuple[str, str, str | None, bool]] = []
    for name, column in dropped_objects(file):
        schema, table = split_table_name(name)
        targets.append((schema or home, table, column, False))
    for name, is_cascade in emptied_tables(file):
        schema, table = split_table_name(name)
        targets.append((schema or home, table, None, True))
        if is_cascade:
            referencing = await relations.find_referencing(db, schema or home, table)
            targets += [(*row, None, True) for row in referencing]
    for kind, name in dropped_containers(file):
        schema, part = split_table_name(name)
        contents = await relations.find_contents(db, kind, schema or home, part)
        targets += [(*row, False) for row in contents]
    # A table that is dropped as well is named once, as dropped.
    return sorted(targets, key=lambda target: target[3])
