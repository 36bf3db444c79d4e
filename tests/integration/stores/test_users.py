"""Users: all rows of one user are exported and erased, also in future tables, and no others."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest

from agentrows import (
    Aborted,
    HistoryEntry,
    InvalidValue,
    NewChannelValue,
    NewCheckpointWrite,
    NewStoreItem,
    NewThreadWrite,
    NewTranscriptEntry,
    NotFound,
    PostgresClient,
    SchemaBehind,
    Settings,
)
from agentrows.db.executor import Executor
from agentrows.gen import users as queries
from agentrows.stores.users import UserStore
from policy.checks.owner_scope import SHARED
from support.methods import NO_ID, NO_TEXT
from support.stores import count, event, towards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from agentrows import ErasedUser, Transaction
    from agentrows.db.executor import Isolation

COUNTED_AS: Final[Mapping[str, str]] = {
    "session": "sessions",
    "event": "events",
    "task": "tasks",
    "push_notification": "push_notifications",
    "feedback": "feedback",
    "agentrows_feedback_key": "feedback_keys",
    "agentrows_feedback_target": "feedback_targets",
    "agentrows_session_state": "session_states",
    "agentrows_user_state": "user_states",
    "agentrows_checkpoint_blob": "checkpoint_values",
    "agentrows_task_event": "task_events",
    "agentrows_push_config": "push_configs",
    "lg_checkpoint": "checkpoints",
    "lg_checkpoint_write": "checkpoint_writes",
    "crewai_agent_memory": "crewai_memories",
    "crewai_flow_state": "crewai_flow_states",
    "session_share": "shares",
    "session_share_access": "share_accesses",
    "memory": "memories",
    "agentrows_memory": "own_memories",
    "agentrows_store_item": "store_items",
    "agentrows_store_vector": "store_vectors",
    "agentrows_transcript": "transcripts",
    "agentrows_transcript_entry": "transcript_entries",
    "agentrows_history": "histories",
    "agentrows_history_entry": "history_entries",
}
"""A table of users' rows, and the field of ErasedUser that counts them."""
TABLES_AND_COLUMNS: Final = """
    SELECT class.relname::text, array_agg(attname::text)
    FROM pg_class AS class JOIN pg_attribute ON attrelid = class.oid AND attnum > 0
    WHERE relkind IN ('r', 'p') AND NOT attisdropped
        AND relnamespace = 'public'::regnamespace AND relname !~ 'schema_migrations'
    GROUP BY class.relname
"""


