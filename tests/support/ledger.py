"""What callers were told of their writes, to be compared with what the tables hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from agentrows import AgentRowsError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    Outcome = Literal["acknowledged", "unknown", "refused"]

T = TypeVar("T")
Row = tuple[str, str]
"""A table, and what a row of it is known by."""

KEYS: Final = {
    "agent": "id",
    "session": "id",
    "session_share": "session_id",
    "event": "id",
    "task": "id",
    "push_notification": "id",
    "feedback": "feedback_text",
    "tool": "id",
    "toolserver": "name",
    "lg_checkpoint": "checkpoint_id",
    "lg_checkpoint_write": "checkpoint_id || '/' || (write_idx & 1048575) - 16",
    "crewai_agent_memory": "thread_id",
    "crewai_flow_state": "thread_id",
    "memory": "id",
}


class Write(NamedTuple):
    """One call that writes rows, all or none of them, and what its caller was told."""

    rows: frozenset[Row]
    is_repeatable: bool
    outcome: Outcome
    error: AgentRowsError | None


@dataclass(slots=True)
class Ledger:
    """Every write of a test."""

    writes: list[Write] = field(default_factory=list[Write])

    async def once(self, call: Callable[[], Awaitable[T]], *rows: Row) -> T | None:
        """Make a call that must not happen twice, and note what it said: done, unknown or not.

        Every error but OutcomeUnknown says that nothing happened.
        """
        return await self._note(call, rows, is_repeatable=False)

    async def repeatable(self, call: Callable[[], Awaitable[T]], *rows: Row) -> T | None:
        """Make a call that does no harm twice: an error does not say whether it happened."""
        return await self._note(call, rows, is_repeatable=True)

    async def _note(
        self, call: Callable[[], Awaitable[T]], rows: tuple[Row, ...], *, is_repeatable: bool
    ) -> T | None:
        try:
            result = await call()
        except AgentRowsError as error:
            is_unknown = is_repeatable or isinstance(error, OutcomeUnknown)
            outcome: Outcome = "unknown" if is_unknown else "refused"
            self.writes.append(Write(frozenset(rows), is_repeatable, outcome, error))
            return None
        self.writes.append(Write(frozenset(rows), is_repeatable, "acknowledged", None))
        return result

    def count(self, outcome: Outcome) -> int:
        """Return how many writes ended so."""
        return sum(write.outcome == outcome for write in self.writes)

    def errors(self) -> Counter[str]:
        """Return how often each error was raised."""
        return Counter(type(write.error).__name__ for write in self.writes if write.error)

    async def check(self, db: asyncpg.Connection) -> None:
        """Hold the tables against what the callers were told.

        Acknowledged: there, once. Unknown: there once or not at all, whole. Refused: not there.
        Nothing else is there.
        """
        stored = await _stored(db)
        for write in self.writes:
            counts = {stored.pop(row, 0) for row in write.rows}
            allowed = {"acknowledged": ({1},), "unknown": ({0}, {1}), "refused": ({0},)}
            assert counts in allowed[write.outcome], f"{counts} times: {write}"
        assert not stored, f"nobody wrote these: {stored}"


async def _stored(db: asyncpg.Connection) -> Counter[Row]:
    found: Counter[Row] = Counter()
    for table, key in KEYS.items():
        for name in await db.fetch(f"SELECT {key} FROM {table}"):  # noqa: S608
            found[table, name[0]] += 1
    return found
