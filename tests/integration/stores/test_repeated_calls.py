"""Repeated calls after a lost reply: feedback under a key, and batches of events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import (
    AlreadyExists,
    Conflict,
    Deleted,
    InvalidValue,
    PostgresClient,
    SchemaBehind,
    Stores,
)
from agentrows.db.executor import Executor
from support.stores import count, event

if TYPE_CHECKING:
    import asyncpg

    from agentrows import Feedback

VERDICT: Final[dict[str, Any]] = {
    "is_positive": False,
    "feedback_text": "Wrong city.",
    "issue_type": "factual",
    "message_id": 7,
    "event_id": "e-1",
}
OTHERS: Final = (
    ("is_positive", True),
    ("feedback_text", "Wrong city. "),
    ("issue_type", "tool"),
    ("issue_type", None),
    ("message_id", 8),
    ("message_id", None),
    ("event_id", "e-2"),
    ("event_id", None),
    ("task_id", "k-1"),
)
TIMES: Final = 30
BATCH: Final = [event(f"e-{number}", data=f'"{number}"') for number in range(3)]


async def say(stores: Stores, *, user_id: str = "mira", key: str = "k-1") -> Feedback:
    return await stores.store_feedback(user_id=user_id, idempotency_key=key, **VERDICT)


async def test_feedback_stored_again_under_its_key_is_the_same_row(client: PostgresClient) -> None:
    first = await say(client)
    assert await say(client) == first
    assert await client.list_feedback(user_id="mira") == [first]
    plain = await client.store_feedback(user_id="mira", **VERDICT)
    assert plain.id != first.id


async def test_concurrent_calls_with_one_key_store_once_and_return_one_row(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for number in range(TIMES):
        rows = await asyncio.gather(*(say(client, key=f"k-{number}") for _ in range(8)))
        assert len({row.id for row in rows}) == 1
        assert rows == [rows[0]] * len(rows)
    assert await count(db, "feedback") == await count(db, "agentrows_feedback_key") == TIMES


@pytest.mark.parametrize("undone", [True, False])
async def test_call_waits_for_an_open_call_with_its_key_and_stores_if_undone(
    client: PostgresClient, db: asyncpg.Connection, *, undone: bool
) -> None:
    inside: list[Feedback] = []
    later: list[asyncio.Task[Feedback]] = []
    with contextlib.suppress(InvalidValue):
        async with client.transaction() as tx:
            inside.append(await say(tx))
            later.append(asyncio.create_task(say(client)))
            while not await count(db, "pg_locks", "NOT granted"):
                assert not later[0].done()
            if undone:
                await tx.store_feedback(user_id="", **VERDICT)
    answer = await later[0]
    assert (answer == inside[0]) is not undone
    assert await client.list_feedback(user_id="mira") == [answer]


async def test_the_same_key_of_another_user_is_another_key(client: PostgresClient) -> None:
    mira, juno = await say(client), await say(client, user_id="juno")
    assert mira.id != juno.id
    assert await client.list_feedback(user_id="juno") == [juno]


@pytest.mark.parametrize(("name", "other"), OTHERS)
async def test_a_key_used_with_another_verdict_is_a_conflict(
    client: PostgresClient, db: asyncpg.Connection, name: str, other: object
) -> None:
    await say(client)
    verdict: dict[str, Any] = {**VERDICT, name: other}
    with pytest.raises(Conflict, match="idempotency_key"):
        await client.store_feedback(user_id="mira", idempotency_key="k-1", **verdict)
    assert await count(db, "feedback") == 1


@pytest.mark.parametrize(
    "statement", ["UPDATE feedback SET deleted_at = now()", "DELETE FROM feedback"]
)
async def test_key_of_deleted_feedback_cannot_be_reused(
    client: PostgresClient, db: asyncpg.Connection, statement: str
) -> None:
    await say(client)
    await db.execute(statement)
    with pytest.raises(Deleted, match="idempotency_key"):
        await say(client)
    assert await client.list_feedback(user_id="mira") == []


async def test_in_a_transaction_a_known_key_is_no_error(client: PostgresClient) -> None:
    first = await say(client)
    async with client.transaction() as tx:
        assert await say(tx) == first
        with pytest.raises(Conflict):
            await tx.store_feedback(
                user_id="mira", idempotency_key="k-1", is_positive=True, feedback_text="Good."
            )
        second = await say(tx, key="k-2")
    assert await client.list_feedback(user_id="mira") == [second, first]


async def test_a_key_needs_the_migration_and_plain_feedback_does_not(
    client: PostgresClient,
) -> None:
    behind = Stores(Executor(client.db._source, versions={"agentrows": 11}))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    plain: dict[str, Any] = {**VERDICT, "event_id": None}
    with pytest.raises(SchemaBehind, match="migration 12 of track 'agentrows'"):
        await behind.store_feedback(user_id="mira", idempotency_key="k-1", **plain)
    with pytest.raises(SchemaBehind, match="migration 32 of track 'agentrows'"):
        await behind.store_feedback(user_id="mira", **VERDICT)
    await behind.store_feedback(user_id="mira", **plain)


async def test_a_user_is_erased_and_exported_with_the_keys(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await say(client, user_id=user)
    lines = [line async for line in client.export_user("mira")]
    assert sum("agentrows_feedback_key" in line for line in lines) == 1
    erased = await client.erase_user("mira")
    assert (erased.feedback, erased.feedback_keys) == (1, 1)
    assert await count(db, "agentrows_feedback_key", "user_id = 'juno'") == 1
    assert await count(db, "agentrows_feedback_key") == 1


async def store(stores: Stores, batch: object = BATCH) -> int:
    return await stores.store_events(batch, on_duplicate="repeat")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_batch_stored_again_counts_as_stored_and_changes_nothing(
    client: PostgresClient,
) -> None:
    await client.store_session("s-1", user_id="mira")
    assert await store(client) == 3
    session = await client.get_session("s-1", user_id="mira")
    events = await client.list_events_for_session("s-1", user_id="mira")
    assert await store(client) == await store(client, BATCH[::-1]) == 3
    assert await client.list_events_for_session("s-1", user_id="mira") == events
    assert await client.get_session("s-1", user_id="mira") == session


async def test_one_of_equal_concurrent_batches_is_stored_and_all_succeed(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for number in range(TIMES):
        batch = [event(f"{number}-{place}") for place in range(3)]
        assert await asyncio.gather(*(store(client, batch) for _ in range(8))) == [3] * 8
    assert await count(db, "event") == 3 * TIMES


@pytest.mark.parametrize(
    "batch",
    [
        [*BATCH, event("e-9")],
        [*BATCH[:2], event("e-2", data="{}")],
        [*BATCH[:2], event("e-2", data='"2"', session_id="s-2")],
        [*BATCH[:2], event("e-2", data='"2"', session_id=None)],
    ],
    ids=["one more", "other data", "another session", "no session"],
)
async def test_batch_that_differs_from_the_stored_one_is_refused_whole(
    client: PostgresClient, db: asyncpg.Connection, batch: object
) -> None:
    await store(client)
    with pytest.raises(AlreadyExists, match="e-"):
        await store(client, batch)
    assert await count(db, "event") == 3


async def test_a_batch_is_repeated_for_its_user_alone_and_after_a_deletion_too(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client)
    assert await store(client, [event("e-0", user_id="juno", data='"0"')]) == 1
    await client.delete_event("e-0", user_id="mira")
    assert await store(client) == 3
    assert len(await client.list_events_for_session("s-1", user_id="mira")) == 2
    assert await count(db, "event") == 4


async def test_a_batch_that_names_an_event_twice_is_no_repetition(client: PostgresClient) -> None:
    with pytest.raises(InvalidValue, match=r"^events contains the same id"):
        await store(client, [BATCH[0], BATCH[0]])


async def test_in_a_transaction_a_repeated_batch_is_no_error(client: PostgresClient) -> None:
    await store(client)
    async with client.transaction() as tx:
        assert await store(tx) == 3
        with pytest.raises(AlreadyExists):
            await store(tx, [event("e-0", data="{}"), event("e-7")])
        assert await store(tx, [event("e-8")]) == 1
    events = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in events] == ["e-0", "e-1", "e-2", "e-8"]
