"""prune: the rules of all tables, rows that stay, limits, and runs that are continued."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, get_args

import asyncpg
import pytest

from agentrows import (
    InvalidValue,
    NewEvent,
    NewStoreItem,
    PostgresClient,
    PruneProgress,
    PruneTable,
    Settings,
)
from agentrows.migrate import Migrator, builtin_tracks
from support.postgres import SERVICE, SUPERUSER, as_role
from support.stores import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGE: Final = timedelta(days=90)
TABLES: Final = get_args(PruneTable)
# One row for each rule, so many days old; `live` names the rows of a session that is in use.
ROWS: Final = """
INSERT INTO session (id, user_id, created_at, updated_at)
VALUES ('old', 'mira', {time}, {time}), ('live', 'mira', {time}, now()),
('also live', 'mira', {time}, now());

INSERT INTO event (id, user_id, session_id, data, created_at, updated_at, deleted_at) VALUES
('of old', 'mira', 'old', '', {time}, {time}, NULL),
('of live', 'mira', 'live', '', {time}, {time}, NULL),
('deleted', 'mira', 'live', '', {time}, {time}, {time}),
('outside', 'mira', NULL, '', {time}, {time}, NULL),
('of absent', 'mira', 'absent', '', {time}, {time}, NULL);

INSERT INTO task (id, user_id, session_id, data, created_at, updated_at, deleted_at) VALUES
('of live', 'mira', 'live', '', {time}, {time}, NULL),
('deleted', 'mira', 'live', '', {time}, {time}, {time}),
('outside', 'mira', NULL, '', {time}, {time}, NULL),
('of absent', 'mira', 'absent', '', {time}, {time}, NULL);

INSERT INTO push_notification (id, task_id, data, created_at, deleted_at) VALUES
('of outside', 'outside', '', {time}, NULL),
('of live', 'of live', '', {time}, NULL),
('deleted', 'of live', '', {time}, {time}),
('of no task', 'none', '', {time}, NULL);

INSERT INTO agentrows_push_config (task_id, user_id, config_id, data, created_at) VALUES
('of live', 'mira', 'c', '', {time}),
('none', 'mira', 'c', '', {time});

INSERT INTO agentrows_task_event (task_id, user_id, version, data, created_at)
VALUES ('of live', 'mira', 1, '', {time});

INSERT INTO feedback (id, user_id, feedback_text, created_at) VALUES (1001, 'mira', '', {time});
INSERT INTO agentrows_feedback_key (user_id, idempotency_key, feedback_id, created_at)
VALUES ('mira', 'k', 1001, {time});
INSERT INTO feedback (id, user_id, feedback_text, created_at) VALUES (1002, 'mira', '', now());
INSERT INTO agentrows_feedback_target (feedback_id, user_id, event_id, created_at)
VALUES (1001, 'mira', 'e', {time}), (1002, 'mira', 'e', {time}), (1003, 'mira', 'e', {time});

INSERT INTO lg_checkpoint (
    user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, created_at, deleted_at
) VALUES
('mira', 'absent', 'c-1', '', '', '', {time}, NULL),
('mira', 'live', 'c-1', '', '', '', {time}, NULL),
('mira', 'live', 'deleted', '', '', '', {time}, {time});
INSERT INTO lg_checkpoint_write (
    user_id, thread_id, checkpoint_id, write_idx, value, value_type, channel, task_id, created_at,
    deleted_at
) VALUES
('mira', 'live', 'c-1', 0, '', '', '', '', {time}, NULL),
('mira', 'live', 'c-1', 1, '', '', '', '', {time}, {time});

INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data, created_at, deleted_at) VALUES
('mira', 'absent', '{{}}', {time}, NULL),
('mira', 'live', '{{}}', {time}, NULL),
('mira', 'also live', '{{}}', {time}, {time});
INSERT INTO crewai_flow_state (
    user_id, thread_id, method_name, state_data, created_at, deleted_at
) VALUES
('mira', 'absent', 'm', '{{}}', {time}, NULL),
('mira', 'live', 'm', '{{}}', {time}, NULL),
('mira', 'live', 'deleted', '{{}}', {time}, {time});

