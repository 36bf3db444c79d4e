"""Events of tasks between replicas, and saves whose connection is lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncpg
import pytest
from a2a.server.cluster import ConcurrentTaskModificationError, TaskVersion
from a2a.types.a2a_pb2 import ListTasksRequest, TaskStatusUpdateEvent

from agentrows import ClientClosed, InvalidValue, PostgresClient, init_connection
from agentrows.a2a import TaskEventStream, TaskStore, VersionedTaskStore
from integrations.a2a.support_a2a import CANCELED, MIRA, task, update
from support.proxy import proxy_to, socket_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from a2a.server.cluster import VersionedEvent

    from support.proxy import Moment


@pytest.fixture
async def replicas(migrated: str) -> AsyncIterator[tuple[PostgresClient, PostgresClient]]:
    """Two clients of one database, as two replicas of a server have them."""
    async with (
        PostgresClient.open(migrated, migrations="off") as one,
        PostgresClient.open(migrated, migrations="off") as other,
    ):
        yield one, other


async def save(
    store: VersionedTaskStore, number: int, version: TaskVersion, ns: int | None = None
) -> TaskVersion:
    """Store a change, with a status of this time, and an event that contains a number."""
    return await store.save(
        task("t-1", text=str(number), ns=ns),
        event=update("t-1", str(number)),
        prev=None,
        prev_version=version,
        context=MIRA,
    )


def number_of(event: VersionedEvent) -> int:
    assert isinstance(event.event, TaskStatusUpdateEvent)
    return int(event.event.status.message.parts[0].text)


async def collect(stream: TaskEventStream, count: int, seen: list[int]) -> None:
    """Append the numbers of events to a list."""
    events = stream.subscribe("t-1", after=TaskVersion.MISSING)
    async with contextlib.aclosing(events):
        while len(seen) < count:
            seen.append(number_of(await anext(events)))


async def increment(store: VersionedTaskStore, times: int) -> None:
    """Store the next number several times, against other writers."""
    while times:
        stored = await store.get("t-1", MIRA)
        version = TaskVersion.MISSING if stored is None else stored.version
        number = 0 if stored is None else int(stored.task.history[0].parts[0].text) + 1
        with contextlib.suppress(ConcurrentTaskModificationError):
            await save(store, number, version)
            times -= 1


async def test_two_replicas_write_and_read_each_event_once_in_order(
    replicas: tuple[PostgresClient, PostgresClient], db: asyncpg.Connection
) -> None:
    """The listening connections are killed in the middle."""
    seen: list[list[int]] = [[], [], []]
    readers = [
        asyncio.ensure_future(collect(TaskEventStream(client, poll_s=0.2), 40, numbers))
        for client, numbers in zip((*replicas, replicas[0]), seen, strict=True)
    ]
    stores = [VersionedTaskStore(client) for client in replicas]
    await asyncio.gather(*(increment(store, 10) for store in stores))
    killed = await db.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    )
    assert killed
    await asyncio.gather(*(increment(store, 10) for store in stores))
    await asyncio.wait_for(asyncio.gather(*readers), 20)

    assert seen == [list(range(40))] * 3


async def test_replicas_with_clocks_5_s_apart_keep_the_order_of_arrival(
    replicas: tuple[PostgresClient, PostgresClient],
) -> None:
    """The times of statuses are those of the replicas' clocks."""
    fast, slow = (VersionedTaskStore(client) for client in replicas)
    version = TaskVersion.MISSING
    for number in range(10):
        ahead_s = (5, 0)[number % 2]
        store = (fast, slow)[number % 2]
        ns = 1_700_000_000_000_000_000 + (number + ahead_s * 1_000) * 1_000_000
        version = await save(store, number, version, ns)
        for other in (fast, slow):
            stored = await other.get("t-1", MIRA)
            assert stored is not None
            assert stored.version == version
            assert stored.task.history[0].parts[0].text == str(number)
            page = await other.list(ListTasksRequest(), MIRA)
            assert [each.status.timestamp.ToNanoseconds() for each in page.tasks] == [ns]

    for client in replicas:
        seen: list[int] = []
        await asyncio.wait_for(collect(TaskEventStream(client), 10, seen), 10)
        assert seen == [*range(10)]


