"""The migration files themselves, run on a server one by one: without the runner."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from agentrows.migrate import builtin_tracks
from agentrows.migrate.track import File, Migration, load_all
from support.catalog import catalog, columns, dump, fingerprint, shared

SUPPORT = Path(__file__).parents[2] / "support"
TRACKS = builtin_tracks(row_security=True)
LADDER = [migration for track in load_all(TRACKS) for migration in track.migrations]
NAMES = [migration.up.label for migration in LADDER]


async def run(db: asyncpg.Connection, file: File) -> None:
    if file.no_transaction:
        await db.execute(file.sql)
    elif not file.is_blank:
        async with db.transaction():
            await db.execute(file.sql)


async def climb(db: asyncpg.Connection, ladder: list[Migration] = LADDER) -> None:
    for migration in ladder:
        await run(db, migration.up)


async def columns_below(db: asyncpg.Connection, migration: Migration) -> dict[str, list[str]]:
    """The columns that a way down would leave; one that allows no transaction drops an index."""
    if migration.down.no_transaction:
        return await columns(db)
    transaction = db.transaction()
    await transaction.start()
    if not migration.down.is_blank:
        await db.execute(migration.down.sql)
    below = await columns(db)
    await transaction.rollback()
    return below


async def rows_of(db: asyncpg.Connection, query: str) -> dict[str, object]:
    return {str(key): value for key, value in await db.fetch(query)}


async def test_every_up_can_be_applied_right_after_itself(db: asyncpg.Connection) -> None:
    for migration in LADDER:
        await run(db, migration.up)
        once = await catalog(db)
        await run(db, migration.up)
        assert await catalog(db) == once, migration.up.label


async def test_all_up_files_can_be_applied_twice(db: asyncpg.Connection) -> None:
    await climb(db)
    once = await catalog(db)
    await climb(db)
    assert await catalog(db) == once


async def test_up_then_down_then_up_has_an_equal_catalog_at_each_step(
    db: asyncpg.Connection,
) -> None:
    for migration in LADDER:
        below = await catalog(db)
        await run(db, migration.up)
        above = await catalog(db)
        await run(db, migration.down)
        assert await catalog(db) == below, migration.down.label
        await run(db, migration.up)
        assert await catalog(db) == above, migration.up.label


async def test_rolling_all_files_back_leaves_only_the_extension(db: asyncpg.Connection) -> None:
    await climb(db)
    for migration in reversed(LADDER):
        await run(db, migration.down)
    assert await catalog(db) == []
    assert await db.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 1


async def test_every_down_can_be_applied_twice(db: asyncpg.Connection) -> None:
    await climb(db)
    for migration in reversed(LADDER):
        await run(db, migration.down)
        once = await catalog(db)
        await run(db, migration.down)
        assert await catalog(db) == once, migration.down.label


async def test_down_keeps_the_rows_of_the_tables_that_stay(db: asyncpg.Connection) -> None:
    await climb(db)
    await db.execute((SUPPORT / "baseline_rows.sql").read_text())
    await db.execute("INSERT INTO session_share (token, session_id, user_id) VALUES ('t','s','u')")
    for migration in reversed(LADDER):
        kept = shared(await columns(db), await columns_below(db, migration))
        before = await fingerprint(db, kept)
        await run(db, migration.down)
        assert await fingerprint(db, kept) == before, migration.down.label


async def test_an_orm_made_database_ends_in_the_schema_of_a_fresh_one(
    orm_made: asyncpg.Connection, database: str, fresh_database: str
) -> None:
    fresh = await asyncpg.connect(fresh_database)
    await climb(fresh)
    fresh_catalog = await catalog(fresh)
    await fresh.close()

    await climb(orm_made)

    assert await catalog(orm_made) == fresh_catalog
    assert dump(database) == dump(fresh_database)


async def test_an_orm_made_database_keeps_every_row(orm_made: asyncpg.Connection) -> None:
    compared = await columns(orm_made)
    compared["feedback"].remove("is_positive")  # filled in, and looked at below
    compared["lg_checkpoint"].remove("version")
    before = await fingerprint(orm_made, compared)
    assert all(before.values()), "every table has rows"

    for migration in LADDER:
        for _ in range(2):
            await run(orm_made, migration.up)
            assert await fingerprint(orm_made, compared) == before, migration.up.label


async def test_null_values_of_an_orm_are_replaced_by_defaults(orm_made: asyncpg.Connection) -> None:
    await climb(orm_made)
    assert await rows_of(orm_made, "SELECT user_id, is_positive FROM feedback") == {
        "mira": True,
        "juno": False,
    }
    assert await rows_of(orm_made, "SELECT checkpoint_id, version FROM lg_checkpoint") == {
        "c-1": 1,
        "c-2": 3,
    }
    assert await rows_of(orm_made, "SELECT id, workload_type FROM agent") == {
        "travel": "deployment",
        "byo": "deployment",
    }


async def test_task_gets_an_owner_only_if_its_session_always_had_one_user(
    orm_made: asyncpg.Connection,
) -> None:
    await climb(orm_made)
    assert await rows_of(orm_made, "SELECT id, user_id FROM task") == {
        "t-one-user": "mira",
        "t-two-users": None,
        "t-two-users-one-deleted": None,
        "t-deleted-session": "juno",
        "t-unknown-session": None,
        "t-no-session": None,
    }


async def test_an_owner_that_a_task_has_already_is_kept(orm_made: asyncpg.Connection) -> None:
    await climb(orm_made)
    await orm_made.execute("UPDATE task SET user_id = 'someone' WHERE id = 't-one-user'")
    await climb(orm_made)
    assert await orm_made.fetchval("SELECT user_id FROM task WHERE id = 't-one-user'") == "someone"


@pytest.mark.parametrize("orm_release", ["0_7"])  # that of 0.8 has no such rows
async def test_feedback_of_two_users_with_one_id_is_kept_under_two(
    orm_made: asyncpg.Connection,
) -> None:
    await orm_made.execute(
        "INSERT INTO feedback (id, user_id, feedback_text, created_at) VALUES"
        " (90, 'mira', 'older', '2025-01-01'), (90, 'juno', 'newer', '2025-01-02'),"
        " (90, 'zoe', 'newest', '2025-01-03'), (91, 'zoe', 'a', NULL), (91, 'juno', 'b', NULL)"
    )
    texts = "SELECT array_agg(feedback_text ORDER BY feedback_text) FROM feedback"
    before = await orm_made.fetchval(texts)

    await climb(orm_made)

    assert await orm_made.fetchval(texts) == before
    assert await orm_made.fetchval("SELECT feedback_text FROM feedback WHERE id = 90") == "older"
    assert await orm_made.fetchval("SELECT max(id) FROM feedback") == 94
    assert (
        await orm_made.fetchval(
            "INSERT INTO feedback (user_id, feedback_text) VALUES ('mira', 'next') RETURNING id"
        )
        == 95
    )


@pytest.mark.parametrize("migration", LADDER, ids=NAMES)
async def test_every_table_and_only_tables_of_the_schema_are_described(
    db: asyncpg.Connection, migration: Migration
) -> None:
    await climb(db, LADDER[: LADDER.index(migration) + 1])
    undescribed = await db.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND obj_description(oid, 'pg_class') IS NULL"
    )
    assert [row["relname"] for row in undescribed] == []
