"""prune_expired_sessions: idle sessions, dependent rows, and rows that stay."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from agentrows import InvalidValue, PrunedSessions
from support.stores import count, event

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient
    from agentrows.db.executor import Isolation

RETENTION: Final = timedelta(days=30)
TABLES: Final = (
    "session",
    "task",
    "push_notification",
    "event",
    "lg_checkpoint",
    "lg_checkpoint_write",
    "agentrows_checkpoint_blob",
    "crewai_agent_memory",
    "crewai_flow_state",
    "session_share",
    "session_share_access",
)
TIMELESS: Final = ("agentrows_checkpoint_blob",)
"""Tables without a time of their rows."""
NOTHING: Final = PrunedSessions(
    sessions=0,
    tasks=0,
    push_notifications=0,
    events=0,
    checkpoints=0,
    checkpoint_writes=0,
    checkpoint_values=0,
    crewai_memories=0,
    crewai_flow_states=0,
    shares=0,
)


async def add_sessions(
    db: asyncpg.Connection, *keys: tuple[str, str], days: int = 40, deleted: bool = False
) -> None:
    """Add sessions that were last used so many days ago."""
    await db.execute(
        """
        INSERT INTO session (id, user_id, created_at, updated_at, deleted_at)
        SELECT id, user_id, now() - interval '1 year', now() - $3 * interval '1 day',
            CASE WHEN $4::boolean THEN now() END
        FROM unnest($1::text[], $2::text[]) AS key (id, user_id)
        """,
        [id_ for id_, _ in keys],
        [user for _, user in keys],
        days,
        deleted,
    )


async def add_belongings(
    db: asyncpg.Connection, session: str, user: str, *, days: int = 40, only: str | None = None
) -> None:
    """Add a row of every table (or of one) that belongs to a session, so many days old."""
    key, time = f"{session}/{user}", f"now() - interval '{days} days'"
    statements = {
        "event": "(id, user_id, session_id, data, created_at, updated_at) "
        f"VALUES ('{key}', '{user}', '{session}', '{{}}', {time}, {time})",
        "task": "(id, user_id, session_id, data, created_at, updated_at) "
        f"VALUES ('{key}', '{user}', '{session}', '{{}}', {time}, {time})",
        "push_notification": "(id, task_id, data, created_at) "
        f"VALUES ('{key}', '{key}', '{{}}', {time})",
        "lg_checkpoint": "(user_id, thread_id, checkpoint_id, metadata, checkpoint, "
        "checkpoint_type, created_at, updated_at) "
        f"VALUES ('{user}', '{session}', 'c-1', '', '', '', {time}, {time})",
        "lg_checkpoint_write": "(user_id, thread_id, checkpoint_id, write_idx, value, value_type, "
        f"channel, task_id, created_at) VALUES ('{user}', '{session}', 'c-1', 0, '', '', '', "
        f"'t', {time})",
        "agentrows_checkpoint_blob": "(user_id, thread_id, checkpoint_ns, channel, version, type, "
        f"value) VALUES ('{user}', '{session}', '', 'c', '1', '', '')",
        "crewai_agent_memory": "(user_id, thread_id, memory_data, created_at) "
        f"VALUES ('{user}', '{session}', '{{}}', {time})",
        "crewai_flow_state": "(user_id, thread_id, method_name, state_data, created_at) "
        f"VALUES ('{user}', '{session}', 'm', '{{}}', {time})",
        "session_share": "(token, session_id, user_id, created_at) "
        f"VALUES ('{key}', '{session}', '{user}', ({time}) AT TIME ZONE 'UTC')",
        "session_share_access": "(user_id, share_id, accessed_at) "  # noqa: S608
        f"SELECT 'guest', id, ({time}) AT TIME ZONE 'UTC' FROM session_share "
        f"WHERE token = '{key}'",
    }
    for table, rest in statements.items():
        if only in (None, table):
            await db.execute(f"INSERT INTO {table} {rest}")


async def add_ownerless_task(
    db: asyncpg.Connection, task: str, session: str, *, days: int = 40
) -> None:
    """Add a task of an older release, which has no owner."""
    await db.execute(
        "INSERT INTO task (id, session_id, data, created_at, updated_at) "
        "SELECT $1, $2, '{}', time, time FROM (SELECT now() - $3 * interval '1 day' AS time) AS t",
        task,
        session,
        days,
    )


async def sessions(db: asyncpg.Connection) -> set[tuple[str, str]]:
    found = await db.fetch("SELECT id, user_id FROM session")
    return {(str(row[0]), str(row[1])) for row in found}


async def test_only_sessions_idle_for_longer_than_the_retention_go(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-40", "mira"), ("s-31", "noor"), days=31)
    await add_sessions(db, ("s-29", "mira"), days=29)
    await add_sessions(db, ("s-0", "noor"), days=0)
    pruned = await client.prune_expired_sessions(RETENTION)
    assert pruned == NOTHING.model_copy(update={"sessions": 2})
    assert await sessions(db) == {("s-29", "mira"), ("s-0", "noor")}


async def test_deleted_session_is_pruned_too_when_it_is_idle(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"), deleted=True)
    assert (await client.prune_expired_sessions(RETENTION)).sessions == 1
    assert await sessions(db) == set()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *((table, "created_at") for table in TABLES[1:10] if table not in TIMELESS),
        *((table, "updated_at") for table in TABLES[1:9] if table not in TIMELESS),
        ("session_share_access", "accessed_at"),
    ],
)
async def test_a_session_with_a_recent_row_stays_with_all_its_rows(
    client: PostgresClient, db: asyncpg.Connection, table: str, column: str
) -> None:
    await add_sessions(db, ("s-1", "mira"), ("s-2", "mira"))
    await add_belongings(db, "s-2", "mira")
    await add_belongings(db, "s-1", "mira")
    of_session = {
        "push_notification": "task_id = 's-1/mira'",
        "session_share_access": "share_id = (SELECT id FROM session_share "
        "WHERE session_id = 's-1')",
    }
    key = "thread_id" if table.startswith(("lg", "crewai")) else "session_id"
    await db.execute(
        f"UPDATE {table} SET {column} = (now() - interval '29 days') AT TIME ZONE 'UTC' "  # noqa: S608
        f"WHERE {of_session.get(table) or f'{key} = $$s-1$$'}"
    )
    dry = await client.prune_expired_sessions(RETENTION, dry_run=True)
    assert (await client.prune_expired_sessions(RETENTION)) == dry
    assert dry.sessions == 1
    assert await sessions(db) == {("s-1", "mira")}
    assert [await count(db, each) for each in TABLES] == [1] * len(TABLES)


async def test_rows_of_a_pruned_session_are_removed_and_counted(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    await add_belongings(db, "s-1", "mira")
    pruned = await client.prune_expired_sessions(RETENTION)
    assert pruned == PrunedSessions(
        sessions=1,
        tasks=1,
        push_notifications=1,
        events=1,
        checkpoints=1,
        checkpoint_writes=1,
        checkpoint_values=1,
        crewai_memories=1,
        crewai_flow_states=1,
        shares=1,
    )
    assert [await count(db, table) for table in TABLES] == [0] * len(TABLES)
    assert await client.prune_expired_sessions(RETENTION) == NOTHING


async def test_rows_of_another_users_session_with_the_same_id_stay(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    await add_sessions(db, ("s-1", "noor"), days=1)
    await add_belongings(db, "s-1", "mira")
    await add_belongings(db, "s-1", "noor")
    pruned = await client.prune_expired_sessions(RETENTION)
    assert set(pruned.model_dump().values()) == {1}
    assert await sessions(db) == {("s-1", "noor")}
    assert [await count(db, table) for table in TABLES] == [1] * len(TABLES)
    for table in ("event", "task", "lg_checkpoint", "crewai_agent_memory", "session_share"):
        assert await count(db, table, "user_id = 'noor'") == 1


@pytest.mark.parametrize(
    "table",
    [
        t
        for t in TABLES
        if t not in ("session", "push_notification", "session_share_access", *TIMELESS)
    ],
)
async def test_recent_rows_keep_only_the_session_of_their_user(
    client: PostgresClient, db: asyncpg.Connection, table: str
) -> None:
    await add_sessions(db, ("s-1", "mira"), ("s-1", "noor"))
    await add_belongings(db, "s-1", "noor", days=1, only=table)
    assert (await client.prune_expired_sessions(RETENTION)).sessions == 1
    assert await sessions(db) == {("s-1", "noor")}
    assert await count(db, table) == 1


async def test_task_without_owner_is_removed_with_the_only_users_session(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    await add_ownerless_task(db, "t-1", "s-1")
    await add_ownerless_task(db, "t-2", "s-other")
    assert (await client.prune_expired_sessions(RETENTION)).tasks == 1
    assert await count(db, "task", "id = 't-2'") == await count(db, "task") == 1


async def test_ownerless_task_stays_if_two_users_had_its_session_id(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    await add_sessions(db, ("s-1", "noor"), days=1, deleted=True)
    await add_ownerless_task(db, "t-1", "s-1")
    pruned = await client.prune_expired_sessions(RETENTION)
    assert (pruned.sessions, pruned.tasks) == (1, 0)
    assert await count(db, "task") == 1


async def test_a_task_without_owner_that_is_older_than_the_session_stays(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    # The session is one year old; the task is older, so it belonged to an earlier session.
    await add_sessions(db, ("s-1", "mira"))
    await add_ownerless_task(db, "t-1", "s-1", days=500)
    pruned = await client.prune_expired_sessions(RETENTION)
    assert (pruned.sessions, pruned.tasks) == (1, 0)
    assert await count(db, "task") == 1


async def test_two_thousand_five_hundred_sessions_go_in_one_call(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    keys = [(f"s-{number}", "mira") for number in range(2500)]
    await add_sessions(db, *keys)
    await add_sessions(db, ("s-0", "noor"), days=1)
    await db.execute(
        "INSERT INTO event (id, user_id, session_id, data, created_at) "
        "SELECT 'e-' || id || n, user_id, id, '{}', now() - interval '1 year' "
        "FROM session, generate_series(1, 2) AS n"
    )
    dry = await client.prune_expired_sessions(RETENTION, dry_run=True)
    assert dry == NOTHING.model_copy(update={"sessions": 2500, "events": 5000})
    assert await count(db, "session") == 2501
    assert await client.prune_expired_sessions(RETENTION) == dry
    assert await sessions(db) == {("s-0", "noor")}
    assert await count(db, "event") == 2


async def test_sessions_of_one_time_go_although_those_before_them_stay(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, *((f"s-{number:04}", "mira") for number in range(1001)))
    await db.execute(
        "INSERT INTO event (id, user_id, session_id, data, created_at) "
        "SELECT id, user_id, id, '{}', now() FROM session WHERE id < 's-1000'"
    )

    pruned = await client.prune_expired_sessions(RETENTION)

    assert pruned == NOTHING.model_copy(update={"sessions": 1})
    assert await count(db, "session") == 1000


async def test_dry_run_counts_the_rows_that_the_run_then_removes(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"), ("s-1", "noor"), ("s-2", "mira"), ("s-3", "omar"))
    await add_sessions(db, ("s-2", "noor"), ("s-4", "mira"), days=2)
    for session, user in (("s-1", "mira"), ("s-1", "noor"), ("s-2", "mira"), ("s-2", "noor")):
        await add_belongings(db, session, user)
    for session in ("s-1", "s-2", "s-3", "s-4"):
        await add_ownerless_task(db, f"t-{session}", session)
    before = [await count(db, table) for table in TABLES]
    dry = await client.prune_expired_sessions(RETENTION, dry_run=True)
    assert [await count(db, table) for table in TABLES] == before
    assert await client.prune_expired_sessions(RETENTION) == dry
    gone = [
        had - await count(db, table) for table, had in zip(TABLES[:-1], before[:-1], strict=True)
    ]
    assert gone == list(dry.model_dump().values())


async def test_dry_run_counts_as_a_prune_if_one_id_falls_into_two_batches(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, *((f"s-{number}", "mira") for number in range(1000)), days=50)
    await add_sessions(db, ("s-0", "noor"), days=40)
    await add_ownerless_task(db, "t-1", "s-0")
    dry = await client.prune_expired_sessions(RETENTION, dry_run=True)
    pruned = await client.prune_expired_sessions(RETENTION)
    assert (pruned.sessions, pruned.tasks) == (dry.sessions, dry.tasks) == (1001, 0)


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(microseconds=-1), timedelta(-30)])
async def test_a_retention_of_zero_or_less_does_nothing(
    client: PostgresClient, db: asyncpg.Connection, retention: timedelta
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    assert await client.prune_expired_sessions(retention) == NOTHING
    assert await client.prune_expired_sessions(retention, dry_run=True) == NOTHING
    assert await sessions(db) == {("s-1", "mira")}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_retention_beyond_the_range_of_dates_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, *, dry_run: bool
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    with pytest.raises(InvalidValue, match="retention"):
        await client.prune_expired_sessions(timedelta.max, dry_run=dry_run)
    assert await sessions(db) == {("s-1", "mira")}


async def test_prune_skips_a_session_that_another_transaction_has_locked(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"), ("s-2", "mira"))
    await add_belongings(db, "s-1", "mira")
    async with asyncio.timeout(10):
        async with db.transaction():
            await db.execute("SELECT FROM session WHERE id = 's-1' FOR NO KEY UPDATE")
            pruned = await client.prune_expired_sessions(RETENTION)
            assert pruned == NOTHING.model_copy(update={"sessions": 1})
        assert await sessions(db) == {("s-1", "mira")}
        assert await count(db, "event") == 1
        assert (await client.prune_expired_sessions(RETENTION)).sessions == 1


async def test_session_stays_while_an_event_is_stored_in_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    async with asyncio.timeout(10), client.transaction() as tx:
        await tx.store_events([event("e-1")])
        assert await client.prune_expired_sessions(RETENTION) == NOTHING
    assert await client.prune_expired_sessions(RETENTION) == NOTHING
    assert await count(db, "event") == 1


async def test_session_stays_during_and_after_a_concurrent_share_or_config(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("shared", "mira"), ("reported", "mira"))
    await client.store_task("k-1", user_id="mira", data="{}")
    await db.execute(
        "UPDATE task SET session_id = 'reported', created_at = NULL, updated_at = NULL"
    )
    async with client.transaction() as tx:
        await tx.create_session_share("shared", user_id="mira")
        await tx.store_push_notification("c-1", task_id="k-1", user_id="mira", data="hers")
        assert await client.prune_expired_sessions(RETENTION) == NOTHING
    assert await client.prune_expired_sessions(RETENTION) == NOTHING
    await db.execute("UPDATE session_share SET created_at = created_at - interval '31 days'")
    await db.execute("UPDATE push_notification SET created_at = NULL, updated_at = NULL")
    pruned = await client.prune_expired_sessions(RETENTION)
    assert (pruned.sessions, pruned.shares, pruned.push_notifications) == (2, 1, 1)
    assert await count(db, "push_notification") == await count(db, "session_share") == 0


async def test_a_session_stays_while_one_of_its_tasks_is_locked(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, ("s-1", "mira"), ("s-2", "mira"))
    await add_belongings(db, "s-1", "mira", only="task")
    async with asyncio.timeout(10), db.transaction():
        await db.execute("SELECT FROM task FOR KEY SHARE")
        pruned = await client.prune_expired_sessions(RETENTION)
        assert pruned == NOTHING.model_copy(update={"sessions": 1})
    assert await sessions(db) == {("s-1", "mira")}
    pruned = await client.prune_expired_sessions(RETENTION)
    assert (pruned.sessions, pruned.tasks) == (1, 1)


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_prune_in_a_transaction_with_one_snapshot_is_refused(
    client: PostgresClient, db: asyncpg.Connection, isolation: Isolation
) -> None:
    await add_sessions(db, ("s-1", "mira"))
    async with client.transaction(isolation=isolation) as tx:
        with pytest.raises(InvalidValue, match="isolation must be read_committed"):
            await tx.prune_expired_sessions(RETENTION)
        assert (await tx.prune_expired_sessions(RETENTION, dry_run=True)).sessions == 1
    assert await sessions(db) == {("s-1", "mira")}


async def test_two_prunes_at_once_share_the_work(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, *((f"s-{n}", user) for n in range(1100) for user in ("mira", "noor")))
    await db.execute(
        "INSERT INTO event (id, user_id, session_id, data, created_at) "
        "SELECT 'e-' || id, user_id, id, '{}', now() - interval '1 year' FROM session"
    )
    runs = await asyncio.gather(*(client.prune_expired_sessions(RETENTION) for _ in range(2)))
    assert sum(run.sessions for run in runs) == 2200
    assert sum(run.events for run in runs) == 2200
    assert await count(db, "session") + await count(db, "event") == 0


async def test_a_prune_inside_a_transaction_is_undone_with_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_sessions(db, *((f"s-{number}", "mira") for number in range(1001)))

    async def prune_and_fail() -> None:
        async with client.transaction() as tx:
            assert (await tx.prune_expired_sessions(RETENTION)).sessions == 1001
            raise KeyError

    with pytest.raises(KeyError):
        await prune_and_fail()
    assert await count(db, "session") == 1001
