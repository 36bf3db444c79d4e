"""One migrated database for all tests of the stores, emptied before each test.

`pytest tests/integration/stores --core 5` runs them on a database whose core track ends there.
A test in which a method then raises SchemaBehind for a higher version is an expected failure.

`pytest tests/integration/stores --pooler` runs them through pgbouncer in transaction mode.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest
import pytest_asyncio

from agentrows import PostgresClient, Settings, init_connection
from support.older_schemas import CORES, tracks_at, why_expected
from support.postgres import SERVICE, SUPERUSER, as_role
from support.servers import pgbouncer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from support.postgres import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--core", type=int, choices=CORES, help="run the stores' tests on this core version"
    )
    parser.addoption(
        "--pooler", action="store_true", help="run the stores' tests through pgbouncer"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the expected failures of a run on an older schema."""
    report = yield
    core = core_version(item.config)
    if core is not None and report.failed and call.excinfo is not None:
        reason = why_expected(call.excinfo.value, core)
        if reason is not None:
            report.outcome = "skipped"
            report.wasxfail = reason
    return report


def core_version(config: pytest.Config) -> int | None:
    """Return the version of the option --core; None is the newest, also without the option."""
    return cast("int | None", config.getoption("core", None))


@pytest.fixture(scope="session")
def stores_database(
    server: Server, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A superuser's DSN of a database that the tests of the stores use one after another."""
    core = core_version(request.config)
    if core is None:
        name = server.create_database(cast("str", request.getfixturevalue("template")))
    else:
        name = server.create_database()
        server.migrate(name, tracks_at(core, tmp_path_factory.mktemp("core")))
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def migrated(stores_database: str) -> str:
    """The service role's DSN of a migrated database without rows.

    A clone for each test would take four times as long. A test that changes the schema does so as
    the superuser, in a transaction that it undoes.
    """
    asyncio.run(empty(stores_database))
    return as_role(stores_database, SERVICE)


@pytest.fixture(scope="session")
def client_dsn(
    server: Server, stores_database: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The service role's DSN: the server's, or with --pooler that of pgbouncer before it."""
    if not request.config.getoption("pooler", default=False):
        yield as_role(stores_database, SERVICE)
        return
    folder = Path(server.postgres.pgdata)
    name = stores_database.partition("?")[0].rpartition("/")[2]
    with pgbouncer(folder, 5432, SERVICE, pool_size=6) as port:
        yield f"postgresql://{SERVICE}@127.0.0.1:{port}/{name}"


@pytest_asyncio.fixture
async def client(
    migrated: str, client_dsn: str, request: pytest.FixtureRequest
) -> AsyncIterator[PostgresClient]:
    """A client on the migrated database."""
    pooled = request.config.getoption("pooler", default=False)
    settings = Settings(pooler="transaction" if pooled else "none", migrations="off")
    assert pooled or client_dsn == migrated
    async with PostgresClient.open(client_dsn, settings=settings) as client:
        yield client


@pytest_asyncio.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another program, as a superuser, to the database of `client`."""
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await init_connection(connection)
    yield connection
    await connection.close()


async def empty(dsn: str) -> None:
    """Remove the rows of all tables except those of the migrations."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace AND relname !~ 'schema_migrations'"
        )
        names = [str(row[0]) for row in tables]
        assert "memory" in names
        filled: list[str] = []
        for name in names:
            if await connection.fetchval(f"SELECT true FROM {name} LIMIT 1"):  # noqa: S608
                filled.append(name)  # noqa: PERF401  the driver runs one statement at a time
        if filled:
            await connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
    finally:
        await connection.close()
