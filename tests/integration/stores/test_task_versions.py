"""Tasks with versions, their events, and push configs for tasks that are not stored yet."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import (
    Deleted,
    InvalidValue,
    NotFound,
    OwnedByAnother,
    PostgresClient,
    SchemaBehind,
    Stale,
    TaskPosition,
)
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import count

if TYPE_CHECKING:
    import asyncpg

WORKING, DONE = "TASK_STATE_WORKING", "TASK_STATE_COMPLETED"


async def save(
    client: PostgresClient, id_: str, version: int | None = None, *, user: str = "mira"
) -> int:
    return await client.save_task(
        id_, user_id=user, data="{}", state=WORKING, version=version, event=b"saved"
    )


async def test_one_of_the_writers_of_a_version_stores_its_row_and_event(
    client: PostgresClient,
) -> None:
    for version in range(5):
        results = await asyncio.gather(
            *(save(client, "k-1", version) for _ in range(6)), return_exceptions=True
        )
        for error in results:
            if isinstance(error, SchemaBehind):
                raise error
        assert results.count(version + 1) == 1
        assert sum(isinstance(each, Stale) for each in results) == 5
    assert [e.version for e in await client.list_task_events_all_users("k-1")] == [1, 2, 3, 4, 5]
    assert [
        e.version for e in await client.list_task_events_all_users("k-1", after=2, limit=2)
    ] == [3, 4]


async def test_save_names_the_reason_of_a_conflict(client: PostgresClient) -> None:
    await save(client, "k-1")
    for version in (None, 0, 1, 2):
        expected = Stale if version else OwnedByAnother
        with pytest.raises((expected, OwnedByAnother)):
            await save(client, "k-1", version, user="juno")
    for version in (0, 2):
        with pytest.raises(Stale, match=rf"'k-1' was changed since version {version}"):
            await save(client, "k-1", version)
    with pytest.raises(Stale):
        await save(client, "k-9", 1)
    assert await client.find_versioned_task("k-9", user_id="mira") is None
    await client.delete_task("k-1", user_id="mira")
    for version in (None, 0, 1):
        with pytest.raises(Deleted):
            await save(client, "k-1", version)
    with pytest.raises(NotFound):
        await client.cancel_task("k-1", user_id="mira", data="{}", state=DONE, final_states=[DONE])


async def test_cancel_is_refused_in_a_final_state_of_any_writer(client: PostgresClient) -> None:
    async def cancel(id_: str) -> int:
        return await client.cancel_task(
            id_, user_id="mira", data="{}", state="CANCELED", final_states=["CANCELED", "completed"]
        )

    await save(client, "k-1")
    await client.store_task("k-2", user_id="mira", data='{"status": {"state": "working"}}')
    await client.store_task("k-3", user_id="mira", data='{"status": {"state": "completed"}}')
    assert (await cancel("k-1"), await cancel("k-2")) == (2, 1)
    for id_ in ("k-1", "k-2", "k-3"):
        with pytest.raises(Stale, match="final state"):
            await cancel(id_)


async def test_filters_select_states_and_times_of_every_writer(client: PostgresClient) -> None:
    for number, state in enumerate((WORKING, DONE, WORKING)):
        await client.save_task(
            f"k-{number}", user_id="mira", data="{}", state=state, status_ns=number, session_id="s"
        )
    await client.store_task("old", user_id="mira", data='{"status": {"state": "working"}}')
    await client.store_task("bad", user_id="mira", data="{")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["k-2", "k-1", "k-0", "old", "bad"]),
        ({"states": [WORKING, "working"]}, ["k-2", "k-0", "old"]),
        ({"since_ns": 1}, ["k-2", "k-1"]),
        ({"session_id": "s", "states": [DONE]}, ["k-1"]),
        ({"states": []}, []),
        ({"after": TaskPosition(1, "k-1")}, ["k-0", "old", "bad"]),
        ({"after": TaskPosition(None, "old"), "limit": 1}, ["bad"]),
    ]
    for filters, expected in cases:
        found = await client.list_tasks(user_id="mira", **filters)
        assert [task.id for task in found] == expected, filters
        if "after" not in filters:
            total = await client.count_tasks(user_id="mira", **filters)
            assert total == len(expected)
    assert await client.count_tasks(user_id="mira", limit=2) == 2
    last = (await client.list_tasks(user_id="mira", limit=2))[-1]
    assert (last.id, last.state, last.status_ns, last.version) == ("k-1", DONE, 1, 1)
    assert (await client.list_tasks(user_id="mira", after=last, limit=1))[0].id == "k-0"


async def test_purge_waits_for_a_writer_and_removes_its_event(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "k-1")
    async with client.transaction() as tx:
        await tx.save_task("k-1", user_id="mira", data="{}", state=DONE, event=b"last")
        purge = asyncio.ensure_future(client.purge_task("k-1", user_id="mira"))
        while not await db.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    assert await purge
    assert await count(db, "task") == await count(db, "agentrows_task_event") == 0
    assert not await client.purge_task("k-1", user_id="mira")
    assert await save(client, "k-1", 0) == 1
    with pytest.raises(InvalidValue, match="isolation"):
        async with client.transaction(isolation="repeatable_read") as tx:
            await tx.purge_task("k-1", user_id="mira")


async def test_saves_and_purges_of_the_same_tasks_meet_without_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("s", user_id="mira")

    async def write(number: int) -> None:
        for _ in range(15):
            await client.save_task(
                f"k-{number % 3}", user_id="mira", data="{}", state=DONE, session_id="s", event=b"e"
            )

    async def purge() -> None:
        for number in range(9):
            await client.purge_task(f"k-{number % 3}", user_id="mira")

    await asyncio.gather(*(write(number) for number in range(6)), purge(), purge())
    for number in range(3):
        await client.purge_task(f"k-{number}", user_id="mira")
    assert await count(db, "task") == await count(db, "agentrows_task_event") == 0


async def test_event_is_read_whatever_the_creation_time_of_its_task(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    # An older release stored no time, and the clock may be set back after a task was created.
    for id_, created_at in (("none", "NULL"), ("later", "now() + interval '1 hour'")):
        await client.store_task(id_, user_id="mira", data="{}")
        await db.execute(f"UPDATE task SET created_at = {created_at} WHERE id = $1", id_)  # noqa: S608
        await save(client, id_)
        await save(client, id_, 1)
        assert [e.version for e in await client.list_task_events_all_users(id_)] == [1, 2]


async def test_prune_of_sessions_removes_the_rows_of_their_tasks(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for id_ in ("old", "new"):
        await client.store_session(id_, user_id="mira")
        await client.save_task(
            id_, user_id="mira", data="{}", state=DONE, session_id=id_, event=b"e"
        )
        await client.store_push_config("c", task_id=id_, user_id="mira", data=b"c")
    for table in ("session", "task"):
        await db.execute(
            f"UPDATE {table} SET created_at = now() - interval '9 d', updated_at = NULL"  # noqa: S608
            " WHERE id = 'old'"
        )
    pruned = await client.prune_expired_sessions(timedelta(days=1))
    assert (pruned.sessions, pruned.tasks) == (1, 1)
    for table in ("agentrows_task_event", "agentrows_push_config"):
        assert await db.fetchval(f"SELECT string_agg(task_id, ',') FROM {table}") == "new"  # noqa: S608


async def test_prune_of_events_removes_those_older_than_the_retention(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for _ in range(3):
        await save(client, "k-1")
    await db.execute(
        "UPDATE agentrows_task_event SET created_at = now() - version * interval '1 day'"
    )
    assert await client.prune_task_events(timedelta(days=1.5), dry_run=True) == 2
    assert await client.prune_task_events(timedelta(0)) == 0
    assert await client.prune_task_events(timedelta(days=1.5)) == 2
    assert await count(db, "agentrows_task_event") == 1
    with pytest.raises(InvalidValue, match="retention"):
        await client.prune_task_events(timedelta(days=999_999))


async def test_config_is_stored_before_its_task_and_only_for_its_owner_after(
    client: PostgresClient,
) -> None:
    for user in ("mira", "juno"):
        await client.store_push_config("c", task_id="k-1", user_id=user, data=user.encode())
    assert len(await client.list_push_configs_all_users("k-1")) == 2
    await save(client, "k-1")
    assert [c.data for c in await client.list_push_configs_all_users("k-1")] == [b"mira"]
    with pytest.raises(OwnedByAnother):
        await client.store_push_config("c", task_id="k-1", user_id="juno", data=b"")
    await client.store_push_config("c", task_id="k-1", user_id="mira", data=b"new")
    assert [c.data for c in await client.list_push_configs("k-1", user_id="mira")] == [b"new"]
    assert await client.delete_push_config("c", task_id="k-1", user_id="juno")
    assert not await client.delete_push_config("c", task_id="k-1", user_id="juno")
    assert await client.delete_push_configs("k-1", user_id="mira") == 1


async def test_values_of_other_types_are_refused_by_name(client: PostgresClient) -> None:
    for store in ("task versions", "push configs"):
        for method, argument in text_arguments(store):
            await refuse_by_name(client, method, argument)
    await refuse_limits(
        client, "task versions", "list_tasks", "count_tasks", "list_task_events_all_users"
    )
    for name, values in {
        "version": (-1, 2**63, True, "1"),
        "status_ns": (2**63 - 1, -(2**63), 1.5, True),
        "event": ("text", bytearray(b"x"), bytes(64 * 2**20 + 1)),
        "notify": (1, None),
    }.items():
        for value in values:
            with pytest.raises(InvalidValue, match=f"^{name} "):
                await client.save_task(
                    "k",
                    user_id="mira",
                    data="{}",
                    state="x",
                    **{name: value},  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                )
    with pytest.raises(InvalidValue, match="states"):
        await client.list_tasks(user_id="mira", states="x")
    with pytest.raises(InvalidValue, match="after"):
        await client.list_tasks(user_id="mira", after="k-1")
