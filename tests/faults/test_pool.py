"""The pool: opening in tasks, checks and replacement of connections, and close."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from agentrows import ClientClosed, ConfigError, PostgresClient, Settings, Unavailable
from agentrows.db import maintenance, streams
from agentrows.db.connect import connect
from support.ledger import Ledger
from support.postgres import as_role
from support.proxy import Proxy, proxy_to, socket_of
from support.servers import DEBIANS_15, EMBEDDED, own_server, skip
from support.stores import event
from support.watching import (
    ASLEEP,
    PATIENCE_S,
    PID,
    SLEEP,
    Watcher,
    check_pool,
    hold_all,
    until,
    watch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SIZE = 3
SHORT_S = 0.05
LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[Watcher]:
    async with watch(as_role(migrated, "postgres")) as watcher:
        yield watcher


@pytest.fixture
async def proxy(migrated: str) -> AsyncIterator[Proxy]:
    async with proxy_to(socket_of(migrated)) as proxy:
        yield proxy


@pytest.fixture
async def behind(migrated: str, proxy: Proxy) -> AsyncIterator[PostgresClient]:
    """A client that connects through the proxy."""
    settings = Settings(pool_max_size=SIZE)
    async with PostgresClient.open(
        proxy.dsn(migrated), settings=settings, migrations="off"
    ) as client:
        yield client


@pytest.mark.parametrize("how", ["time limit", "cancel"])
async def test_connect_attempt_continues_after_its_waiters_are_cancelled(
    behind: PostgresClient, proxy: Proxy, watcher: Watcher, how: str
) -> None:
    proxy.stall()
    proxy.cut()
    before = proxy.accepted
    for _ in range(4):
        limit_s = SHORT_S if how == "time limit" else PATIENCE_S
        calls = [asyncio.create_task(behind.with_timeout(limit_s).list_agents()) for _ in range(10)]
        if how == "cancel":
            await asyncio.wait(calls, timeout=SHORT_S)
            for call in calls:
                call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        expected = Unavailable if how == "time limit" else asyncio.CancelledError
        assert all(isinstance(each, expected) for each in ended)
    assert 1 <= proxy.accepted - before <= SIZE

    proxy.flow()
    assert await behind.list_agents() == []
    await check_pool(behind, watcher, size=SIZE)
    assert proxy.accepted - before == SIZE


async def test_call_waits_longer_for_slow_connect_than_for_free_connection(
    migrated: str, proxy: Proxy, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=SHORT_S, retry_timeout_s=0)
    async with PostgresClient.open(
        proxy.dsn(migrated), settings=settings, migrations="off"
    ) as client:
        proxy.cut()
        await watcher.until_sessions(0)
        proxy.stall()
        call = asyncio.create_task(client.list_agents())
        await asyncio.wait([call], timeout=5 * SHORT_S)
        assert not call.done()
        proxy.flow()
        assert await call == []


@pytest.mark.parametrize("closes", [False, True])
async def test_connect_of_cancelled_caller_logs_no_error(
    migrated: str, proxy: Proxy, caplog: pytest.LogCaptureFixture, *, closes: bool
) -> None:
    settings = Settings(pool_max_size=SIZE, pool_max_idle_s=1e-6)  # every call opens a connection
    caplog.set_level(logging.ERROR)
    for ticks in range(60):
        async with PostgresClient.open(
            proxy.dsn(migrated), settings=settings, migrations="off"
        ) as client:
            calls = [asyncio.create_task(client.list_agents()) for _ in range(SIZE)]
            for _ in range(ticks):
                await asyncio.sleep(0)
            if closes:
                await client.close()
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    gc.collect()
    await asyncio.sleep(0)

    assert caplog.records == []


async def test_silently_dropped_idle_connections_delay_one_call(
    behind: PostgresClient, proxy: Proxy, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No once statement is sent on a dead connection."""
    ledger = Ledger()
    source: Any = behind.db._source  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(source, "_fresh_s", SHORT_S)
    await hold_all(behind, SIZE)
    proxy.silence()
    await asyncio.sleep(2 * SHORT_S)

    durations_s: list[float] = []
    for number in range(3 * SIZE):
        started = time.monotonic()
        name = f"e-{number}"
        await ledger.once(lambda: behind.store_events([event(name)]), ("event", name))  # noqa: B023
        durations_s.append(time.monotonic() - started)

    assert ledger.errors() == {}
    paid = [each for each in durations_s if each > maintenance.CHECK_TIMEOUT_S / 2]
    assert len(paid) == 1
    proxy.cut()
    await check_pool(behind, watcher, size=SIZE)
    await ledger.check(watcher.db)