INSERT INTO memory (id, agent_name, user_id, content, created_at, expires_at) VALUES
('expired', 'a', 'mira', '', {time}, {time}),
('kept', 'a', 'mira', '', {time}, now() + interval '1 day'),
('timeless', 'a', 'mira', '', {time}, NULL);
INSERT INTO agentrows_memory (
    id, model, agent_name, user_id, content, words, created_at, updated_at, expires_at
) VALUES
('expired', 'm', 'a', 'mira', '', '', {time}, {time}, {time}),
('kept', 'm', 'a', 'mira', '', '', {time}, {time}, now() + interval '1 day'),
('timeless', 'm', 'a', 'mira', '', '', {time}, {time}, NULL);
INSERT INTO agentrows_store_item (user_id, namespace, key, value, revision, expires_at) VALUES
('mira', '.', 'expired', '{{}}', gen_random_uuid(), {time}),
('mira', '.', 'kept', '{{}}', gen_random_uuid(), NULL);

INSERT INTO agentrows_transcript (
    id, user_id, project_key, session_id, subpath, last_position, updated_at
) VALUES
(1, 'mira', 'p', 'old', '', 2, {time}),
(2, 'mira', 'p', 'old', 'subagents/a', 1, {time}),
(3, 'mira', 'p', 'live', '', 1, {time}),
(4, 'mira', 'p', 'live', 'subagents/a', 1, now());
INSERT INTO agentrows_transcript_entry (user_id, transcript_id, position, id, data) VALUES
('mira', 1, 1, 'a', ''), ('mira', 1, 2, 'b', ''), ('mira', 2, 1, 'a', ''), ('mira', 3, 1, 'a', '');

INSERT INTO agentrows_history (
    user_id, history_id, head_id, branches, revision, data, updated_at, saved_at
) VALUES
('mira', 'old', 'c', '{{x}}', 'r', '', now(), {time}),
('mira', 'old fork', 'd', '{{}}', 'r', '', now(), {time}),
('mira', 'empty', NULL, '{{}}', 'r', '', now(), {time}),
('mira', 'live', 'e', '{{}}', 'r', '', {time}, now());
INSERT INTO agentrows_history_entry (user_id, id, parent_id, kind, data) VALUES
('mira', 'a', NULL, '', ''), ('mira', 'b', 'a', '', ''), ('mira', 'c', 'b', '', ''),
('mira', 'x', 'a', '', ''), ('mira', 'd', 'b', '', ''), ('mira', 'e', 'a', '', '');

