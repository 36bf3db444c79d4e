"""Clients behind pgbouncer in transaction mode, where each statement may get another process.

The tests of the stores run through it as a whole: `pytest tests/integration/stores --pooler`.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest

from agentrows import (
    ConfigError,
    InvalidValue,
    PostgresClient,
    SchemaBehind,
    Settings,
    Unavailable,
    migrate,
)
from agentrows.gen.database import send_notification
from agentrows.migrate import Migrator
from support.servers import pgbouncer
from support.stores import count, event

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from support.postgres import Server

    Pooled = Callable[[str], str]

PROCESSES: Final = 3
"""Server processes that pgbouncer has for each database, far fewer than a client's connections."""
IMPATIENT: Final = "query_wait_timeout = 2\n"
SETTINGS: Final[dict[str, Any]] = {"pooler": "transaction", "pool_max_size": 30}


def through(port: int, dsn: str) -> str:
    """The DSN of a database through pgbouncer."""
    name = dsn.partition("?")[0].rpartition("/")[2]
    return f"postgresql://postgres@127.0.0.1:{port}/{name}"


@pytest.fixture(scope="module")
def pooled(server: Server) -> Generator[Pooled]:
    """From the DSN of a database to the one that leads through pgbouncer."""
    with pgbouncer(
        Path(server.postgres.pgdata), 5432, "postgres", pool_size=PROCESSES, more=IMPATIENT
    ) as port:
        yield lambda dsn: through(port, dsn)


async def live(client: PostgresClient, user: str, times: int) -> None:
    """Do a little of everything as one user, and see nothing but one's own."""
    for number in range(times):
        session = f"{user}-{number}"
        await client.store_session(session, user_id=user, name=user)
        batch = [event(f"{session}-{n}", user_id=user, session_id=session) for n in range(20)]
        async with client.transaction() as tx:
            assert await tx.store_events(batch) == 20
            await tx.store_feedback(user_id=user, is_positive=True, feedback_text=session)
            listed = await tx.list_events_for_session(session, user_id=user)
            assert [each.id for each in listed] == [each.id for each in batch]
        streamed = [
            each.id async for each in client.stream_events_for_session(session, user_id=user)
        ]
        assert streamed == [each.id for each in batch]
        assert (await client.get_session(session, user_id=user)).name == user
        rows = [(f"copied-{session}", user, "{}")]
        await client.db.copy_records_to_table(
            "event", records=rows, columns=("id", "user_id", "data")
        )
        await client.db.executemany(
            "UPDATE event SET data = $2 WHERE id = $1", [(row[0], user) for row in rows]
        )
        assert (await client.get_event(f"copied-{session}", user_id=user)).data == user
    assert (await client.summarize_feedback(user_id=user)).total == times


async def test_tasks_on_few_server_processes_get_their_own_rows(
    migrated: str, pooled: Pooled
) -> None:
    settings = Settings(**SETTINGS, migrations="off")
    dsn = pooled(migrated)
    async with (
        PostgresClient.open(dsn, settings=settings) as one,
        PostgresClient.open(dsn, settings=settings) as other,
    ):
        await asyncio.gather(
            *(live((one, other)[n % 2], f"user-{n}", times=3) for n in range(40)),
        )
    connection = await asyncpg.connect(migrated)
    assert await count(connection, "event") == 40 * 3 * 21
    await connection.close()


async def test_server_process_has_no_leftover_state(migrated: str, pooled: Pooled) -> None:
    settings = Settings(**SETTINGS, migrations="off")
    async with PostgresClient.open(pooled(migrated), settings=settings) as client:
        await live(client, "mira", times=3)
        streams = [client.stream_events_for_session("s-1", user_id="mira") for _ in range(9)]
        for stream in streams:
            assert [each async for each in stream] == []
        for _ in range(3 * PROCESSES):
            assert not await client.db.fetch("SELECT name, statement FROM pg_prepared_statements")
            assert not await client.db.fetch("SELECT * FROM pg_cursors WHERE name <> ''")


async def test_unsendable_value_frees_its_server_process(migrated: str, server: Server) -> None:
    settings = Settings(**SETTINGS, migrations="off", retry_timeout_s=0)
    folder = Path(server.postgres.pgdata)
    with pgbouncer(folder, 5432, "postgres", pool_size=1, more=IMPATIENT) as port:
        dsn = through(port, migrated)
        async with (
            PostgresClient.open(dsn, settings=settings) as one,
            PostgresClient.open(dsn, settings=settings) as other,
        ):
            for _ in range(3):
                with pytest.raises(InvalidValue):
                    await one.db.fetchval("SELECT $1::int", "no number")
                await other.list_agents()


async def test_pooler_without_free_process_raises_unavailable(
    migrated: str, pooled: Pooled
) -> None:
    settings = Settings(**SETTINGS, migrations="off", retry_timeout_s=0)
    async with PostgresClient.open(pooled(migrated), settings=settings) as client:
        barrier = asyncio.Barrier(PROCESSES + 1)

        async def hold() -> None:
            async with client.transaction() as tx:
                await tx.list_agents()
                await barrier.wait()
                await barrier.wait()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(PROCESSES):
                tasks.create_task(hold())
            await barrier.wait()
            with pytest.raises(Unavailable, match="query_wait_timeout"):
                await client.list_agents()
            await barrier.wait()
        await client.list_agents()


