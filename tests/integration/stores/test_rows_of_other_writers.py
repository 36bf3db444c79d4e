"""Rows written by a Go controller on the same database, and rows that it reads.

Rows of an older release have no owner and no protocol version; rows of an ORM have NULL times.
Every release writes the raw index of a checkpoint write, base64 in text columns, and `_` in place
of `-` in names of agents.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from agentrows import NewCheckpointWrite, NewEvent, NewTool
from support.stores import EARLY, towards

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from agentrows import PostgresClient

    Read = Callable[[PostgresClient], Awaitable[Any]]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LIFE: Final = "created_at, updated_at"
THREAD: Final = "user_id, thread_id"
STEPS: Final = f"{THREAD}, checkpoint_ns, checkpoint_id"
CHECKPOINT: Final = (
    f"({STEPS}, parent_checkpoint_id, metadata, checkpoint, checkpoint_type, {LIFE})"
)
WRITE: Final = f"({STEPS}, write_idx, value, value_type, channel, task_id, {LIFE})"
PACKED: Final = encoded("\x81\xa1v\x04")
FIRST_STEP: Final = encoded('{"step": 1}')
SIMILAR: Final = f"[{','.join(map(str, towards(1, 0.5)))}]"
ROWS: Final = (
    (
        f"agent (id, type, config, {LIFE}) VALUES ('kagent__NS__travel_agent', 'Declarative', "
        f"'{{\"name\": \"x\"}}', $1, $1), ('no-time', 'BYO', NULL, NULL, NULL)"
    ),
    (
        f"session (id, user_id, name, agent_id, source, {LIFE}) VALUES "
        "('s-1', 'mira', NULL, 'kagent__NS__travel_agent', NULL, $1, $1), "
        "('s-2', 'mira', 'By an agent', 'kagent__NS__travel_agent', 'agent', $1, $1), "
        "('s-0', 'mira', 'Old', 'kagent__NS__travel_agent', 'user', NULL, NULL)"
    ),
    (
        f"event (id, user_id, session_id, data, {LIFE}) VALUES "
        "('e-1', 'mira', 's-1', '{\"parts\":[]}', $1, $1), "
        "('e-0', 'mira', 's-1', '{}', NULL, NULL)"
    ),
    (
        f"task (id, data, session_id, {LIFE}, protocol_version, user_id) VALUES "
        "('k-2', '{\"id\":\"k-2\"}', 's-1', $1, $1, '1.0', 'mira'), "
        "('k-1', '{\"id\":\"k-1\"}', 's-1', $1, $1, '0.3', NULL), "
        "('k-9', '{}', 's-9', $1, $1, NULL, NULL)"
    ),
    (
        f"push_notification (id, task_id, data, {LIFE}, protocol_version) VALUES "
        "('c-1', 'k-2', '{\"url\":\"u\"}', $1, $1, '1.0'), ('c-0', 'k-2', '{}', NULL, NULL, NULL)"
    ),
    (
        f"feedback (user_id, message_id, is_positive, feedback_text, issue_type, {LIFE}) VALUES "
        "('mira', 7, false, 'Wrong.', 'factual', $1, $1), "
        "('mira', NULL, true, '', NULL, NULL, NULL), "
        "('mira', NULL, false, 'x', 'of a later release', $1, $1)"
    ),
    (
        f"tool (id, server_name, group_kind, description, {LIFE}) VALUES "
        "('route', 'ns/maps', 'RemoteMCPServer.kagent.dev', 'Finds.', $1, $1), "
        "('k8s_get', 'ns/maps', 'RemoteMCPServer.kagent.dev', NULL, NULL, NULL)"
    ),
    (
        f"toolserver (name, group_kind, description, last_connected, {LIFE}) VALUES "
        "('ns/maps', 'RemoteMCPServer.kagent.dev', '', $1, $1, $1), "
        "('old', 'X', NULL, NULL, NULL, NULL)"
    ),
    (
        f"lg_checkpoint {CHECKPOINT} VALUES "
        f"('mira', 't-1', '', 'p-1', '', '{FIRST_STEP}', '{PACKED}', 'msgpack', $1, $1), "
        f"('mira', 't-1', '', 'p-0', NULL, 'not base64', '', 'json', NULL, NULL)"
    ),
    (
        f"lg_checkpoint_write {WRITE} VALUES "
        f"('mira', 't-1', '', 'p-1', 0, '{PACKED}', 'msgpack', 'answer', 'w-1', $1, $1), "
        f"('mira', 't-1', '', 'p-1', 1, '', 'null', '__error__', 'w-1', NULL, NULL)"
    ),
    (
        f"crewai_agent_memory ({THREAD}, memory_data, {LIFE}) VALUES "
        '(\'mira\', \'t-1\', \'{"task_description":"Plan","score":"9.5"}\', $1, $1), '
        "('mira', 't-0', 'Plan, no json', NULL, NULL)"
    ),
    (
        f"crewai_flow_state ({THREAD}, method_name, state_data, {LIFE}) VALUES "
        "('mira', 't-1', 'begin', '{\"n\":1}', $1, $1), ('mira', 't-1', 'end', '{}', NULL, NULL)"
    ),
    "session_share (token, session_id, user_id) VALUES ('a-token', 's-1', 'mira')",
    (
        "memory (id, agent_name, user_id, content, embedding, metadata, created_at, access_count) "
        "VALUES "
        f"('m-1', 'ns__NS__travel_agent', 'mira', 'Likes trains.', '{SIMILAR}', '{{\"a\": 1}}', "
        "$1, 2), "
        "('m-0', 'ns__NS__travel-agent', 'mira', NULL, NULL, NULL, NULL, NULL)"
    ),
)
KIND: Final = "RemoteMCPServer.kagent.dev"
AGENT: Final = "kagent__NS__travel_agent"
DASHED: Final = "ns__NS__travel-agent"
LISTS: Final[dict[str, tuple[Read, str, list[object]]]] = {
    "agents": (lambda c: c.list_agents(), "id", ["no-time", AGENT]),
    "sessions": (lambda c: c.list_sessions(user_id="mira"), "id", ["s-2", "s-1", "s-0"]),
    "sessions of an agent": (
        lambda c: c.list_sessions_for_agent(AGENT, user_id="mira"),
        "id",
        ["s-1", "s-0"],
    ),
    "sessions of an agent of all users": (
        lambda c: c.list_sessions_for_agent_all_users(AGENT, order="created"),
        "id",
        ["s-1", "s-0"],
    ),
    "events": (lambda c: c.list_events_for_session("s-1", user_id="mira"), "id", ["e-0", "e-1"]),
    "tasks": (lambda c: c.list_tasks_for_session("s-1", user_id="mira"), "id", ["k-1", "k-2"]),
    "tasks that nobody owns": (lambda c: c.list_tasks_for_session("s-9", user_id="mira"), "id", []),
    "configs": (lambda c: c.list_push_notifications("k-2", user_id="mira"), "id", ["c-0", "c-1"]),
    "feedback": (
        lambda c: c.list_feedback(user_id="mira"),
        "issue_type",
        ["of a later release", "factual", None],
    ),
    "tools": (lambda c: c.list_tools(), "id", ["k8s_get", "route"]),
    "tools of a server": (
        lambda c: c.list_tools_for_server("ns/maps", group_kind=KIND),
        "description",
        [None, "Finds."],
    ),
    "servers": (lambda c: c.list_tool_servers(), "name", ["ns/maps", "old"]),
    "CrewAI memories": (
        lambda c: c.search_crewai_memory_by_task("plan", user_id="mira"),
        "thread_id",
        ["t-1", "t-0"],
    ),
    "shares": (
        lambda c: c.list_session_shares_by_session("s-1", user_id="mira"),
        "token",
        ["a-token"],
    ),
    "memories": (
        lambda c: c.list_agent_memories(agent_name=DASHED, user_id="mira"),
        "id",
        ["m-1", "m-0"],
    ),
    "search": (
        lambda c: c.search_agent_memory(agent_name=DASHED, user_id="mira", embedding=towards(1)),
        "access_count",
        [3, 1],
    ),
}
ROWS_BY_KEY: Final[dict[str, tuple[Read, dict[str, object]]]] = {
    "agent": (lambda c: c.get_agent(AGENT), {"config": {"name": "x"}, "created_at": EARLY}),
    "agent without time": (lambda c: c.get_agent("no-time"), {"created_at": None}),
    "session": (lambda c: c.get_session("s-1", user_id="mira"), {"source": None}),
    "session without time": (lambda c: c.get_session("s-0", user_id="mira"), {"updated_at": None}),
    "event": (lambda c: c.get_event("e-0", user_id="mira"), {"data": "{}", "created_at": None}),
    "task": (lambda c: c.get_task("k-2", user_id="mira"), {"data": '{"id":"k-2"}'}),
    "task without owner": (
        lambda c: c.get_task("k-1", user_id="mira"),
        {"user_id": None, "protocol_version": "0.3"},
    ),
    "config": (
        lambda c: c.get_push_notification("c-1", task_id="k-2", user_id="mira"),
        {"data": '{"url":"u"}', "protocol_version": "1.0"},
    ),
    "tool": (lambda c: c.get_tool("k8s_get"), {"server_name": "ns/maps", "created_at": None}),
    "server": (lambda c: c.get_tool_server("ns/maps"), {"last_connected": EARLY}),
    "server without time": (lambda c: c.get_tool_server("old"), {"created_at": None}),
    "flow state": (
        lambda c: c.find_crewai_flow_state("t-1", user_id="mira"),
        {"method_name": "begin", "state_data": '{"n":1}'},
    ),
    "share": (lambda c: c.get_session_share_by_token("a-token"), {"read_only": True}),
    "feedback": (lambda c: c.summarize_feedback(user_id="mira"), {"total": 3, "factual": 1}),
}


@pytest_asyncio.fixture
async def written(db: asyncpg.Connection) -> asyncpg.Connection:
    """A database with rows of another program in every table."""
    for rows in ROWS:
        arguments = [EARLY] if "$1" in rows else []
        await db.execute(f"INSERT INTO {rows}", *arguments)
    return db


@pytest.mark.parametrize("name", list(LISTS))
@pytest.mark.usefixtures("written")
async def test_every_list_has_the_rows_of_another_program(
    client: PostgresClient, name: str
) -> None:
    read, column, expected = LISTS[name]
    assert [getattr(row, column) for row in await read(client)] == expected


@pytest.mark.parametrize("name", list(ROWS_BY_KEY))
@pytest.mark.usefixtures("written")
async def test_every_look_up_has_the_row_of_another_program(
    client: PostgresClient, name: str
) -> None:
    read, expected = ROWS_BY_KEY[name]
    row = await read(client)
    assert {column: getattr(row, column) for column in expected} == expected


@pytest.mark.usefixtures("written")
async def test_a_stream_has_the_events_of_another_program(client: PostgresClient) -> None:
    rows = [row async for row in client.stream_events_for_session("s-1", user_id="mira")]
    assert [row.id for row in rows] == ["e-0", "e-1"]


@pytest.mark.usefixtures("written")
async def test_the_checkpoints_of_another_program_are_read_with_raw_indexes(
    client: PostgresClient,
) -> None:
    found = await client.list_checkpoints("t-1", user_id="mira")
    assert [each.checkpoint.checkpoint_id for each in found] == ["p-1", "p-0"]
    assert (found[0].checkpoint.checkpoint, found[0].checkpoint.version) == (PACKED, 1)
    assert found[0].checkpoint.parent_checkpoint_id == ""
    assert [(row.write_idx, row.channel) for row in found[0].writes] == [
        (0, "answer"),
        (1, "__error__"),
    ]
    assert await client.get_checkpoint("t-1", user_id="mira") == found[0]
    step = await client.list_checkpoints("t-1", user_id="mira", metadata={"step": 1})
    assert step == found[:1]
    assert await client.list_checkpoints("t-1", user_id="mira", before="p-1") == found[1:]


@pytest.mark.usefixtures("written")
async def test_stored_write_never_has_the_raw_index_of_another_program(
    client: PostgresClient,
) -> None:
    for task in ("w-1", "w-2"):
        await client.store_checkpoint_writes(
            "t-1",
            user_id="mira",
            checkpoint_id="p-1",
            task_id=task,
            writes=[NewCheckpointWrite(idx=0, channel="answer", value_type="x", value="")],
        )
    found = (await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")).writes
    assert [row.task_id for row in found] == ["w-1", "w-1", "w-1", "w-2"]
    assert found[0].value == PACKED


async def test_every_store_replaces_the_row_of_another_program(
    client: PostgresClient, written: asyncpg.Connection
) -> None:
    await client.store_agent("no-time", type="Declarative")
    await client.store_session("s-0", user_id="mira", name="New")
    assert (await client.store_task("k-1", user_id="mira", data="new")).user_id == "mira"
    await client.store_push_notification("c-0", task_id="k-2", user_id="mira", data="new")
    await client.store_tool("k8s_get", server_name="ns/maps", group_kind=KIND, description="new")
    await client.store_tool_server("old", group_kind="X", description="new")
    await client.store_crewai_memory("t-0", user_id="mira", memory_data="new")
    await client.store_crewai_flow_state("t-1", user_id="mira", method_name="end", state_data="new")
    await client.store_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="p-0",
        checkpoint="",
        checkpoint_type="new",
        metadata={},
    )
    await client.store_agent_memory(agent_name="ns__NS__travel_agent", user_id="mira", content="x")
    updated = {
        table: await written.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = '{value}'")  # noqa: S608
        for table, column, value in (
            ("session", "name", "New"),
            ("task", "protocol_version", "1.0"),
            ("push_notification", "data", "new"),
            ("tool", "description", "new"),
            ("toolserver", "description", "new"),
            ("crewai_agent_memory", "memory_data", "new"),
            ("crewai_flow_state", "state_data", "new"),
            ("lg_checkpoint", "checkpoint_type", "new"),
        )
    }
    assert updated.pop("task") == 2
    assert set(updated.values()) == {1}
    found = await client.find_crewai_flow_state("t-1", user_id="mira")
    assert found is not None
    assert found.method_name == "end"


async def test_refresh_replaces_the_tools_of_another_program(
    client: PostgresClient, written: asyncpg.Connection
) -> None:
    done = await client.refresh_tools_for_server(
        "ns/maps",
        group_kind=KIND,
        tools=[NewTool(id="route", description="Finds."), NewTool(id="n")],
    )
    assert (done.stored, done.deleted) == (1, 1)
    assert await written.fetchval("SELECT updated_at FROM tool WHERE id = 'route'") == EARLY


async def test_every_delete_finds_the_row_of_another_program(
    client: PostgresClient, written: asyncpg.Connection
) -> None:
    assert await client.delete_push_notification("c-0", task_id="k-2", user_id="mira")
    assert await client.delete_push_notifications("k-2", user_id="mira")
    assert await client.delete_task("k-1", user_id="mira")
    assert await client.delete_event("e-0", user_id="mira")
    assert await client.delete_session_share("a-token", user_id="mira")
    assert await client.delete_tools_for_server("ns/maps", group_kind=KIND)
    assert await client.delete_tool_server("old", group_kind="X")
    assert await client.delete_checkpoint("t-1", user_id="mira")
    assert await client.reset_crewai_memory("t-0", user_id="mira")
    assert await client.delete_agent_memory(agent_name=DASHED, user_id="mira", id="m-1")
    assert await client.delete_session("s-0", user_id="mira")
    assert await client.delete_agent("no-time")
    for table in ("lg_checkpoint", "lg_checkpoint_write", "push_notification", "tool"):
        left = await written.fetchval(
            f"SELECT count(*) FROM {table} WHERE deleted_at IS NULL"  # noqa: S608
        )
        assert left == 0


async def test_stored_checkpoints_have_the_form_that_a_go_reader_expects(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="p-1",
        checkpoint=PACKED,
        checkpoint_type="msgpack",
        metadata={"who": "Zoë"},
    )
    await client.store_checkpoint_writes(
        "t-1",
        user_id="mira",
        checkpoint_id="p-1",
        task_id="w-1",
        writes=[
            NewCheckpointWrite(idx=idx, channel="a", value_type="msgpack", value=PACKED)
            for idx in (1, -1, 0)
        ],
    )
    row = await db.fetchrow("SELECT * FROM lg_checkpoint")
    assert row is not None
    assert (row["checkpoint"], row["checkpoint_type"], row["version"]) == (PACKED, "msgpack", 1)
    assert (row["checkpoint_ns"], row["parent_checkpoint_id"]) == ("", None)
    assert json.loads(base64.b64decode(row["metadata"], validate=True)) == {"who": "Zoë"}
    assert None not in (row["created_at"], row["updated_at"])
    # The Go reader sorts the writes of a checkpoint by task and index.
    rows = await db.fetch(
        "SELECT * FROM lg_checkpoint_write WHERE deleted_at IS NULL ORDER BY task_id, write_idx"
    )
    assert [(each["write_idx"] & 1048575) - 16 for each in rows] == [-1, 0, 1]
    assert {(each["task_id"], each["value"], each["value_type"]) for each in rows} == {
        ("w-1", PACKED, "msgpack")
    }
    assert all(each["created_at"] and each["updated_at"] for each in rows)


async def test_other_stored_rows_have_the_form_that_a_go_reader_expects(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id=AGENT)
    await db.execute("UPDATE session SET updated_at = $1", EARLY)
    await client.store_task("k-1", user_id="mira", data='{"id":"k-1"}', session_id="s-1")
    task = await db.fetchrow("SELECT * FROM task")
    assert task is not None
    assert (task["protocol_version"], task["user_id"]) == ("1.0", "mira")
    assert (task["data"], task["session_id"]) == ('{"id":"k-1"}', "s-1")
    touched = await db.fetchval("SELECT updated_at FROM session")
    assert touched > EARLY + timedelta(days=1)
    await db.execute("UPDATE session SET updated_at = $1", EARLY)
    await client.store_events([NewEvent(id="e-1", user_id="mira", session_id="s-1", data="{}")])
    assert await db.fetchval("SELECT updated_at FROM session") > EARLY + timedelta(days=1)
    await client.store_push_notification("c-1", task_id="k-1", user_id="mira", data="{}")
    config = await db.fetchrow("SELECT * FROM push_notification")
    assert config is not None
    assert (config["id"], config["task_id"]) == ("c-1", "k-1")
    assert config["protocol_version"] == "1.0"
    await client.create_session_share("s-1", user_id="mira")
    share = await db.fetchrow("SELECT * FROM session_share")
    assert share is not None
    assert (share["session_id"], share["user_id"], share["read_only"]) == ("s-1", "mira", True)
    for table in ("task", "push_notification", "session", "event"):
        assert await db.fetchval(
            f"SELECT bool_and(created_at IS NOT NULL AND deleted_at IS NULL) FROM {table}"  # noqa: S608
        )
