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

SUITES: Final[dict[str, tuple[Suite, ...]]] = {
    "langgraph": (GRAPHS, SAVERS, STORES),
    "agents": (),
}
