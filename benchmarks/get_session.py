"""Reading one session by its key: in one task, and in more tasks than there are connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
from clients import (
    CONNECTIONS,
    agentrows_client,
    asyncpg_pool,
    free_list,
    named,
    percent,
    psycopg_pool,
    sqlalchemy_engine,
)
from conductor import execute
from harness import OURS, Contender, Subject, Target

from agentrows.gen.models import Session
from agentrows.gen.sessions import GET_SESSION, GET_SESSION_BATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Operation

SESSIONS = 10_000
USERS = 100
ROWS = f"""
INSERT INTO session (id, user_id, name, agent_id, source, created_at, updated_at)
SELECT
    's-' || n, 'u-' || n % {USERS}, 'Session ' || n, 'a-' || n % 10, 'user',
    now() - n * interval '1 second', now() - n * interval '1 second'
FROM generate_series(0, {SESSIONS - 1}) AS n
"""


async def prepare(dsn: str) -> None:
    """Store the sessions."""
    await execute(dsn, ROWS)


def keys() -> itertools.cycle[tuple[str, str]]:
    """Return the keys of the sessions, in a scattered order, repeatedly."""
    numbers = ((n * 7919) % SESSIONS for n in range(SESSIONS))
    return itertools.cycle([(f"s-{n}", f"u-{n % USERS}") for n in numbers])


@contextlib.asynccontextmanager
async def ours(
    dsn: str, *, size: int = CONNECTIONS, merge: bool = True
) -> AsyncIterator[Operation]:
    """Call get_session."""
    key = keys()
    async with agentrows_client(dsn, size=size, merge_lookups=merge) as client:

        async def read(_task: int) -> object:
            id_, user_id = next(key)
            return await client.get_session(id_, user_id=user_id)

        yield read


@contextlib.asynccontextmanager
async def one_connection(dsn: str) -> AsyncIterator[Operation]:
    """Fetch a row without a model: the limit of the driver."""
    key = keys()
    connection = await asyncpg.connect(dsn)

    async def read(_task: int) -> object:
        return await connection.fetchrow(GET_SESSION, *next(key))

    yield read
    await connection.close()


@contextlib.asynccontextmanager
async def from_free_list(dsn: str) -> AsyncIterator[Operation]:
    """Fetch a row on a bare connection that is free."""
    key = keys()
    async with free_list(dsn) as connections:

        async def read(_task: int) -> object:
            return await connections.fetchrow(GET_SESSION, *next(key))

        yield read


@contextlib.asynccontextmanager
async def batches_by_hand(dsn: str) -> AsyncIterator[Operation]:
    """Collect the calls of one turn of the loop, and fetch their rows by one statement."""
    key = keys()
    waiting: list[tuple[tuple[str, str], asyncio.Future[object]]] = []
    async with free_list(dsn) as connections:

        async def fetch_all() -> None:
            calls, waiting[:] = waiting[:], []
            ids, users = zip(*(key for key, _ in calls), strict=True)
            for row in await connections.fetch(GET_SESSION_BATCH, ids, users):
                calls[row["number"] - 1][1].set_result(row)

        async def read(_task: int) -> object:
            loop = asyncio.get_running_loop()
            if not waiting:
                loop.call_soon(lambda: loop.create_task(fetch_all()))
            future = loop.create_future()
            waiting.append((next(key), future))
            return await future

        yield read


@contextlib.asynccontextmanager
async def from_pool(dsn: str, *, reset: bool) -> AsyncIterator[Operation]:
    """Fetch a row on a connection of asyncpg's pool, and create a model of it."""
    key = keys()
    async with asyncpg_pool(dsn, reset=reset) as pool:

        async def read(_task: int) -> object:
            row = await pool.fetchrow(GET_SESSION, *next(key))
            return row and Session(**row)

        yield read


