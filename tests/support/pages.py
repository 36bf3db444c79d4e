"""Every list with pages: rows to fill it, a call, and calls of other lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentrows import NewMemory, NewTool, Vector
from support.stores import event, towards

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows import Page, PostgresClient

    ListPage = Callable[[PostgresClient, int | None, str | None], Awaitable[Page[Any]]]

LISTS: Final[dict[str, ListPage]] = {
    "list_app_sessions": lambda c, n, after: c.list_app_sessions(
        user_id="mira", app_name="travel", limit=n, after=after
    ),
    "list_app_sessions_all_users": lambda c, n, after: c.list_app_sessions_all_users(
        "travel", limit=n, after=after
    ),
    "list_agents": lambda c, n, after: c.list_agents(limit=n, after=after),
    "list_agent_memories": lambda c, n, after: c.list_agent_memories(
        agent_name="travel", user_id="mira", limit=n, after=after
    ),
    "list_events_for_session": lambda c, n, after: c.list_events_for_session(
        "s-1", user_id="mira", limit=n, after=after
    ),
    "list_feedback": lambda c, n, after: c.list_feedback(user_id="mira", limit=n, after=after),
    "list_push_notifications": lambda c, n, after: c.list_push_notifications(
        "t-1", user_id="mira", limit=n, after=after
    ),
    "list_session_shares_by_session": lambda c, n, after: c.list_session_shares_by_session(
        "s-1", user_id="mira", limit=n, after=after
    ),
    "list_sessions": lambda c, n, after: c.list_sessions(user_id="mira", limit=n, after=after),
    "list_sessions_for_agent": lambda c, n, after: c.list_sessions_for_agent(
        "travel", user_id="mira", limit=n, after=after
    ),
    "list_sessions_for_agent_all_users": lambda c, n, after: c.list_sessions_for_agent_all_users(
        "travel", limit=n, after=after
    ),
    "list_tasks_for_session": lambda c, n, after: c.list_tasks_for_session(
        "s-1", user_id="mira", limit=n, after=after
    ),
    "list_threads": lambda c, n, after: c.list_threads(user_id="mira", limit=n, after=after),
    "list_tool_servers": lambda c, n, after: c.list_tool_servers(limit=n, after=after),
    "list_tools": lambda c, n, after: c.list_tools(limit=n, after=after),
    "list_tools_for_server": lambda c, n, after: c.list_tools_for_server(
        "maps", group_kind="MCP", limit=n, after=after
    ),
}
"""A list of the rows of `fill`, five each."""
NEEDS_16: Final[dict[str, ListPage]] = {
    "list_tasks": lambda c, n, after: c.list_tasks(user_id="mira", limit=n, after=after),
}
"""Lists that need PostgreSQL 16 or later."""
VARIANTS: Final[dict[str, ListPage]] = {
    "list_app_sessions": lambda c, n, after: c.list_app_sessions(
        user_id="juno", app_name="travel", limit=n, after=after
    ),
    "list_app_sessions_all_users": lambda c, n, after: c.list_app_sessions_all_users(
        "food", limit=n, after=after
    ),
    "list_agent_memories": lambda c, n, after: c.list_agent_memories(
        agent_name="food", user_id="mira", limit=n, after=after
    ),
    "list_events_for_session": lambda c, n, after: c.list_events_for_session(
        "s-1", user_id="mira", limit=n, after=after, order="newest_first"
    ),
    "list_feedback": lambda c, n, after: c.list_feedback(user_id="juno", limit=n, after=after),
    "list_push_notifications": lambda c, n, after: c.list_push_notifications(
        "t-2", user_id="mira", limit=n, after=after
    ),
    "list_session_shares_by_session": lambda c, n, after: c.list_session_shares_by_session(
        "s-2", user_id="mira", limit=n, after=after
    ),
    "list_sessions": lambda c, n, after: c.list_sessions(
        user_id="mira", limit=n, after=after, order="created"
    ),
    "list_sessions_for_agent": lambda c, n, after: c.list_sessions_for_agent(
        "travel", user_id="juno", limit=n, after=after
    ),
    "list_sessions_for_agent_all_users": lambda c, n, after: c.list_sessions_for_agent_all_users(
        "food", limit=n, after=after
    ),
    "list_tasks": lambda c, n, after: c.list_tasks(
        user_id="mira", states=["working"], limit=n, after=after
    ),
    "list_tasks_for_session": lambda c, n, after: c.list_tasks_for_session(
        "s-1", user_id="juno", limit=n, after=after
    ),
    "list_threads": lambda c, n, after: c.list_threads(user_id="juno", limit=n, after=after),
    "list_tools_for_server": lambda c, n, after: c.list_tools_for_server(
        "maps", group_kind="Other", limit=n, after=after
    ),
}
"""The same lists with another user, filter or order."""
PAGES_BEFORE: Final = {"list_items": "its pages go backwards, with the argument `before`"}
WITHOUT_PAGES: Final = {
    "list_channel_history": "the ancestors of one checkpoint",
    "list_checkpoint_digests": "compares a batch of an import",
    "list_checkpoints": "its position is the id of a checkpoint, which LangGraph passes",
    "list_histories": "Pydantic AI lists conversations by a limit alone",
    "list_history_entries": "the messages before one",
    "list_push_configs": "the webhooks of one task",
    "list_push_configs_all_users": "the webhooks of one task",
    "list_store_items": "items by their keys",
    "list_store_namespaces": "LangGraph pages by an offset",
    "list_task_events_all_users": "its position is the version of a task",
    "list_thread_checkpoints": "its position is the id of a checkpoint, which LangGraph passes",
    "list_thread_heads": "one row per namespace of a thread",
    "list_transcript_entries": "its position is that of an entry",
    "list_transcript_subpaths": "the subagents of one session",
    "list_transcripts": "the Claude Agent SDK lists all sessions of a project at once",
    "list_uncovered_tables": "the names of tables",
    "list_write_digests": "compares a batch of an import",
}
"""The lists without pages, and why they have none."""


async def fill(client: PostgresClient) -> None:
    """Store five rows for every list."""
    for n in range(1, 6):
        await client.store_agent(f"a-{n}", type="BYO")
        await client.store_session(f"s-{n}", user_id="mira", agent_id="travel")
        await client.create_session_share("s-1", user_id="mira")
        await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
        await client.store_task(f"t-{n}", user_id="mira", session_id="s-1", data="{}")
        await client.store_push_notification(f"p-{n}", task_id="t-1", user_id="mira", data="{}")
        await client.store_checkpoint(
            f"thread-{n}",
            user_id="mira",
            checkpoint_id="c-1",
            checkpoint="e30=",
            checkpoint_type="json",
            metadata={},
        )
        await client.store_tool_server(f"maps-{n}", group_kind="MCP")
    await client.refresh_tools_for_server(
        "maps", group_kind="MCP", tools=[NewTool(id=f"tool-{n}") for n in range(5)]
    )
    await client.store_events([event(f"e-{n}") for n in range(5)])
    await client.store_agent_memories(
        [
            NewMemory(
                id=f"m-{n}",
                agent_name="travel",
                user_id="mira",
                content="",
                embedding=Vector(towards(1, n)),
            )
            for n in range(5)
        ]
    )
