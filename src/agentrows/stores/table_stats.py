"""Table statistics: sizes, estimated rows and ages of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.gen import table_stats as queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import TableStats

OLDEST_BY_INDEX: Final[Mapping[str, Callable[[DBTX], Awaitable[datetime | None]]]] = {
    "agentrows_session_last_used": queries.find_oldest_session,
    "agentrows_feedback_age": queries.find_oldest_feedback,
    "agentrows_feedback_key_age": queries.find_oldest_feedback_key,
    "agentrows_feedback_target_created": queries.find_oldest_feedback_target,
    "agentrows_task_event_created": queries.find_oldest_task_event,
    "idx_crewai_flow_state_list": queries.find_oldest_flow_state,
    "idx_crewai_memory_list": queries.find_oldest_crew_memory,
    "idx_lgcp_list": queries.find_oldest_checkpoint,
}
"""The query for the oldest row of a table, by the index that it reads."""


@dataclass(frozen=True)
class TableStatsStore:
    """Store of the server's statistics about the tables."""

    db: Executor

    async def table_stats(self) -> list[TableStats]:
        """Return the size, the estimated rows and the oldest row of each table, largest first.

        The tables are those in the schema of the sessions, the application's included. Rows are
        not counted: `live_rows` and `dead_rows` are estimates of the server's statistics. The
        oldest row is read from an index on its time, of sessions, feedback with its keys and links,
        checkpoints, CrewAI rows and events of tasks; where policies apply to the role, it is the
        oldest of the visible rows.

        A table that another session locks against readers is not waited for: `is_locked` is True,
        its sizes are those of the last VACUUM or ANALYZE, and `oldest_row` is None.
        """
        return [
            await self._with_oldest_row(table)
            for table in await queries.list_table_stats(self.db.repeatable)
        ]

    async def _with_oldest_row(self, table: TableStats) -> TableStats:
        if table.age_index is None or table.is_locked:
            return table
        oldest = await OLDEST_BY_INDEX[table.age_index](self.db.repeatable)
        return table.model_copy(update={"oldest_row": oldest})
