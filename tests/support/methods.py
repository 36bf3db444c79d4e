"""Every method of every store with valid arguments, for tests of all methods."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from agentrows import (
    HistoryEntry,
    ImportedCheckpoint,
    ImportedValue,
    ImportedWrite,
    InvalidValue,
    NewChannelValue,
    NewCheckpointWrite,
    NewMemory,
    NewStoreItem,
    NewThreadWrite,
    NewTool,
    NewTranscriptEntry,
    TaskWrites,
)
from support.stores import event, towards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentrows import Stores

Arguments: TypeAlias = "Mapping[str, object]"

MIRA: Final[Arguments] = {"user_id": "mira"}
THREAD: Final[Arguments] = {"thread_id": "t-1", **MIRA}
APP: Final[Arguments] = {"app_name": "travel", **MIRA}
BYTES_THREAD: Final[Arguments] = {"thread_id": "b-t", **MIRA}
HISTORY: Final[Arguments] = {"history_id": "h-1", **MIRA}
TRANSCRIPT: Final[Arguments] = {"session_id": "cl-1", "project_key": "p", **MIRA}
SERVER: Final[Arguments] = {"server_name": "maps", "group_kind": "MCP"}
WRITE: Final = NewCheckpointWrite(idx=0, channel="answer", value_type="json", value="eyI=")
ITEM: Final = NewStoreItem(namespace="notes", key="n-1", value='{"n": 1}', ttl_s=60)
METHODS: Final[dict[str, dict[str, Arguments]]] = {
    "table stats": {
        "table_stats": {},
    },
    "users": {
        "export_user": MIRA,
        "erase_user": MIRA,
        "list_uncovered_tables": {},
    },
    "agents": {
        "store_agent": {"id": "travel", "type": "BYO"},
        "get_agent": {"id": "travel"},
        "update_agent_config": {"id": "travel", "patch": {"model": "small"}},
        "list_agents": {},
        "delete_agent": {"id": "travel"},
    },
    "sessions": {
        "store_session": {"id": "s-1", "agent_id": "travel", **MIRA},
        "create_session": {"id": "s-2", "agent_id": "travel", **MIRA},
        "update_session": {"id": "s-1", "agent_id": "travel", **MIRA},
        "get_session": {"id": "s-1", **MIRA},
        "count_sessions": {"agent_id": "travel", **MIRA},
        "list_sessions": MIRA,
        "list_sessions_for_agent": {"agent_id": "travel", **MIRA},
        "list_sessions_for_agent_all_users": {"agent_id": "travel"},
        "delete_session": {"id": "s-2", **MIRA},
        "prune_expired_sessions": {"retention": timedelta(days=1)},
    },
    "app sessions": {
        "create_app_session": {"id": "s-3", "started_at": 1.0, "user_state": {"a": 1}, **APP},
        "append_app_event": {
            "id": "e-3",
            "session_id": "s-3",
            "version": 1,
            "data": "{}",
            "occurred_at": 2.0,
            **APP,
        },
        "find_app_session": {"id": "s-3", **APP},
        "list_app_sessions": APP,
        "list_app_sessions_all_users": {"app_name": "travel"},
        "find_user_state": APP,
        "purge_app_session": {"id": "s-3", **APP},
        "purge_session": {"id": "s-3", **MIRA},
    },
    "shares": {
        "create_session_share": {"session_id": "s-1", **MIRA},
        "get_session_share_by_token": {"token": "unknown"},
        "list_session_shares_by_session": {"session_id": "s-1", **MIRA},
        "record_share_access": {"token": "unknown", "user_id": "juno"},
        "delete_session_share": {"token": "unknown", **MIRA},
    },
    "events": {
        "store_events": {"events": [event("e-1")]},
        "get_event": {"id": "e-1", **MIRA},
        "count_events": {"session_id": "s-1", **MIRA},
        "list_events_for_session": {"session_id": "s-1", **MIRA},
        "stream_events_for_session": {"session_id": "s-1", **MIRA},
        "delete_event": {"id": "e-1", **MIRA},
    },
    "event search": {
        "search_events": {"text": "tea", "session_id": "s-1", **MIRA},
    },
    "conversations": {
        "append_items": {"session_id": "s-1", "agent_id": "travel", "items": ["{}"], **MIRA},
        "list_items": {"session_id": "s-1", "agent_id": "travel", **MIRA},
        "pop_event": {"session_id": "s-1", "agent_id": "travel", **MIRA},
        "replace_items": {"session_id": "s-1", "agent_id": "travel", "items": ["{}"], **MIRA},
        "purge_events": {"session_id": "s-1", "agent_id": "travel", **MIRA},
    },
    "tasks": {
        "store_task": {"id": "k-1", "data": "{}", "session_id": "s-1", **MIRA},
        "get_task": {"id": "k-1", **MIRA},
        "list_tasks_for_session": {"session_id": "s-1", **MIRA},
        "delete_task": {"id": "k-1", **MIRA},
    },
    "task versions": {
        "save_task": {
            "id": "k-2",
            "data": '{"id": "k-2"}',
            "state": "TASK_STATE_WORKING",
            "session_id": "s-1",
            "event": b"began",
            **MIRA,
        },
        "find_versioned_task": {"id": "k-2", **MIRA},
        "list_tasks": MIRA,
        "count_tasks": {"session_id": "s-1", **MIRA},
        "list_task_events_all_users": {"task_id": "k-2"},
        "cancel_task": {
            "id": "k-2",
            "data": '{"id": "k-2"}',
            "state": "TASK_STATE_CANCELED",
            "final_states": ["TASK_STATE_CANCELED"],
            **MIRA,
        },
        "prune_task_events": {"retention": timedelta(days=1)},
        "purge_task": {"id": "k-2", **MIRA},
    },
    "push configs": {
        "store_push_config": {"id": "c-1", "task_id": "k-2", "data": b"{}", **MIRA},
        "list_push_configs": {"task_id": "k-2", **MIRA},
        "list_push_configs_all_users": {"task_id": "k-2"},
        "delete_push_config": {"id": "c-1", "task_id": "k-2", **MIRA},
        "delete_push_configs": {"task_id": "k-2", **MIRA},
    },
    "push notifications": {
        "store_push_notification": {"id": "c-1", "task_id": "k-1", "data": "{}", **MIRA},
        "get_push_notification": {"id": "c-1", "task_id": "k-1", **MIRA},
        "list_push_notifications": {"task_id": "k-1", **MIRA},
        "delete_push_notification": {"id": "c-1", "task_id": "k-1", **MIRA},
        "delete_push_notifications": {"task_id": "k-1", **MIRA},
    },
    "feedback": {
        "store_feedback": {"is_positive": True, "feedback_text": "Good.", **MIRA},
        "get_feedback": {"id": 1, **MIRA},
        "update_feedback": {"id": 1, "is_positive": False, **MIRA},
        "delete_feedback": {"id": 1, **MIRA},
        "list_feedback": MIRA,
        "summarize_feedback": MIRA,
    },
    "tools": {
        "store_tool": {"id": "route", "description": "Finds a way.", **SERVER},
        "get_tool": {"id": "route", **SERVER},
        "list_tools": {},
        "list_tools_for_server": SERVER,
        "refresh_tools_for_server": {"tools": [NewTool(id="route")], **SERVER},
        "delete_tools_for_server": SERVER,
        "store_tool_server": {"name": "maps", "group_kind": "MCP", "description": "Maps."},
        "get_tool_server": {"name": "maps", "group_kind": "MCP"},
        "list_tool_servers": {},
        "delete_tool_server": {"name": "maps", "group_kind": "MCP"},
    },
    "checkpoints": {
        "store_checkpoint": {
            "checkpoint_id": "p-2",
            "parent_checkpoint_id": "p-1",
            "checkpoint_ns": "",
            "checkpoint": "AAEC",
            "checkpoint_type": "msgpack",
            "metadata": {"step": 1},
            **THREAD,
        },
        "store_checkpoint_writes": {
            "checkpoint_id": "p-2",
            "checkpoint_ns": "",
            "task_id": "w-1",
            "writes": [WRITE],
            **THREAD,
        },
        "list_checkpoints": {"checkpoint_ns": "", "before": "p-3", "metadata": {}, **THREAD},
        "get_checkpoint": {"checkpoint_ns": "", "checkpoint_id": "p-2", **THREAD},
        "delete_checkpoint": {"checkpoint_ns": "", "checkpoint_id": "p-2", **THREAD},
    },
    "threads": {
        "store_thread_checkpoint": {
            "checkpoint_id": "b-2",
            "parent_checkpoint_id": "b-1",
            "checkpoint_ns": "",
            "checkpoint": b"\0\xff",
            "checkpoint_type": "msgpack",
            "metadata": {"step": 1},
            "values": [NewChannelValue(channel="c", type="msgpack", value=b"\0")],
            "versions": {"c": "1"},
            "run_id": "r-1",
            "tasks": [
                TaskWrites(
                    *("b-t", "", "b-1", "w-0", "p"),
                    [NewThreadWrite(idx=0, channel="c", type="msgpack", value=b"\0")],
                )
            ],
            **BYTES_THREAD,
        },
        "store_thread_writes": {
            "checkpoint_id": "b-2",
            "checkpoint_ns": "",
            "task_id": "w-1",
            "task_path": "p",
            "writes": [NewThreadWrite(idx=0, channel="c", type="msgpack", value=b"\0")],
            **BYTES_THREAD,
        },
        "store_task_writes": {
            "tasks": [
                TaskWrites(
                    *("b-t", "", "b-2", f"w-{number}", "p"),
                    [NewThreadWrite(idx=0, channel="c", type="msgpack", value=b"\0")],
                )
                for number in (2, 3)
            ],
            **MIRA,
        },
        "find_thread_checkpoint": {"checkpoint_ns": "", "checkpoint_id": "b-2", **BYTES_THREAD},
        "list_thread_checkpoints": {"checkpoint_ns": "", "metadata": {}, **BYTES_THREAD},
        "list_channel_history": {
            "channels": ["c"],
            "checkpoint_ns": "",
            "checkpoint_id": "b-2",
            **BYTES_THREAD,
        },
        "list_thread_heads": BYTES_THREAD,
        "list_threads": MIRA,
        "copy_thread": {"source_thread_id": "b-t", "target_thread_id": "b-copy", **MIRA},
        "prune_thread": {"pruned": [("", "b-2")], "kept": [], **BYTES_THREAD},
        "prune_idle_threads": {"older_than": timedelta(days=1)},
        "delete_runs": {"run_ids": ["r-1"], **MIRA},
        "delete_threads": {"thread_ids": ["b-t", "b-copy"], **MIRA},
    },
    "thread imports": {
        "import_threads": {
            "checkpoints": [
                ImportedCheckpoint(
                    thread_id="i-t",
                    checkpoint_ns="",
                    checkpoint_id="i-1",
                    checkpoint=b"{}",
                    metadata="{}",
                    versions={"c": "1"},
                    version=4,
                )
            ],
            "values": [
                ImportedValue(
                    thread_id="i-t",
                    checkpoint_ns="",
                    channel="c",
                    version="1",
                    type="json",
                    value=b"1",
                )
            ],
            "writes": [
                ImportedWrite(
                    thread_id="i-t",
                    checkpoint_ns="",
                    checkpoint_id="i-1",
                    task_id="w-1",
                    task_path="",
                    idx=0,
                    channel="c",
                    type="json",
                    value=b"1",
                )
            ],
            **MIRA,
        },
        "list_checkpoint_digests": {"thread_ids": ["i-t"], **MIRA},
        "list_write_digests": {"thread_ids": ["i-t"], **MIRA},
    },
    "crewai": {
        "store_crewai_memory": {"memory_data": "{}", **THREAD},
        "search_crewai_memory_by_task": {"task_description": "", **THREAD},
        "reset_crewai_memory": THREAD,
        "store_crewai_flow_state": {"method_name": "begin", "state_data": "{}", **THREAD},
        "find_crewai_flow_state": THREAD,
    },
    "memory": {
        "store_agent_memory": {"agent_name": "travel", "content": "", **MIRA},
        "store_agent_memories": {
            "memories": [NewMemory(id="m-1", agent_name="travel", user_id="mira", content="")]
        },
        "search_agent_memory": {"agent_name": "travel", "embedding": towards(1), **MIRA},
        "list_agent_memories": {"agent_name": "travel", **MIRA},
        "get_agent_memory": {"id": "m-1", "agent_name": "travel", **MIRA},
        "count_agent_memories": {"agent_name": "travel", **MIRA},
        "delete_agent_memory": {"id": "m-1", "agent_name": "travel", **MIRA},
        "delete_all_agent_memories": {"agent_name": "travel", **MIRA},
        "prune_expired_memories": {},
    },
    "store items": {
        "store_items": {"items": [ITEM], **MIRA},
        "find_store_item": {"key": "n-1", "namespace": "notes", **MIRA},
        "list_store_items": {"keys": [("notes", "n-1")], **MIRA},
        "search_store_items": {"namespace": "notes", **MIRA},
        "list_store_namespaces": MIRA,
        "refresh_store_items": {"keys": [("notes", "n-1")], **MIRA},
        "delete_store_items": {"keys": [("notes", "n-1")], **MIRA},
        "prune_expired_store_items": {},
    },
    "transcripts": {
        "append_transcript": {
            "entries": [NewTranscriptEntry(id="u-1", data='{"type": "user"}')],
            "subpath": "subagents/agent-1",
            **TRANSCRIPT,
        },
        "list_transcript_entries": {"subpath": "subagents/agent-1", **TRANSCRIPT},
        "list_transcripts": {"project_key": "p", **MIRA},
        "list_transcript_subpaths": TRANSCRIPT,
        "update_transcript_summary": {
            "id": 1,
            "summary": "{}",
            "position": 1,
            "expected_position": 0,
            **MIRA,
        },
        "delete_transcripts": TRANSCRIPT,
    },
    "histories": {
        "save_history": {
            "data": "{}",
            "revision": "r-1",
            "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
            "head_id": "he-1",
            "scope": "work",
            "entries": [HistoryEntry(id="he-1", parent_id=None, kind="message", data="{}")],
            **HISTORY,
        },
        "find_history": HISTORY,
        "list_histories": {"scope": "work", **MIRA},
        "find_history_entry": {"id": "he-1", **MIRA},
        "list_history_entries": {"head_id": "he-1", **MIRA},
        "delete_history": {"revision": "r-1", **HISTORY},
    },
    "memory copies": {
        "copy_memories": {"to_model": "plane", "dry_run": True},
    },
    "retention": {
        "prune": {"older_than": timedelta(days=1)},
    },
    "store vectors": {
        "search_store_vectors": {"embedding": [1.0], "space": "plane", **MIRA},
    },
}
TEXTS: Final = frozenset(
    {
        "checkpoint",
        "checkpoint_ns",
        "checkpoint_type",
        "data",
        "description",
        "key",
        "memory_data",
        "namespace",
        "scope",
        "state_data",
        "summary",
        "task_description",
        "task_path",
        "text",
    }
)
"""Arguments that are text of any length; every other text is an id."""
NO_TEXT: Final = ("a\0b", "\0", "\ud800", "a\udfffb", 7, b"bytes", 1.5, ["a"])
NO_ID: Final = ("", "x" * 513, "ü" * 257)
NO_LIMIT: Final = (0, -1, -(2**63), 2**63, True, False, 1.5, 2.0, "2")


TAKING: Final = ("delete", "reset", "prune", "purge", "erase")


def in_order(*, of_store: str | None = None) -> list[tuple[str, Arguments]]:
    """Every method with its arguments; methods that delete rows are last, in reverse."""
    every = [
        call
        for store, methods in METHODS.items()
        if of_store in (None, store)
        for call in methods.items()
    ]
    taking = [call for call in every if call[0].startswith(TAKING)]
    return [call for call in every if call not in taking] + taking[::-1]


async def call(stores: Stores, method: str, arguments: Arguments) -> object:
    """Call a method by its name; collect the rows of a stream."""
    answer: Any = getattr(stores, method)(**arguments)
    if method.startswith(("stream", "export")):
        return [row async for row in answer]
    return await answer


def text_arguments(store: str) -> list[tuple[str, str]]:
    """The methods of a store, each with each of its text arguments."""
    return [
        (method, name)
        for method, arguments in METHODS[store].items()
        for name, value in arguments.items()
        if isinstance(value, str)
    ]


async def refuse_by_name(stores: Stores, method: str, argument: str) -> None:
    """Check that values that are no text, or no id for an id, are refused under the name."""
    store = next(name for name, methods in METHODS.items() if method in methods)
    for value in NO_TEXT if argument in TEXTS else (*NO_TEXT, *NO_ID):
        with pytest.raises(InvalidValue, match=named(argument)):
            await call(stores, method, {**METHODS[store][method], argument: value})


async def refuse_limits(stores: Stores, store: str, *methods: str) -> None:
    """Check that a limit that is no whole number of at least 1 is refused."""
    for method in methods:
        for limit in NO_LIMIT:
            with pytest.raises(InvalidValue, match=r"^limit "):
                await call(stores, method, {**METHODS[store][method], "limit": limit})


def named(argument: str) -> str:
    """A pattern for a message with the whole name of an argument."""
    return rf"(?<![\w.]){re.escape(argument)}(?![\w.])"


def unchecked(model: type[Any], **fields: object) -> Any:  # noqa: ANN401  a row of any batch
    """A row of a batch that pydantic has not validated."""
    return model.model_construct(None, **fields)
