"""Calls of adapters from other event loops and threads, and the gate in front of a client."""

from __future__ import annotations

import asyncio
import gc
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import (
    ClientClosed,
    ConfigError,
    InvalidValue,
    NotFound,
    PostgresClient,
    Settings,
)
from agentrows.bridge import CallRunner, LoopThread, OpenedAdapter, run_in_loop, wait_in_thread
from support.watching import ASLEEP, SLEEP, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentrows import Stores


async def store(stores: Stores) -> str:
    """Store a session of mira, and return its id."""
    session = await stores.store_session("s-1", user_id="mira", name="from afar")
    return session.id


async def fail(stores: Stores) -> str:
    session = await stores.get_session("absent", user_id="mira")
    return session.id


async def test_call_runs_in_the_loop_of_the_client_from_everywhere(client: PostgresClient) -> None:
    runner = CallRunner(client)

    assert await runner.run("mira", store) == "s-1"
    assert await asyncio.to_thread(runner.run_sync, "mira", store) == "s-1"
    assert await asyncio.to_thread(lambda: asyncio.run(runner.run("mira", store))) == "s-1"
    for call in (
        lambda: asyncio.run(runner.run("mira", fail)),
        partial(runner.run_sync, "mira", fail),
    ):
        with pytest.raises(NotFound):
            await asyncio.to_thread(call)
    with pytest.raises(asyncio.InvalidStateError, match="await its async form"):
        runner.run_sync("mira", store)


async def test_cancelled_caller_in_another_loop_cancels_the_call(
    migrated: str, client: PostgresClient
) -> None:
    async def sleep(stores: Stores) -> None:
        await stores.db.execute(SLEEP)

    async def give_up() -> None:
        async with asyncio.timeout(0.2):
            await CallRunner(client).run("mira", sleep)

    async with watch(migrated) as watcher:
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(lambda: asyncio.run(give_up()))
        await watcher.until(ASLEEP, 0)


async def test_gate_is_as_wide_as_the_pool_and_has_no_time_limit(migrated: str) -> None:
    settings = Settings(pool_max_size=2, acquire_timeout_s=0.05)
    running = most = 0

    async def count(stores: Stores) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await stores.db.fetch("SELECT pg_sleep(0.01)")
        running -= 1

    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        # Two adapters on one client share the gate.
        runners = [CallRunner(client), CallRunner(client.with_timeout(20))]

        await asyncio.gather(*(runners[n % 2].run("mira", count) for n in range(40)))

        assert most == 2
        async with client.transaction() as tx:
            most = 0
            await asyncio.gather(*(CallRunner(tx).run("mira", count) for _ in range(5)))
            assert most == 1


async def test_runner_refuses_other_objects_and_policies_in_a_transaction(
    client: PostgresClient,
) -> None:
    with pytest.raises(InvalidValue, match="client must be a PostgresClient"):
        CallRunner(client.db)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with client.transaction() as tx:
        assert await CallRunner(tx).run("mira", store) == "s-1"
        with pytest.raises(InvalidValue, match="row_security needs a client"):
            CallRunner(tx, row_security=True)
    with pytest.raises(ConfigError, match="AGENTROWS_ROW_SECURITY"):
        await CallRunner(client, row_security=True).run("mira", store)


def opened(dsn: str) -> OpenedAdapter[CallRunner]:
    settings = Settings(pool_max_size=2)
    return OpenedAdapter(
        lambda: PostgresClient.connect(dsn, settings=settings, migrations="off"), CallRunner
    )


def test_adapter_of_a_program_without_a_loop_has_its_own(migrated: str) -> None:
    adapter = opened(migrated)

    with adapter as runner:
        assert runner.run_sync("mira", store) == "s-1"
        assert asyncio.run(runner.run("mira", store)) == "s-1"
        with pytest.raises(InvalidValue, match="open already"), adapter:
            pass
    with pytest.raises(ClientClosed, match="not running"):
        runner.run_sync("mira", store)
    with pytest.raises(ClientClosed, match="not running"):
        asyncio.run(runner.run("mira", store))
    with adapter as again:
        assert again.run_sync("mira", store) == "s-1"
    assert [one.name for one in threading.enumerate() if one.name == "agentrows"] == []


async def test_adapter_of_a_running_loop_uses_that_loop(migrated: str) -> None:
    adapter = opened(migrated)

    async with adapter as runner:
        assert await runner.run("mira", store) == "s-1"
        with pytest.raises(InvalidValue, match="open already"):
            async with adapter:
                pass
    with pytest.raises(ClientClosed):
        await runner.run("mira", store)


def test_failed_open_leaves_neither_thread_nor_client(migrated: str) -> None:
    async def connect() -> PostgresClient:
        return await PostgresClient.connect(migrated, migrations="off")

    def refuse(_client: PostgresClient) -> None:
        raise ValueError("refused")

    async def count_sessions() -> int:
        async with watch(migrated) as watcher:
            await watcher.until_sessions(0)
            return len(await watcher.pids())

    with pytest.raises(ValueError, match="refused"), OpenedAdapter(connect, refuse):
        pass
    assert asyncio.run(count_sessions()) == 0
    assert [one.name for one in threading.enumerate() if one.name == "agentrows"] == []


async def forever() -> None:
    await asyncio.Event().wait()


def wait_in_own_loop(loop: asyncio.AbstractEventLoop, start: Callable[[], Any]) -> Any:  # noqa: ANN401
    return asyncio.run(run_in_loop(loop, start))


@pytest.mark.parametrize("wait", [wait_in_thread, wait_in_own_loop])
def test_end_of_a_loop_ends_the_calls_that_wait_for_it(wait: Callable[..., Any]) -> None:
    thread = LoopThread()
    thread.start()
    loop = thread.run(current_loop)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            wait(loop, forever)
        except ClientClosed as error:
            errors.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    while len(thread.run(all_tasks)) < 3:
        pass
    thread.stop()
    waiting.join()

    assert len(errors) == 1
    with pytest.raises(ClientClosed):
        wait(loop, forever)
    gc.collect()  # a coroutine that was never awaited would be a warning, and fail the test


async def current_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def all_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks()
