"""Types that are dropped and created again while a client is open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from agentrows import InvalidValue, PostgresClient, Settings, init_connection
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CREATED_AGAIN = """
    DROP EXTENSION vector CASCADE;
    CREATE EXTENSION vector;
    ALTER TABLE memory ADD COLUMN embedding vector(768);
"""
OWNER: dict[str, Any] = {"agent_name": "travel", "user_id": "mira"}
EMBEDDING = [1.0] * 768


async def store(client: PostgresClient) -> None:
    await client.store_agent_memory(**OWNER, id="m-1", content="x", embedding=EMBEDDING)


async def store_without_embedding(client: PostgresClient) -> None:
    await client.store_agent_memory(**OWNER, id="m-1", content="y")


async def read(client: PostgresClient) -> None:
    [memory] = await client.list_agent_memories(**OWNER, with_embeddings=True)
    assert memory.id == "m-1"


async def search(client: PostgresClient) -> None:
    [hit] = await client.search_agent_memory(**OWNER, embedding=EMBEDDING, touch=False)
    assert hit.id == "m-1"


async def search_and_touch(client: PostgresClient) -> None:
    [hit] = await client.search_agent_memory(**OWNER, embedding=EMBEDDING)
    assert hit.id == "m-1"


CALLS = [store, store_without_embedding, read, search, search_and_touch]


async def create_again(dsn: str) -> None:
    admin = await asyncpg.connect(as_role(dsn, SUPERUSER))
    await admin.execute(CREATED_AGAIN)
    await admin.execute("UPDATE memory SET embedding = $1::text::vector", str(EMBEDDING))
    await admin.close()


@pytest.mark.parametrize("used", [True, False], ids=["used", "new"])
@pytest.mark.parametrize("call", CALLS)
async def test_recreated_pgvector_is_detected_by_each_call(
    migrated: str, call: Callable[[PostgresClient], Awaitable[None]], *, used: bool
) -> None:
    settings = Settings(pool_min_size=8, pool_max_size=8)
    async with PostgresClient.open(migrated, migrations="off", settings=settings) as client:
        async with client.transaction() as tx:  # one connection of eight has used vectors
            await tx.store_agent_memory(**OWNER, id="m-1", content="x", embedding=EMBEDDING)
        if used:
            await asyncio.gather(*(call(client) for _ in range(8)))
        await create_again(migrated)

        await call(client)
        await asyncio.gather(*(call(client) for _ in range(20)))


async def test_recreated_pgvector_is_detected_on_application_pool(
    migrated: str,
) -> None:
    async with (
        asyncpg.create_pool(migrated, min_size=4, max_size=4, init=init_connection) as pool,
    ):
        client = await PostgresClient.from_pool(pool)
        await asyncio.gather(*(store(client) for _ in range(4)))
        await create_again(migrated)

        await asyncio.gather(*(store(client) for _ in range(8)))


async def test_recreated_enum_is_detected_in_once_statements_too(
    migrated: str,
) -> None:
    admin = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await admin.execute("CREATE TYPE mood AS ENUM ('calm')")
    async with PostgresClient.open(migrated, migrations="off") as client:
        query = "SELECT $1::mood::text"
        await asyncio.gather(*(client.db.fetchval(query, "calm") for _ in range(4)))
        await admin.execute("DROP TYPE mood; CREATE TYPE mood AS ENUM ('calm', 'cross')")

        values = await asyncio.gather(*(client.db.fetchval(query, "cross") for _ in range(8)))
    await admin.close()

    assert values == ["cross"] * 8


@pytest.mark.parametrize(
    ("query", "args", "words"),
    [
        ("SELECT $1::text", (), "the server expects 1 argument"),
        ("SELECT $1::text", ("a", "b"), "the server expects 1 argument"),
        ("SELECT $1::text", ("a",) * 32_768, "cannot exceed 32767"),
        ("SELECT $1::int", ("a",), r"query argument \$1"),
    ],
)
async def test_wrong_arguments_raise_invalid_value_on_same_connection(
    client: PostgresClient, query: str, args: tuple[str, ...], words: str
) -> None:
    pid = await client.db.fetchval("SELECT pg_backend_pid()")

    async with asyncio.timeout(5):
        with pytest.raises(InvalidValue, match=words):
            await client.db.fetch(query, *args)

    assert await client.db.fetchval("SELECT pg_backend_pid()") == pid


async def test_row_with_missing_columns_in_batch_stores_nothing(
    client: PostgresClient,
) -> None:
    rows = [*((f"s-{i}", "mira") for i in range(3000)), ("s-3000",)]

    async with asyncio.timeout(5):
        with pytest.raises(InvalidValue, match="expects 2 arguments for this query, 1 was passed"):
            await client.db.executemany("INSERT INTO session (id, user_id) VALUES ($1, $2)", rows)

    assert await client.list_sessions(user_id="mira") == []


async def test_upsert_that_loses_race_for_key_is_retried(migrated: str) -> None:
    """A trigger raises the error as often as REINDEX CONCURRENTLY could."""
    admin = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await admin.execute("""
        CREATE SEQUENCE tries;
        GRANT ALL ON SEQUENCE tries TO public;
        CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('tries') < 3 THEN
                RAISE unique_violation;
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER collide BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION collide();
    """)
    async with PostgresClient.open(migrated, migrations="off") as client:
        session = await client.store_session("s-41", user_id="mira")
    await admin.close()

    assert session.id == "s-41"
