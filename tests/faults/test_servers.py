"""Other servers: one that holds much, PostgreSQL 15 without pgvector, one behind pgbouncer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import migrate
from agentrows.migrate import Migrator
from support.catalog import columns, dump, fingerprint, shared
from support.servers import DEBIANS_15, OwnServer, own_server, pgbouncer, skip

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from support.postgres import Server
    from support.runners import App

MANY = 10_000
TEXT = "CASE WHEN n % 7 = 0 THEN '{\"n\": ' || n || '}' ELSE 'row ' || n END"
VALUES = {
    "text": TEXT,
    "json": "json_build_object('n', n)",
    "bigint": "n",
    "boolean": "nullif(n % 3, 0) = 1",
    "timestamp with time zone": "timestamptz '2025-01-01' + n * interval '1 minute'",
    # An index of 10,000 vectors takes a minute; of these there are 250.
    "vector(768)": "CASE WHEN n % 40 = 0 THEN"
    " (SELECT array_agg(sin(n * i))::vector FROM generate_series(1, 768) AS i) END",
}
COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = to_regclass($1) AND attnum > 0 ORDER BY attnum"
)
A = "CREATE TABLE IF NOT EXISTS a (n int);"
BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"


async def fill(db: asyncpg.Connection, table: str) -> None:
    """Bring a table to MANY rows; every third `deleted_at` is one."""
    there = await db.fetchval(f'SELECT count(*) FROM "{table}"')  # noqa: S608
    values = {
        name: VALUES[kind] if name != "deleted_at" else f"CASE n % 3 WHEN 0 THEN {VALUES[kind]} END"
        for name, kind in await db.fetch(COLUMNS, f'"{table}"')
    }
    await db.execute(
        f'INSERT INTO "{table}" ({", ".join(values)}) SELECT {", ".join(values.values())}'  # noqa: S608
        f" FROM generate_series(1000, 1000 + {MANY - there} - 1) AS n"
    )


@pytest.mark.parametrize("orm_release", ["0_7", "0_8"])
async def test_a_full_orm_database_keeps_every_row_and_ends_like_a_fresh_one(
    app: App, db: asyncpg.Connection, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("TRACKS = []\n")
    of = await columns(db)
    for table in of:
        await fill(db, table)
    of["feedback"].remove("is_positive")  # nullable before, and filled in
    of["lg_checkpoint"].remove("version")
    before = await fingerprint(db, of)
    assert {sum(rows.values()) for rows in before.values()} == {MANY}

    assert (await app.run("up")).code == 0

    assert await fingerprint(db, shared(of, await columns(db))) == before
    fresh = await asyncio.to_thread(server.create_database)
    await Migrator(server.dsn(fresh), migrate.builtin_tracks()).up()
    assert dump(app.dsn) == dump(server.dsn(fresh))
    await asyncio.to_thread(server.drop_database, fresh)


@pytest.fixture(scope="module")
def fifteen() -> Generator[OwnServer]:
    """Debian's PostgreSQL 15, which has no pgvector."""
    if not DEBIANS_15.is_dir():
        skip("Debian's package postgresql-15 is not installed")
    with own_server(DEBIANS_15) as own:
        yield own


async def test_postgresql_15_without_pgvector_runs_core_and_concurrent_builds(
    app: App, fifteen: OwnServer
) -> None:
    app.write(A, BUILD)
    app.dsn = fifteen.dsn()

    stopped = await app.run("up")
    assert stopped.code == 1
    assert "the server does not have pgvector" in stopped.last
    assert "AGENTROWS_VECTOR_ENABLED=false" in stopped.last
    db = await asyncpg.connect(app.dsn)
    assert await columns(db) == {}, "it stopped before anything ran"
    assert await db.fetchval("SELECT to_regclass('schema_migrations')") is None

    done = await app.run("up", AGENTROWS_VECTOR_ENABLED="false")
    assert done.code == 0, done.err
    assert (await app.run("doctor", AGENTROWS_VECTOR_ENABLED="false")).code == 0
    assert await db.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_n'::regclass")
    tracks = migrate.builtin_tracks(vector=False)
    assert (await Migrator(app.dsn, tracks).verify()).is_current
    down = await Migrator(app.dsn, tracks).goto("core", 0)
    assert len(down.files) == 7
    await db.close()


@pytest.fixture
def pooled(fifteen: OwnServer) -> Generator[str]:
    """The DSN of pgbouncer in transaction mode."""
    with pgbouncer("127.0.0.1", fifteen.port, "postgres", pool_size=4) as port:
        yield fifteen.dsn(port=port)


async def test_a_transaction_pooler_is_refused_by_name(app: App, pooled: str) -> None:
    app.write(A)
    for _ in range(2):  # the second time its server process knows our statements already
        done = await app.run("up", dsn=pooled, AGENTROWS_VECTOR_ENABLED="false")
        assert done.code == 1
        assert "pgbouncer" in done.last, done.err
        assert "connect to PostgreSQL itself" in done.last
