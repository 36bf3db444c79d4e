"""Listeners of `client.listen` on lost connections, standbys and closed clients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import (
    ClientClosed,
    ConfigError,
    InvalidValue,
    Notification,
    PostgresClient,
    Settings,
    Unavailable,
    init_connection,
)
from agentrows.db import notifications as module
from agentrows.gen.database import send_notification
from support.proxy import proxy_to, socket_of
from support.servers import own_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GAP = None


async def receive(notifications: AsyncIterator[Notification]) -> str | None:
    """Return the payload of the next notification."""
    async with asyncio.timeout(20):
        return (await anext(notifications)).payload


async def send(client: PostgresClient, channel: str, *payloads: str) -> None:
    for payload in payloads:
        await send_notification(client.db.once, channel=channel, payload=payload)


async def listening_processes(client: PostgresClient) -> list[int]:
    """Return the server processes of this database whose last statement is LISTEN or the check."""
    rows = await client.db.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND (query LIKE 'LISTEN%' OR query LIKE 'UNLISTEN%' OR query = 'SELECT')"
    )
    return [row["pid"] for row in rows]


async def test_listeners_share_one_connection_and_get_their_channels(
    client: PostgresClient,
) -> None:
    odd = 'Orders "of"; DROP TABLE session; --'
    async with client.listen("orders") as one, client.listen("orders") as two:
        async with client.listen(odd) as other, client.listen("ä" * 31 + "x") as longest:
            assert len(await listening_processes(client)) == 1
            await send(client, "orders", "1", "")
            await send(client, odd, "3")
            await send(client, "ä" * 31 + "x", "4")
            assert [await receive(one), await receive(one)] == ["1", ""]
            assert [await receive(two), await receive(two)] == ["1", ""]
            assert await anext(other) == Notification(odd, "3")
            assert await receive(longest) == "4"
        with pytest.raises(TimeoutError):  # nothing is lost by a cancelled wait
            async with asyncio.timeout(0.05):
                await anext(one)
        await send(client, odd, "5")
        await send(client, "orders", "6")
        assert await receive(one) == "6"
        with pytest.raises(StopAsyncIteration):
            await anext(other)
        async with client.listen(odd) as again:
            await send(client, odd, "7")
            assert await receive(again) == "7"


async def test_lost_connection_is_replaced_and_gap_is_reported(client: PostgresClient) -> None:
    admin = client.with_timeout(10).db
    async with client.listen("orders") as orders, client.listen("tasks") as tasks:
        for round_number in range(3):
            before = await listening_processes(client)
            assert len(before) == 1
            await admin.fetch("SELECT pg_terminate_backend($1::integer)", before[0])
            assert [await receive(orders), await receive(tasks)] == [GAP, GAP]
            await send(client, "orders", f"o-{round_number}")
            await send(client, "tasks", f"t-{round_number}")
            assert await receive(orders) == f"o-{round_number}"
            assert await receive(tasks) == f"t-{round_number}"


async def test_silent_connection_is_replaced_after_a_check(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_INTERVAL_S", 0.2)
    monkeypatch.setattr(module, "COMMAND_TIMEOUT_S", 0.5)
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(migrated, migrations="off") as sender,
        PostgresClient.open(proxy.dsn(migrated), migrations="off") as client,
        client.listen("orders") as orders,
    ):
        proxy.silence()
        await send(sender, "orders", "lost")
        assert await receive(orders) is GAP
        await send(sender, "orders", "1")
        assert await receive(orders) == "1"


async def test_listener_survives_restart_and_raises_refusal_of_server() -> None:
    with own_server() as server:
        settings = Settings(retry_timeout_s=20, vector_enabled=False)
        async with (
            PostgresClient.open(server.dsn(), settings=settings) as client,
            client.listen("orders") as orders,
        ):
            server.stop()
            waiting = asyncio.ensure_future(receive(orders))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            server.start()
            assert await waiting is GAP
            await send(client, "orders", "1")
            assert await receive(orders) == "1"
            rules = server.folder / "data" / "pg_hba.conf"
            rules.write_text("host all all 127.0.0.1/32 reject\n")
            server.restart()
            with pytest.raises(ConfigError):
                await receive(orders)


async def test_more_unread_notifications_than_the_limit_become_a_gap(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNREAD", 3)
    async with client.listen("orders") as orders, client.listen("marks") as marks:
        await send(client, "orders", *"abcde")
        await send(client, "marks", "end")
        assert await receive(marks) == "end"
        assert [await receive(orders) for _ in range(3)] == [GAP, "d", "e"]


async def test_close_ends_iterations_and_the_connection(migrated: str) -> None:
    client = await PostgresClient.connect(migrated, migrations="off")
    async with contextlib.AsyncExitStack() as stack:
        orders = await stack.enter_async_context(client.listen("orders"))
        reader = asyncio.ensure_future(_read_all(orders))
        await send(client, "orders", "1")
        await asyncio.sleep(0)
        await client.close()
        assert await reader in ([], ["1"])
        with pytest.raises(ClientClosed):
            async with client.listen("orders"):
                pass
    admin = await asyncpg.connect(migrated)
    async with asyncio.timeout(10):
        while await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ):
            await asyncio.sleep(0.01)
    await admin.close()


@pytest.mark.parametrize("is_connected", [True, False])
async def test_close_while_listen_waits_raises_client_closed(
    migrated: str, *, is_connected: bool
) -> None:
    async with proxy_to(socket_of(migrated)) as proxy:
        client = await PostgresClient.connect(proxy.dsn(migrated), migrations="off")
        async with contextlib.AsyncExitStack() as stack:
            if is_connected:
                await stack.enter_async_context(client.listen("orders"))
            proxy.stall()
            listening = asyncio.ensure_future(stack.enter_async_context(client.listen("tasks")))
            await asyncio.sleep(0.1)
            closing = asyncio.ensure_future(client.close())
            await asyncio.sleep(0.1)
            proxy.flow()
            async with asyncio.timeout(15):
                with pytest.raises(ClientClosed):
                    await listening
                await closing


async def _read_all(notifications: AsyncIterator[Notification]) -> list[str | None]:
    return [notification.payload async for notification in notifications]


async def test_cancelled_listeners_leave_no_channel_behind(client: PostgresClient) -> None:
    async def listen_until_cancelled(number: int) -> None:
        async with client.listen(f"c-{number % 5}") as notifications:
            async for _ in notifications:
                pass

    tasks = [asyncio.ensure_future(listen_until_cancelled(number)) for number in range(40)]
    await asyncio.sleep(0.01)
    for task in tasks[::2]:
        task.cancel()
    async with client.listen("c-1") as notifications:
        await send(client, "c-1", "1")
        assert await receive(notifications) == "1"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with client.listen("last") as last:
        await send(client, "last", "1")
        assert await receive(last) == "1"
    assert len(await listening_processes(client)) == 1


@pytest.mark.parametrize("channel", ["", "x" * 64, "ä" * 32, "a\0b", "\ud800"])
async def test_bad_channel_is_refused(client: PostgresClient, channel: str) -> None:
    with pytest.raises(InvalidValue, match="channel"):
        async with client.listen(channel):
            pass


async def test_client_on_pool_of_application_refuses_to_listen(migrated: str) -> None:
    async with asyncpg.create_pool(migrated, init=init_connection, min_size=1) as pool:
        client = await PostgresClient.from_pool(pool)
        with pytest.raises(ConfigError, match="uses a pool of the application"):
            async with client.listen("orders"):
                pass
        await client.close()


async def test_listen_on_standby_raises_error_and_follows_promotion() -> None:
    settings = Settings(vector_enabled=False, retry_timeout_s=10)
    with own_server() as primary:
        async with PostgresClient.open(primary.dsn(), settings=settings):
            pass
        with own_server(replica_of=primary) as standby:
            both = (
                f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
            )
            reading = standby.dsn() + "?target_session_attrs=standby"
            for dsn, error in ((standby.dsn(), Unavailable), (reading, ConfigError)):
                async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
                    with pytest.raises(error, match="does not accept LISTEN"):
                        async with asyncio.timeout(5), client.listen("orders"):
                            pass
            async with (
                PostgresClient.open(both, settings=settings, migrations="off") as client,
                client.listen("orders") as orders,
            ):
                primary.stop()
                await asyncio.sleep(0.2)  # an attempt or two is refused by the standby
                standby.promote()
                assert await receive(orders) is GAP
                await send(client, "orders", "1")
                assert await receive(orders) == "1"
