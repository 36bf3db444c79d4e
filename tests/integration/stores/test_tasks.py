"""Tasks: owners, ids of deleted tasks, and rows of an older release without an owner."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentrows import Deleted, InvalidValue, NotFound, OwnedByAnother, PostgresClient, Task
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import BEFORE_ALL, EARLY, TIMES, count, spread, visit

if TYPE_CHECKING:
    import asyncpg


async def test_a_stored_task_is_stamped_and_returned_as_it_is_read_again(
    client: PostgresClient,
) -> None:
    stored = await client.store_task("k-1", user_id="mira", data='{"a": "ü"}', session_id="s-1")
    assert (stored.id, stored.user_id, stored.session_id) == ("k-1", "mira", "s-1")
    assert (stored.data, stored.protocol_version) == ('{"a": "ü"}', "1.0")
    assert stored.created_at == stored.updated_at
    assert stored.created_at is not None
    assert stored.deleted_at is None
    assert await client.get_task("k-1", user_id="mira") == stored
    assert await client.list_tasks_for_session("s-1", user_id="mira") == [stored]


async def test_storing_a_task_again_replaces_its_data_and_keeps_created_at(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    first = await client.store_task("k-1", user_id="mira", data="1", session_id="s-1")
    await db.execute("UPDATE task SET protocol_version = '0.3'")
    second = await client.store_task("k-1", user_id="mira", data="2")
    assert (second.data, second.session_id, second.protocol_version) == ("2", "s-1", "1.0")
    assert second.created_at == first.created_at
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at


async def test_none_clears_the_session_of_a_task(client: PostgresClient) -> None:
    await client.store_task("k-1", user_id="mira", data="1", session_id="s-1")
    stored = await client.store_task("k-1", user_id="mira", data="1", session_id=None)
    assert stored.session_id is None
    assert await client.list_tasks_for_session("s-1", user_id="mira") == []


async def test_storing_a_task_counts_as_activity_of_its_owners_session_alone(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for session, user in (("s-1", "mira"), ("s-1", "juno"), ("s-2", "mira"), ("s-3", "mira")):
        await client.store_session(session, user_id=user)
    await client.delete_session("s-3", user_id="mira")
    await db.execute("UPDATE session SET updated_at = $1", EARLY)
    await client.store_task("k-1", user_id="mira", data="1", session_id="s-1")
    await client.store_task("k-3", user_id="mira", data="1", session_id="s-3")
    touched = "SELECT id, user_id FROM session WHERE updated_at > $1"
    assert [tuple(row) for row in await db.fetch(touched, EARLY)] == [("s-1", "mira")]
    await db.execute("UPDATE session SET updated_at = $1", EARLY)
    # The stored session of the task is marked as active, also if the argument is left out.
    await client.store_task("k-1", user_id="mira", data="2")
    assert [tuple(row) for row in await db.fetch(touched, EARLY)] == [("s-1", "mira")]


async def test_a_refused_task_touches_no_session(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_task("k-1", user_id="juno", data="1")
    await client.store_session("s-1", user_id="mira")
    await db.execute("UPDATE session SET updated_at = $1", EARLY)
    with pytest.raises(OwnedByAnother):
        await client.store_task("k-1", user_id="mira", data="2", session_id="s-1")
    assert await count(db, "session", "updated_at > '2024-06-01'") == 0


async def test_a_task_of_another_user_is_neither_seen_nor_taken_over(
    client: PostgresClient,
) -> None:
    stored = await client.store_task("k-1", user_id="juno", data="1", session_id="s-1")
    with pytest.raises(NotFound, match="k-1"):
        await client.get_task("k-1", user_id="mira")
    assert await client.list_tasks_for_session("s-1", user_id="mira") == []
    assert await client.delete_task("k-1", user_id="mira") is False
    with pytest.raises(OwnedByAnother, match="k-1") as raised:
        await client.store_task("k-1", user_id="mira", data="2", session_id="s-1")
    assert "juno" not in str(raised.value)
    assert await client.get_task("k-1", user_id="juno") == stored


async def test_two_users_that_store_one_id_at_once_leave_one_owner(
    migrated: str, client: PostgresClient
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            outcomes = await asyncio.gather(
                client.store_task(f"k-{number}", user_id="mira", data="mira", session_id="s-1"),
                other.store_task(f"k-{number}", user_id="juno", data="juno", session_id="s-1"),
                return_exceptions=True,
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, OwnedByAnother):
                    raise outcome
            won = [outcome for outcome in outcomes if isinstance(outcome, Task)]
            lost = [outcome for outcome in outcomes if not isinstance(outcome, Task)]
            assert len(won) == 1, outcomes
            assert [type(each) for each in lost] == [OwnedByAnother]
            owner = str(won[0].user_id)
            assert (await other.get_task(f"k-{number}", user_id=owner)).data == owner
    mine = await client.list_tasks_for_session("s-1", user_id="mira")
    theirs = await client.list_tasks_for_session("s-1", user_id="juno")
    assert len(mine) + len(theirs) == 30


async def test_id_of_a_deleted_task_cannot_be_reused_by_any_user(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_task("k-1", user_id="mira", data="1", session_id="s-1")
    assert await client.delete_task("k-1", user_id="mira") is True
    assert await client.delete_task("k-1", user_id="mira") is False
    with pytest.raises(NotFound):
        await client.get_task("k-1", user_id="mira")
    assert await client.list_tasks_for_session("s-1", user_id="mira") == []
    for user in ("mira", "juno"):
        with pytest.raises(Deleted, match="k-1"):
            await client.store_task("k-1", user_id=user, data="2")
    assert await count(db, "task", "data = '1' AND deleted_at IS NOT NULL") == 1


async def test_store_during_a_delete_succeeds_before_it_or_raises_deleted(
    migrated: str, client: PostgresClient
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            name = f"k-{number}"
            await client.store_task(name, user_id="mira", data="1")
            stored, deleted = await asyncio.gather(
                client.store_task(name, user_id="mira", data="2"),
                other.delete_task(name, user_id="mira"),
                return_exceptions=True,
            )
            assert deleted is True, deleted
            assert isinstance(stored, Task | Deleted), stored
            with pytest.raises(NotFound):
                await client.get_task(name, user_id="mira")


OLD = EARLY - timedelta(days=1)
YOUNG = EARLY + timedelta(microseconds=1)


async def add_orphan(
    db: asyncpg.Connection,
    *sessions: tuple[str, datetime | None, bool],
    created_at: datetime | None = EARLY,
) -> None:
    """Add the task k-1 of an older release, in s-1, and s-1's rows: (user, created, deleted)."""
    await db.execute(
        "INSERT INTO task (id, data, session_id, created_at, updated_at) "
        "VALUES ('k-1', 'old', 's-1', $1, $1)",
        created_at,
    )
    # It exists before the sessions are stored, with any created_at.
    assert await db.fetchval("SELECT task.user_id FROM task WHERE id = 'k-1'") is None
    for user, created, deleted in sessions:
        await db.execute(
            "INSERT INTO session (id, user_id, created_at, deleted_at) "
            "VALUES ('s-1', $1, $2, CASE WHEN $3 THEN now() END)",
            user,
            created,
            deleted,
        )


