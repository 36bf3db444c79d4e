"""Bytes on disk of a saver, compared with those of langgraph-checkpoint-postgres."""

from __future__ import annotations

import base64
import operator
import random
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

import asyncpg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph

from agentrows.langgraph import AgentRowsSaver
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agentrows import PostgresClient

THREADS: Final = 10
STEPS: Final = 30
OURS: Final = ("lg_checkpoint", "lg_checkpoint_write", "agentrows_checkpoint_blob")
THEIRS: Final = ("checkpoints", "checkpoint_writes", "checkpoint_blobs")
# kagent's table of checkpoints has five more indexes, and numbers and short texts are rows of their
# own, where AsyncPostgresSaver stores them in each checkpoint. Measured: 1.05 and 1.06.
LIMIT: Final = 1.1


def text(size: int, seed: int) -> str:
    """Return a text of this size that compression does not shorten much."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]  # noqa: S311


class State(TypedDict):
    """A document that never changes, texts that become more, and the number of steps."""

    document: list[str]
    texts: Annotated[list[str], operator.add]
    n: int


async def run_threads(saver: BaseCheckpointSaver[Any], *, document: int, growth: int) -> None:
    """Run a graph of some steps in each thread."""

    def step(state: State) -> dict[str, Any]:
        n = state["n"] + 1
        return {"n": n, "texts": [text(growth, n)]} if growth else {"n": n}

    def route(state: State) -> str:
        return END if state["n"] == STEPS else "step"

    builder: Any = StateGraph(State)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", route)
    graph = builder.compile(checkpointer=saver)
    for thread in range(THREADS):
        config: Any = {"configurable": {"thread_id": f"t-{thread}"}, "recursion_limit": STEPS + 1}
        begin: Any = {"document": [text(document, 0)], "texts": [], "n": 0}
        await graph.ainvoke(begin, config)


async def size_of(connection: asyncpg.Connection[Any], tables: tuple[str, ...]) -> int:
    """Return the bytes of tables with their indexes."""
    for table in tables:
        await connection.execute(f"VACUUM {table}")
    size = (
        "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) AS name"
    )
    return int(await connection.fetchval(size, tables))


@pytest.mark.parametrize(("document", "growth"), [(100_000, 0), (0, 400)])
async def test_saver_needs_few_more_bytes_than_that_of_langgraph(
    document: int, growth: int, client: PostgresClient, migrated: str
) -> None:
    administrator = as_role(migrated, SUPERUSER)
    async with AsyncPostgresSaver.from_conn_string(administrator) as theirs:
        await theirs.setup()
        await run_threads(theirs, document=document, growth=growth)
    await run_threads(AgentRowsSaver(client, user="mira"), document=document, growth=growth)

    connection = await asyncpg.connect(administrator)
    try:
        ours, others = await size_of(connection, OURS), await size_of(connection, THEIRS)
    finally:
        await connection.close()

    print(f"{ours:,} bytes, theirs {others:,}")  # noqa: T201  shown by -s
    assert ours <= LIMIT * others, f"{ours / others:.2f} times as many bytes"
