"""Agents: one row each, visible to every user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import Conflict, NotFound
from agentrows.gen import agents as queries
from agentrows.gen.models import Agent
from agentrows.stores._pages import OLDEST, Page, PageOrder, Pages
from agentrows.stores._requirements import AGENTS, require
from agentrows.validation import (
    UNSET,
    check_id,
    check_json,
    check_jsonb_object,
    check_limit,
    check_text,
    is_set,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentrows.db.executor import Executor
    from agentrows.gen.pgjson import JsonLike
    from agentrows.validation import Unset

BY_TIME: Final = PageOrder(Agent, ("created_at", "id"), OLDEST)


@dataclass(frozen=True)
class AgentStore:
    """Store of agents, which have no owner: every user sees all of them."""

    db: Executor

    async def store_agent(
        self,
        id: str,
        *,
        type: str,
        config: JsonLike | Unset = UNSET,
        workload_type: str | Unset = UNSET,
    ) -> Agent:
        """Store an agent under its id and return it.

        An argument left out keeps the stored value; a new agent has no config and the workload
        type `deployment`. A deleted agent is restored. If the stored agent is the same already,
        nothing is written, and `updated_at` stays.
        """
        require(self.db, AGENTS)
        check_id("id", id)
        if config is not UNSET:
            check_json("config", config)
        while True:
            agent = await queries.upsert_agent(
                self.db.repeatable,
                id=id,
                type=check_text("type", type),
                set_config=is_set(config),
                config=None if config is UNSET else config,
                workload_type=None
                if workload_type is UNSET
                else check_text("workload_type", workload_type),
            )
            # No row: the stored agent is equal and is read, or it was deleted and is stored again.
            agent = agent or await queries.get_agent(self.db.repeatable, id=id)
            if agent is not None:
                return agent

    async def update_agent_config(self, id: str, *, patch: Mapping[str, JsonLike]) -> Agent:
        """Merge a JSON object into the config of an agent and return the agent.

        Each key of `patch` replaces the whole value of the same key, nested objects included, and
        the other keys stay; None stores null and removes no key. An agent without a config gets
        the object. Concurrent patches of different keys are all kept. The config is
        stored in the order of keys that jsonb has.

        Raises:
            NotFound: no agent has this id, or it is deleted.
            Conflict: the stored config is no JSON object; replace it with `store_agent`.

        """
        require(self.db, AGENTS)
        check_id("id", id)
        check_jsonb_object("patch", patch)
        agent = await queries.update_agent_config(self.db.repeatable, id=id, patch=patch)
        if agent is not None:
            return agent
        if await queries.get_agent(self.db.repeatable, id=id) is None:
            raise NotFound(f"no agent {id!r}")
        raise Conflict(f"the config of agent {id!r} is no JSON object: use store_agent")

    async def get_agent(self, id: str) -> Agent:
        """Return an agent.

        Raises:
            NotFound: no agent has this id, or it is deleted.

        """
        require(self.db, AGENTS)
        agent = await queries.get_agent(self.db.repeatable, id=check_id("id", id))
        if agent is None:
            raise NotFound(f"no agent {id!r}")
        return agent

    async def list_agents(
        self, *, limit: int | None = None, after: Agent | str | None = None
    ) -> Page[Agent]:
        """Return all agents, oldest first.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        require(self.db, AGENTS)
        pages = Pages(self.db, "list_agents", BY_TIME, {})
        after_time, after_id = pages.start(after)
        agents = await queries.list_agents(
            self.db.repeatable,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(agents, limit)

    async def delete_agent(self, id: str) -> bool:
        """Mark an agent as deleted; return whether it existed. `store_agent` restores it."""
        return await queries.delete_agent(self.db.repeatable, id=check_id("id", id)) > 0
