"""Push notification configs: each belongs to its task, also if two tasks use one id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from agentrows import InvalidReference, InvalidValue, NotFound, PostgresClient, PushNotification
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import BEFORE_ALL, EARLY, TIMES, count, spread, visit

if TYPE_CHECKING:
    import asyncpg


@pytest_asyncio.fixture(autouse=True)
async def tasks(client: PostgresClient) -> None:
    """Three tasks, the last one of another user."""
    for name, user in (("k-1", "mira"), ("k-2", "mira"), ("k-3", "juno")):
        await client.store_task(name, user_id=user, data="{}")


async def store(client: PostgresClient, task: str, data: str, name: str = "c") -> PushNotification:
    user = "juno" if task == "k-3" else "mira"
    return await client.store_push_notification(name, task_id=task, user_id=user, data=data)


async def data_of(client: PostgresClient, task: str, name: str = "c") -> str | None:
    """Return a config, after a check that get and list return the same."""
    user = "juno" if task == "k-3" else "mira"
    listed = {
        config.id: config for config in await client.list_push_notifications(task, user_id=user)
    }
    try:
        found = await client.get_push_notification(name, task_id=task, user_id=user)
    except NotFound:
        assert name not in listed
        return None
    assert listed[name] == found
    assert (found.id, found.task_id) == (name, task)
    return found.data


async def test_a_stored_config_is_returned_as_it_is_read_again(client: PostgresClient) -> None:
    stored = await store(client, "k-1", '{"url": "https://example.org"}')
    assert (stored.id, stored.task_id, stored.protocol_version) == ("c", "k-1", "1.0")
    assert stored.data == '{"url": "https://example.org"}'
    assert stored.created_at == stored.updated_at
    assert stored.created_at is not None
    assert await client.get_push_notification("c", task_id="k-1", user_id="mira") == stored
    assert await client.list_push_notifications("k-1", user_id="mira") == [stored]


async def test_storing_a_config_again_replaces_it_and_keeps_created_at(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    first = await store(client, "k-1", "1")
    second = await store(client, "k-1", "2")
    assert (second.data, second.created_at) == ("2", first.created_at)
    assert await count(db, "push_notification") == 1


async def test_a_config_without_a_task_of_this_user_is_refused(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.delete_task("k-2", user_id="mira")
    for task in ("k-2", "k-3", "k-9"):
        with pytest.raises(InvalidReference, match=task):
            await client.store_push_notification("c", task_id=task, user_id="mira", data="1")
    assert await count(db, "push_notification") == 0


async def test_configs_of_another_users_task_are_neither_seen_nor_deleted(
    client: PostgresClient,
) -> None:
    await store(client, "k-3", "1")
    with pytest.raises(NotFound):
        await client.get_push_notification("c", task_id="k-3", user_id="mira")
    assert await client.list_push_notifications("k-3", user_id="mira") == []
    assert await client.delete_push_notification("c", task_id="k-3", user_id="mira") is False
    assert await client.delete_push_notifications("k-3", user_id="mira") is False
    assert await data_of(client, "k-3") == "1"


async def test_configs_of_a_deleted_task_are_deleted(client: PostgresClient) -> None:
    await store(client, "k-1", "1")
    await client.delete_task("k-1", user_id="mira")
    assert await data_of(client, "k-1") is None
    assert await client.delete_push_notification("c", task_id="k-1", user_id="mira") is False


async def test_one_id_under_three_tasks_is_three_configs(client: PostgresClient) -> None:
    for task in ("k-1", "k-2", "k-3"):
        assert (await store(client, task, task)).id == "c"
    for task in ("k-1", "k-2", "k-3"):
        assert await data_of(client, task) == task
        again = await store(client, task, f"{task} again")
        assert (again.id, again.task_id) == ("c", task)
    for task in ("k-1", "k-2", "k-3"):
        assert await data_of(client, task) == f"{task} again"


@pytest.mark.parametrize("gone", ["k-1", "k-2"])
async def test_deleting_one_of_two_configs_with_one_id_leaves_the_other(
    client: PostgresClient, gone: str
) -> None:
    stays = {"k-1": "k-2", "k-2": "k-1"}[gone]
    for task in ("k-1", "k-2"):
        await store(client, task, task)
    assert await client.delete_push_notification("c", task_id=gone, user_id="mira") is True
    assert await client.delete_push_notification("c", task_id=gone, user_id="mira") is False
    assert (await data_of(client, gone), await data_of(client, stays)) == (None, stays)
    # It is restored beside the other one, and so are all configs that are stored after a delete.
    back = await store(client, gone, "back")
    assert (back.data, back.deleted_at) == ("back", None)
    assert (await data_of(client, gone), await data_of(client, stays)) == ("back", stays)
    assert await client.delete_push_notifications(gone, user_id="mira") is True
    assert (await data_of(client, gone), await data_of(client, stays)) == (None, stays)


async def test_a_config_is_first_stored_under_the_id_of_a_deleted_one(
    client: PostgresClient,
) -> None:
    await store(client, "k-1", "1")
    await client.delete_push_notification("c", task_id="k-1", user_id="mira")
    await store(client, "k-2", "2")
    assert (await data_of(client, "k-1"), await data_of(client, "k-2")) == (None, "2")
    await store(client, "k-1", "back")
    assert (await data_of(client, "k-1"), await data_of(client, "k-2")) == ("back", "2")


async def test_config_stays_when_the_first_row_with_its_id_is_removed(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for task in ("k-1", "k-2"):
        await store(client, task, task)
    await db.execute("DELETE FROM push_notification WHERE task_id = 'k-1'")
    assert (await data_of(client, "k-1"), await data_of(client, "k-2")) == (None, "k-2")
    await store(client, "k-2", "again")
    assert await data_of(client, "k-2") == "again"
    assert await count(db, "push_notification") == 1
    await store(client, "k-3", "third")
    await store(client, "k-1", "first")
    assert [await data_of(client, task) for task in ("k-1", "k-2", "k-3")] == [
        "first",
        "again",
        "third",
    ]
    assert await client.delete_push_notification("c", task_id="k-2", user_id="mira") is True
    assert await data_of(client, "k-2") is None
    assert await data_of(client, "k-1") == "first"


async def test_two_tasks_that_store_one_id_at_once_both_have_their_config(
    migrated: str, client: PostgresClient, db: asyncpg.Connection
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            name = f"c-{number}"
            async with asyncio.timeout(20):
                await asyncio.gather(
                    store(client, "k-1", "1", name),
                    store(other, "k-2", "2", name),
                    store(client, "k-1", "1", name),
                    store(other, "k-3", "3", name),
                )
            assert [await data_of(other, task, name) for task in ("k-1", "k-2", "k-3")] == [
                "1",
                "2",
                "3",
            ]
    assert await count(db, "push_notification") == 90


async def test_stores_and_deletes_of_one_id_at_once_never_mix_two_tasks(
    migrated: str, client: PostgresClient
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            name = f"c-{number}"
            await store(client, "k-1", "1", name)
            async with asyncio.timeout(20):
                await asyncio.gather(
                    client.delete_push_notification(name, task_id="k-1", user_id="mira"),
                    store(other, "k-2", "2", name),
                    store(client, "k-3", "3", name),
                )
            assert [await data_of(client, task, name) for task in ("k-1", "k-2", "k-3")] == [
                None,
                "2",
                "3",
            ]


async def test_a_task_without_owner_has_its_configs_for_the_user_it_belongs_to(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO session (id, user_id, created_at) VALUES ('s-1', 'mira', $1)", EARLY
    )
    await db.execute(
        "INSERT INTO task (id, data, session_id, created_at) VALUES ('old', '{}', 's-1', $1)",
        EARLY,
    )
    await db.execute(
        "INSERT INTO push_notification (id, task_id, data) VALUES ('c', 'old', 'written')"
    )
    assert (await client.get_task("old", user_id="mira")).id == "old"
    assert await data_of(client, "old") == "written"
    await client.store_push_notification("c", task_id="old", user_id="mira", data="new")
    assert await data_of(client, "old") == "new"
    assert await client.delete_push_notifications("old", user_id="mira") is True


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_configs_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    for number in range(len(TIMES)):
        await store(client, "k-2", "1", f"c-{number}")
    await spread(db, "push_notification", "created_at")
    # Some have the id of another task's config, which was stored before.
    await db.execute(
        "UPDATE push_notification SET id = id || E'\\x1f' || task_id "
        "WHERE id IN ('c-0', 'c-1', 'c-4', 'c-8')"
    )
    for number in (0, 1, 4, 8):
        await store(client, "k-1", "other", f"c-{number}")
    found = await visit(
        PushNotification,
        lambda after: client.list_push_notifications(
            "k-2", user_id="mira", limit=limit, after=after
        ),
    )
    order = sorted(range(len(TIMES)), key=lambda number: (TIMES[number] or BEFORE_ALL, number))
    assert [config.id for config in found] == [f"c-{number}" for number in order]
    assert await client.list_push_notifications("k-2", user_id="mira") == found


@pytest.mark.parametrize(("method", "argument"), text_arguments("push notifications"))
async def test_invalid_text_of_a_config_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "push_notification") == 0


async def test_a_limit_of_configs_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "push notifications", "list_push_notifications")


async def test_the_separator_of_shared_ids_is_refused_by_name(client: PostgresClient) -> None:
    for name in ("c\x1fk-2", "\x1f"):
        with pytest.raises(InvalidValue, match=r"^id "):
            await store(client, "k-1", "1", name)


async def test_ids_of_512_bytes_are_stored_also_under_two_tasks(client: PostgresClient) -> None:
    longest = "x" * 512
    tasks = ["ü" * 256, "ö" * 256]
    for task in tasks:
        await client.store_task(task, user_id=longest, data="{}")
        await client.store_push_notification(longest, task_id=task, user_id=longest, data=task)
    for task in tasks:
        found = await client.get_push_notification(longest, task_id=task, user_id=longest)
        assert (found.id, found.data) == (longest, task)
