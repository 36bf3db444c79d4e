"""Items of a conversation are appended, read, popped and replaced at the end of a session."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import AlreadyExists, Conflict, Deleted, InvalidValue, OutcomeUnknown, PostgresClient
from support.proxy import COMMIT, proxy_to, socket_of
from support.stores import event

if TYPE_CHECKING:
    from agentrows import Event, Stores

OURS: Final[dict[str, Any]] = {"user_id": "mira", "agent_id": "chat"}


async def append(stores: Stores, *items: str, session: str = "s-1") -> int:
    return await stores.append_items(session, items=items, **OURS)


async def texts(
    stores: Stores, session: str = "s-1", *, limit: int | None = None, before: Event | None = None
) -> list[str]:
    listed = await stores.list_items(session, limit=limit, before=before, **OURS)
    return [each.data for each in listed]


async def test_batches_of_many_writers_stay_together_in_order(client: PostgresClient) -> None:
    async def write(writer: int) -> None:
        for batch in range(5):
            await append(client, *(f"{writer}-{batch}-{n}" for n in range(7)))

    await asyncio.gather(*(write(writer) for writer in range(20)))

    stored = await texts(client)
    batches = [stored[start : start + 7] for start in range(0, len(stored), 7)]
    assert len(batches) == 100
    for batch in batches:
        assert batch == [f"{batch[0][:-2]}-{n}" for n in range(7)]
    for writer in range(20):
        own = [batch[0] for batch in batches if batch[0].startswith(f"{writer}-")]
        assert own == [f"{writer}-{number}-0" for number in range(5)]


async def test_order_is_that_of_arrival_after_the_clock_was_set_back(
    client: PostgresClient,
) -> None:
    await append(client, "a", "b")
    ahead = datetime.now(UTC) + timedelta(minutes=10)
    for moment in (ahead, None, "infinity"):
        await client.db.execute(
            "UPDATE session SET updated_at = $1::text::timestamptz WHERE id = 's-1'",
            moment and str(moment),
        )
        await append(client, f"c {moment}", "d")
        if moment == ahead:
            await client.db.execute(
                "UPDATE event SET created_at = created_at - interval '10 min' "
                "WHERE created_at > now() + interval '5 min'"
            )
    await append(client, "e", "f")

    stored = await client.list_items("s-1", **OURS)
    assert [each.data for each in stored] == [
        *("a", "b", f"c {ahead}", "d", "c None", "d", "c infinity", "d", "e", "f")
    ]
    times = [each.created_at for each in stored if each.created_at]
    assert times == sorted(set(times))
    session = await client.get_session("s-1", user_id="mira")
    assert session.updated_at == times[-1]
    assert times[-1] < datetime.now(UTC) + timedelta(hours=2)


async def test_pages_and_limits_return_the_last_items_oldest_first(client: PostgresClient) -> None:
    assert await append(client, *"abcdefg") == 7
    assert await append(client) == 0

    assert await texts(client, limit=3) == ["e", "f", "g"]
    page: list[Event] = await client.list_items("s-1", limit=3, **OURS)
    assert await texts(client, limit=3, before=page[0]) == ["b", "c", "d"]
    assert await texts(client, "s-none") == []
    with pytest.raises(InvalidValue, match="limit"):
        await texts(client, limit=0)


async def test_fifty_callers_pop_forty_items_once_each(client: PostgresClient) -> None:
    await append(client, *map(str, range(40)))

    popped = await asyncio.gather(*(client.pop_event("s-1", **OURS) for _ in range(50)))

    assert popped.count(None) == 10
    assert {int(item) for item in popped if item is not None} == set(range(40))
    assert await texts(client) == []
    await append(client, "a", "b")
    assert [await client.pop_event("s-1", **OURS) for _ in range(3)] == ["b", "a", None]
    assert await client.pop_event("s-none", **OURS) is None


async def test_pop_waits_for_open_replacement_and_returns_its_item(
    client: PostgresClient,
) -> None:
    await append(client, *"abcd")
    last = [each.id for each in await client.list_items("s-1", limit=2, **OURS)]
    async with client.transaction() as tx:
        assert await tx.replace_items("s-1", items=["x"], last_ids=last, **OURS)
        pop = asyncio.ensure_future(client.pop_event("s-1", **OURS))
        await asyncio.sleep(0.2)
        assert not pop.done()

    assert await pop == "x"
    assert await texts(client) == ["a", "b"]
    async with client.transaction() as tx:
        await append(tx, "c")
        clear = asyncio.ensure_future(client.purge_events("s-1", **OURS))
        await asyncio.sleep(0.2)
    assert await clear == 3
    assert await texts(client) == []


async def test_replacement_of_changed_tail_changes_nothing(client: PostgresClient) -> None:
    await append(client, *"abcd")
    ids = [each.id for each in await client.list_items("s-1", **OURS)]
    await append(client, "e")

    assert not await client.replace_items("s-1", items=["x"], last_ids=ids[2:], **OURS)
    assert not await client.replace_items("s-none", items=["x"], last_ids=ids, **OURS)
    assert await texts(client) == [*"abcde"]

    ids = [each.id for each in await client.list_items("s-1", **OURS)]
    done = await client.replace_items(
        "s-1", items=["x", "y"], last_ids=ids[3:], expired_ids=ids[:1], **OURS
    )
    assert done
    assert await texts(client) == ["b", "c", "x", "y"]
    assert await client.replace_items("s-1", items=["z"], **OURS)
    assert await texts(client) == ["z"]
    assert await client.replace_items("s-1", items=[], **OURS)
    assert await texts(client) == []


async def test_purge_removes_rows_also_those_of_deleted_events(client: PostgresClient) -> None:
    await append(client, *"abc")
    await client.append_items("s-1", items=["hers"], user_id="juno", agent_id="chat")
    first, second, _ = await client.list_items("s-1", **OURS)
    await client.delete_event(second.id, user_id="mira")

    assert await texts(client) == ["a", "c"]
    assert await client.purge_events("s-1", ids=[first.id, "e-none"], **OURS) == 1
    assert await client.purge_events("s-1", **OURS) == 2
    assert await client.purge_events("s-1", **OURS) == 0
    assert [row["data"] for row in await client.db.fetch("SELECT data FROM event")] == ["hers"]
    assert (await client.get_session("s-1", user_id="mira")).agent_id == "chat"


async def test_session_of_another_agent_or_without_one_is_refused(client: PostgresClient) -> None:
    await client.store_session("s-adk", user_id="mira", agent_id="adk")
    await client.store_session("s-bare", user_id="mira")
    await client.store_session("s-gone", user_id="mira", agent_id="chat")
    await client.delete_session("s-gone", user_id="mira")
    sessions = {"s-adk": Conflict, "s-bare": Conflict, "s-gone": Deleted}
    await client.store_events(
        [event(f"e-{each}", session_id=each) for each in (*sessions, "s-unstored")]
    )
    before = await client.db.fetch("SELECT * FROM event ORDER BY id")

    for session, error in sessions.items():
        for call in (
            append(client, "x", session=session),
            texts(client, session),
            client.pop_event(session, **OURS),
            client.purge_events(session, **OURS),
            client.replace_items(session, items=["x"], **OURS),
        ):
            with pytest.raises(error, match=session):
                await call
    with pytest.raises(Conflict, match="'s-unstored' is not stored, but has events"):
        await append(client, "x", session="s-unstored")
    assert await texts(client, "s-unstored") == []
    assert await client.db.fetch("SELECT * FROM event ORDER BY id") == before


async def test_lost_replies_store_and_replace_once(migrated: str) -> None:
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), migrations="off") as client,
    ):
        plan = proxy.cut_at(b"item a", "after")
        await append(client, "item a", "b")
        assert plan.is_done
        ids = [each.id for each in await client.list_items("s-1", **OURS)]
        plan = proxy.cut_at(COMMIT, "after")
        assert await client.replace_items("s-1", items=["x", "y"], last_ids=ids[1:], **OURS)
        assert plan.is_done
        assert await texts(client) == ["item a", "x", "y"]
        plan = proxy.cut_at(COMMIT, "after")
        with pytest.raises(OutcomeUnknown):
            await client.pop_event("s-1", **OURS)
        assert await texts(client) == ["item a", "x"]


async def test_given_ids_make_a_call_repeatable_and_no_other_event_is_replaced(
    client: PostgresClient,
) -> None:
    await client.store_events([event("e-other", session_id="s-other", data="other")])
    for _ in range(3):
        await client.append_items("s-1", items=["a", "b"], ids=["e-1", "e-2"], **OURS)
    assert await texts(client) == ["a", "b"]
    for _ in range(2):
        assert await client.replace_items("s-1", items=["c"], ids=["e-3"], last_ids=["e-2"], **OURS)
    assert await texts(client) == ["a", "c"]

    for ids in (["e-new", "e-other"], ["e-new", "e-1"]):
        with pytest.raises(AlreadyExists, match="ids contains the id of another event"):
            await client.append_items("s-1", items=["x", "y"], ids=ids, **OURS)
        with pytest.raises(AlreadyExists):
            await client.replace_items("s-1", items=["x", "y"], ids=ids, last_ids=["e-3"], **OURS)
    for ids in (["e-5"], ["e-5", "e-5"]):
        with pytest.raises(InvalidValue, match="ids must have one id for each item"):
            await client.append_items("s-1", items=["x", "y"], ids=ids, **OURS)
    assert await texts(client) == ["a", "c"]
    assert (await client.get_event("e-other", user_id="mira")).data == "other"


async def test_append_is_part_of_the_callers_transaction(client: PostgresClient) -> None:
    with pytest.raises(KeyError):
        async with client.transaction() as tx:
            await append(tx, "a")
            await tx.pop_event("s-1", **OURS)
            await append(tx, "b")
            raise KeyError
    assert await texts(client) == []
    async with client.transaction(isolation="serializable") as tx:
        await append(tx, "a", "b")
        assert await tx.pop_event("s-1", **OURS) == "b"
    assert await texts(client) == ["a"]


async def test_bad_ids_and_items_are_refused_by_name(client: PostgresClient) -> None:
    for bad in ("a\0", "\ud800", 3, None):
        items: Any = ["a", bad]
        with pytest.raises(InvalidValue, match=r"items\[1\]"):
            await client.append_items("s-1", items=items, **OURS)
        ids: Any = [bad]
        with pytest.raises(InvalidValue, match=r"ids\[0\]"):
            await client.purge_events("s-1", ids=ids, **OURS)
    for name in ("session_id", "user_id", "agent_id"):
        arguments: Any = {"session_id": "s-1", **OURS, name: ""}
        with pytest.raises(InvalidValue, match=name):
            await client.list_items(**arguments)
    assert await texts(client) == []
