"""Feedback on an event or a task: stored, listed, filtered, and read without the optional table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import InvalidValue, PostgresClient, SchemaBehind, Settings
from agentrows.migrate import Migrator, builtin_tracks
from support.stores import count

if TYPE_CHECKING:
    import asyncpg

THUMB: Final[dict[str, Any]] = {"user_id": "mira", "is_positive": True}
TARGETS: Final[tuple[tuple[str | None, str | None], ...]] = (
    ("e-1", None),
    (None, "k-1"),
    ("e-2", "k-1"),
    (None, None),
)


async def store_all(client: PostgresClient, **arguments: object) -> list[int]:
    """Store feedback of mira on each target and return the ids."""
    return [
        (
            await client.store_feedback(**THUMB, event_id=event_id, task_id=task_id, **arguments)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        ).id
        for event_id, task_id in TARGETS
    ]


@pytest.mark.parametrize("key", [None, "k-1"])
@pytest.mark.parametrize(("event_id", "task_id"), TARGETS)
async def test_target_is_returned_by_every_method(
    client: PostgresClient, key: str | None, event_id: str | None, task_id: str | None
) -> None:
    arguments: dict[str, Any] = {
        **THUMB,
        "event_id": event_id,
        "task_id": task_id,
        "idempotency_key": key,
    }
    stored = await client.store_feedback(**arguments)

    assert (stored.event_id, stored.task_id) == (event_id, task_id)
    assert await client.get_feedback(stored.id, user_id="mira") == stored
    assert await client.list_feedback(user_id="mira") == [stored]
    changed = await client.update_feedback(stored.id, user_id="mira", is_positive=False)
    assert (changed.event_id, changed.task_id) == (event_id, task_id)
    restored = await client.update_feedback(stored.id, user_id="mira", is_positive=True)
    if key:
        assert await client.store_feedback(**arguments) == restored


async def test_list_returns_the_feedback_on_an_event_or_a_task(client: PostgresClient) -> None:
    ids = await store_all(client)
    await client.store_feedback(user_id="noor", is_positive=True, event_id="e-1", task_id="k-1")

    async def listed(**filters: str) -> list[int]:
        return [row.id for row in await client.list_feedback(user_id="mira", **filters)]  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    assert await listed() == ids[::-1]
    assert await listed(event_id="e-1") == [ids[0]]
    assert await listed(task_id="k-1") == [ids[2], ids[1]]
    assert await listed(task_id="k-1", event_id="e-2") == [ids[2]]
    assert await listed(event_id="e-3") == []
    assert await client.delete_feedback(ids[0], user_id="mira")
    assert await listed(event_id="e-1") == []


async def test_pages_of_a_filtered_list_visit_each_row_once(client: PostgresClient) -> None:
    ids = [(await client.store_feedback(**THUMB, event_id=f"e-{n % 2}")).id for n in range(6)]
    first = await client.list_feedback(user_id="mira", event_id="e-1", limit=2)
    rest = await client.list_feedback(
        user_id="mira", event_id="e-1", limit=2, after=first.next_token
    )

    assert [row.id for row in (*first, *rest)] == ids[1::2][::-1]
    assert await client.list_feedback(user_id="mira", event_id="e-1", after=first[-1]) == rest
    for other in ({"event_id": "e-0"}, {"task_id": "e-1"}, {}):
        with pytest.raises(InvalidValue, match="after is a page token of another"):
            await client.list_feedback(user_id="mira", after=first.next_token, **other)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["event_id", "task_id"])
async def test_target_that_is_no_id_is_refused_before_anything_is_stored(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    for value in ("", "a\0b", "x" * 513, 7):
        arguments: dict[str, Any] = {name: value}
        with pytest.raises(InvalidValue, match=name):
            await client.store_feedback(**THUMB, **arguments)
        with pytest.raises(InvalidValue, match=name):
            await client.list_feedback(user_id="mira", **arguments)
    assert await count(db, "feedback") == await count(db, "agentrows_feedback_target") == 0


async def test_feedback_that_another_program_deletes_leaves_no_error(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    ids = await store_all(client)
    await db.execute("DELETE FROM feedback WHERE id = $1", ids[2])

    assert [row.id for row in await client.list_feedback(user_id="mira", task_id="k-1")] == [ids[1]]
    assert [row.id for row in await client.list_feedback(user_id="mira")] == [
        ids[3],
        ids[1],
        ids[0],
    ]
    lines = [line async for line in client.export_user("mira")]
    assert sum("feedback_target" in line for line in lines) == 3
    await db.execute("UPDATE agentrows_feedback_target SET created_at = now() - interval '1 year'")
    report = await client.prune(timedelta(days=90))
    assert {table: rows for table, rows in report.rows.items() if rows} == {
        "agentrows_feedback_target": 1
    }
    erased = await client.erase_user("mira")
    assert (erased.feedback, erased.feedback_targets) == (3, 2)
    assert await count(db, "agentrows_feedback_target") == 0


async def test_feedback_without_the_optional_table_has_no_target_until_it_is_there(
    database: str,
) -> None:
    core, own, *_ = builtin_tracks(vector=False)
    await Migrator(database, [core]).up()
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(database, settings=settings, migrations="off") as client:
        stored = await client.store_feedback(**THUMB)
        assert (stored.event_id, stored.task_id) == (None, None)
        assert await client.get_feedback(stored.id, user_id="mira") == stored
        assert await client.list_feedback(user_id="mira") == [stored]
        await client.update_feedback(stored.id, user_id="mira", is_positive=True)
        with pytest.raises(SchemaBehind, match="agentrows_feedback_target"):
            await client.store_feedback(**THUMB, event_id="e-1")
        with pytest.raises(SchemaBehind, match="agentrows_feedback_target"):
            await client.list_feedback(user_id="mira", task_id="k-1")

        await Migrator(database, [core, own]).up()
        linked = await client.store_feedback(**THUMB, event_id="e-1")
        assert await client.get_feedback(linked.id, user_id="mira") == linked
        async with client.transaction() as tx:
            assert await tx.list_feedback(user_id="mira", event_id="e-1") == [linked]


async def test_role_without_rights_on_the_optional_table_reads_feedback(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stored = await client.store_feedback(**THUMB, event_id="e-1")
    role = await client.db.fetchval("SELECT current_user")
    await db.execute(f"REVOKE ALL ON agentrows_feedback_target FROM {role}")
    [listed] = await client.list_feedback(user_id="mira")
    assert listed == stored.model_copy(update={"event_id": None})
    await db.execute(f"GRANT ALL ON agentrows_feedback_target TO {role}")
    assert await client.list_feedback(user_id="mira") == [stored]
