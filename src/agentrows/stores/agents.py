"""Agents: one row each, known to every user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.errors import NotFound
from agentrows.gen import agents as queries
from agentrows.gen.models import Agent
from agentrows.stores._requirements import needs
from agentrows.validation import (
    OLDEST,
    UNSET,
    check_after,
    check_id,
    check_json,
    check_limit,
    check_text,
    given,
    page_after,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.validation import Unset


@dataclass(frozen=True)
class AgentStore:
    """The agents of a platform."""

    db: Executor

    async def store_agent(
        self,
        id: str,
        *,
        type: str,
        config: JsonValue | Unset = UNSET,
        workload_type: str | Unset = UNSET,
    ) -> Agent:
        """Store an agent under its id and return it; a deleted one comes back.

        An argument left out keeps the stored value (a new agent has no config, and the workload
        type `deployment`). If nothing changes, nothing is written, `updated_at` included.
        """
        needs(self.db, "core", 3)
        check_id("id", id)
        if config is not UNSET:
            check_json("config", config)
        while True:
            agent = await queries.upsert_agent(
                self.db.repeatable,
                id=id,
                type=check_text("type", type),
                set_config=given(config),
                config=None if config is UNSET else config,
                workload_type=None
                if workload_type is UNSET
                else check_text("workload_type", workload_type),
            )
            # No row: it is stored just so already, unless somebody deletes it before we look.
            agent = agent or await queries.get_agent(self.db.repeatable, id=id)
            if agent is not None:
                return agent

    async def get_agent(self, id: str) -> Agent:
        """Return an agent; raise NotFound if there is none, or it is deleted."""
        needs(self.db, "core", 3)
        agent = await queries.get_agent(self.db.repeatable, id=check_id("id", id))
        if agent is None:
            raise NotFound(f"no agent {id!r}")
        return agent

    async def list_agents(
        self, *, limit: int | None = None, after: Agent | None = None
    ) -> list[Agent]:
        """Return agents, oldest first, at most `limit`; a page goes on `after` its last row."""
        needs(self.db, "core", 3)
        check_after(after, Agent, "id")
        after_time, after_id = page_after(after.created_at, after.id) if after else OLDEST
        return await queries.list_agents(
            self.db.repeatable,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )

    async def delete_agent(self, id: str) -> bool:
        """Mark an agent as deleted; say whether there was one."""
        return await queries.delete_agent(self.db.repeatable, id=check_id("id", id)) > 0