async def fill(client: PostgresClient, user: str) -> None:
    """Store two rows of a user in every table, one of them deleted where the table allows it."""
    for number in (1, 2):
        id_ = f"{number}-{user}"
        thread = str(number)
        await client.create_app_session(
            str(number),
            user_id=user,
            app_name=f"app-{number}",
            started_at=1.0,
            state={"of": user},
            user_state={"of": user},
        )
        await client.store_session(str(number), user_id=user, name=user)
        await client.store_events([event(id_, user_id=user, session_id=str(number))])
        await client.save_task(
            id_, user_id=user, data=user, state="x", session_id=str(number), event=b"x"
        )
        await client.store_push_config(id_, task_id=id_, user_id=user, data=b"x")
        await client.store_push_notification(id_, task_id=id_, user_id=user, data=user)
        await client.store_feedback(
            user_id=user,
            is_positive=True,
            feedback_text=f'"{user}\n"',
            event_id=id_,
            idempotency_key=str(number),
        )
        await client.store_checkpoint(
            thread_id=thread,
            user_id=user,
            checkpoint_ns="",
            checkpoint_id=str(number),
            parent_checkpoint_id=None,
            checkpoint="AAEC",
            checkpoint_type="msgpack",
            metadata={"of": user},
        )
        await client.store_checkpoint_writes(
            thread_id=thread,
            user_id=user,
            checkpoint_ns="",
            checkpoint_id=str(number),
            task_id="w",
            writes=[NewCheckpointWrite(idx=0, channel="c", value_type="json", value="eyI=")],
        )
        await client.store_thread_checkpoint(
            f"bytes-{number}",
            user_id=user,
            checkpoint_id=str(number),
            checkpoint=b"\0\xff",
            checkpoint_type="msgpack",
            metadata={},
            values=[NewChannelValue(channel="c", type="msgpack", value=b"\\\0\xfe")],
            versions={"c": "1"},
        )
        await client.store_thread_writes(
            f"bytes-{number}",
            user_id=user,
            checkpoint_id=str(number),
            task_id="w",
            writes=[NewThreadWrite(idx=0, channel="c", type="msgpack", value=b"\0\xfd")],
        )
        await client.store_crewai_memory(thread, user_id=user, memory_data='{"a": 1}')
        await client.store_crewai_flow_state(thread, user_id=user, method_name="m", state_data="{}")
        share = await client.create_session_share(str(number), user_id=user)
        await client.record_share_access(share.token, user_id=user)
        await client.store_agent_memory(
            id=id_,
            agent_name="a",
            user_id=user,
            content=user,
            embedding=towards(1),
            metadata={"of": user},
        )
        await client.db.execute(
            "INSERT INTO agentrows_memory (id, model, user_id, agent_name, content, words, "
            "created_at, updated_at) VALUES ($1, 'm', $2, 'a', $2, '', now(), now())",
            id_,
            user,
        )
        await client.store_items(
            [NewStoreItem(namespace="a", key=id_, value=f'{{"of":"{user}"}}')],
            user_id=user,
            embeddings=[[[1, 0]]],
            space="plane",
        )
        await client.append_transcript(
            thread, [NewTranscriptEntry(id=id_, data=user)], project_key="p", user_id=user
        )
        await client.save_history(
            thread,
            user_id=user,
            data=user,
            revision="r",
            updated_at=datetime.now(UTC),
            head_id=id_,
            entries=[HistoryEntry(id=id_, parent_id=None, kind="message", data=user)],
        )
    await client.delete_push_notification(f"2-{user}", task_id=f"2-{user}", user_id=user)
    await client.delete_task(f"2-{user}", user_id=user)
    await client.delete_event(f"2-{user}", user_id=user)
    await client.delete_checkpoint("2", user_id=user)
    await client.reset_crewai_memory("2", user_id=user)
    await client.delete_session("2", user_id=user)


async def export(client: PostgresClient, user: str) -> list[tuple[str, dict[str, Any]]]:
    lines = [line async for line in client.export_user(user)]
    assert not any("\n" in line for line in lines)
    return [(each["table"], each["row"]) for each in map(json.loads, lines)]


async def columns_of(db: asyncpg.Connection) -> dict[str, list[str]]:
    """Return the columns of every table except those of the migrations."""
    return {row[0]: row[1] for row in await db.fetch(TABLES_AND_COLUMNS)}


async def whole(db: asyncpg.Connection, *, without: str) -> dict[str, Counter[str]]:
    """Return every row of every table that does not contain a user, as text."""
    return {
        table: Counter(
            str(row[0])
            for row in await db.fetch(f"SELECT each::text FROM {table} AS each")  # noqa: S608
            if without not in row[0]
        )
        for table in COUNTED_AS
    }