async def refuse_the_orphan(client: PostgresClient, db: asyncpg.Connection, user: str) -> None:
    with pytest.raises(NotFound):
        await client.get_task("k-1", user_id=user)
    assert await client.list_tasks_for_session("s-1", user_id=user) == []
    assert await client.delete_task("k-1", user_id=user) is False
    for session in ({}, {"session_id": "s-1"}, {"session_id": "s-2"}, {"session_id": None}):
        with pytest.raises(OwnedByAnother):
            await client.store_task("k-1", user_id=user, data="new", **session)
    assert (
        await count(db, "task", "data = 'old' AND task.user_id IS NULL AND deleted_at IS NULL") == 1
    )


CLAIMED: dict[str, tuple[list[tuple[str, datetime | None, bool]], datetime | None]] = {
    "an older session of one user": ([("mira", OLD, False)], EARLY),
    "a session as old as the task": ([("mira", EARLY, False)], EARLY),
    "a deleted session of one user": ([("mira", OLD, True)], EARLY),
    "a session without a time": ([("mira", None, False)], EARLY),
    "neither has a time": ([("mira", None, False)], None),
}
HIDDEN: dict[str, tuple[list[tuple[str, datetime | None, bool]], datetime | None]] = {
    "two users": ([("mira", OLD, False), ("juno", OLD, False)], EARLY),
    "two users, one session is deleted": ([("mira", OLD, False), ("juno", OLD, True)], EARLY),
    "two users, one session is younger": ([("mira", OLD, False), ("juno", YOUNG, False)], EARLY),
    "no session": ([], EARLY),
    "a younger session": ([("mira", YOUNG, False)], EARLY),
    "a deleted younger session": ([("mira", YOUNG, True)], EARLY),
    "a task without a time": ([("mira", OLD, False)], None),
    "the session of another": ([("juno", OLD, False)], EARLY),
}