@pytest.mark.parametrize("ignored", [True, False])
async def test_transaction_pooler_without_setting_raises_error_with_it(
    migrated: str, server: Server, *, ignored: bool
) -> None:
    more = "ignore_startup_parameters = client_connection_check_interval\n" if ignored else ""
    folder = Path(server.postgres.pgdata)

    async def use(dsn: str) -> None:
        async with PostgresClient.open(dsn, migrations="off") as client:
            async with contextlib.AsyncExitStack() as stack:  # so that each process is there
                for _ in range(PROCESSES):
                    await stack.enter_async_context(client.transaction())
            for _ in range(4):
                await asyncio.gather(*(client.list_agents() for _ in range(10)))

    with (
        pgbouncer(folder, 5432, "postgres", pool_size=PROCESSES, more=more) as port,
        pytest.raises(ConfigError, match="AGENTROWS_POOLER=transaction"),
    ):
        await use(through(port, migrated))


async def test_session_pooler_may_refuse_keepalive_parameters(
    migrated: str, server: Server
) -> None:
    more = "pool_mode = session\nignore_startup_parameters = client_connection_check_interval\n"
    with pgbouncer(
        Path(server.postgres.pgdata), 5432, "postgres", pool_size=PROCESSES, more=more
    ) as port:
        async with PostgresClient.open(through(port, migrated), migrations="off") as client:
            await asyncio.gather(*(client.list_agents() for _ in range(10)))


async def test_listen_is_refused_by_transaction_pooler_and_works_in_session_mode(
    migrated: str, server: Server, pooled: Pooled
) -> None:
    folder = Path(server.postgres.pgdata)
    settings = Settings(**SETTINGS, migrations="off")
    async with PostgresClient.open(pooled(migrated), settings=settings) as client:
        with pytest.raises(ConfigError, match="behind a transaction pooler"):
            async with client.listen("orders"):
                pass

    ignored = "ignore_startup_parameters = client_connection_check_interval, tcp_user_timeout"
    ignored += ", tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count\n"
    with pgbouncer(folder, 5432, "postgres", pool_size=1, more=ignored) as port:
        dsn = through(port, migrated)
        async with PostgresClient.open(dsn, migrations="off") as client:
            with pytest.raises(ConfigError, match="AGENTROWS_POOLER=transaction"):
                async with client.listen("orders"):
                    pass

    more = f"pool_mode = session\n{ignored}"
    with pgbouncer(folder, 5432, "postgres", pool_size=PROCESSES, more=more) as port:
        async with (
            PostgresClient.open(through(port, migrated), migrations="off") as client,
            client.listen("orders") as notifications,
        ):
            await send_notification(client.db.once, channel="orders", payload="1")
            async with asyncio.timeout(10):
                assert (await anext(notifications)).payload == "1"


async def test_notified_events_reach_tails_through_and_beside_the_pooler(
    migrated: str, pooled: Pooled
) -> None:
    direct = Settings(notify_events=True, tail_interval_s=600, migrations="off")
    shared = Settings(**SETTINGS, notify_events=True, tail_interval_s=0.1, migrations="off")
    async with (
        PostgresClient.open(pooled(migrated), settings=shared) as writer,
        PostgresClient.open(pooled(migrated), settings=shared) as polling,
        PostgresClient.open(migrated, settings=direct) as listening,
    ):
        await writer.store_session("s-1", user_id="mira")
        tails = [each.tail_events("s-1", user_id="mira") for each in (polling, listening)]
        for number in range(5):
            reads = [asyncio.ensure_future(anext(tail)) for tail in tails]
            await asyncio.sleep(0.3)
            await writer.store_events([event(f"e-{number}")])
            async with asyncio.timeout(30):
                assert [(await read).id for read in reads] == [f"e-{number}"] * 2
        for tail in tails:
            await tail.aclose()


async def test_doctor_leaves_no_setting_on_the_process_of_a_pooler(
    migrated: str, server: Server
) -> None:
    folder = Path(server.postgres.pgdata)
    ignored = "ignore_startup_parameters = client_connection_check_interval, tcp_user_timeout"
    ignored += ", tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count\n"
    with pgbouncer(folder, 5432, "postgres", pool_size=1, more=ignored) as port:
        dsn = through(port, migrated)
        assert (await Migrator(dsn, migrate.builtin_tracks()).doctor()).is_healthy
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
        try:
            assert await connection.fetchval("SHOW lock_timeout") == "0"
        finally:
            await connection.close()


async def test_schema_is_verified_but_not_migrated_through_pooler(
    migrated: str, database: str, pooled: Pooled
) -> None:
    settings = Settings(**SETTINGS)
    async with PostgresClient.open(pooled(migrated), settings=settings) as client:
        await client.list_agents()
    with pytest.raises(SchemaBehind):
        await PostgresClient.connect(pooled(database), settings=settings)
    for asked in ("apply", None):
        told = Settings(**SETTINGS) if asked else Settings(**SETTINGS, migrations="apply")
        with pytest.raises(ConfigError, match="AGENTROWS_MIGRATIONS_URL"):
            await PostgresClient.connect(pooled(migrated), settings=told, migrations=asked)
    with pytest.raises(ConfigError, match="pgbouncer"):
        await Migrator(pooled(database), migrate.builtin_tracks()).up()


async def test_migrations_use_their_own_dsn(database: str, pooled: Pooled) -> None:
    settings = Settings.model_validate({**SETTINGS, "migrations_url": database})
    async with PostgresClient.open(pooled(database), settings=settings) as client:
        await client.store_agent("travel", type="BYO")
    assert (await Migrator(database, migrate.builtin_tracks()).verify()).is_current
