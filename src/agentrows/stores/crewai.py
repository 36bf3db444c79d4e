"""CrewAI: the long-term memory of a crew and the states of its flows, by user and thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.gen import crewai as queries
from agentrows.validation import check_id, check_limit, check_text

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import CrewAIFlowState, CrewAIMemory


@dataclass(frozen=True)
class CrewAIStore:
    """Store of the memories and the flow states of users' crews."""

    db: Executor

    async def store_crewai_memory(
        self, thread_id: str, *, user_id: str, memory_data: str
    ) -> CrewAIMemory:
        """Store the memory of a thread and return it.

        A stored memory of the thread is replaced, and a deleted one is restored. `memory_data` is
        JSON text with the keys `task_description` and `score`, by which it is searched.
        """
        return await queries.upsert_crewai_memory(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            memory_data=check_text("memory_data", memory_data),
        )

    async def search_crewai_memory_by_task(
        self,
        task_description: str,
        *,
        user_id: str,
        thread_id: str | None = None,
        limit: int | None = None,
    ) -> list[CrewAIMemory]:
        """Return a user's memories that contain a text in their task description.

        Newest first, then lowest `score` first. At most `limit` rows, or all with None. The text is
        literal and matches in any case. If `memory_data` is not JSON, its whole text is searched.
        Needs PostgreSQL 16 or later.
        """
        check_text("task_description", task_description)
        check_id("user_id", user_id)
        check_limit("limit", limit)
        if thread_id is None:
            return await queries.search_crewai_memory_by_task(
                self.db.repeatable,
                task_description=task_description,
                user_id=user_id,
                limit=limit,
            )
        memory = await queries.search_crewai_memory_of_thread(
            self.db.repeatable,
            task_description=task_description,
            user_id=user_id,
            thread_id=check_id("thread_id", thread_id),
        )
        return [] if memory is None else [memory]

    async def reset_crewai_memory(self, thread_id: str, *, user_id: str) -> bool:
        """Mark the memory of a thread as deleted; return whether it existed."""
        deleted = await queries.delete_crewai_memory(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
        )
        return deleted > 0

    async def store_crewai_flow_state(
        self, thread_id: str, *, user_id: str, method_name: str, state_data: str
    ) -> CrewAIFlowState:
        """Store the state of a flow after one of its methods and return it.

        A stored state of the same method is replaced, and a deleted one is restored.
        """
        return await queries.upsert_crewai_flow_state(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            method_name=check_id("method_name", method_name),
            state_data=check_text("state_data", state_data),
        )

    async def find_crewai_flow_state(
        self, thread_id: str, *, user_id: str
    ) -> CrewAIFlowState | None:
        """Return the most recently stored state of a flow, or None."""
        return await queries.find_latest_crewai_flow_state(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
        )
