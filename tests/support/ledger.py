"""The results of writes as their callers got them, to be compared with the tables."""

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
"""A table and the key of its rows."""

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
    """One call that writes rows, all or none of them, and its result for the caller."""

    rows: frozenset[Row]
    is_repeatable: bool
    outcome: Outcome
    error: AgentRowsError | None


@dataclass(slots=True)
class Ledger:
    """Every write of a test."""

    writes: list[Write] = field(default_factory=list[Write])

    async def once(self, call: Callable[[], Awaitable[T]], *rows: Row) -> T | None:
        """Make a call that must not run twice, and record its result: done, unknown or not done.

        Every error except OutcomeUnknown means that nothing happened.
        """
        return await self._note(call, rows, is_repeatable=False)

    async def repeatable(self, call: Callable[[], Awaitable[T]], *rows: Row) -> T | None:
        """Make a call that may run twice: an error does not show whether it happened."""
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
        """Return the number of writes with this result."""
        return sum(write.outcome == outcome for write in self.writes)

    def errors(self) -> Counter[str]:
        """Return the number of each error."""
        return Counter(type(write.error).__name__ for write in self.writes if write.error)

    async def check(self, db: asyncpg.Connection) -> None:
        """Compare the tables with the results of the callers.

        An acknowledged row exists once. An unknown one exists once, complete, or not at all. A
        refused one does not exist, and there are no other rows.
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