INSERT INTO agent (id, type, deleted_at) VALUES ('a', '', NULL), ('b', '', {time});
INSERT INTO tool (id, server_name, group_kind, deleted_at)
VALUES ('a', 's', 'g', NULL), ('b', 's', 'g', {time});
INSERT INTO toolserver (name, group_kind, deleted_at) VALUES ('a', 'g', NULL), ('b', 'g', {time});
"""
REMOVED: Final = {
    "session": 1,
    "event": 4,
    "task": 3,
    "push_notification": 3,
    "agentrows_push_config": 1,
    "agentrows_task_event": 1,
    "feedback": 1,
    "agentrows_feedback_key": 1,
    "agentrows_feedback_target": 2,
    "lg_checkpoint": 2,
    "lg_checkpoint_write": 1,
    "crewai_agent_memory": 2,
    "crewai_flow_state": 2,
    "memory": 1,
    "agentrows_memory": 1,
    "agentrows_store_item": 1,
    "agentrows_transcript": 2,
    "agentrows_transcript_entry": 3,
    "agentrows_history": 3,
    "agentrows_history_entry": 4,
    "agent": 1,
    "tool": 1,
    "toolserver": 1,
}
"""The numbers of rows of ROWS that a prune removes."""


async def add_rows(db: asyncpg.Connection, *, days: int = 100) -> None:
    await db.execute(ROWS.format(time=f"now() - interval '{days} days'"))


def present(rows: dict[str, int]) -> dict[str, int]:
    return {table: number for table, number in rows.items() if number}


async def numbers(db: asyncpg.Connection) -> dict[str, int]:
    return {table: await count(db, table) for table in REMOVED}


async def test_every_rule_removes_its_rows_and_no_others(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db)
    before = await numbers(db)

    dry = await client.prune(AGE, dry_run=True)
    assert await numbers(db) == before
    report = await client.prune(AGE)

    assert present(dict(report.rows)) == REMOVED
    assert present(dict(dry.rows)) == REMOVED
    assert (dry.is_dry_run, report.is_dry_run) == (True, False)
    assert report.is_complete
    assert report.skipped == {}
    assert report.total == sum(REMOVED.values())
    after = await numbers(db)
    assert {table: before[table] - after[table] for table in REMOVED} == REMOVED
    assert present(dict((await client.prune(AGE)).rows)) == {}
    assert [row[0] for row in await db.fetch("SELECT id FROM event")] == ["of live"]


async def test_rows_within_the_retention_stay(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db, days=80)
    report = await client.prune(AGE)

    assert present(dict(report.rows)) == {
        "memory": 1,
        "agentrows_memory": 1,
        "agentrows_store_item": 1,
    }


@pytest.mark.parametrize("table", TABLES)
async def test_prune_of_one_table_applies_its_rules_alone(
    client: PostgresClient, db: asyncpg.Connection, table: PruneTable
) -> None:
    await add_rows(db)
    before = await numbers(db)
    report = await client.prune(AGE, tables=[table])

    after = await numbers(db)
    assert present(dict(report.rows)) == present(
        {name: before[name] - after[name] for name in REMOVED}
    )
    assert report.rows[table] > 0


async def test_small_batches_remove_the_same_rows(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db)
    report = await client.prune(AGE, batch_size=1)

    assert present(dict(report.rows)) == REMOVED


async def test_events_and_tasks_with_a_new_row_of_their_session_or_task_stay(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db)
    await db.execute(
        """
        INSERT INTO event (id, user_id, session_id, data, created_at)
        VALUES ('new', 'mira', 'absent', '', now());
        INSERT INTO push_notification (id, task_id, data, created_at)
        VALUES ('new', 'outside', '', now());
        INSERT INTO agentrows_task_event (task_id, user_id, version, data)
        VALUES ('of absent', 'mira', 1, '');
        INSERT INTO crewai_flow_state (user_id, thread_id, method_name, state_data, created_at)
        VALUES ('mira', 'absent', 'new', '{}', now());
        """
    )
    report = await client.prune(
        AGE, tables=["event", "task", "crewai_agent_memory", "crewai_flow_state"]
    )

    assert present(dict(report.rows)) == {
        "event": 2,
        "task": 1,
        "crewai_agent_memory": 1,
        "crewai_flow_state": 1,
    }


async def test_rows_without_a_time_stay(client: PostgresClient, db: asyncpg.Connection) -> None:
    await db.execute(
        """
        INSERT INTO event (id, user_id, session_id, data)
        VALUES ('e-1', 'mira', NULL, ''), ('e-2', 'mira', 'absent', '');
        INSERT INTO task (id, user_id, data) VALUES ('t-1', 'mira', '');
        INSERT INTO feedback (user_id, feedback_text) VALUES ('mira', '');
        INSERT INTO push_notification (id, task_id, data) VALUES ('p-1', 'none', '');
        INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data)
        VALUES ('mira', 't', '{}');
        """
    )
    assert (await client.prune(AGE)).total == 0


LOCKS: Final = {
    "session": "session WHERE id = 'old'",
    "event": "event",
    "task": "task",
    "push_notification": "push_notification",
    "agentrows_push_config": "agentrows_push_config",
    "feedback": "feedback",
    "agentrows_feedback_target": "agentrows_feedback_target",
    "lg_checkpoint": "lg_checkpoint",
    "crewai_agent_memory": "crewai_agent_memory",
    "crewai_flow_state": "crewai_flow_state",
    "memory": "memory",
    "agentrows_memory": "agentrows_memory",
    "agentrows_store_item": "agentrows_store_item",
    "agentrows_transcript": "agentrows_transcript",
    "agentrows_history": "agentrows_history",
    "agent": "agent",
    "tool": "tool",
    "toolserver": "toolserver",
}


@pytest.mark.parametrize("table", LOCKS)
async def test_locked_rows_are_skipped_and_removed_by_the_next_run(
    client: PostgresClient, db: asyncpg.Connection, table: PruneTable
) -> None:
    await add_rows(db)
    async with db.transaction():
        await db.execute(f"SELECT FROM {LOCKS[table]} FOR UPDATE")
        async with asyncio.timeout(10):
            report = await client.prune(AGE, tables=[table])
        assert report.rows[table] == 0
        if table == "lg_checkpoint":
            assert report.rows["lg_checkpoint_write"] == 1
        else:
            assert report.total == 0
    assert (await client.prune(AGE, tables=[table])).rows[table] > 0


async def test_row_that_is_updated_during_a_prune_stays(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db)
    await client.store_task("outside", user_id="mira", data="new")
    await client.store_crewai_memory("absent", user_id="mira", memory_data="{}")
    await client.store_push_config("c", task_id="none", user_id="mira", data=b"new")
    report = await client.prune(
        AGE, tables=["task", "crewai_agent_memory", "crewai_flow_state", "agentrows_push_config"]
    )

    assert present(dict(report.rows)) == {
        "task": 2,
        "crewai_agent_memory": 1,
        "crewai_flow_state": 1,
    }
    assert (await client.get_task("outside", user_id="mira")).data == "new"


async def add_events(db: asyncpg.Connection, number: int, session: str | None = None) -> None:
    await db.execute(
        "INSERT INTO event (id, user_id, session_id, data, created_at) "
        "SELECT 'e-' || n, 'mira', $2, '', now() - interval '1 year' "
        "FROM generate_series(1, $1::integer) AS n",
        number,
        session,
    )


async def test_run_ends_at_max_rows_and_the_next_one_continues(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_events(db, 250)
    progress: list[PruneProgress] = []
    first = await client.prune(
        AGE, tables=["event"], batch_size=100, max_rows=150, on_progress=progress.append
    )

    assert (first.total, first.is_complete) == (200, False)
    assert [each.rows for each in progress if each.rows] == [100, 200]
    assert {each.table for each in progress} == {"event"}
    second = await client.prune(AGE, tables=["event"], batch_size=100)
    assert (second.total, second.is_complete) == (50, True)


async def test_run_ends_at_its_time_limit(client: PostgresClient, db: asyncpg.Connection) -> None:
    await add_events(db, 50)
    report = await client.prune(
        AGE, tables=["event"], batch_size=10, time_limit=timedelta(microseconds=1)
    )

    assert not report.is_complete
    assert await count(db, "event") == 50 - report.total >= 40


async def test_cancelled_run_keeps_its_batches_and_the_next_one_continues(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_events(db, 500)
    task: asyncio.Task[Any] | None = None

    def cancel(progress: PruneProgress) -> None:
        if task and progress.rows >= 100:
            task.cancel()

    task = asyncio.create_task(
        client.prune(AGE, tables=["event"], batch_size=50, on_progress=cancel)
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    left = await count(db, "event")
    assert 300 <= left <= 400
    report = await client.prune(AGE, tables=["event"])
    assert (report.total, report.is_complete) == (left, True)


async def test_error_in_the_progress_function_ends_the_run(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_events(db, 20)

    def fail(progress: PruneProgress) -> None:
        raise LookupError(progress.table)

    with pytest.raises(LookupError):
        await client.prune(AGE, tables=["event"], batch_size=10, on_progress=fail)
    assert await count(db, "event") <= 20
    await client.ping()


async def test_prune_uses_one_connection_and_frees_it_between_batches(
    migrated: str, db: asyncpg.Connection
) -> None:
    await add_events(db, 1000)
    settings = Settings(pool_min_size=1, pool_max_size=1)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        order: list[str] = []
        run = asyncio.create_task(
            client.prune(
                AGE, tables=["event"], batch_size=10, on_progress=lambda _: order.append("batch")
            )
        )
        while not run.done():
            await client.ping()
            order.append("ping")
        assert (await run).total == 1000

    # The other caller waits for a batch, and not for the run.
    assert order.count("ping") >= order.count("batch") // 2 > 20


@pytest.fixture
async def batches(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database that logs the transaction of every deleted row."""
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await connection.execute(
        f"""
        CREATE TABLE deletion (transaction xid8);
        GRANT ALL ON deletion TO {SERVICE};
        CREATE FUNCTION log_deletion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO deletion VALUES (pg_current_xact_id());
            RETURN OLD;
        END $$;
        """  # noqa: S608  a name of ours
    )
    for table in ("session", "event", "lg_checkpoint", "task", "feedback"):
        await connection.execute(
            f"CREATE TRIGGER log AFTER DELETE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION log_deletion()"
        )
    yield connection
    # The other tests of the process use the same database.
    await connection.execute("DROP FUNCTION log_deletion CASCADE; DROP TABLE deletion")
    await connection.close()


