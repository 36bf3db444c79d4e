"""The suites of each family, with their counts and the reason of each test that is not run."""

from __future__ import annotations

from typing import Final

from integrations.suites.suite import Group, Suite

GRAPHS: Final = Suite(
    name="langgraph-graphs",
    sdist="langgraph",
    files=("tests",),
    appended={"tests/conftest.py": "from integrations.suites.graphs import *"},
    fixtures=frozenset(("async_checkpointer", "async_store", "sync_checkpointer", "sync_store")),
    passed=650,
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
        Group("*[*pipe*", 31, "There is no pipeline mode."),
        Group("*[*shallow*", 6, "There is no saver of the newest checkpoint alone."),
        Group("*_refuses_*delta*", 13, "`prune` works on threads with delta channels."),
        Group("*::test_nonnull_migrations", 1, "The migrations are files of agentrows."),
        Group("*::test_get_checkpoint_no_channel_values*", 4, "Replaces a private method."),
        Group("*_walk_reads_nothing_newer_*", 2, "Replaces a private method."),
        Group("*_saved_while_it_runs*", 2, "Replaces the cursor of AsyncPostgresSaver."),
        Group("*_saved_after_the_thread_check", 1, "Replaces the cursor of AsyncPostgresSaver."),
        Group("*_saved_meanwhile_whatever_its_id", 1, "Replaces the cursor of AsyncPostgresSaver."),
    ),
    failing=(
        Group(
            "*::test_inline_primitive_seed_is_found",
            1,
            "A stored None is the seed of a delta channel, as in the saver in memory.",
        ),
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
            "    create_vector_store as _create_vector_store,\n"
            "    expire_now_in_thread as _expire_now,\n"
            "    row_exists_in_thread as _row_exists,\n"
            "    store,\n"
            "    stored_expires_at_in_thread as _stored_expires_at,\n"
            ")"
        ),
        "tests/test_async_store.py": (
            "from integrations.suites.stores import (\n"
            "    async_store as store,\n"
            "    create_async_vector_store as _create_vector_store,\n"
            "    expire_now as _aexpire_now,\n"
            "    row_exists as _arow_exists,\n"
            "    stored_expires_at as _astored_expires_at,\n"
            ")"
        ),
    },
    passed=179,
    left_out=(
        Group("*::test_abatch_uses_single_pool_checkout", 1, "Replaces the pool of psycopg."),
        Group("*::test_escape_like_literal", 1, "Tests a private function."),
        Group("*::test_namespace_match_pattern", 1, "Tests a private function."),
        Group("*::test_nonnull_migrations", 1, "The migrations are files of agentrows."),
        Group("*::test_omit_expired_search_pagination", 2, "Uses the cursor of the store."),
    ),
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
