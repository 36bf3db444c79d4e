"""A database that kagent migrates, and roles that do not own its tables."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, get_args

import asyncpg
import pytest
import pytest_asyncio

from agentrows import PostgresClient, SchemaBehind, Settings
from agentrows.config import MigrationMode
from agentrows.errors import ConfigError, MigrationFailed
from agentrows.migrate import Migrator, builtin_tracks
from agentrows.migrate.track import load_all
from support.catalog import catalog, uncommented_catalog
from support.foreign import golang_migrate, set_row
from support.postgres import as_role
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentrows.migrate.report import Transactions

TRACKS: Final = builtin_tracks()
CORE, VECTOR, OURS, OURS_VECTOR = TRACKS
MODES: Final = get_args(MigrationMode)


@pytest_asyncio.fixture
async def role(db: asyncpg.Connection) -> AsyncIterator[str]:
    """A role that may use the schema public and nothing in it."""
    name = re.sub(r"\W", "_", await db.fetchval("SELECT 'guest_' || current_database()"))
    await db.execute(f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA public TO {name}")
    yield name
    await db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def migrate_as_kagent(db: asyncpg.Connection, core: int = 7) -> None:
    await golang_migrate(db, CORE, core)
    await golang_migrate(db, VECTOR, 3)


async def grant_rows(db: asyncpg.Connection, role: str) -> None:
    """Grant what kagent's SKIP_MIGRATIONS role has: rows, and SELECT on kagent's two tables."""
    for (table,) in await db.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ):
        if "schema_migrations" not in table:
            await db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
    await db.execute(
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};"
        f"GRANT SELECT ON schema_migrations, vector_schema_migrations TO {role}"
    )


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("agentrows")
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_service_role_opens_a_kagent_database_in_every_mode(
    database: str,
    db: asyncpg.Connection,
    role: str,
    mode: MigrationMode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await migrate_as_kagent(db)
    await grant_rows(db, role)
    before = await catalog(db)
    service = as_role(database, role)

    async with PostgresClient.open(service, settings=Settings(), migrations=mode) as client:
        await client.store_session("s-1", user_id="mira")
        assert len(await client.list_sessions(user_id="mira")) == 1
        with pytest.raises(SchemaBehind, match="agentrows_feedback_key"):
            await client.store_feedback(
                user_id="mira", feedback_text="x", is_positive=True, idempotency_key="k"
            )

    lines = warnings_in(caplog)
    assert len(lines) == (mode != "off"), lines
    assert all(len(line) <= 200 for line in lines)
    assert await catalog(db) == before
    found = await Migrator(service, TRACKS).verify()
    assert (found.is_usable, found.is_foreign, found.is_current) == (True, True, False)
    assert (await Migrator(service, TRACKS).status()) == found
    assert (await Migrator(service, TRACKS).apply()).status == found


@pytest.mark.parametrize("core", [5, 7, 13])
async def test_verify_and_apply_agree_on_a_kagent_database(
    database: str, db: asyncpg.Connection, core: int, caplog: pytest.LogCaptureFixture
) -> None:
    await migrate_as_kagent(db, min(core, 7))
    await set_row(db, "schema_migrations", core, dirty=False)
    verified = await Migrator(database, TRACKS).verify()
    (line,) = warnings_in(caplog)
    assert len(line) <= 200
    assert ("track 'core' is at 5, this release needs 7" in line) == (core == 5)
    assert "another tool migrates this database" in line
    caplog.clear()
    assert (await Migrator(database, TRACKS).apply()).status == verified
    assert warnings_in(caplog) == [line]


@pytest.mark.parametrize("mode", MODES)
async def test_role_without_the_history_opens_in_every_mode(
    database: str, db: asyncpg.Connection, role: str, mode: MigrationMode
) -> None:
    await migrate_as_kagent(db)
    await Migrator(database, TRACKS).up()
    await grant_rows(db, role)
    service = as_role(database, role)

    found = await Migrator(service, TRACKS).verify()
    assert [track.is_readable for track in found.tracks] == [True, True, False, False]
    assert found.is_usable
    async with PostgresClient.open(service, settings=Settings(), migrations=mode) as client:
        await client.store_session("s-1", user_id="mira")
        await client.store_feedback(
            user_id="mira", feedback_text="x", is_positive=True, idempotency_key="k"
        )
    checkup = await Migrator(service, TRACKS).doctor()
    assert [track.steps for track in checkup.tracks] == [(), (), (), ()]


async def test_role_that_cannot_read_a_required_track_is_an_error(
    database: str, db: asyncpg.Connection, role: str
) -> None:
    await migrate_as_kagent(db)
    with pytest.raises(ConfigError, match="permission denied for table schema_migrations"):
        await Migrator(as_role(database, role), TRACKS).verify()


@pytest.mark.parametrize("transaction", ["run", "file"])
async def test_up_by_a_role_that_owns_no_table_writes_nothing(
    database: str, db: asyncpg.Connection, role: str, transaction: Transactions
) -> None:
    await migrate_as_kagent(db)
    await grant_rows(db, role)
    await db.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    before = await catalog(db)
    limited = as_role(database, role)

    with pytest.raises(ConfigError, match="does not own") as caught:
        await Migrator(limited, TRACKS).up(transaction=transaction)

    assert "public.agent" in str(caught.value)
    assert "connect as postgres" in str(caught.value)
    assert await catalog(db) == before
    assert await db.fetchval("SELECT to_regclass('schema_migrations_history')") is None
    assert (await Migrator(limited, TRACKS).verify()).is_usable
    assert (await Migrator(limited, TRACKS).apply()).files == ()


async def test_up_by_a_role_that_cannot_write_a_tracking_table_writes_nothing(
    database: str, db: asyncpg.Connection, role: str
) -> None:
    await Migrator(database, TRACKS).up()
    await Migrator(database, TRACKS).goto("agentrows", 16)
    await db.execute(
        f"ALTER TABLE crewai_agent_memory OWNER TO {role};"
        f"ALTER TABLE event OWNER TO {role}; ALTER TABLE feedback OWNER TO {role};"
        f"ALTER TABLE agentrows_feedback_key OWNER TO {role};"
        f"ALTER TABLE session_share_access OWNER TO {role};"
        f"ALTER TABLE lg_checkpoint OWNER TO {role};"
        f"ALTER TABLE lg_checkpoint_write OWNER TO {role};"
        f"ALTER TABLE task OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
    )
    await grant_rows(db, role)
    limited = as_role(database, role)
    with pytest.raises(ConfigError, match=r"denied for table .*agentrows_schema_migrations"):
        await Migrator(limited, TRACKS).up()
    for track in TRACKS:
        await db.execute(f"GRANT SELECT ON {track.table}, {track.table}_history TO {role}")
    with pytest.raises(ConfigError, match=r"cannot write public\.agentrows_schema_migrations"):
        await Migrator(limited, TRACKS).up()
    assert (await Migrator(database, TRACKS).status()).versions["agentrows"] == 16


async def test_up_by_a_member_of_the_owner_is_not_refused(
    database: str, db: asyncpg.Connection, role: str
) -> None:
    await migrate_as_kagent(db)
    owner = await db.fetchval("SELECT current_user")
    await db.execute(f'GRANT "{owner}" TO {role}; GRANT CREATE ON SCHEMA public TO {role}')
    try:
        assert (await Migrator(as_role(database, role), TRACKS).up()).status.is_current
    finally:
        await db.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")


async def test_down_below_the_owner_of_tasks_names_the_policies_and_the_cure(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks(row_security=True)
    await Migrator(database, tracks).up()
    with pytest.raises(MigrationFailed, match="2BP01") as caught:
        await Migrator(database, tracks).goto("core", 6)
    message = str(caught.value)
    assert "policy agentrows_owner on table task" in message, message
    assert "agentrows migrate goto 0 --track rls" in message
    assert await db.fetchval("SELECT version FROM schema_migrations") == 7

    await Migrator(database, tracks).goto("rls", 0)
    await Migrator(database, tracks).goto("core", 6)
    assert (await Migrator(database, tracks).up()).status.is_current


async def test_doctor_names_the_policies_that_stop_a_rollback_of_kagent(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks(row_security=True)
    migrator = Migrator(database, tracks)
    await migrator.up()
    await db.execute(
        "CREATE POLICY of_application ON session AS RESTRICTIVE USING"
        " (EXISTS (SELECT FROM task WHERE task.user_id = session.user_id))"
    )
    down = load_all([CORE])[0].migrations[6].down.sql

    checkup = await migrator.doctor()
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        await db.execute(down)

    (blocked,) = checkup.blocked_rollbacks
    assert checkup.is_healthy
    assert (blocked.track, blocked.file) == ("core", "core/000007_task_owner.down.sql")
    assert (blocked.table, blocked.column) == ("task", "user_id")
    assert {"agentrows_owner on task", "of_application on session"} <= {*blocked.policies}

    await db.execute("DROP POLICY of_application ON session")
    await migrator.goto("rls_vector", 0)
    await migrator.goto("rls", 0)
    assert (await migrator.doctor()).blocked_rollbacks == ()
    await db.execute(down)
    await set_row(db, CORE.table, 6, dirty=False)
    assert (await migrator.doctor()).blocked_rollbacks == ()
    assert (await migrator.up()).status.is_current


async def test_up_rebuilds_indexes_that_another_tool_dropped_with_tables(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await Migrator(database, TRACKS).up()
    before = await uncommented_catalog(db)
    for loaded in reversed(load_all([CORE, VECTOR])):
        for migration in reversed(loaded.migrations):
            if not migration.down.is_blank:
                await db.execute(migration.down.sql)
        await db.execute(f"TRUNCATE {loaded.track.table}")
    await migrate_as_kagent(db)

    found = (await Migrator(database, TRACKS).apply()).status
    missing = [name for track in found.tracks for name in track.missing]
    assert "fillfactor of memory" in missing
    (line,) = warnings_in(caplog)
    ours = next(track for track in found.tracks if track.name == "agentrows").missing
    shown = f"missing: {ours[0]}, {ours[1]} and {len(ours) - 2} more"
    assert missing[0] == "agentrows_agent_created"
    assert shown in line
    assert len(line) <= 200

    report = await Migrator(database, TRACKS).up()
    # One file adds all missing columns of its tables.
    columns = [name for name in missing if name.startswith("column ")]
    assert len(report.files) == len(missing) - len(columns) + 2
    assert await uncommented_catalog(db) == before
    assert not (await Migrator(database, TRACKS).status()).is_foreign


async def test_up_heals_core_after_a_down_of_another_tool_that_policies_stopped(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks(row_security=True)
    await Migrator(database, tracks).up()
    before = await uncommented_catalog(db)
    await set_row(db, CORE.table, 6, dirty=True)
    assert (await Migrator(database, tracks).up()).status.versions["core"] == 7
    assert await uncommented_catalog(db) == before


async def test_lacking_track_of_the_application_stops_verify_and_apply_alike(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate_as_kagent(db)
    app = write_track(tmp_path, "app", "CREATE TABLE IF NOT EXISTS note (id int);")
    for act in (Migrator.verify, Migrator.apply):
        with pytest.raises(SchemaBehind, match="track 'app' is at nothing"):
            await act(Migrator(database, [*TRACKS, app]))
    await Migrator(database, [*TRACKS, app]).up()
    await set_row(db, CORE.table, 13, dirty=False)
    for act in (Migrator.verify, Migrator.apply):
        await act(Migrator(database, [*TRACKS, app]))