MANY: Final = """
INSERT INTO session (id, user_id, created_at, updated_at)
SELECT 's-' || n, 'mira', now() - interval '1 year', now() - interval '1 year'
FROM generate_series(1, 400) AS n;
INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT 'e-' || n, 'mira', 's-' || 1 + n % 400, '', now() - interval '1 year'
FROM generate_series(1, 20000) AS n;
INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT 'o-' || n, 'mira', CASE WHEN n % 2 = 0 THEN 'absent' END, '', now() - interval '1 year'
FROM generate_series(1, 10000) AS n;
INSERT INTO task (id, user_id, data, created_at)
SELECT 't-' || n, 'mira', '', now() - interval '1 year' FROM generate_series(1, 5000) AS n;
INSERT INTO feedback (user_id, feedback_text, created_at)
SELECT 'mira', '', now() - interval '1 year' FROM generate_series(1, 5000) AS n;
INSERT INTO lg_checkpoint (
    user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, created_at
)
SELECT 'mira', 't-' || n % 200, 'c-' || n, '', '', '', now() - interval '1 year'
FROM generate_series(1, 10000) AS n;
ANALYZE;
"""


@pytest.mark.slow
async def test_no_transaction_removes_many_more_rows_than_a_batch(
    client: PostgresClient, batches: asyncpg.Connection
) -> None:
    """A lock ends with its transaction, so the rows of a transaction bound the time of a lock."""
    await batches.execute(MANY)
    report = await client.prune(AGE, batch_size=500)

    assert report.total == 50_400
    sizes = [
        int(row[0])
        for row in await batches.fetch(
            "SELECT count(*) FROM deletion GROUP BY transaction ORDER BY min(transaction::text)"
        )
    ]
    assert sum(sizes) == 50_400
    # The first 10 sessions and threads have an unknown number of rows, 51 and 50 here.
    assert max(sizes) <= 2 * 510


