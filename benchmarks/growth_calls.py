"""Calls that must not become slower with the tables: every list, search and prune.

A page has 20 rows. *First* is the first page of an order, *middle* the page after the row in the
middle of the table; *crowd* and *small* are owners, see growth_rows.py. *Rare* is a filter that
finds 20 rows, all of them late in the order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from growth_rows import CROWD, GONE

from agentrows.gen import models

if TYPE_CHECKING:
    from agentrows import PostgresClient

Call = Callable[[], Awaitable[object]]

PAGE: Final = 20
SMALL: Final = "small-3"
RETENTION: Final = timedelta(days=365)


class Undo(Exception):
    """Ends a transaction so that its work is rolled back."""


async def calls(client: PostgresClient, size: int) -> dict[str, Call]:
    """Return the calls by name, for tables of this size; each was made once and found rows."""
    middle = Middle(client, size // 2 + 4)
    found = {
        **await _agents_and_tools(client, middle),
        **await _sessions(client, middle),
        **await _events_and_tasks(client, middle),
        **await _of_tasks_and_sessions(client, middle),
        **await _checkpoints(client, middle),
        **await _memories(client, middle),
        **_prunes(client),
    }
    for name, call in found.items():
        if not await call():
            raise RuntimeError(f"{name} found nothing")
    return found


class Middle:
    """Reads the row in the middle of a table, the start of a page."""

    def __init__(self, client: PostgresClient, number: int) -> None:
        self._db = client.db
        self.number = number

    async def row(
        self, model: type[Any], table: str, key: str, prefix: str = "", **other: object
    ) -> Any:
        """Return the row with the key of this prefix and number, and values of other tables."""
        value: object = f"{prefix}{self.number}" if prefix else self.number + 1
        row = await self._db.fetchrow(f"SELECT * FROM {table} WHERE {key} = $1", value)
        if row is None:
            raise RuntimeError(f"no {table} {value}")
        return model.model_construct(**row, **other)


async def _agents_and_tools(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    agent = await middle.row(models.Agent, "agent", "id", "a-")
    tool = await middle.row(models.Tool, "tool", "id", "tool-")
    server = await middle.row(models.ToolServer, "toolserver", "name", "server-")

    def tools(name: str, after: models.Tool | None = None) -> Call:
        return lambda: c.list_tools_for_server(name, group_kind="kind", limit=PAGE, after=after)

    return {
        "list_agents, first": lambda: c.list_agents(limit=PAGE),
        "list_agents, middle": lambda: c.list_agents(limit=PAGE, after=agent),
        "list_tools, first": lambda: c.list_tools(limit=PAGE),
        "list_tools, middle": lambda: c.list_tools(limit=PAGE, after=tool),
        "list_tools_for_server, crowd, first": tools("big"),
        "list_tools_for_server, crowd, middle": tools("big", tool),
        "list_tools_for_server, small": tools("server-3"),
        "list_tool_servers, first": lambda: c.list_tool_servers(limit=PAGE),
        "list_tool_servers, middle": lambda: c.list_tool_servers(limit=PAGE, after=server),
    }


async def _sessions(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    after = await middle.row(models.Session, "session", "id", "s-")
    found: dict[str, Call] = {}
    for order in ("activity", "created"):
        how: dict[str, Any] = {"limit": PAGE, "order": order}
        found |= {
            f"list_sessions by {order}, crowd, first": _bound(
                c.list_sessions, user_id=CROWD, **how
            ),
            f"list_sessions by {order}, crowd, middle": _bound(
                c.list_sessions, user_id=CROWD, after=after, **how
            ),
            f"list_sessions by {order}, small": _bound(c.list_sessions, user_id=SMALL, **how),
            f"list_sessions_for_agent by {order}, crowd, first": _bound(
                c.list_sessions_for_agent, "own-0", user_id=CROWD, **how
            ),
            f"list_sessions_for_agent by {order}, crowd, middle": _bound(
                c.list_sessions_for_agent, "own-0", user_id=CROWD, after=after, **how
            ),
            f"list_sessions_for_agent by {order}, crowd, rare": _bound(
                c.list_sessions_for_agent, "public", user_id=CROWD, **how
            ),
            f"list_sessions_for_agent by {order}, small": _bound(
                c.list_sessions_for_agent, "public", user_id=SMALL, **how
            ),
            f"list_sessions_for_agent_all_users by {order}, first": _bound(
                c.list_sessions_for_agent_all_users, "public", **how
            ),
            f"list_sessions_for_agent_all_users by {order}, middle": _bound(
                c.list_sessions_for_agent_all_users, "public", after=after, **how
            ),
        }
    return found


async def _events_and_tasks(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    event = await middle.row(models.Event, "event", "id", "e-")
    task = await middle.row(models.Task, "task", "id", "t-")

    def events(session: str, user: str, **how: Any) -> Call:
        return _bound(c.list_events_for_session, session, user_id=user, **how)

    def tasks(session: str, user: str, **how: Any) -> Call:
        return _bound(c.list_tasks_for_session, session, user_id=user, limit=PAGE, **how)

    return {
        "list_events, crowd, first": events("s-long", CROWD, limit=PAGE),
        "list_events, crowd, middle": events("s-long", CROWD, limit=PAGE, after=event),
        "list_events, crowd, newest first, middle": events(
            "s-long", CROWD, limit=PAGE, after=event, order="newest_first"
        ),
        "list_events, crowd, last 20": events("s-long", CROWD, last=PAGE),
        "list_events, crowd, short session": events("s-3", CROWD, limit=PAGE),
        "list_events, small": events("s-3", SMALL, limit=PAGE),
        "list_tasks, crowd, first": tasks("s-long", CROWD),
        "list_tasks, crowd, middle": tasks("s-long", CROWD, after=task),
        "list_tasks, small": tasks("s-3", SMALL),
        "list_tasks, small, in a session id that all users have": tasks("default", SMALL),
    }


async def _of_tasks_and_sessions(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    push = await middle.row(models.PushNotification, "push_notification", "id", "p-")
    share = await middle.row(models.SessionShare, "session_share", "id")
    feedback = await middle.row(models.Feedback, "feedback", "id", event_id=None, task_id=None)

    def configs(task: str, user: str, **how: Any) -> Call:
        return _bound(c.list_push_notifications, task, user_id=user, limit=PAGE, **how)

    def shares(session: str, user: str, **how: Any) -> Call:
        return _bound(c.list_session_shares_by_session, session, user_id=user, limit=PAGE, **how)

    return {
        "list_push_notifications, crowd, first": configs("t-0", CROWD),
        "list_push_notifications, crowd, middle": configs("t-0", CROWD, after=push),
        "list_push_notifications, small": configs("t-121", SMALL),
        "list_session_shares, crowd, first": shares("s-0", CROWD),
        "list_session_shares, crowd, middle": shares("s-0", CROWD, after=share),
        "list_session_shares, small": shares("s-121", SMALL),
        "list_feedback, crowd, first": lambda: c.list_feedback(user_id=CROWD, limit=PAGE),
        "list_feedback, crowd, middle": lambda: c.list_feedback(
            user_id=CROWD, limit=PAGE, after=feedback
        ),
        "list_feedback, small": lambda: c.list_feedback(user_id=SMALL, limit=PAGE),
    }


async def _checkpoints(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    before = f"{middle.number:020}"

    def page(thread: str, user: str, **how: Any) -> Call:
        return _bound(c.list_checkpoints, thread, user_id=user, limit=PAGE, **how)

    return {
        "list_checkpoints, crowd, first": page("long", CROWD),
        "list_checkpoints, crowd, middle": page("long", CROWD, before=before),
        "list_checkpoints, small": page("thread-3", SMALL),
        "list_checkpoints by metadata, crowd, first": page(
            "long", CROWD, metadata={"source": "loop"}
        ),
        "list_checkpoints by metadata, crowd, middle": page(
            "long", CROWD, metadata={"source": "loop"}, before=before
        ),
        "list_checkpoints by metadata, crowd, rare, thread of 250": page(
            "filtered", CROWD, metadata={"source": "input"}
        ),
        "list_checkpoints by metadata, small": page("thread-3", SMALL, metadata={"source": "loop"}),
        "get_checkpoint, crowd, newest": lambda: c.get_checkpoint("long", user_id=CROWD),
    }


async def _memories(c: PostgresClient, middle: Middle) -> dict[str, Call]:
    after = await middle.row(models.Memory, "memory", "id", "m-")

    def memories(agent: str, user: str, **how: Any) -> Call:
        return _bound(c.list_agent_memories, agent_name=agent, user_id=user, limit=PAGE, **how)

    def search(text: str, user: str) -> Call:
        return _bound(c.search_crewai_memory_by_task, text, user_id=user, limit=PAGE)

    return {
        "list_agent_memories, crowd, first": memories("travel-agent", CROWD),
        "list_agent_memories, crowd, middle": memories("travel-agent", CROWD, after=after),
        "list_agent_memories, crowd, rare": memories("rare-agent", CROWD),
        "list_agent_memories, small": memories("travel-agent", SMALL),
        "search_crewai_memory, crowd": search("rome", CROWD),
        "search_crewai_memory, small": search("rome", SMALL),
        "find_crewai_flow_state": lambda: c.find_crewai_flow_state("flow-3", user_id=SMALL),
    }


def _prunes(c: PostgresClient) -> dict[str, Call]:
    async def sessions() -> bool:
        with contextlib.suppress(Undo):
            async with c.transaction() as tx:
                pruned = await tx.prune_expired_sessions(RETENTION)
                _check(pruned.sessions)
                raise Undo
        return True

    async def memories() -> bool:
        with contextlib.suppress(Undo):
            async with c.transaction() as tx:
                _check((await tx.prune_expired_memories()).deleted)
                raise Undo
        return True

    return {
        "prune_expired_sessions": sessions,
        "prune_expired_sessions, dry run": _bound(
            c.prune_expired_sessions, RETENTION, dry_run=True
        ),
        "prune_expired_memories": memories,
    }


def _check(pruned: int) -> None:
    if pruned != GONE:
        raise RuntimeError(f"{pruned} rows were pruned, not {GONE}")


def _bound(method: Callable[..., Awaitable[object]], *args: object, **how: object) -> Call:
    """Return a call of the method with these arguments."""
    return lambda: method(*args, **how)
