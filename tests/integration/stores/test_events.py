"""Events: order of batches, pages, last events and streams."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import pytest

from agentrows import AlreadyExists, Event, InvalidValue, NotFound, PostgresClient, Settings
from support.stores import BEFORE_ALL, EARLY, TIMES, count, event, spread, versions, visit

if TYPE_CHECKING:
    import asyncpg

Order = Literal["oldest_first", "newest_first"]
ONE_CONNECTION = Settings(pool_max_size=1, acquire_timeout_s=5)


def places(*, newest_first: bool) -> list[int]:
    """The places in TIMES in the order of the list, ties by the number."""
    numbers = range(len(TIMES))
    return sorted(numbers, key=lambda n: (TIMES[n] or BEFORE_ALL, n), reverse=newest_first)


def scrambled(size: int) -> list[str]:
    """Ids in another order than their sort order."""
    ids = [f"e-{number * 7919 % size:05}" for number in range(size)]
    assert len(set(ids)) == size
    assert ids != sorted(ids)
    return ids


async def test_stored_event_is_returned_unchanged(client: PostgresClient) -> None:
    assert await client.store_events([event("e-1", data='{"text": "ü\\u0000"}')]) == 1
    found = await client.get_event("e-1", user_id="mira")
    assert (found.id, found.user_id, found.session_id) == ("e-1", "mira", "s-1")
    assert found.data == '{"text": "ü\\u0000"}'
    assert await client.list_events_for_session("s-1", user_id="mira") == [found]


async def test_the_database_sets_the_times_of_events(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    before = await db.fetchval("SELECT clock_timestamp()")
    await client.store_events([event("e-1"), event("e-2")])
    after = await db.fetchval("SELECT clock_timestamp()")
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert all(each.created_at and before <= each.created_at <= after for each in found)


async def test_empty_batch_of_events_stores_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    assert await client.store_events([]) == 0
    assert await client.store_events([], on_duplicate="skip") == 0
    assert await count(db, "event") == 0


@pytest.mark.parametrize("on_duplicate", ["raise", "skip"])
async def test_batch_of_a_thousand_keeps_its_order_with_any_ids(
    client: PostgresClient, on_duplicate: Literal["raise", "skip"]
) -> None:
    ids = scrambled(1000)
    stored = await client.store_events([event(each) for each in ids], on_duplicate=on_duplicate)
    assert stored == 1000
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in found] == ids


async def test_batches_of_one_transaction_keep_their_order(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        for batch in range(20, 0, -1):
            await tx.store_events([event(f"e-{batch}-{n}") for n in (3, 1, 2)])
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in found] == [
        f"e-{batch}-{n}" for batch in range(20, 0, -1) for n in (3, 1, 2)
    ]


async def test_events_one_after_another_keep_their_order(client: PostgresClient) -> None:
    for number in range(50, 0, -1):
        await client.store_events([event(f"e-{number:02}")])
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in found] == [f"e-{number:02}" for number in range(50, 0, -1)]


async def test_a_duplicate_in_the_table_stores_nothing_and_is_named(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("s-1", user_id="mira")
    await client.store_events([event("e-taken", data="first")])
    written = await versions(db, "event"), await versions(db, "session")
    with pytest.raises(AlreadyExists, match="e-taken"):
        await client.store_events([event("e-1"), event("e-taken", data="second"), event("e-2")])
    assert (await versions(db, "event"), await versions(db, "session")) == written


async def test_a_duplicate_within_a_batch_stores_nothing_and_is_named(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(AlreadyExists, match="e-twice"):
        await client.store_events([event("e-1"), event("e-twice"), event("e-2"), event("e-twice")])
    assert await count(db, "event") == 0


async def test_event_of_another_user_with_the_same_id_is_no_duplicate(
    client: PostgresClient,
) -> None:
    await client.store_events([event("e-1", user_id="noor", data="hers")])
    assert await client.store_events([event("e-1", data="mine")]) == 1
    assert (await client.get_event("e-1", user_id="noor")).data == "hers"
    assert (await client.get_event("e-1", user_id="mira")).data == "mine"


async def test_id_of_a_deleted_event_cannot_be_reused(client: PostgresClient) -> None:
    await client.store_events([event("e-1")])
    await client.delete_event("e-1", user_id="mira")
    with pytest.raises(AlreadyExists, match="e-1"):
        await client.store_events([event("e-1")])
    assert await client.store_events([event("e-1"), event("e-2")], on_duplicate="skip") == 1


async def test_skipping_duplicates_stores_the_rest_and_counts_it(client: PostgresClient) -> None:
    await client.store_events([event("e-2", data="old")])
    batch = [event(f"e-{number}", data="new") for number in (3, 2, 1)]
    assert await client.store_events(batch, on_duplicate="skip") == 2
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [(each.id, each.data) for each in found] == [
        ("e-2", "old"),
        ("e-3", "new"),
        ("e-1", "new"),
    ]
    assert await client.store_events(batch, on_duplicate="skip") == 0


async def test_of_duplicates_within_a_batch_the_first_one_stays(client: PostgresClient) -> None:
    ids = scrambled(100)
    batch = [event(each, data=f"{turn}") for turn in range(3) for each in ids]
    assert await client.store_events(batch, on_duplicate="skip") == 100
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert {each.data for each in found} == {"0"}
    assert [each.id for each in found] == ids


@pytest.mark.parametrize("on_duplicate", ["raise", "skip"])
async def test_batches_of_the_same_ids_in_opposite_order_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection, on_duplicate: Literal["raise", "skip"]
) -> None:
    for number in range(10):
        await client.store_session(f"s-{number}", user_id="mira")
    for turn in range(25):
        batch = [event(f"e-{turn}-{n:02}", session_id=f"s-{n % 10}") for n in range(40)]
        outcomes = await asyncio.gather(
            client.store_events(batch, on_duplicate=on_duplicate),
            client.store_events(batch[::-1], on_duplicate=on_duplicate),
            client.store_events([*batch[20:], *batch[:20]], on_duplicate=on_duplicate),
            return_exceptions=True,
        )
        if on_duplicate == "skip":
            assert sorted(map(str, outcomes)) == ["0", "0", "40"]
        else:
            assert outcomes.count(40) == 1
            assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 2
    assert await count(db, "event") == 25 * 40


async def test_batches_of_other_ids_into_the_same_sessions_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    names = [f"s-{number:02}" for number in range(20)]
    for name in names:
        await client.store_session(name, user_id="mira")
    for turn in range(15):
        stored = await asyncio.gather(
            *(
                client.store_events(
                    [event(f"e-{turn}-{task}-{s}", session_id=s) for s in names[:: 1 - 2 * task]]
                )
                for task in (0, 1)
            )
        )
        assert stored == [20, 20]
    assert await count(db, "event") == 15 * 40


async def test_an_unknown_event_is_not_found(client: PostgresClient) -> None:
    with pytest.raises(NotFound, match="e-1"):
        await client.get_event("e-1", user_id="mira")
    assert await client.delete_event("e-1", user_id="mira") is False
    assert await client.list_events_for_session("s-1", user_id="mira") == []
    assert [each async for each in client.stream_events_for_session("s-1", user_id="mira")] == []


async def test_an_event_of_another_user_is_neither_read_nor_deleted(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_events([event("e-1", user_id="noor", data="secret")])
    written = await versions(db, "event")
    with pytest.raises(NotFound) as foreign:
        await client.get_event("e-1", user_id="mira")
    with pytest.raises(NotFound) as unknown:
        await client.get_event("e-2", user_id="mira")
    assert str(foreign.value) == str(unknown.value).replace("e-2", "e-1")
    assert await client.list_events_for_session("s-1", user_id="mira") == []
    assert [each async for each in client.stream_events_for_session("s-1", user_id="mira")] == []
    assert await client.delete_event("e-1", user_id="mira") is False
    assert await versions(db, "event") == written


async def test_a_deleted_event_is_neither_found_nor_listed_nor_streamed(
    client: PostgresClient,
) -> None:
    await client.store_events([event("e-1"), event("e-2")])
    assert await client.delete_event("e-1", user_id="mira") is True
    assert await client.delete_event("e-1", user_id="mira") is False
    with pytest.raises(NotFound):
        await client.get_event("e-1", user_id="mira")
    streamed = [each async for each in client.stream_events_for_session("s-1", user_id="mira")]
    assert [each.id for each in streamed] == ["e-2"]
    assert await client.list_events_for_session("s-1", user_id="mira") == streamed
    assert await client.list_events_for_session("s-1", user_id="mira", last=5) == streamed


async def test_list_contains_only_the_events_of_its_session(client: PostgresClient) -> None:
    await client.store_events([event("e-1"), event("e-2", session_id="s-2")])
    await client.store_events([event("e-3", session_id=None)])
    found = await client.list_events_for_session("s-2", user_id="mira")
    assert [each.id for each in found] == ["e-2"]
    assert (await client.get_event("e-3", user_id="mira")).session_id is None


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_pages_of_events_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, order: Order, limit: int
) -> None:
    await client.store_events([event(f"e-{number}") for number in range(len(TIMES))])
    await spread(db, "event", "created_at")
    found = await visit(
        Event,
        lambda after: client.list_events_for_session(
            "s-1", user_id="mira", limit=limit, after=after, order=order
        ),
    )
    expected = [f"e-{number}" for number in places(newest_first=order == "newest_first")]
    assert [each.id for each in found] == expected
    assert await client.list_events_for_session("s-1", user_id="mira", order=order) == found


async def test_stream_visits_each_row_once_and_starts_after_any_row(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_events([event(f"e-{number}") for number in range(len(TIMES))])
    await spread(db, "event", "created_at")
    every = [each async for each in client.stream_events_for_session("s-1", user_id="mira")]
    assert [each.id for each in every] == [f"e-{n}" for n in places(newest_first=False)]
    for place, row in enumerate(every):
        rest = client.stream_events_for_session("s-1", user_id="mira", after=row)
        assert [each async for each in rest] == every[place + 1 :]


@pytest.mark.parametrize("microseconds", [-1, 0, 1, 2])
async def test_after_a_time_excludes_events_of_its_microsecond(
    client: PostgresClient, db: asyncpg.Connection, microseconds: int
) -> None:
    await client.store_events([event(f"e-{number}") for number in range(len(TIMES))])
    await spread(db, "event", "created_at")
    moment = EARLY + timedelta(microseconds=microseconds)
    later = await client.list_events_for_session("s-1", user_id="mira", after=moment)
    earlier = await client.list_events_for_session(
        "s-1", user_id="mira", after=moment, order="newest_first"
    )
    assert [each.id for each in later] == [
        f"e-{n}" for n in places(newest_first=False) if (TIMES[n] or BEFORE_ALL) > moment
    ]
    assert [each.id for each in earlier] == [
        f"e-{n}" for n in places(newest_first=True) if (TIMES[n] or BEFORE_ALL) < moment
    ]
    stream = client.stream_events_for_session("s-1", user_id="mira", after=moment)
    assert [each async for each in stream] == later


async def test_after_a_time_can_be_combined_with_a_limit(client: PostgresClient) -> None:
    await client.store_events([event(f"e-{number}") for number in range(5)])
    second = (await client.list_events_for_session("s-1", user_id="mira"))[1]
    found = await client.list_events_for_session(
        "s-1", user_id="mira", after=second.created_at, limit=2
    )
    assert [each.id for each in found] == ["e-2", "e-3"]


async def test_no_event_is_after_the_largest_datetime(
    client: PostgresClient,
) -> None:
    await client.store_events([event("e-1")])
    end = datetime.max.replace(tzinfo=UTC)
    assert await client.list_events_for_session("s-1", user_id="mira", after=end) == []
    stream = client.stream_events_for_session("s-1", user_id="mira", after=end)
    assert [each async for each in stream] == []


async def test_every_event_is_after_the_smallest_datetime(
    client: PostgresClient,
) -> None:
    await client.store_events([event("e-1")])
    found = await client.list_events_for_session("s-1", user_id="mira", after=BEFORE_ALL)
    assert [each.id for each in found] == ["e-1"]


async def test_the_last_events_come_oldest_first(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_events([event(f"e-{number}") for number in range(len(TIMES))])
    await spread(db, "event", "created_at")
    every = await client.list_events_for_session("s-1", user_id="mira")
    for last in (1, 2, 5, len(TIMES), 100):
        found = await client.list_events_for_session("s-1", user_id="mira", last=last)
        assert found == every[-last:]


@pytest.mark.parametrize("value", [{"limit": 2}, {"after": EARLY}, {"order": "newest_first"}])
async def test_last_cannot_be_combined_with_other_options(
    client: PostgresClient, value: dict[str, object]
) -> None:
    await client.store_events([event("e-1")])
    with pytest.raises(InvalidValue, match="last"):
        await client.list_events_for_session("s-1", user_id="mira", last=1, **value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_last_after_a_row_is_refused(client: PostgresClient) -> None:
    await client.store_events([event("e-1")])
    row = await client.get_event("e-1", user_id="mira")
    with pytest.raises(InvalidValue, match="last"):
        await client.list_events_for_session("s-1", user_id="mira", last=1, after=row)


async def test_a_stream_of_five_thousand_events_is_complete_and_in_order(
    client: PostgresClient,
) -> None:
    ids = scrambled(5000)
    for start in range(0, 5000, 1000):
        await client.store_events([event(each) for each in ids[start : start + 1000]])
    await client.store_events([event("e-hers", user_id="noor")])
    found = [each.id async for each in client.stream_events_for_session("s-1", user_id="mira")]
    assert found == ids


async def test_stream_closed_early_releases_its_only_connection(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        await client.store_events([event(each) for each in scrambled(2000)])
        for _ in range(3):
            stream = client.stream_events_for_session("s-1", user_id="mira")
            async with contextlib.aclosing(stream) as events:
                first = await anext(events)
            assert first == await client.get_event(first.id, user_id="mira")


async def test_leaving_the_loop_over_a_stream_releases_its_connection(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        await client.store_events([event(each) for each in scrambled(2000)])
        for _ in range(3):
            seen: list[Event] = []
            async for each in client.stream_events_for_session("s-1", user_id="mira"):
                seen.append(each)
                break
            assert seen == [await client.get_event("e-00000", user_id="mira")]
            assert await client.store_events([event("e-00000")], on_duplicate="skip") == 0


async def test_a_stream_in_a_transaction_lets_other_statements_run_in_between(
    client: PostgresClient,
) -> None:
    ids = scrambled(1200)
    await client.store_events([event(each) for each in ids])
    seen: list[str] = []
    async with client.transaction() as tx:
        async for each in tx.stream_events_for_session("s-1", user_id="mira"):
            seen.append(each.id)
            if len(seen) % 300 == 0:
                await tx.store_events([event(f"x-{len(seen)}", session_id="s-2")])
                assert await tx.delete_event(ids[-1 - len(seen) // 300], user_id="mira")
                assert (await tx.get_event(ids[0], user_id="mira")).id == ids[0]
    assert seen == ids
    others = await client.list_events_for_session("s-2", user_id="mira")
    assert [each.id for each in others] == ["x-300", "x-600", "x-900", "x-1200"]
    assert len(await client.list_events_for_session("s-1", user_id="mira")) == 1196


async def test_a_stream_that_is_left_early_in_a_transaction_does_not_end_it(
    client: PostgresClient,
) -> None:
    await client.store_events([event(each) for each in scrambled(1200)])
    async with client.transaction() as tx:
        async for _ in tx.stream_events_for_session("s-1", user_id="mira"):
            break
        await tx.store_events([event("x-1")])
    assert (await client.get_event("x-1", user_id="mira")).id == "x-1"


async def test_stream_inside_a_transaction_returns_its_uncommitted_rows(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx:
        await tx.store_events([event("e-2"), event("e-1")])
        seen = [each.id async for each in tx.stream_events_for_session("s-1", user_id="mira")]
    assert seen == ["e-2", "e-1"]