async def test_kagents_tables_alone_are_pruned_with_a_note_of_the_others(database: str) -> None:
    core, *_ = builtin_tracks(vector=False)
    await Migrator(database, [core]).up()
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(database, settings=settings, migrations="off") as client:
        await client.db.execute(
            "INSERT INTO feedback (user_id, feedback_text, created_at) "
            "VALUES ('mira', '', now() - interval '1 year')"
        )
        await client.store_session("s-1", user_id="mira")
        report = await client.prune(AGE)
        dry = await client.prune(AGE, dry_run=True)

    assert present(dict(report.rows)) == {"feedback": 1}
    assert (
        set(report.skipped)
        == set(dry.skipped)
        == {
            *("lg_checkpoint", "event", "agentrows_task_event", "agentrows_push_config"),
            *("agentrows_feedback_target", "agentrows_transcript", "agentrows_history"),
            *("agentrows_feedback_key", "memory", "agentrows_memory", "agentrows_store_item"),
        }
    )
    assert all(
        "`agentrows migrate up`" in each or "VECTOR" in each for each in report.skipped.values()
    )


async def test_expired_memories_that_were_read_often_are_extended(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO memory (id, agent_name, user_id, content, expires_at, access_count) "
        "VALUES ('m', 'a', 'mira', '', now(), 10), ('n', 'a', 'mira', '', now(), 9)"
    )
    dry = await client.prune(AGE, tables=["memory"], dry_run=True)
    report = await client.prune(AGE, tables=["memory"])

    assert (dry.rows, dry.extended_memories) == ({"memory": 1}, 1)
    assert (report.rows, report.extended_memories) == ({"memory": 1}, 1)