async def test_notified_event_arrives_long_before_the_next_poll(
    replicas: tuple[PostgresClient, PostgresClient],
) -> None:
    stream = TaskEventStream(replicas[1], poll_s=600)
    store = VersionedTaskStore(replicas[0])
    events = stream.subscribe("t-1", after=TaskVersion.MISSING)
    version = TaskVersion.MISSING
    for number in range(3):
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        version = await save(store, number, version)
        assert number_of(await asyncio.wait_for(waiting, 10)) == number
    await events.aclose()


async def test_stream_polls_where_the_client_cannot_listen(
    migrated: str, client: PostgresClient
) -> None:
    pool = await asyncpg.create_pool(migrated, init=init_connection, min_size=1, max_size=2)
    async with pool:
        other = await PostgresClient.from_pool(pool)
        for notify in (True, False):
            seen: list[int] = []
            reader = asyncio.ensure_future(collect(TaskEventStream(other, poll_s=0.05), 3, seen))
            store = VersionedTaskStore(client, notify=notify)
            await increment(store, 3)
            await asyncio.wait_for(reader, 10)
            assert seen == [0, 1, 2]
            await store.delete("t-1", MIRA)


async def test_stream_ends_with_its_client_and_refuses_bad_arguments(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client:
        events = TaskEventStream(client).subscribe("t-1", after=TaskVersion.MISSING)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        with pytest.raises(TypeError, match="version"):
            await anext(TaskEventStream(client).subscribe("t-1", after=TaskVersion("x")))
        for poll_s in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InvalidValue, match="poll_s"):
                TaskEventStream(client, poll_s=poll_s)
    with pytest.raises(ClientClosed):
        await asyncio.wait_for(waiting, 10)


async def test_events_of_a_deleted_task_do_not_reach_the_next_task_with_its_id(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    store = VersionedTaskStore(client)
    await increment(store, 3)
    await db.execute("DELETE FROM task")  # by a program that does not know the events
    await save(store, 7, TaskVersion.MISSING)

    seen: list[int] = []
    await asyncio.wait_for(collect(TaskEventStream(client), 1, seen), 10)
    assert seen == [7]
    assert [e.version for e in await client.list_task_events_all_users("t-1")] == [1]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_save_whose_connection_is_lost_is_stored_once(
    migrated: str, client: PostgresClient, moment: Moment
) -> None:
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), migrations="off") as unlucky,
    ):
        store, plain = VersionedTaskStore(unlucky), TaskStore(unlucky)
        version = await save(store, 0, TaskVersion.MISSING)
        for number in range(1, 4):
            plan = proxy.cut_at(f'"{number}"'.encode(), moment)
            version = await save(store, number, version)
            assert plan.is_done
        plan = proxy.cut_at(b"CANCELED", moment)
        version = await store.save(
            task("t-1", state=CANCELED, text="4"),
            event=update("t-1", "4", CANCELED),
            prev=None,
            prev_version=version,
            context=MIRA,
        )
        assert plan.is_done
        plan = proxy.cut_at(b"of t-2", moment)
        await plain.save(task("t-2", text="of t-2"), MIRA)
        assert plan.is_done
    assert version == TaskVersion(5)
    seen: list[int] = []
    await asyncio.wait_for(collect(TaskEventStream(client), 5, seen), 10)
    assert seen == list(range(5))
    assert await TaskStore(client).get("t-2", MIRA) == task("t-2", text="of t-2")


async def test_save_after_a_lost_connection_does_not_hide_another_writer(
    migrated: str, client: PostgresClient
) -> None:
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), migrations="off") as unlucky,
    ):
        store, other = VersionedTaskStore(unlucky), VersionedTaskStore(client)
        version = await save(store, 0, TaskVersion.MISSING)
        await save(other, 1, version)
        plan = proxy.cut_at(b'"2"', "before")
        with pytest.raises(ConcurrentTaskModificationError):
            await save(store, 2, version)
        assert plan.is_done
