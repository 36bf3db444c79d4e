"""The suites of each family, with their counts and the reason of each test that is not run."""

from __future__ import annotations

from typing import Final

from integrations.suites.suite import Group, Suite

GRAPHS: Final = Suite(
    name="langgraph-graphs",
    sdist="langgraph",
    files=("tests",),
    appended={"tests/conftest.py": "from integrations.suites.graphs import *"},
    fixtures=frozenset(
        ("async_checkpointer", "async_store", "sync_checkpointer", "sync_store")
    ),
    passed=648,
    environment={"NO_DOCKER": "true"},
)
SAVERS: Final = Suite(
    name="langgraph-savers",
    sdist="langgraph-checkpoint-postgres",
    files=(
        "tests/test_async.py",
        "tests/test_sync.py",
        "tests/test_prune.py",
        "tests/test_delta_pagination.py",
        "tests/test_delta_plain_value_seed.py",
    ),
    appended={
        "tests/conftest.py": "from integrations.suites.savers import clear_test_db, conn",
        "tests/test_async.py": "from integrations.suites.savers import async_saver as _saver",
        "tests/test_sync.py": "from integrations.suites.savers import sync_saver as _saver",
        "tests/test_prune.py": (
            "from integrations.suites.savers import (\n"
            "    AsyncSaver as AsyncPostgresSaver,\n"
            "    async_saver as _async_saver,\n"
            "    rows as _rows,\n"
            "    sync_saver as _sync_saver,\n"
            ")"
        ),
        "tests/test_delta_pagination.py": (
            "from integrations.suites.savers import (\n"
            "    AsyncSaver as AsyncPostgresSaver, SyncSaver as PostgresSaver\n"
            ")"
        ),
        "tests/test_delta_plain_value_seed.py": (
            "from integrations.suites.savers import AsyncSaver as AsyncPostgresSaver"
        ),
    },
    passed=67,
    left_out=(
        Group("*[*pipe*", 0, "The saver has no pipeline mode."),
        Group("*[*shallow*", 0, "There is no shallow saver."),
    ),
)
STORES: Final = Suite(
    name="langgraph-stores",
    sdist="langgraph-checkpoint-postgres",
    files=("tests/test_async_store.py", "tests/test_store.py"),
    appended={
        "tests/conftest.py": "from integrations.suites.savers import clear_test_db, conn",
        "tests/test_store.py": (
            "from integrations.suites.stores import (\n"
            "    create_vector_store as _create_vector_store, store\n"
            ")"
        ),
        "tests/test_async_store.py": (
            "from integrations.suites.stores import (\n"
            "    async_store as store, create_async_vector_store as _create_vector_store\n"
            ")"
        ),
    },
    passed=133,
)
SESSIONS: Final = Suite(
    name="openai-agents-sessions",
    sdist="openai-agents",
    files=(
        "tests/memory",
        "tests/extensions/memory/test_encrypt_session.py",
        "tests/deferred_session_writes",
        "tests/test_hitl_session_scenario.py",
    ),
    appended={},
    passed=629,
    skipped=1,
    failing=(
        Group(
            "tests/memory/test_session.py::test_sqlite_session_*",
            18,
            "They open SQLite's file, or read private attributes: connections, locks, threads.",
        ),
        Group(
            "tests/memory/test_session.py::test_session_settings_rejects_unknown_*",
            1,
            "An unknown field is InvalidValue, a ValueError, and not TypeError.",
        ),
        Group(
            "tests/memory/test_compaction_suffix.py::*suffix_transaction*",
            4,
            "They make SQLite fail by a trigger, or replace its private method of inserts.",
        ),
        Group(
            "tests/memory/test_openai_responses_compaction_session.py::*_failure_invalidates_*",
            4,
            "They replace the SQLite connection by one that pauses its COMMIT.",
        ),
        Group(
            "tests/extensions/memory/test_encrypt_session.py::test_encrypted_pop_*",
            7,
            "Only in SQLiteSession the SDK reads an item before its removal, by a private method.",
        ),
        Group(
            "tests/extensions/memory/test_encrypt_session.py::*rejects_negative_limit_before_read*",
            2,
            "A negative limit returns no items; in SQLite it means no limit.",
        ),
    ),
    plugins=("integrations.openai_agents.swapped",),
)

SUITES: Final[dict[str, tuple[Suite, ...]]] = {
    "langgraph": (GRAPHS, SAVERS, STORES),
    "agents": (SESSIONS,),
}
