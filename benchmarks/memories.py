"""Items of LangGraph's long-term memory: put one, get it back, in 32 tasks on ten connections."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any, Final

from clients import agentrows_client, psycopg_pool
from harness import Contender, Subject, Target, is_installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from harness import Open, Operation
    from langgraph.store.base import BaseStore

    OpenStore = Callable[[str], AbstractAsyncContextManager[BaseStore]]

TASKS: Final = 32
OURS: Final = "AgentRowsStore"
THEIRS: Final = "AsyncPostgresStore"
LANGGRAPH: Final = ("langgraph.checkpoint.postgres", "langchain_core")
ITEM: Final[dict[str, Any]] = {
    "text": "Mira is a vegetarian and travels by train, with two children and a dog.",
    "source": "chat",
    "importance": 4,
}


async def prepare(dsn: str) -> None:
    """Create LangGraph's tables too, if it is installed."""
    if not all(map(is_installed, LANGGRAPH)):
        return
    from langgraph.store.postgres.aio import AsyncPostgresStore

    async with AsyncPostgresStore.from_conn_string(dsn) as store:
        await store.setup()


@contextlib.asynccontextmanager
async def ours(dsn: str) -> AsyncIterator[BaseStore]:
    """Open the store of this project."""
    from agentrows.langgraph import AgentRowsStore

    async with agentrows_client(dsn) as client:
        yield AgentRowsStore(client, user="u-1")


@contextlib.asynccontextmanager
async def theirs(dsn: str) -> AsyncIterator[BaseStore]:
    """Open LangGraph's store, on a pool as in its documentation."""
    from langgraph.store.postgres.aio import AsyncPostgresStore
    from psycopg.rows import dict_row

    async with psycopg_pool(dsn, prepare_threshold=0, row_factory=dict_row) as pool:
        yield AsyncPostgresStore(pool)  # type: ignore[arg-type]


def put_and_get(open_store: OpenStore) -> Open:
    """Return the operation: put an item with a new key, and get it."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        keys = (f"{os.getpid()}-{n}" for n in itertools.count())
        async with open_store(dsn) as store:

            async def call(task: int) -> None:
                namespace, key = ("memories", f"user-{task}"), next(keys)
                await store.aput(namespace, key, ITEM)
                found = await store.aget(namespace, key)
                if found is None or found.value != ITEM:
                    raise RuntimeError("the item is not the one that was put")

            yield call

    return open_


PUT_GET: Final = Subject(
    name="item_put_get",
    title=f"put and get an item of the long-term memory, {TASKS} tasks",
    contenders=(
        Contender(OURS, put_and_get(ours), needs=LANGGRAPH),
        Contender(THEIRS, put_and_get(theirs), needs=LANGGRAPH),
    ),
    prepare=prepare,
    tasks=TASKS,
    targets=(Target(THEIRS, 5, OURS),),
)