async def test_every_table_is_exported_and_erased_or_shared_by_decision(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    """A new table needs statements in queries/users.sql, and an entry in COUNTED_AS."""
    await fill(client, "mira")
    found = await columns_of(db)
    assert found.keys() == COUNTED_AS.keys() | SHARED, (
        "add each new table to ExportUser, EraseUser and FindUncoveredTables in queries/users.sql "
        "and to COUNTED_AS, or to SHARED in tests/policy/checks/owner_scope.py if its rows belong "
        "to no user"
    )
    assert not [t for t in SHARED if any("user" in column for column in found[t])], (
        "a table of SHARED has a column of a user"
    )
    assert {table for table, _ in await export(client, "mira")} == COUNTED_AS.keys(), (
        "store rows in each table of COUNTED_AS (fill), and export them (ExportUser)"
    )
    erased = await client.erase_user("mira")
    assert set(dict(erased)) == {*COUNTED_AS.values(), "hidden_tasks", "uncovered_tables"}, (
        "return the count of each table of COUNTED_AS from EraseUser"
    )
    assert erased.uncovered_tables == []


async def test_export_has_every_row_and_column_of_the_user_and_no_other(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await fill(client, user)
    exported = await export(client, "mira")
    assert Counter(table for table, _ in exported) == {
        **dict.fromkeys(COUNTED_AS, 2),
        **dict.fromkeys(("lg_checkpoint", "lg_checkpoint_write"), 4),
    }
    columns = await columns_of(db)
    for table, row in exported:
        assert row.keys() == set(columns[table]), table
        assert "juno" not in repr(row)
    (memory,) = (row for table, row in exported if table == "memory" and row["id"] == "1-mira")
    assert json.loads(memory["embedding"]) == towards(1)
    assert json.loads(memory["metadata"]) == {"of": "mira"}
    deleted = [table for table, row in exported if row.get("deleted_at")]
    assert set(deleted) > {"session", "event", "task", "lg_checkpoint", "lg_checkpoint_write"}


async def test_an_export_can_be_read_back_into_the_tables(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await fill(client, "mira")
    before = await whole(db, without="juno")
    exported = await export(client, "mira")
    await client.erase_user("mira")
    for table, row in exported:
        await db.execute(
            f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, $1)",  # noqa: S608
            row,
        )
    assert await whole(db, without="juno") == before


async def test_an_export_is_of_one_moment(client: PostgresClient, db: asyncpg.Connection) -> None:
    for number in range(60):
        await client.store_session(f"s-{number:02}", user_id="mira")
    stream = client.export_user("mira")
    async with contextlib.aclosing(stream):
        lines = [await anext(stream)]
        await db.execute("DELETE FROM session")
        await db.execute(
            "INSERT INTO memory (id, user_id, content) VALUES ('m-1', 'mira', 'later')"
        )
        lines += [line async for line in stream]
    assert len(lines) == 60


async def test_export_left_early_releases_its_connection(migrated: str) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=5)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        await fill(client, "mira")
        async with contextlib.aclosing(client.export_user("mira")) as stream:
            await anext(stream)
        assert len(await client.list_sessions(user_id="mira")) == 1


async def test_an_export_of_large_rows_holds_few_of_them_at_a_time(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO event (id, user_id, data)"
        " SELECT 'e-' || n, 'mira', repeat('x', 1000000) FROM generate_series(1, 100) AS n"
    )
    fetched: list[int] = []

    class Watching(Executor):
        async def cursor(
            self, query: str, /, *args: object, prefetch: int = 500, **_: object
        ) -> AsyncIterator[asyncpg.Record]:
            fetched.append(prefetch)
            async for row in super().cursor(query, *args, prefetch=prefetch):
                yield row

    async with client.transaction() as tx:
        watching = Watching(tx.db._source, versions=tx.db.versions)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        total = 0
        async for line in UserStore(watching).export_user("mira"):
            total += len(line)
    assert total > 100_000_000
    assert set(fetched) == {20}


async def test_erase_removes_and_counts_every_row_of_the_user_and_no_other(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await fill(client, user)
    others = await whole(db, without="mira")
    erased = await client.erase_user("mira")
    assert dict(erased) == {
        **dict.fromkeys(COUNTED_AS.values(), 2),
        "checkpoints": 4,
        "checkpoint_writes": 4,
        "hidden_tasks": 0,
        "uncovered_tables": [],
    }
    for table in COUNTED_AS:
        assert await count(db, table, f"{table}::text LIKE '%mira%'") == 0
    assert await whole(db, without="mira") == others
    assert await export(client, "mira") == []
    assert not any(dict(await client.erase_user("mira")).values())


async def test_erase_removes_accesses_to_shares_and_accesses_of_the_user(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await client.store_session("s-1", user_id=user)
    mine = await client.create_session_share("s-1", user_id="mira")
    theirs = await client.create_session_share("s-1", user_id="juno")
    for share in (mine, theirs):
        for user in ("mira", "juno"):
            await client.record_share_access(share.token, user_id=user)
    erased = await client.erase_user("mira")
    assert (erased.shares, erased.share_accesses) == (1, 3)
    assert await count(db, "session_share_access", "user_id = 'juno'") == 1
    assert await client.get_session_share_by_token(theirs.token) == theirs


async def test_ownerless_task_is_exported_erased_or_hidden_by_the_task_rule(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("only", user_id="mira")
    for user in ("mira", "juno"):
        await client.store_session("both", user_id=user)
    for session in ("only", "both", "younger", "gone"):
        await client.store_task(session, user_id="x", data="{}", session_id=session)
        await client.store_push_notification("c", task_id=session, user_id="x", data="{}")
    await client.store_session("younger", user_id="mira")
    await db.execute("UPDATE task SET user_id = NULL")
    exported = await export(client, "mira")
    assert [row["id"] for table, row in exported if table == "task"] == ["only"]
    assert [row["task_id"] for table, row in exported if table == "push_notification"] == ["only"]
    erased = await client.erase_user("mira")
    assert (erased.tasks, erased.push_notifications, erased.hidden_tasks) == (1, 1, 2)
    # The rows that made the task ambiguous are gone: it must not become juno's task.
    for task in ("both", "younger"):
        await client.store_session(task, user_id="juno")
        with pytest.raises(NotFound):
            await client.get_task(task, user_id="juno")
    tasks = await db.fetch("SELECT id, user_id FROM task ORDER BY id")
    assert [tuple(row) for row in tasks] == [
        ("both", ""),
        ("gone", None),
        ("younger", ""),
    ]


async def test_erasing_is_part_of_a_transaction_around_it(client: PostgresClient) -> None:
    await fill(client, "mira")

    class OfTheCaller(Exception):
        pass

    with pytest.raises(OfTheCaller):
        async with client.transaction() as tx:
            assert (await tx.erase_user("mira")).sessions == 2
            assert [line async for line in tx.export_user("mira")] == []
            raise OfTheCaller
    assert len(await export(client, "mira")) == 2 * len(COUNTED_AS) + 4


async def test_id_of_an_erased_task_can_be_reused(client: PostgresClient) -> None:
    await fill(client, "mira")
    await client.erase_user("mira")
    assert (await client.store_task("2-mira", user_id="juno", data="{}")).user_id == "juno"
    assert (await client.store_session("2", user_id="mira")).deleted_at is None


async def erase_during(
    client: PostgresClient, dsn: str, write: Callable[[Transaction], Awaitable[object]]
) -> ErasedUser:
    """Erase mira while a transaction that wrote rows is open: the erase must wait for it."""
    watcher = await asyncpg.connect(dsn)
    try:
        async with client.transaction() as tx:
            await write(tx)
            erasing = asyncio.ensure_future(client.erase_user("mira"))
            async with asyncio.timeout(10):
                while not erasing.done() and not await watcher.fetchval(
                    "SELECT true FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock'"
                ):
                    await asyncio.sleep(0.01)
        return await erasing
    finally:
        await watcher.close()


async def test_erase_waits_for_a_writer_and_removes_its_rows(
    client: PostgresClient, db: asyncpg.Connection, migrated: str
) -> None:
    await client.store_session("s-1", user_id="mira")
    erased = await erase_during(client, migrated, lambda tx: tx.store_events([event("e-1")]))
    assert erased.events == 1
    assert await count(db, "event") == 0


@pytest.mark.parametrize("owner", ["mira", None])
async def test_config_stored_during_erase_does_not_attach_to_the_next_task(
    client: PostgresClient, db: asyncpg.Connection, migrated: str, owner: str | None
) -> None:
    await client.store_session("s-1", user_id="mira")
    await client.store_task("k-1", user_id="mira", data="{}", session_id="s-1")
    await db.execute("UPDATE task SET user_id = $1", owner)
    erased = await erase_during(
        client,
        migrated,
        lambda tx: tx.store_push_notification("c-1", task_id="k-1", user_id="mira", data="hers"),
    )
    assert (erased.tasks, erased.push_notifications) == (1, 1)
    await client.store_task("k-1", user_id="juno", data="{}")
    assert await client.list_push_notifications("k-1", user_id="juno") == []


async def test_share_stored_during_erase_does_not_open_the_next_session(
    client: PostgresClient, db: asyncpg.Connection, migrated: str
) -> None:
    await client.store_session("s-1", user_id="mira")
    erased = await erase_during(
        client, migrated, lambda tx: tx.create_session_share("s-1", user_id="mira")
    )
    assert erased.shares == 1
    assert await count(db, "session_share") == 0


async def test_session_and_task_stored_during_erase_stay_whole(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erase_before_a_create(*arguments: Any, **more: Any) -> ErasedUser:  # noqa: ANN401
        erased = await erase_user(*arguments, **more)
        await client.create_app_session(
            "s-1", user_id="mira", app_name="a", started_at=1.0, state={"a": 1}
        )
        await client.save_task("k-1", user_id="mira", data="{}", state="x", event=b"saved")
        return erased

    erase_user = queries.erase_user
    monkeypatch.setattr(queries, "erase_user", erase_before_a_create)
    await client.erase_user("mira")
    session = await client.find_app_session("s-1", user_id="mira", app_name="a")
    assert session is not None
    assert (session.version, session.state) == (1, {"a": 1})
    assert [event.version for event in await client.list_task_events_all_users("k-1")] == [1]


async def test_concurrent_writers_only_meet_aborted_and_a_second_erase_ends_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stop = asyncio.Event()
    failures: list[BaseException] = []

    async def write(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            user = "mira" if number % 2 else "juno"
            id_ = f"{number}-{turn}"
            try:
                await client.store_session("s-1", user_id=user)
                await client.store_events([event(id_, user_id=user)])
                await client.store_task(id_, user_id=user, data="{}", session_id="s-1")
                await client.store_task(id_, user_id=user, data="{ }", session_id="s-1")
                await client.store_agent_memory(
                    id=f"m-{number}", agent_name="a", user_id=user, content=id_
                )
                await client.search_agent_memory(agent_name="a", user_id=user, embedding=towards(1))
            except (Aborted, NotFound):
                pass
            except Exception as error:  # noqa: BLE001  any other error is a failure
                failures.append(error)

    await client.erase_user("mira")
    writers = [asyncio.ensure_future(write(number)) for number in range(6)]
    for _ in range(15):
        with contextlib.suppress(Aborted):
            await client.erase_user("mira")
    stop.set()
    await asyncio.gather(*writers)
    assert failures == []
    juno = await count(db, "event", "user_id = 'juno'")
    await client.erase_user("mira")
    for table in ("session", "event", "task", "memory"):
        assert await count(db, table, "user_id = 'mira'") == 0
    assert await count(db, "event", "user_id = 'juno'") == juno > 0


async def test_memories_are_exported_and_erased_with_vectors_switched_off(
    client: PostgresClient, db: asyncpg.Connection, migrated: str
) -> None:
    await fill(client, "mira")
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as without:
        assert Counter(table for table, _ in await export(without, "mira"))["memory"] == 2
        assert (await without.erase_user("mira")).memories == 2
    assert await count(db, "memory") == 0


async def test_application_table_called_memory_is_not_touched(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await fill(client, "mira")
    await db.execute("ALTER TABLE vector_schema_migrations RENAME TO gone")
    executor = Executor(client.db._source, versions={"vector": -1})  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    try:
        assert (await UserStore(executor).erase_user("mira")).memories == 0
        assert await count(db, "memory") == 2
    finally:
        await db.execute("ALTER TABLE gone RENAME TO vector_schema_migrations")


async def test_without_the_track_of_memories_the_rest_is_erased_and_exported(
    database: str,
) -> None:
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(database, settings=settings) as client:
        await client.store_session("s-1", user_id="mira")
        assert len(await export(client, "mira")) == 1
        erased = await client.erase_user("mira")
        assert (erased.sessions, erased.memories) == (1, 0)


async def test_on_an_older_schema_both_name_the_migration(client: PostgresClient) -> None:
    older = UserStore(Executor(client.db._source, versions={"core": 6}))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(SchemaBehind, match="migration 7"):
        await older.erase_user("mira")
    with pytest.raises(SchemaBehind, match="migration 7"):
        await anext(older.export_user("mira"))


async def test_invalid_user_id_is_refused_by_name(client: PostgresClient) -> None:
    for user in (*NO_TEXT, *NO_ID):
        with pytest.raises(InvalidValue, match="user_id"):
            await client.erase_user(user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidValue, match="user_id"):
            await anext(client.export_user(user))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for user in ("%", "_ira", "MIRA", "mira ", "' OR true --"):
        assert not any(dict(await client.erase_user(user)).values())


async def test_tables_of_other_releases_are_named_by_an_erase_and_an_export(
    client: PostgresClient, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(client, "mira")
    await db.execute("CREATE TABLE agent_instance (id text PRIMARY KEY, user_id text NOT NULL)")
    try:
        await db.execute("INSERT INTO agent_instance VALUES ('i-1', 'mira')")
        await export(client, "mira")
        assert "export_user does not cover" in caplog.text
        erased = await client.erase_user("mira")
        assert await count(db, "agent_instance") == 1
    finally:
        await db.execute("DROP TABLE agent_instance")
    assert erased.uncovered_tables == ["agent_instance"]
    assert "erase_user does not cover" in caplog.text
    assert caplog.text.count("agent_instance") == 2
    assert "mira" not in caplog.text


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_an_erase_in_a_transaction_with_one_snapshot_is_refused(
    client: PostgresClient, isolation: Isolation
) -> None:
    await fill(client, "mira")
    async with client.transaction(isolation=isolation) as tx:
        with pytest.raises(InvalidValue, match="isolation must be read_committed"):
            await tx.erase_user("mira")
    assert len(await client.list_sessions(user_id="mira")) == 1


async def test_default_isolation_of_a_database_does_not_change_the_result(
    migrated: str, client: PostgresClient
) -> None:
    await fill(client, "mira")
    dsn = f"{migrated}&default_transaction_isolation=repeatable%20read"
    async with PostgresClient.open(dsn, migrations="off") as other:
        assert await other.db.fetchval("SHOW transaction_isolation") == "repeatable read"
        pruned = await other.prune_expired_sessions(timedelta(days=1))
        assert pruned.sessions == 0
        refreshed = await other.refresh_tools_for_server("maps", group_kind="MCP", tools=[])
        assert refreshed.stored == 0
        async with other.transaction() as tx:
            for refused in (
                tx.erase_user("mira"),
                tx.prune_expired_sessions(timedelta(days=1)),
                tx.refresh_tools_for_server("maps", group_kind="MCP", tools=[]),
            ):
                with pytest.raises(InvalidValue, match="got repeatable read"):
                    await refused
        assert (await other.erase_user("mira")).sessions == 2


@pytest.mark.parametrize("table", ["event", "memory"])
async def test_a_text_whose_json_is_larger_than_1_gib_is_exported(
    client: PostgresClient, db: asyncpg.Connection, table: str
) -> None:
    """JSON takes six bytes for each of these characters; PostgreSQL has no value of that size."""
    characters = 185_000_000
    column = "data" if table == "event" else "content"
    await db.execute(
        f"INSERT INTO {table} (id, user_id, {column}) "  # noqa: S608
        f"VALUES ('row', 'mira', repeat(chr(1), {characters}) || chr(233) || chr(34))"
    )
    async with contextlib.aclosing(client.export_user("mira")) as stream:
        line = await anext(stream)
        assert len(line) > 6 * characters > 1024**3
        start = line.index("\\u0001")
        assert line.startswith(f'{{"table" : "{table}", "row" : {{"id":"row"')
        assert line[start + 6 * characters :].startswith('\u00e9\\""')
        assert line.endswith("}}")
        small = line[:start] + line[start + 6 * characters :]
        assert line.count("\\u0001") == characters
        del line
        assert json.loads(small)["row"][column] == '\u00e9"'
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
