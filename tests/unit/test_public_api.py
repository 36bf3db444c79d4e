"""The public names are pinned."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agentrows

PUBLIC = [
    "UNSET",
    "Aborted",
    "Agent",
    "AgentRowsError",
    "AlreadyExists",
    "AppSession",
    "AppendedTranscript",
    "ChannelValueKey",
    "Checkpoint",
    "CheckpointDigest",
    "CheckpointKey",
    "CheckpointTuple",
    "CheckpointWrite",
    "ClientClosed",
    "ConfigError",
    "Conflict",
    "CrewAIFlowState",
    "CrewAIMemory",
    "Deleted",
    "DirtySchema",
    "ErasedUser",
    "Event",
    "Feedback",
    "FeedbackIssueType",
    "FeedbackSummary",
    "History",
    "HistoryEntry",
    "ImportedCheckpoint",
    "ImportedRows",
    "ImportedValue",
    "ImportedWrite",
    "InvalidReference",
    "InvalidTrack",
    "InvalidValue",
    "JsonLike",
    "LockTimeout",
    "Memory",
    "MemoryCopyProgress",
    "MemoryCopyReport",
    "MemoryHit",
    "MigrationError",
    "MigrationFailed",
    "NewChannelValue",
    "NewCheckpointWrite",
    "NewEvent",
    "NewMemory",
    "NewStoreItem",
    "NewThreadWrite",
    "NewTool",
    "NewTranscriptEntry",
    "NotFound",
    "Notification",
    "OutcomeUnknown",
    "OwnedByAnother",
    "Page",
    "PoolTimeout",
    "PostgresClient",
    "PruneProgress",
    "PruneReport",
    "PruneTable",
    "PrunedMemories",
    "PrunedSessions",
    "PrunedThreads",
    "PushConfig",
    "PushNotification",
    "RefreshedTools",
    "Retry",
    "SchemaBehind",
    "Session",
    "SessionShare",
    "SessionShareAccess",
    "Settings",
    "Stale",
    "StatementTimeout",
    "StoreCondition",
    "StoreHit",
    "StoreItem",
    "Stores",
    "TableStats",
    "Task",
    "TaskEvent",
    "TaskPosition",
    "TaskWrites",
    "Thread",
    "ThreadAncestor",
    "ThreadCheckpoint",
    "ThreadHead",
    "Tool",
    "ToolServer",
    "Transaction",
    "TransactionalStores",
    "Transcript",
    "TranscriptEntry",
    "Unavailable",
    "UnreadableRow",
    "Vector",
    "VectorLike",
    "VersionedTask",
    "WriteDigest",
    "__version__",
    "init_connection",
]
CLIENT_METHODS = [
    "append_app_event",
    "append_items",
    "append_transcript",
    "as_user",
    "call_as_user",
    "cancel_task",
    "close",
    "connect",
    "copy_memories",
    "copy_thread",
    "count_agent_memories",
    "count_events",
    "count_sessions",
    "count_tasks",
    "create_app_session",
    "create_session",
    "create_session_share",
    "delete_agent",
    "delete_agent_memory",
    "delete_all_agent_memories",
    "delete_checkpoint",
    "delete_event",
    "delete_feedback",
    "delete_history",
    "delete_push_config",
    "delete_push_configs",
    "delete_push_notification",
    "delete_push_notifications",
    "delete_runs",
    "delete_session",
    "delete_session_share",
    "delete_store_items",
    "delete_task",
    "delete_threads",
    "delete_tool_server",
    "delete_tools_for_server",
    "delete_transcripts",
    "erase_user",
    "export_user",
    "find_app_session",
    "find_crewai_flow_state",
    "find_history",
    "find_history_entry",
    "find_store_item",
    "find_thread_checkpoint",
    "find_user_state",
    "find_versioned_task",
    "from_pool",
    "get_agent",
    "get_agent_memory",
    "get_checkpoint",
    "get_event",
    "get_feedback",
    "get_push_notification",
    "get_session",
    "get_session_share_by_token",
    "get_task",
    "get_tool",
    "get_tool_server",
    "import_threads",
    "list_agent_memories",
    "list_agents",
    "list_app_sessions",
    "list_app_sessions_all_users",
    "list_channel_history",
    "list_checkpoint_digests",
    "list_checkpoints",
    "list_events_for_session",
    "list_feedback",
    "list_histories",
    "list_history_entries",
    "list_items",
    "list_push_configs",
    "list_push_configs_all_users",
    "list_push_notifications",
    "list_session_shares_by_session",
    "list_sessions",
    "list_sessions_for_agent",
    "list_sessions_for_agent_all_users",
    "list_store_items",
    "list_store_namespaces",
    "list_task_events_all_users",
    "list_tasks",
    "list_tasks_for_session",
    "list_thread_checkpoints",
    "list_thread_heads",
    "list_threads",
    "list_tool_servers",
    "list_tools",
    "list_tools_for_server",
    "list_transcript_entries",
    "list_transcript_subpaths",
    "list_transcripts",
    "list_uncovered_tables",
    "list_write_digests",
    "listen",
    "open",
    "ping",
    "pop_event",
    "prune",
    "prune_expired_memories",
    "prune_expired_sessions",
    "prune_expired_store_items",
    "prune_idle_threads",
    "prune_task_events",
    "prune_thread",
    "purge_app_session",
    "purge_events",
    "purge_session",
    "purge_task",
    "record_share_access",
    "refresh_store_items",
    "refresh_tools_for_server",
    "replace_items",
    "reset_crewai_memory",
    "save_history",
    "save_task",
    "search_agent_memory",
    "search_crewai_memory_by_task",
    "search_events",
    "search_store_items",
    "search_store_vectors",
    "store_agent",
    "store_agent_memories",
    "store_agent_memory",
    "store_checkpoint",
    "store_checkpoint_writes",
    "store_crewai_flow_state",
    "store_crewai_memory",
    "store_events",
    "store_feedback",
    "store_items",
    "store_push_config",
    "store_push_notification",
    "store_session",
    "store_task",
    "store_task_writes",
    "store_thread_checkpoint",
    "store_thread_writes",
    "store_tool",
    "store_tool_server",
    "stream_events_for_session",
    "summarize_feedback",
    "table_stats",
    "tail_events",
    "transaction",
    "update_agent_config",
    "update_feedback",
    "update_session",
    "update_transcript_summary",
    "with_timeout",
]


def test_public_names_are_pinned() -> None:
    assert agentrows.__all__ == PUBLIC, (
        "add new names to PUBLIC, and renamed or removed ones to docs/upgrading.md"
    )
    assert all(hasattr(agentrows, name) for name in agentrows.__all__)


def test_client_methods_are_pinned() -> None:
    found = [name for name in dir(agentrows.PostgresClient) if not name.startswith("_")]

    assert found == CLIENT_METHODS, (
        "add new methods to CLIENT_METHODS, and renamed or removed ones to docs/upgrading.md"
    )


def test_transaction_has_store_methods_but_no_open_or_close() -> None:
    found = {name for name in dir(agentrows.Transaction) if not name.startswith("_")}

    assert found == set(CLIENT_METHODS) - {
        "as_user",
        "call_as_user",
        "close",
        "connect",
        "from_pool",
        "listen",
        "open",
        "ping",
        "tail_events",
        "transaction",
    }


@pytest.mark.parametrize("name", CLIENT_METHODS)
def test_every_client_method_has_a_docstring(name: str) -> None:
    assert getattr(agentrows.PostgresClient, name).__doc__


def test_import_of_package_loads_only_the_client_and_its_libraries() -> None:
    code = """if True:
        import sys
        before = set(sys.modules)
        import agentrows
        new = set(sys.modules) - before
        libraries = {name.partition(".")[0] for name in new} - sys.stdlib_module_names
        print(*sorted(name for name in libraries if not name.startswith("_")))
        print(*sorted({name.split(".")[1] for name in new if name.startswith("agentrows.")}))
    """

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603

    libraries, parts = (line.split() for line in out.stdout.splitlines())
    # The dependencies, with the libraries of asyncpg and pydantic.
    assert set(libraries) <= {
        "agentrows",
        "asyncpg",
        "cython_runtime",
        "dotenv",
        "pgvector",
        "annotated_types",
        "typing_extensions",
        "typing_inspection",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
    }
    # Neither the migrations nor the command line, the adapters, the roles and the copies.
    assert parts == [
        "_version",
        "client",
        "config",
        "db",
        "errors",
        "gen",
        "input_model",
        "live_feeds",
        "startup",
        "stores",
        "validation",
    ]


def test_adapter_without_its_framework_names_the_extra() -> None:
    code = """if True:
        import importlib.abc, sys

        class Missing(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name.partition('.')[0] in ('langgraph', 'langchain_core'):
                    raise ModuleNotFoundError(f'No module named {name!r}', name=name)

        sys.meta_path.insert(0, Missing())
        import agentrows
        assert not {'langgraph', 'langchain_core'} & {one.partition('.')[0] for one in sys.modules}
        try:
            import agentrows.langgraph
        except agentrows.ConfigError as error:
            print(error)
    """

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603

    assert "pip install 'agentrows[langgraph]'" in out.stdout