async def test_memories_of_every_model_are_removed_or_extended_in_batches(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO agentrows_memory (id, model, agent_name, user_id, content, words, created_at, "
        "updated_at, expires_at, access_count) "
        "SELECT n::text, 'model-' || n % 2, 'a', 'mira', '', '', now(), now(), now(), n "
        "FROM generate_series(7, 12) AS n"
    )
    table: list[PruneTable] = ["agentrows_memory"]
    dry = await client.prune(AGE, tables=table, dry_run=True)
    report = await client.prune(AGE, tables=table, batch_size=2)

    assert (dry.rows, dry.extended_memories) == ({"agentrows_memory": 3}, 3)
    assert (report.rows, report.extended_memories) == ({"agentrows_memory": 3}, 3)
    counts = await db.fetch("SELECT access_count FROM agentrows_memory")
    assert [row[0] for row in counts] == [0, 0, 0]


async def test_vectors_go_with_their_expired_item(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    item = NewStoreItem(namespace="n", key="k", value="{}", ttl_s=0.001)
    await client.store_items([item], user_id="mira", embeddings=[[[1.0, 2.0]]], space="s")
    await db.execute("SELECT pg_sleep(0.05)")
    report = await client.prune(AGE, tables=["agentrows_store_item"])

    assert report.rows == {"agentrows_store_item": 1, "agentrows_store_vector": 1}


async def test_prune_in_a_transaction_is_part_of_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_events(db, 30)
    with pytest.raises(LookupError):
        async with client.transaction() as tx:
            assert (await tx.prune(AGE, batch_size=10)).total == 30
            raise LookupError
    assert await count(db, "event") == 30
    with pytest.raises(InvalidValue, match="isolation must be read_committed for prune"):
        async with client.transaction(isolation="repeatable_read") as tx:
            await tx.prune(AGE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"older_than": 90}, "older_than must be a timedelta"),
        ({"older_than": timedelta.max}, "older_than must be at most 365,000 days"),
        ({"tables": "session"}, "tables"),
        ({"tables": ["sessions"]}, r"tables\[0\]"),
        ({"tables": [1]}, r"tables\[0\]"),
        ({"dry_run": 1}, "dry_run"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 100_001}, "batch_size must be an integer of 1 to 100,000"),
        ({"batch_size": None}, "batch_size"),
        ({"max_rows": 0}, "max_rows"),
        ({"time_limit": 5}, "time_limit must be a timedelta"),
        ({"time_limit": timedelta(0)}, "time_limit must be positive"),
        ({"on_progress": 1}, "on_progress must be a function"),
        ({"on_progress": asyncio.sleep}, "on_progress must be a plain function"),
    ],
)
async def test_wrong_argument_is_refused_by_name(
    client: PostgresClient, arguments: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"older_than": AGE, **arguments}
    with pytest.raises(InvalidValue, match=message):
        await client.prune(**given)


async def test_age_of_zero_removes_nothing(client: PostgresClient, db: asyncpg.Connection) -> None:
    await add_rows(db)
    report = await client.prune(timedelta(0))

    assert (report.rows, report.total, report.is_complete) == ({}, 0, True)


async def test_prune_of_no_table_removes_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_rows(db)
    assert (await client.prune(AGE, tables=[])).rows == {}


async def test_event_that_is_stored_during_a_prune_stays(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_events(db, 10, "absent")
    async with client.transaction() as tx:
        await tx.store_session("absent", user_id="mira")
        await tx.store_events([NewEvent(id="new", user_id="mira", session_id="absent", data="{}")])
    assert (await client.prune(AGE)).total == 0
