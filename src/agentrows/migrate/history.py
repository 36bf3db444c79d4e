"""The history of a database: the moves of its tracks, from the history tables of the runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from agentrows.migrate import ledger, server
from agentrows.migrate.plan import NOTHING, external_move
from agentrows.migrate.status import read_states

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agentrows.db.sources import Connection
    from agentrows.migrate.ledger import HistoryRow
    from agentrows.migrate.plan import Direction
    from agentrows.migrate.status import State
    from agentrows.migrate.track import LoadedTrack

Outcome = Literal["applied", "healed", "rebuilt", "started", "forced", "external"]
ANOTHER_TOOL: Final = "another tool"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A move of a track to a version.

    `version`: the version of the track afterwards, 0 for none.
    `outcome`: `applied`; `healed`, if it was run again after an interruption; `rebuilt`, if an
    applied file was run again because its index was missing; `started`, for the start of a file
    without a transaction; `forced`, by `migrate force`; `external`, by another tool.
    `file`: None for a forced and for an external move.
    `finished_at`: for an external move, the time at which agentrows recorded it; None if it has not
    been recorded. `started_at` and `duration_s` are None for a move without a file.
    `role`: the database role that ran the file; None for an external move.
    `tool`: agentrows with its version, or "another tool".
    """

    track: str
    version: int
    direction: Direction
    outcome: Outcome
    file: str | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    role: str | None
    tool: str


async def read_history(
    db: Connection, loaded: Sequence[LoadedTrack], *, track: str | None = None
) -> tuple[HistoryEntry, ...]:
    """Return the moves of every track, or of one, oldest first.

    A move of another tool that agentrows has not recorded yet is at the end.
    """
    states = await read_states(db, loaded, await server.read_session(db))
    chosen = [state for state in states if track in (None, state.known.track.name)]
    rows = await ledger.read_history(db, [state.table_names for state in chosen])
    entries = [_to_entry(chosen[number], row) for number, row in rows]
    entries.sort(key=lambda pair: pair[0])
    unrecorded = [entry for state in chosen if (entry := _unrecorded_move(state)) is not None]
    return (*(entry for _, entry in entries), *unrecorded)


def _to_entry(state: State, row: HistoryRow) -> tuple[datetime, HistoryEntry]:
    is_external = row.outcome == "external"
    entry = HistoryEntry(
        track=state.known.track.name,
        version=max(row.version, 0),
        direction=row.direction,
        outcome=cast("Outcome", row.outcome),
        file=row.file,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_s=row.duration_s,
        role=None if is_external else row.applied_by,
        tool=ANOTHER_TOOL if is_external else f"agentrows {row.library_version}",
    )
    return row.finished_at, entry


def _unrecorded_move(state: State) -> HistoryEntry | None:
    version = external_move(state.row, state.history)
    if version is None:
        return None
    recorded = state.history[-1].version if state.history else NOTHING
    return HistoryEntry(
        track=state.known.track.name,
        version=max(version, 0),
        direction="up" if version > recorded else "down",
        outcome="external",
        file=None,
        started_at=None,
        finished_at=None,
        duration_s=None,
        role=None,
        tool=ANOTHER_TOOL,
    )
