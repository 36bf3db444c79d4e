"""Reading a list of 1,000 sessions."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
from clients import agentrows_client, named, percent, psycopg_pool, sqlalchemy_engine
from conductor import execute
from harness import OURS, Contender, Subject, Target

from agentrows.gen.models import Session
from agentrows.gen.sessions import LIST_SESSIONS_BY_ACTIVITY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Operation

LIMIT = 1000
PAGE = ("u-0", datetime.max.replace(tzinfo=UTC), "", LIMIT)
"""The arguments of the statement: the first page of a user."""
ROWS = """
INSERT INTO session (id, user_id, name, agent_id, source, created_at, updated_at)
SELECT
    's-' || n, 'u-' || n % 10, 'Session ' || n, 'a-' || n % 7, 'user',
    now() - n * interval '1 second', now() - n * interval '1 second'
FROM generate_series(1, 20000) AS n
"""


async def prepare(dsn: str) -> None:
    """Store 20,000 sessions of ten users."""
    await execute(dsn, ROWS)


@contextlib.asynccontextmanager
async def ours(dsn: str) -> AsyncIterator[Operation]:
    """Call list_sessions."""
    async with agentrows_client(dsn, size=1) as client:

        async def read(_task: int) -> object:
            return await client.list_sessions(user_id="u-0", limit=LIMIT)

        yield read


@contextlib.asynccontextmanager
async def with_asyncpg(dsn: str, *, models: bool) -> AsyncIterator[Operation]:
    """Fetch the rows; make models of them, or leave them as they are."""
    connection = await asyncpg.connect(dsn)

    async def read(_task: int) -> object:
        rows = await connection.fetch(LIST_SESSIONS_BY_ACTIVITY, *PAGE)
        return [Session(**row) for row in rows] if models else rows

    yield read
    await connection.close()


@contextlib.asynccontextmanager
async def with_psycopg(dsn: str) -> AsyncIterator[Operation]:
    """Fetch the rows on a connection of psycopg's pool, which makes models of them."""
    from psycopg.rows import class_row

    sql = percent(LIST_SESSIONS_BY_ACTIVITY)
    async with psycopg_pool(dsn, row_factory=class_row(Session)) as pool:

        async def read(_task: int) -> object:
            async with pool.connection() as connection:
                cursor = await connection.execute(sql, PAGE)
                return await cursor.fetchall()

        yield read


@contextlib.asynccontextmanager
async def with_text(dsn: str) -> AsyncIterator[Operation]:
    """Run the query as the code of sqlc-gen-python does."""
    import sqlalchemy

    sql = named(LIST_SESSIONS_BY_ACTIVITY)
    values = {f"p{number}": value for number, value in enumerate(PAGE, start=1)}
    async with sqlalchemy_engine(dsn) as engine:

        async def read(_task: int) -> object:
            async with engine.connect() as connection:
                result = await connection.stream(sqlalchemy.text(sql), values)
                return [
                    Session(
                        id=row[0],
                        user_id=row[1],
                        name=row[2],
                        agent_id=row[3],
                        source=row[4],
                        created_at=row[5],
                        updated_at=row[6],
                        deleted_at=row[7],
                    )
                    async for row in result
                ]

        yield read


@contextlib.asynccontextmanager
async def with_orm(dsn: str) -> AsyncIterator[Operation]:
    """Select mapped objects, in the same order."""
    from orm import SessionRow
    from sqlalchemy import func, literal_column, select
    from sqlalchemy.ext.asyncio import async_sessionmaker

    oldest = literal_column("'-infinity'::timestamptz")
    query = (
        select(SessionRow)
        .where(SessionRow.user_id == "u-0", SessionRow.deleted_at.is_(None))
        .order_by(func.coalesce(SessionRow.updated_at, oldest).desc(), SessionRow.id.desc())
        .limit(LIMIT)
    )
    async with sqlalchemy_engine(dsn) as engine:
        make = async_sessionmaker(engine, expire_on_commit=False)

        async def read(_task: int) -> object:
            async with make() as session:
                return (await session.scalars(query)).all()

        yield read


SUBJECT = Subject(
    name="list_sessions",
    title="list of 1,000 rows, 1 task",
    contenders=(
        Contender(OURS, ours),
        Contender("asyncpg fetch, no model", lambda dsn: with_asyncpg(dsn, models=False)),
        Contender("asyncpg fetch, model by model", lambda dsn: with_asyncpg(dsn, models=True)),
        Contender("psycopg 3, the same models", with_psycopg, needs=("psycopg", "psycopg_pool")),
        Contender("SQLAlchemy text()", with_text, needs=("sqlalchemy",)),
        Contender("SQLAlchemy ORM", with_orm, needs=("sqlalchemy",)),
    ),
    prepare=prepare,
    targets=(
        Target("asyncpg fetch, no model", 0.45),
        Target("psycopg 3, the same models", 1.2),
        Target("SQLAlchemy ORM", 2.5),
    ),
)