@pytest.mark.parametrize("case", list(CLAIMED))
async def test_ownerless_task_belongs_to_the_only_user_of_its_session_id(
    client: PostgresClient, db: asyncpg.Connection, case: str
) -> None:
    sessions, created_at = CLAIMED[case]
    await add_orphan(db, *sessions, created_at=created_at)
    await refuse_the_orphan(client, db, "juno")
    found = await client.get_task("k-1", user_id="mira")
    assert (found.data, found.user_id, found.protocol_version) == ("old", None, None)
    assert await client.list_tasks_for_session("s-1", user_id="mira") == [found]
    # Reading the task does not set its owner; storing it does.
    assert await count(db, "task", "task.user_id IS NULL") == 1
    stored = await client.store_task("k-1", user_id="mira", data="new")
    assert (stored.user_id, stored.session_id) == ("mira", "s-1")
    assert stored.created_at == created_at
    await db.execute("INSERT INTO session (id, user_id) VALUES ('s-1', 'juno')")
    assert await client.get_task("k-1", user_id="mira") == stored


@pytest.mark.parametrize("case", list(CLAIMED))
async def test_a_task_without_owner_is_deleted_by_the_user_it_belongs_to(
    client: PostgresClient, db: asyncpg.Connection, case: str
) -> None:
    sessions, created_at = CLAIMED[case]
    await add_orphan(db, *sessions, created_at=created_at)
    assert await client.delete_task("k-1", user_id="mira") is True
    with pytest.raises(Deleted):
        await client.store_task("k-1", user_id="mira", data="new")


@pytest.mark.parametrize("case", list(HIDDEN))
async def test_ownerless_task_with_an_ambiguous_owner_is_hidden_from_all_users(
    client: PostgresClient, db: asyncpg.Connection, case: str
) -> None:
    sessions, created_at = HIDDEN[case]
    await add_orphan(db, *sessions, created_at=created_at)
    await refuse_the_orphan(client, db, "mira")


async def test_a_task_without_owner_and_session_is_hidden(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_orphan(db, ("mira", OLD, False))
    await db.execute("UPDATE task SET session_id = NULL")
    await refuse_the_orphan(client, db, "mira")


async def test_user_cannot_claim_an_ownerless_task_by_a_newer_session(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_orphan(db)
    await client.store_session("s-1", user_id="juno")
    await client.store_session("s-2", user_id="juno")
    await refuse_the_orphan(client, db, "juno")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_tasks_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    for number in range(len(TIMES)):
        await client.store_task(f"k-{number}", user_id="mira", data="1", session_id="s-1")
    await spread(db, "task", "created_at")
    await client.store_task("other", user_id="juno", data="1", session_id="s-1")
    found = await visit(
        Task,
        lambda after: client.list_tasks_for_session(
            "s-1", user_id="mira", limit=limit, after=after
        ),
    )
    order = sorted(range(len(TIMES)), key=lambda number: (TIMES[number] or BEFORE_ALL, number))
    assert [task.id for task in found] == [f"k-{number}" for number in order]
    assert await client.list_tasks_for_session("s-1", user_id="mira") == found


async def test_next_page_is_returned_also_after_its_last_row_is_deleted(
    client: PostgresClient,
) -> None:
    tasks = [
        await client.store_task(f"k-{number}", user_id="mira", data="1", session_id="s-1")
        for number in range(4)
    ]
    await client.delete_task("k-1", user_id="mira")
    found = await client.list_tasks_for_session("s-1", user_id="mira", limit=1, after=tasks[1])
    assert found == [tasks[2]]


async def test_tasks_of_a_failed_transaction_are_gone(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_task("k-1", user_id="juno", data="1")

    async def store_and_fail() -> None:
        async with client.transaction() as tx:
            await tx.store_task("k-2", user_id="mira", data="1")
            await tx.store_task("k-1", user_id="mira", data="1")

    with pytest.raises(OwnedByAnother):
        await store_and_fail()
    assert await count(db, "task") == 1


@pytest.mark.parametrize(("method", "argument"), text_arguments("tasks"))
async def test_invalid_text_of_a_task_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "task") == 0


async def test_a_limit_of_tasks_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "tasks", "list_tasks_for_session")


async def test_ids_of_512_bytes_are_stored_and_an_empty_session_id_is_not(
    client: PostgresClient,
) -> None:
    longest = "ü" * 256
    await client.store_task(longest, user_id=longest, data="1", session_id=longest)
    assert len(await client.list_tasks_for_session(longest, user_id=longest)) == 1
    with pytest.raises(InvalidValue, match="session_id"):
        await client.store_task("k-1", user_id="mira", data="1", session_id="")