@contextlib.asynccontextmanager
async def with_psycopg(dsn: str) -> AsyncIterator[Operation]:
    """Fetch a row on a connection of psycopg's pool, which creates a model of it."""
    from psycopg.rows import class_row

    key = keys()
    sql = percent(GET_SESSION)
    async with psycopg_pool(dsn, row_factory=class_row(Session)) as pool:

        async def read(_task: int) -> object:
            async with pool.connection() as connection:
                cursor = await connection.execute(sql, next(key))
                return await cursor.fetchone()

        yield read


@contextlib.asynccontextmanager
async def with_text(dsn: str) -> AsyncIterator[Operation]:
    """Run the code that sqlc-gen-python writes."""
    import sqlalchemy

    key = keys()
    sql = named(GET_SESSION)
    async with sqlalchemy_engine(dsn) as engine:

        async def read(_task: int) -> object:
            id_, user_id = next(key)
            async with engine.connect() as connection:
                result = await connection.execute(sqlalchemy.text(sql), {"p1": id_, "p2": user_id})
                row = result.first()
            if row is None:
                return None
            return Session(
                id=row[0],
                user_id=row[1],
                name=row[2],
                agent_id=row[3],
                source=row[4],
                created_at=row[5],
                updated_at=row[6],
                deleted_at=row[7],
            )

        yield read


@contextlib.asynccontextmanager
async def with_orm(dsn: str) -> AsyncIterator[Operation]:
    """Get a mapped object by its key."""
    from orm import SessionRow
    from sqlalchemy.ext.asyncio import async_sessionmaker

    key = keys()
    async with sqlalchemy_engine(dsn) as engine:
        make = async_sessionmaker(engine, expire_on_commit=False)

        async def read(_task: int) -> object:
            async with make() as session:
                return await session.get(SessionRow, next(key))

        yield read


POOLS = (
    Contender("asyncpg pool, reset off", lambda dsn: from_pool(dsn, reset=False)),
    Contender("asyncpg pool as it comes", lambda dsn: from_pool(dsn, reset=True)),
    Contender("psycopg 3 pool", with_psycopg, needs=("psycopg", "psycopg_pool")),
    Contender("SQLAlchemy text()", with_text, needs=("sqlalchemy",)),
    Contender("SQLAlchemy ORM", with_orm, needs=("sqlalchemy",)),
)
ONE_TASK = Subject(
    name="get_session",
    title="get_session, 1 task",
    contenders=(
        Contender(OURS, ours),
        Contender("asyncpg, one connection, no model", one_connection),
        *POOLS,
    ),
    prepare=prepare,
    targets=(Target("asyncpg, one connection, no model", 0.85),),
)
MANY_TASKS = Subject(
    name="get_session_32",
    title="get_session, 32 tasks on 10 connections",
    contenders=(
        Contender(OURS, ours),
        Contender("asyncpg, free list, no model", from_free_list),
        *POOLS,
    ),
    prepare=prepare,
    tasks=32,
    targets=(
        Target("asyncpg, free list, no model", 1.8),
        Target("SQLAlchemy text()", 5),
        Target("psycopg 3 pool", 1.8),
    ),
)
MANY = 128
ALONE = "agentrows, merge_lookups off"
FREE_LIST = "asyncpg, free list, no model"
BY_HAND = Contender("asyncpg, the batch statement by hand, no model", batches_by_hand)
FEW_CONNECTIONS = Subject(
    name="get_session_2",
    title="get_session, 32 tasks on 2 connections",
    contenders=(
        Contender(OURS, partial(ours, size=2)),
        Contender(ALONE, partial(ours, size=2, merge=False)),
    ),
    prepare=prepare,
    tasks=32,
    targets=(Target(ALONE, 3),),
)
PEAKS = tuple(
    Subject(
        name=f"get_session_{tasks}",
        title=f"get_session, {tasks:,} tasks on 10 connections",
        contenders=(
            Contender(OURS, ours),
            Contender(ALONE, partial(ours, merge=False)),
            Contender(FREE_LIST, from_free_list),
            BY_HAND,
        ),
        prepare=prepare,
        tasks=tasks,
        targets=(Target(FREE_LIST, 3),) if tasks == MANY else (),
    )
    for tasks in (MANY, 1000)
)
