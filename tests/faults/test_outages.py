"""Servers that restart, stop, fail over, become silent, have a full disk, or are slow."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import (
    OutcomeUnknown,
    PoolTimeout,
    PostgresClient,
    Retry,
    Settings,
    StatementTimeout,
    Unavailable,
    migrate,
)
from agentrows.db.connect import connect
from agentrows.migrate import Migrator
from support.ledger import Ledger
from support.proxy import Proxy, proxy_to
from support.servers import OwnServer, own_server, small_disk, unprivileged
from support.watching import IN_LOCKS, PATIENCE_S, PID, SLEEP, check_pool, until, watch
from support.workload import under_load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path

SIZE = 5
SETTINGS = Settings(pool_max_size=SIZE, retry_timeout_s=120)
MUCH = 1_000_000
NAMES = itertools.count(1)
DOWN_S = 20.0 if "AGENTROWS_ROUNDS" in os.environ else 2.0
"""The duration of the outage: 20 s in `make soak`."""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    """A server with a migrated database, as a template."""
    with own_server() as server:
        asyncio.run(_migrate(server))
        yield server


async def _migrate(server: OwnServer) -> None:
    await _execute(server, "CREATE DATABASE template")
    await Migrator(server.dsn("template"), migrate.builtin_tracks()).up()


async def _execute(server: OwnServer, statement: str) -> None:
    db = await asyncpg.connect(server.dsn())
    try:
        await db.execute(statement)
    finally:
        await db.close()


@pytest.fixture
async def dsn(own: OwnServer) -> str:
    """A migrated database of the server."""
    name = f"test_{next(NAMES)}"
    await _execute(own, f"CREATE DATABASE {name} TEMPLATE template STRATEGY FILE_COPY")
    return own.dsn(name)


async def check(client: PostgresClient, ledger: Ledger, dsn: str) -> None:
    """Check the pool, and that the tables agree with the results of the calls."""
    async with watch(dsn) as watcher:
        await check_pool(client, watcher, size=SIZE)
        await ledger.check(watcher.db)


async def test_server_restart_under_load_loses_nothing(own: OwnServer, dsn: str) -> None:
    async with PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client:
        ledger = await under_load(client, lambda: asyncio.to_thread(own.restart))

        await check(client, ledger, dsn)


async def test_calls_wait_for_server_that_is_down(own: OwnServer, dsn: str) -> None:
    async def fail() -> None:
        await asyncio.to_thread(own.stop)
        await asyncio.sleep(DOWN_S)
        await asyncio.to_thread(own.start)

    async with PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client:
        ledger = await under_load(client, fail)

        await check(client, ledger, dsn)


async def test_terminated_sessions_under_load_lose_nothing(dsn: str) -> None:
    async def fail() -> None:
        async with watch(dsn) as watcher:
            assert await watcher.terminate_all()

    async with PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client:
        ledger = await under_load(client, fail)

        await check(client, ledger, dsn)


@pytest.fixture
def replica(own: OwnServer, dsn: str) -> Iterator[OwnServer]:  # noqa: ARG001  it is copied
    """A synchronous streaming replica, which has each commit before the client gets its reply."""
    with own_server(replica_of=own) as server:
        asyncio.run(_execute(own, "ALTER SYSTEM SET synchronous_standby_names = '*'"))
        asyncio.run(_execute(own, "SELECT pg_reload_conf()"))
        try:
            asyncio.run(_until_synchronous(own))
            yield server
        finally:
            own.restart()
            asyncio.run(_execute(own, "ALTER SYSTEM RESET ALL"))
            own.restart()


async def _until_synchronous(primary: OwnServer) -> None:
    async with watch(primary.dsn()) as watcher:

        async def is_so() -> bool:
            state = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            return bool(await watcher.db.fetchval(state))

        await until(is_so)


def both(own: OwnServer, replica: OwnServer, dsn: str) -> str:
    """The DSN of both servers, for the one that accepts writes."""
    hosts = f"127.0.0.1:{own.port},127.0.0.1:{replica.port}"
    return f"postgresql://postgres@{hosts}/{name_of(dsn)}?target_session_attrs=read-write"


def name_of(dsn: str) -> str:
    return dsn.rpartition("/")[2]


async def test_failover_to_synchronous_replica_loses_nothing(
    own: OwnServer, replica: OwnServer, dsn: str
) -> None:
    async def fail() -> None:
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(replica.promote)

    async with PostgresClient.open(
        both(own, replica, dsn), settings=SETTINGS, migrations="off"
    ) as client:
        ledger = await under_load(client, fail)

        await check(client, ledger, replica.dsn(name_of(dsn)))


async def test_client_leaves_read_only_primary_for_the_new_one(
    own: OwnServer, replica: OwnServer, dsn: str
) -> None:
    """Its connections stay open, so that only refused writes show the change."""

    async def fail() -> None:
        await _execute(own, "ALTER SYSTEM SET default_transaction_read_only = on")
        await _execute(own, "SELECT pg_reload_conf()")
        async with watch(dsn) as watcher:
            await watcher.until_sessions(0)  # each was refused, and none waits for the replica
        await asyncio.to_thread(replica.promote)

    async with PostgresClient.open(
        both(own, replica, dsn), settings=SETTINGS, migrations="off"
    ) as client:
        ledger = await under_load(client, fail)

        await check(client, ledger, replica.dsn(name_of(dsn)))


async def test_silent_host_is_skipped_for_the_next(own: OwnServer, proxy: Proxy) -> None:
    """An absent machine refuses no connection, so each host has its own time limit."""
    proxy.stall()
    hosts = f"127.0.0.1:{proxy.port},127.0.0.1:{own.port}"
    connection = await connect(f"postgresql://postgres@{hosts}/postgres", timeout_s=0.5)
    try:
        assert await connection.fetchval("SELECT inet_server_port()") == own.port
    finally:
        await connection.close()


async def test_only_silent_hosts_raise_the_error_of_the_last(proxy: Proxy) -> None:
    proxy.stall()
    hosts = f"127.0.0.1:1,127.0.0.1:{proxy.port}"
    with pytest.raises(Unavailable, match="did not accept a connection in time"):
        await connect(f"postgresql://postgres@{hosts}/postgres", timeout_s=0.2)


@pytest.fixture
async def proxy(own: OwnServer) -> AsyncIterator[Proxy]:
    async with proxy_to(own.port) as proxy:
        yield proxy


async def test_call_to_silent_server_ends_at_its_time_limit(proxy: Proxy, dsn: str) -> None:
    ledger = Ledger()
    settings = Settings(pool_max_size=SIZE, connect_timeout_s=0.3)
    async with PostgresClient.open(proxy.dsn(dsn), settings=settings, migrations="off") as client:
        quick = client.with_timeout(0.3)
        proxy.stall()
        calls: list[Awaitable[object]] = []
        for number in range(2 * SIZE):  # the later ones get no usable connection
            text, name = f"verdict {number}", f"k-{number}"
            calls += [
                ledger.once(
                    partial(
                        quick.store_feedback, user_id="mira", is_positive=True, feedback_text=text
                    ),
                    ("feedback", text),
                ),
                ledger.repeatable(
                    partial(quick.store_task, name, user_id="mira", data="{}"),
                    ("task", name),
                ),
            ]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*calls)
        proxy.flow()

        assert ledger.count("acknowledged") == 0
        assert set(ledger.errors()) <= {
            *("OutcomeUnknown", "StatementTimeout", "Unavailable", "PoolTimeout")
        }
        await check(client, ledger, dsn)


@pytest.mark.parametrize(
    ("silent_at", "expected"), [("begin", StatementTimeout), ("commit", OutcomeUnknown)]
)
async def test_begin_and_commit_end_at_time_limit_of_call(
    proxy: Proxy, dsn: str, silent_at: str, expected: type[Exception]
) -> None:
    settings = Settings(pool_max_size=SIZE, statement_timeout_s=2 * PATIENCE_S)
    async with PostgresClient.open(proxy.dsn(dsn), settings=settings, migrations="off") as client:
        await client.ping()
        quick = client.with_timeout(0.3)
        async with asyncio.timeout(PATIENCE_S):
            if silent_at == "begin":
                proxy.stall()
            with pytest.raises(expected):
                async with quick.db.transaction() as scope:
                    await scope.fetchval(PID)
                    proxy.stall()
        proxy.flow()
        async with watch(dsn) as watcher:
            await check_pool(client, watcher, size=SIZE)


async def test_connection_to_hanging_server_process_is_replaced(dsn: str) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=20)
    async with (
        watch(dsn) as watcher,
        PostgresClient.open(dsn, settings=settings, migrations="off") as client,
    ):
        pid = await client.db.fetchval(PID)
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StatementTimeout):
                await client.with_timeout(0.2).list_agents()
            assert await client.list_agents() == []
            assert await client.db.fetchval(PID) != pid
        finally:
            os.kill(pid, signal.SIGCONT)
        await check_pool(client, watcher, size=1)


async def test_slow_write_is_cancelled_on_the_server(dsn: str) -> None:
    async with (
        watch(dsn) as watcher,
        PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client,
    ):
        quick = client.with_timeout(0.2)
        async with watcher.lock("session"), watcher.lock("feedback"):
            with pytest.raises(StatementTimeout):
                await quick.store_session("s-1", user_id="mira")
            with pytest.raises(OutcomeUnknown):
                await quick.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
            with pytest.raises(StatementTimeout):
                async with client.transaction() as tx:
                    await tx.store_agent("travel", type="BYO")
                    await tx.with_timeout(0.2).store_session("s-2", user_id="mira")
            await watcher.until(IN_LOCKS, 0)

        await Ledger().check(watcher.db)
        await check_pool(client, watcher, size=SIZE)


async def test_statement_timeout_of_server_raises_statement_timeout(dsn: str) -> None:
    async with (
        watch(dsn) as watcher,
        PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client,
    ):
        await watcher.db.execute(f"ALTER DATABASE {name_of(dsn)} SET statement_timeout = '50ms'")
        assert await watcher.terminate_all()
        for statements in (client.db.repeatable, client.db.once):
            with pytest.raises(StatementTimeout):
                await statements.execute(SLEEP)
        await check_pool(client, watcher, size=SIZE)


async def test_exhausted_pool_raises_pool_timeout_in_time_and_recovers(dsn: str) -> None:
    settings = Settings(pool_max_size=SIZE, acquire_timeout_s=0.1)
    async with (
        watch(dsn) as watcher,
        PostgresClient.open(dsn, settings=settings, migrations="off") as client,
    ):
        async with watcher.lock("session"):
            stuck = [
                asyncio.create_task(client.store_session(f"s-{number}", user_id="mira"))
                for number in range(SIZE)
            ]
            await watcher.until(IN_LOCKS, SIZE)
            late = await asyncio.gather(
                *(client.list_agents() for _ in range(50)), return_exceptions=True
            )
            assert [type(each) for each in late] == [PoolTimeout] * 50

        await asyncio.gather(*stuck)
        assert len(await client.list_sessions(user_id="mira")) == SIZE
        await check_pool(client, watcher, size=SIZE)


@pytest.fixture
async def small(own: OwnServer, dsn: str) -> AsyncIterator[Path]:
    """The folder of a small disk, where two tables of the database are."""
    with small_disk() as folder:
        space = folder / "space"
        space.mkdir()
        shutil.chown(space, unprivileged() or os.geteuid())
        await _execute(own, f"CREATE TABLESPACE small LOCATION '{space}'")
        async with watch(dsn) as watcher:
            for table in ("feedback", "task"):
                await watcher.db.execute(f"ALTER TABLE {table} SET TABLESPACE small")
        yield folder
        await _execute(own, f"DROP DATABASE {name_of(dsn)} WITH (FORCE)")
        await _execute(own, "DROP TABLESPACE small")


async def test_full_disk_raises_unavailable_and_writes_continue_with_space(
    dsn: str, small: Path
) -> None:
    ledger, retries = Ledger(), list[Retry]()
    filler = small / "filler"

    def make_room(retry: Retry) -> None:
        retries.append(retry)
        filler.unlink(missing_ok=True)

    async with PostgresClient.open(
        dsn, settings=SETTINGS, migrations="off", on_retry=make_room
    ) as client:
        without = Settings(pool_max_size=1, retry_timeout_s=0)
        async with PostgresClient.open(dsn, settings=without, migrations="off") as impatient:
            fill(filler)
            await write_much(impatient, ledger, "early")
        assert ledger.errors() == {"Unavailable": 2}
        await write_much(client, ledger, "late")

        assert ledger.count("acknowledged") == 2
        assert "No space left" in str(retries[0].error)
        async with watch(dsn) as watcher:
            stored = await watcher.db.fetch(
                "SELECT length(data) FROM task UNION ALL SELECT length(feedback_text) FROM feedback"
            )
            assert [row[0] for row in stored] == [2 * MUCH] * 2


def fill(path: Path) -> None:
    """Fill the disk with this file."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


async def write_much(client: PostgresClient, ledger: Ledger, name: str) -> None:
    """Write 1 MB that does not get smaller by compression, twice."""
    text = random.Random(name).randbytes(MUCH).hex()  # noqa: S311  no secret
    await ledger.once(
        lambda: client.store_feedback(user_id="mira", is_positive=True, feedback_text=text)
    )
    await ledger.repeatable(lambda: client.store_task(name, user_id="mira", data=text))