async def test_working_idle_connection_passes_its_check(
    behind: PostgresClient, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Any = behind.db._source  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(source, "_fresh_s", 0)
    before = proxy.accepted
    for _ in range(5):
        await behind.list_agents()
    assert proxy.accepted == before


async def test_connection_is_replaced_after_its_lifetime(migrated: str, watcher: Watcher) -> None:
    settings = Settings(pool_max_size=1, pool_max_lifetime_s=0.2)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        first = await client.db.fetchval(PID)

        async def is_another() -> bool:
            return await client.db.fetchval(PID) != first

        await until(is_another)
        await check_pool(client, watcher, size=1)


@pytest.mark.parametrize("programs", [EMBEDDED, DEBIANS_15], ids=["embedded", "debian-15"])
@LOOPS
def test_client_and_server_enable_keepalive_probes(
    programs: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    if not programs.exists():
        skip("Debian's package postgresql-15 is not installed")

    async def look(dsn: str) -> None:
        settings = Settings(vector_enabled=False)
        async with (
            PostgresClient.open(dsn, settings=settings, migrations="off") as client,
            client.transaction() as tx,
        ):
            found = await tx.db.fetch("SELECT name, setting FROM pg_settings WHERE name ~ '^tcp_'")
            assert {name: int(setting) for name, setting in found} == {
                "tcp_keepalives_idle": 30,
                "tcp_keepalives_interval": 10,
                "tcp_keepalives_count": 3,
                "tcp_user_timeout": 60_000,
            }
            scope: Any = tx.db._source  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            sock = scope.connection._transport.get_extra_info("socket").dup()  # noqa: SLF001
            with sock if isinstance(sock, socket.socket) else socket.socket(fileno=sock) as own:
                assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000

    with own_server(programs) as server, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(look(server.dsn()))


def test_keepalive_parameters_of_dsn_set_client_probes() -> None:
    async def check(dsn: str) -> None:
        connection: Any = await connect(dsn)
        try:
            sock = connection._transport.get_extra_info("socket")  # noqa: SLF001
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 4000
        finally:
            await connection.close()

    with own_server(EMBEDDED) as server:
        asyncio.run(check(f"{server.dsn()}?keepalives_idle=7&tcp_user_timeout=4000"))


def test_default_idle_limit_is_below_azure_idle_timeout() -> None:
    assert Settings().pool_max_idle_s < 240


def close_in_a_child(client: PostgresClient) -> int:
    """Fork and return the exit code of the child, which closes the client and tries other calls."""

    async def use() -> int:
        await client.close()
        with pytest.raises(ConfigError):
            await client.ping()
        return 0

    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        with asyncio.Runner() as runner:
            code = runner.run(use())
            gc.collect()
    finally:
        os._exit(code)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_close_in_forked_child_leaves_parent_connections_open(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=SIZE)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        before = await hold_all(client, SIZE)
        async with client.transaction() as tx:
            assert close_in_a_child(client) == 0
            await tx.with_timeout(5).store_session("s-1", user_id="mira")

        async with asyncio.timeout(PATIENCE_S):
            assert await hold_all(client, SIZE) == before
        await check_pool(client, watcher, size=SIZE)


@LOOPS
def test_client_of_closed_event_loop_can_be_closed_in_another(
    migrated: str,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    recwarn: pytest.WarningsRecorder,
) -> None:
    async def begin() -> PostgresClient:
        settings = Settings(pool_max_size=SIZE)
        client = await PostgresClient.connect(migrated, settings=settings, migrations="off")
        await hold_all(client, SIZE)
        return client

    async def end(client: PostgresClient) -> None:
        await client.close()
        await client.close()
        async with watch(as_role(migrated, "postgres")) as watcher:
            await watcher.until_sessions(0)
        with pytest.raises(ConfigError):
            await client.ping()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        client = runner.run(begin())
    asyncio.run(end(client))
    del client
    gc.collect()

    assert [each for each in recwarn if issubclass(each.category, RuntimeWarning)] == []


@LOOPS
def test_client_of_open_event_loop_cannot_be_closed_in_another(
    migrated: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def end(client: PostgresClient) -> None:
        await client.close()
        async with watch(as_role(migrated, "postgres")) as watcher:
            await watcher.until_sessions(0)
        with pytest.raises(ClientClosed):
            await client.ping()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        client = runner.run(PostgresClient.connect(migrated, migrations="off"))
        with pytest.raises(ConfigError, match="another event loop"):
            asyncio.run(client.close())
        assert runner.run(client.list_agents()) == []
        runner.run(end(client))


@pytest.mark.parametrize("kind", ["events", "export"])
async def test_close_ends_unread_stream_after_one_second(
    migrated: str, watcher: Watcher, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client:
        await client.store_session("s-1", user_id="mira")
        await client.store_events([event(f"e-{number}") for number in range(1200)])
        rows: Any = (
            client.stream_events_for_session("s-1", user_id="mira")
            if kind == "events"
            else client.export_user("mira")
        )
        async for _ in rows:
            break
        started = time.monotonic()
    assert time.monotonic() - started < 5

    assert "aclosing" in caplog.text
    await watcher.until_sessions(0)
    with pytest.raises(Unavailable):
        async for _ in rows:
            pass


async def test_close_waits_for_slowly_read_stream(
    migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await PostgresClient.connect(migrated, migrations="off")
    await client.store_events([event(f"e-{number}") for number in range(8)])
    begun = asyncio.Event()

    async def read() -> int:
        count = 0
        rows = client.stream_events_for_session("s-1", user_id="mira")
        async with contextlib.aclosing(rows):
            async for _ in rows:
                begun.set()
                count += 1
                await asyncio.sleep(streams.UNREAD_S / 4)
        return count

    reading = asyncio.create_task(read())
    await begun.wait()
    await client.close()

    assert await reading == 8
    assert "aclosing" not in caplog.text
    assert "waits up to 10 s for running calls (1)" in caplog.text


async def test_close_logs_that_it_waits_for_a_call(
    migrated: str, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    client = await PostgresClient.connect(migrated, migrations="off")
    call = asyncio.create_task(client.db.repeatable.execute(SLEEP))
    await watcher.until(ASLEEP)
    closing = asyncio.create_task(client.close())

    async def is_logged() -> bool:
        return "waits up to 10 s for running calls (1)" in caplog.text

    await until(is_logged)
    call.cancel()
    await closing
    await watcher.until_sessions(0)
