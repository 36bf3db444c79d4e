"""Differences between the schema of a database and the catalog of the tracks."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import asyncpg
import pytest
import pytest_asyncio

from agentrows import InvalidValue, NewThreadWrite, PostgresClient, SchemaBehind
from agentrows.migrate import Migrator, builtin_tracks, status_on
from agentrows.migrate.cures import UP
from agentrows.migrate.track import load_all
from agentrows.migrate.verify import check_usable
from support.catalog import uncommented_catalog
from support.drift import (
    alterations,
    applied_tracks,
    expected_objects,
    find_differences,
    repair,
)
from support.foreign import golang_migrate, set_row
from support.older_schemas import CORES, tracks_at
from support.postgres import as_role
from support.servers import DEBIANS_15, own_server, skip
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from agentrows.migrate import Track
    from agentrows.migrate.expected_objects import ObjectKey
    from support.postgres import Server

SUPPORT: Final = Path(__file__).parents[2] / "support"
TRACKS = builtin_tracks(row_security=True)
CORE, VECTOR, *_ = TRACKS
APPLIED = applied_tracks(TRACKS)
EXPECTED = expected_objects(APPLIED)


@pytest.fixture(scope="module")
def template_with_policies(server: Server) -> str:
    """The name of a database at the newest version of every track."""
    name = server.create_database()
    asyncio.run(Migrator(server.dsn(name), TRACKS).up())
    return name


@pytest.fixture
def complete(server: Server, template_with_policies: str) -> Iterator[str]:
    """The DSN of a database at the newest version of every track."""
    name = server.create_database(template_with_policies)
    yield server.dsn(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def admin(complete: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to that database."""
    connection = await asyncpg.connect(complete)
    yield connection
    await connection.close()


def describe(key: ObjectKey) -> str:
    return f"{key.kind} {key.name} of {key.table}" if key.name else f"table {key.table}"


def rounds() -> list[list[tuple[ObjectKey, str]]]:
    """Every alteration of every object; a round has one of each table, so that few are needed."""
    by_table: dict[str, list[tuple[ObjectKey, str]]] = {}
    for expected in EXPECTED:
        # A foreign key connects these two tables.
        group = expected.key.table.removesuffix("_access")
        listed = by_table.setdefault(group, [])
        listed += [(expected.key, sql) for sql in alterations(expected, EXPECTED)]
    longest = max(map(len, by_table.values()))
    return [
        [listed[number] for listed in by_table.values() if number < len(listed)]
        for number in range(longest)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
async def test_each_altered_object_is_found_and_its_cure_repairs_it(
    admin: asyncpg.Connection, part: int
) -> None:
    assert {key for one in rounds() for key, _ in one} == {each.key for each in EXPECTED}
    assert await find_differences(admin, APPLIED) == []
    for one in rounds()[part::4]:
        transaction = admin.transaction()
        await transaction.start()
        for key, sql in one:
            try:
                await admin.execute(sql)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{key}: {sql}: {error}")

        found = await find_differences(admin, APPLIED)
        names = {each.object for each in found}
        assert [sql for key, sql in one if describe(key) not in names] == []

        await repair(admin, APPLIED)
        left = await find_differences(admin, APPLIED)
        tables = {table for each in left for table in each.object.split()}
        assert left == [], [sql for key, sql in one if key.table in tables]
        await transaction.rollback()


async def healthy(dsn: str, tracks: Sequence[Track] = TRACKS) -> None:
    """Check that `doctor` and `verify` find no difference."""
    checkup = await Migrator(dsn, tracks).doctor()
    assert [each for track in checkup.tracks for each in track.differences] == []
    assert checkup.is_healthy
    for track in (await Migrator(dsn, tracks).status()).tracks:
        assert (track.missing, track.altered, track.broken) == ((), (), ()), track.name


@pytest.mark.parametrize("core", [1, *CORES, 4])
async def test_database_at_each_version_of_core_has_no_difference(
    database: str, core: int, tmp_path: Path
) -> None:
    await Migrator(database, tracks_at(core, tmp_path)).up()
    await healthy(database, builtin_tracks())


@pytest.mark.parametrize("core", range(1, 8))
async def test_database_of_an_orm_at_each_version_of_core_has_no_difference(
    database: str, orm_made: asyncpg.Connection, core: int
) -> None:
    await golang_migrate(orm_made, CORE, core)
    await healthy(database)
    for version in range(1, 4):
        await golang_migrate(orm_made, VECTOR, version)
        await healthy(database)
    await Migrator(database, TRACKS).up()
    await healthy(database)


async def test_database_ahead_of_this_release_has_no_difference(
    admin: asyncpg.Connection, complete: str
) -> None:
    """The tables and columns that a newer release of kagent adds, and an index that it drops."""
    await admin.execute(
        "CREATE TABLE agent_instance (id text PRIMARY KEY, user_id text NOT NULL);"
        "ALTER TABLE session ADD COLUMN instance_id text NOT NULL DEFAULT 'x';"
        "CREATE UNIQUE INDEX session_id_active_unique ON session (id) WHERE deleted_at IS NULL;"
        "DROP INDEX idx_session_source; ALTER TABLE agent ALTER COLUMN config TYPE jsonb"
    )
    await set_row(admin, CORE.table, 13, dirty=False)
    await healthy(complete)
    await admin.execute("ALTER TABLE task DROP COLUMN protocol_version")
    with pytest.raises(SchemaBehind, match="column protocol_version of task is missing"):
        await Migrator(complete, TRACKS).verify()


async def test_objects_of_other_owners_are_no_difference(
    admin: asyncpg.Connection, complete: str, tmp_path: Path
) -> None:
    await admin.execute(
        "CREATE TABLE invoice (id int PRIMARY KEY); CREATE SCHEMA other;"
        "CREATE TABLE other.session (id int); ALTER TABLE session ADD COLUMN tenant text;"
        "CREATE INDEX session_tenant ON session (tenant) WITH (fillfactor = 50);"
        "ALTER TABLE session ADD CONSTRAINT long_ids CHECK (length(id) < 999);"
        "ALTER TABLE event SET (autovacuum_vacuum_scale_factor = 0.01);"
        "CREATE INDEX agentrows_of_application ON event (updated_at);"
    )
    app = write_track(
        tmp_path,
        "app",
        "CREATE TABLE IF NOT EXISTS note (id int);",
        "CREATE INDEX IF NOT EXISTS note_id ON note (id);"
        "ALTER TABLE session ADD COLUMN IF NOT EXISTS note_id int;",
    )
    await Migrator(complete, [*TRACKS, app]).up()
    await healthy(complete, [*TRACKS, app])


@pytest.mark.parametrize("schema", ["agentrows", "Mixed Case", "core"])
async def test_database_with_another_schema_has_no_difference(
    database: str, db: asyncpg.Connection, schema: str
) -> None:
    await db.execute(
        f'CREATE SCHEMA "{schema}"; CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext'
    )
    path = quote(f'"{schema}",ext')
    dsn = f"{database}{'&' if '?' in database else '?'}search_path={path}"
    await Migrator(dsn, TRACKS).up()
    await healthy(dsn)
    applied = applied_tracks(TRACKS, schema)
    assert await find_differences(db, applied) == [], "with the search_path of another session"
    await db.execute(f'ALTER TABLE "{schema}".task DROP COLUMN agentrows_state')
    (found,) = await find_differences(db, applied)
    assert (found.object, found.cure) == ("column agentrows_state of task", UP)


@pytest.mark.slow
async def test_tracks_have_no_difference_after_each_down_and_up(complete: str) -> None:
    for track in reversed(TRACKS):
        newest = (await Migrator(complete, TRACKS).status()).versions[track.name]
        for version in range(newest - 1, -1, -1):
            await Migrator(complete, TRACKS).goto(track.name, version)
            await healthy(complete)
    await Migrator(complete, TRACKS).up()
    await healthy(complete)


async def test_up_restores_all_objects_on_tables_that_kagent_dropped_and_created(
    admin: asyncpg.Connection, complete: str
) -> None:
    before = await uncommented_catalog(admin)
    policies = [each for each in TRACKS if each.name.startswith("rls")]
    for loaded in reversed(load_all([CORE, VECTOR])):
        for migration in reversed(loaded.migrations):
            sql = re.sub(
                r"(DROP (?:TABLE|COLUMN) IF EXISTS \w+)", r"\1 CASCADE", migration.down.sql
            )
            if not migration.down.is_blank:
                await admin.execute(sql)
        await golang_migrate(admin, loaded.track, loaded.newest)
    with pytest.raises(SchemaBehind, match=r"policy agentrows_owner of .* agentrows migrate up"):
        await Migrator(complete, TRACKS).verify()
    checkup = await Migrator(complete, TRACKS).doctor()
    found = [each for track in checkup.tracks for each in track.differences]
    assert {each.cure for each in found} == {UP}
    kinds = {each.object.split()[0] for each in found}
    assert kinds == {"column", "index", "policy", "row", "setting"}
    planned = await Migrator(complete, TRACKS).plan()
    assert {each.file for each in found} == {each.file for each in planned}
    assert all(each.rebuilds for each in planned)

    report = await Migrator(complete, TRACKS).up()

    assert [run.file for run in report.files] == [each.file for each in planned]
    assert {each.name for each in policies} <= {run.file.split("/")[0] for run in report.files}
    assert await uncommented_catalog(admin) == before
    await healthy(complete)


async def test_verify_and_apply_fail_on_what_a_method_needs(
    admin: asyncpg.Connection, complete: str
) -> None:
    for sql, problem in {
        "ALTER TABLE task DROP COLUMN user_id CASCADE": "column user_id of task is missing",
        "ALTER TABLE feedback DROP CONSTRAINT feedback_pkey": "constraint feedback_pkey of",
        "DROP INDEX idx_memory_embedding_hnsw; DROP POLICY agentrows_owner ON memory;"
        "ALTER TABLE memory ALTER COLUMN embedding TYPE vector(1536)": (
            r"column embedding of memory is vector\(1536\), expected vector\(768\)"
        ),
        "ALTER TABLE feedback ALTER COLUMN id DROP DEFAULT": "column id of feedback is bigint NOT",
        "ALTER TABLE agentrows_feedback_key DROP CONSTRAINT agentrows_feedback_key_pkey": (
            "constraint agentrows_feedback_key_pkey of agentrows_feedback_key is missing"
        ),
        "ALTER TABLE event DISABLE ROW LEVEL SECURITY": "row security enabled of event is missing",
        "DROP TABLE agent CASCADE": r"table agent is missing .*force 0 --track core, then agent",
    }.items():
        transaction = admin.transaction()
        await transaction.start()
        await admin.execute(sql)
        with pytest.raises(SchemaBehind, match=problem):
            check_usable(await status_on(admin, TRACKS), TRACKS)
        await transaction.rollback()

    await admin.execute("ALTER TABLE task DROP COLUMN protocol_version")
    for act in (Migrator.verify, Migrator.apply):
        with pytest.raises(SchemaBehind, match="ALTER TABLE task ADD COLUMN protocol_version text"):
            await act(Migrator(complete, TRACKS))
    with pytest.raises(SchemaBehind, match="column protocol_version of task"):
        async with PostgresClient.open(complete, migrations="verify"):
            pytest.fail("it opened")


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE agentrows_feedback_key CASCADE",
        "DROP INDEX agentrows_event_order",
        "ALTER TABLE event ALTER COLUMN session_id SET NOT NULL",
        "ALTER TABLE feedback ALTER COLUMN is_positive DROP DEFAULT",
        "ALTER TABLE feedback ALTER COLUMN message_id TYPE integer",
        "ALTER TABLE tool ALTER COLUMN description TYPE varchar(50)",
        "ALTER TABLE session_share RENAME CONSTRAINT session_share_pkey TO shares",
    ],
)
async def test_verify_logs_a_difference_that_no_method_needs(
    admin: asyncpg.Connection, complete: str, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.execute(sql)
    tracks = builtin_tracks()
    assert (await Migrator(complete, tracks).verify()).is_usable
    assert re.search("(missing|changed): ", caplog.text)
    assert not (await Migrator(complete, tracks).doctor()).is_healthy


async def test_unlogged_table_and_view_in_place_of_a_table_have_their_cures(
    admin: asyncpg.Connection,
) -> None:
    await admin.execute(
        "ALTER TABLE agent SET UNLOGGED; DROP TABLE toolserver;"
        "CREATE VIEW toolserver AS SELECT 1 AS one;"
        "DROP TABLE agentrows_app_state; CREATE VIEW agentrows_app_state AS SELECT 1 AS one"
    )
    found = {each.object: each for each in await find_differences(admin, APPLIED)}
    assert found["table agent"].cure == "ALTER TABLE agent SET LOGGED"
    assert not found["table agent"].is_needed
    force = "agentrows migrate force 0 --track core, then agentrows migrate up"
    assert found["table toolserver"].cure == f"rename toolserver, then {force}"
    assert found["table toolserver"].is_needed
    assert found["table agentrows_app_state"].cure == f"rename agentrows_app_state, then {UP}"


@pytest.mark.slow
def test_postgresql_15_has_no_difference() -> None:
    if not (DEBIANS_15 / "initdb").exists():
        skip("Debian's package postgresql-15 is not installed")
    tracks = builtin_tracks(vector=False, row_security=True)  # it has no pgvector

    async def migrate(dsn: str) -> None:
        for _ in range(7):
            await Migrator(dsn, tracks).up(track=CORE.name, max_steps=1)
            await healthy(dsn, tracks)
        await Migrator(dsn, tracks).up()
        await healthy(dsn, tracks)

    with own_server(DEBIANS_15) as server:
        asyncio.run(migrate(server.dsn()))


async def test_status_does_not_wait_for_a_session_that_changes_a_table(
    admin: asyncpg.Connection, complete: str, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.execute("DROP INDEX agentrows_event_order")
    async with admin.transaction():
        await admin.execute("LOCK TABLE session, event IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(10):
            status = await Migrator(complete, TRACKS).verify()
        assert [track.missing for track in status.tracks] == [()] * len(TRACKS)
        assert "another session locks a table" in caplog.text
        checkup = await Migrator(complete, TRACKS).doctor()
        problem = "the schema was not compared: another session locks a table"
        assert [track.problem for track in checkup.tracks] == [problem] * len(TRACKS)
        assert not checkup.is_healthy
    db = await asyncpg.connect(complete)
    try:
        found = (await status_on(db, TRACKS)).tracks[2].missing
        assert found == ("agentrows_event_order",)
        assert await db.fetchval("SELECT current_setting('lock_timeout')") == "0"
    finally:
        await db.close()


async def test_status_in_a_transaction_of_the_caller_leaves_its_settings(
    admin: asyncpg.Connection, complete: str
) -> None:
    db = await asyncpg.connect(complete)
    try:
        async with db.transaction(), admin.transaction():
            await admin.execute("LOCK TABLE session IN ACCESS EXCLUSIVE MODE")
            await status_on(db, TRACKS)
            assert await db.fetchval("SELECT current_setting('lock_timeout')") == "0"
        async with db.transaction():
            await status_on(db, TRACKS)
            assert await db.fetchval("SELECT current_setting('lock_timeout')") == "0"
    finally:
        await db.close()


async def test_status_beside_sessions_that_change_the_schema_raises_no_error(
    admin: asyncpg.Connection, complete: str
) -> None:
    async def change() -> None:
        for _ in range(25):
            for sql in (
                "REINDEX TABLE CONCURRENTLY session",
                "CREATE POLICY extra ON event AS RESTRICTIVE USING (true)",
                "ALTER TABLE task ADD COLUMN extra int CHECK (extra > 0)",
                "CREATE INDEX extra ON task (extra)",
                "DROP POLICY extra ON event",
                "ALTER TABLE task DROP COLUMN extra",
            ):
                with contextlib.suppress(asyncpg.PostgresError):  # a deadlock, and its results
                    await admin.execute(sql)

    changes = asyncio.create_task(change())
    db = await asyncpg.connect(complete)
    try:
        while not changes.done():
            status = await status_on(db, TRACKS)
            assert [each.broken for each in status.tracks] == [()] * len(TRACKS)
    finally:
        await changes
        await db.close()


async def test_table_that_a_newer_release_dropped_is_not_created_again(
    admin: asyncpg.Connection, complete: str
) -> None:
    await set_row(admin, TRACKS[2].table, 99, dirty=False)
    await set_row(admin, CORE.table, 13, dirty=False)
    await admin.execute("DROP TABLE agentrows_feedback_key, toolserver")
    checkup = await Migrator(complete, TRACKS).doctor()
    found = {each.object: each.cure for track in checkup.tracks for each in track.differences}
    newer = "run `agentrows migrate doctor` of the release that migrated the track"
    assert found == {"table agentrows_feedback_key": newer, "table toolserver": newer}
    assert [track.repair_from for track in checkup.tracks] == [None] * len(TRACKS)
    await Migrator(complete, TRACKS).up()
    assert await admin.fetchval("SELECT to_regclass('agentrows_feedback_key')") is None


async def test_permissive_policy_that_no_file_creates_is_found(
    admin: asyncpg.Connection, complete: str
) -> None:
    await admin.execute(
        "CREATE POLICY open ON event USING (true);"
        "CREATE POLICY closed ON event AS RESTRICTIVE USING (true)"
    )
    [found] = await find_differences(admin, APPLIED)
    assert (found.object, found.cure) == ("policy open of event", "DROP POLICY open ON event")
    await admin.execute(found.cure)
    await healthy(complete)


async def test_status_without_the_right_to_read_the_catalog_is_not_compared(
    admin: asyncpg.Connection, complete: str, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.execute(
        "REVOKE SELECT ON pg_policy FROM PUBLIC; CREATE ROLE drift_reader LOGIN;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO drift_reader"
    )
    try:
        status = await Migrator(as_role(complete, "drift_reader"), TRACKS).verify()
    finally:
        await admin.execute("GRANT SELECT ON pg_policy TO PUBLIC")
        await admin.execute("DROP OWNED BY drift_reader; DROP ROLE drift_reader")
    assert status.is_current
    assert "the schema was not compared: the server refused to describe it: perm" in caplog.text


async def test_doctor_without_the_right_to_read_the_catalog_reports_findings(
    admin: asyncpg.Connection, complete: str
) -> None:
    await admin.execute(
        "REVOKE SELECT ON pg_policy, pg_index, pg_stats, pg_stat_all_tables FROM PUBLIC;"
        "CREATE ROLE drift_doctor LOGIN;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO drift_doctor"
    )
    try:
        checkup = await Migrator(as_role(complete, "drift_doctor"), TRACKS).doctor()
    finally:
        await admin.execute(
            "GRANT SELECT ON pg_policy, pg_index, pg_stats, pg_stat_all_tables TO PUBLIC"
        )
        await admin.execute("DROP OWNED BY drift_doctor; DROP ROLE drift_doctor")
    assert not checkup.is_healthy
    assert [refused.check for refused in checkup.unchecked] == [
        "INVALID index",
        "memory index",
        "dead rows",
        "long threads",
        "roll back",
        "old index",
    ]
    assert all("permission denied for" in refused.reason for refused in checkup.unchecked)
    assert all("permission denied" in (track.problem or "") for track in checkup.tracks)


@pytest.mark.parametrize("grant", ["", "SELECT"])
async def test_doctor_of_an_ordinary_login_role_ends_with_findings(
    admin: asyncpg.Connection, complete: str, grant: str
) -> None:
    await admin.execute("CREATE ROLE drift_guest LOGIN")
    try:
        if grant:
            await admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO drift_guest")
        checkup = await Migrator(as_role(complete, "drift_guest"), TRACKS).doctor()
    finally:
        await admin.execute("DROP OWNED BY drift_guest; DROP ROLE drift_guest")
    assert checkup.unchecked == ()
    assert checkup.is_healthy is bool(grant)
    problems = {track.name: track.problem for track in checkup.tracks if track.problem}
    required = () if grant else ("core", "vector", "rls", "rls_vector")
    assert {*problems} == {*required}
    assert all("permission denied for table" in problem for problem in problems.values())


async def test_doctor_does_not_wait_for_a_locked_table(
    admin: asyncpg.Connection, complete: str
) -> None:
    await admin.execute(
        "INSERT INTO agentrows_memory (id, model, user_id, agent_name, content, embedding, words,"
        " created_at, updated_at) VALUES ('m', 'p', 'mira', 'a', '', '[1]', '', now(), now());"
        "ANALYZE agentrows_memory"
    )
    async with asyncio.timeout(30), admin.transaction():
        await admin.execute("LOCK TABLE agentrows_memory IN ACCESS EXCLUSIVE MODE")
        checkup = await Migrator(complete, TRACKS).doctor()
    assert [refused.check for refused in checkup.unchecked] == ["memory index"]
    assert "lock timeout" in checkup.unchecked[0].reason
    assert not checkup.is_healthy


KAGENT_13: Final = """
    CREATE UNIQUE INDEX session_id_active_unique ON session (id) WHERE deleted_at IS NULL;
    CREATE TABLE runtime_revision (
        revision text PRIMARY KEY, namespace text NOT NULL, source_snapshot jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE agent_template_harness_pair (
        namespace text, agent_template_uid text, harness_uid text,
        latest_successful_revision text REFERENCES runtime_revision ON DELETE RESTRICT,
        agent_template_labels jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (namespace, agent_template_uid, harness_uid)
    );
    CREATE TABLE agent_instance (
        id text PRIMARY KEY, namespace text NOT NULL, user_id text NOT NULL CHECK (user_id <> ''),
        request_id text NOT NULL, prepared_revision text REFERENCES runtime_revision,
        state text NOT NULL CHECK (state IN ('CREATING', 'READY', 'SUSPENDED', 'FAILED')),
        labels jsonb NOT NULL DEFAULT '{}', data bytea NOT NULL,
        UNIQUE (user_id, namespace, request_id)
    );
    CREATE TABLE agent_instance_share (
        id text PRIMARY KEY, instance_id text NOT NULL REFERENCES agent_instance ON DELETE CASCADE,
        creator text NOT NULL, token_hash bytea NOT NULL UNIQUE
    );
    INSERT INTO agent_instance VALUES ('i-1', 'n', 'mira', 'r-1', NULL, 'READY', '{}', '');
"""
"""Tables of kagent's core 8 to 13, which this library does not use (kagent-dev/kagent on GitHub,
go/core/pkg/migrations/core, August 2026)."""


@pytest_asyncio.fixture
async def kagent_made(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database whose tables kagent's own files created."""
    connection = await asyncpg.connect(database)
    await connection.execute((SUPPORT / "files_kagent_0_9.sql").read_text())
    yield connection
    await connection.close()


@pytest.mark.parametrize("core", [1, *CORES, 4])
async def test_database_that_kagent_migrated_has_no_difference(
    database: str, kagent_made: asyncpg.Connection, core: int
) -> None:
    await golang_migrate(kagent_made, CORE, core)
    await golang_migrate(kagent_made, VECTOR, 3)

    checkup = await Migrator(database, TRACKS).doctor()
    [narrow] = [each for track in checkup.tracks for each in track.differences]
    assert str(narrow) == (
        "column write_idx of lg_checkpoint_write is integer NOT NULL, expected bigint NOT NULL"
    )
    assert not narrow.is_needed, "methods that store no write of a checkpoint work"
    await kagent_made.execute(narrow.cure)
    await healthy(database)
    await Migrator(database, TRACKS).up()
    await healthy(database)


async def test_write_of_a_checkpoint_needs_the_cure_of_the_integer_of_kagent(
    database: str, kagent_made: asyncpg.Connection
) -> None:
    """The rows that the saver of LangGraph stores with each step of a graph."""
    await golang_migrate(kagent_made, CORE, 7)
    await golang_migrate(kagent_made, VECTOR, 3)
    migrator = Migrator(database, TRACKS)
    await migrator.up()
    await kagent_made.execute(
        "INSERT INTO lg_checkpoint_write (user_id, thread_id, checkpoint_id, write_idx, value,"
        " value_type, channel, task_id) VALUES ('mira', 'of-kagent', 'c-1', 0, '', 'm', 'c', 't')"
    )

    async with PostgresClient.open(database) as client:

        async def store() -> None:
            write = NewThreadWrite(idx=0, channel="messages", type="msgpack", value=b"x")
            await client.store_thread_writes(
                "t-1", user_id="mira", checkpoint_id="c-1", task_id="task-1", writes=[write]
            )

        with pytest.raises(InvalidValue, match="integer out of range"):
            await store()
        checkup = await migrator.doctor()
        [narrow] = [each for track in checkup.tracks for each in track.differences]
        await kagent_made.execute(narrow.cure)
        await store()
    rows = await kagent_made.fetch("SELECT thread_id, write_idx FROM lg_checkpoint_write")
    indexes = {row["thread_id"]: row["write_idx"] for row in rows}
    assert indexes.pop("of-kagent") == 0
    assert indexes.pop("t-1") >= 1 << 31
    assert not indexes


async def test_database_of_kagent_at_core_13_is_served(
    database: str, kagent_made: asyncpg.Connection
) -> None:
    await golang_migrate(kagent_made, CORE, 7)
    await golang_migrate(kagent_made, VECTOR, 3)
    await kagent_made.execute(KAGENT_13)
    await set_row(kagent_made, CORE.table, 13, dirty=False)
    migrator = Migrator(database, builtin_tracks())

    checkup = await migrator.doctor()
    [narrow] = [each for track in checkup.tracks for each in track.differences]
    assert narrow.object == "column write_idx of lg_checkpoint_write"
    await migrator.verify()
    await kagent_made.execute(narrow.cure)
    await healthy(database, builtin_tracks())
    assert {planned.track for planned in await migrator.plan()} == {"agentrows", "agentrows_vector"}
    await migrator.up()
    await healthy(database, builtin_tracks())
    assert await migrator.plan() == ()
    for mode in ("verify", "apply"):
        async with PostgresClient.open(database, migrations=mode) as client:
            await client.store_session("s-1", user_id="mira", agent_id="a-1")
            assert await client.list_uncovered_tables() == ["agent_instance"]
            exported = [row async for row in client.export_user("mira")]
            assert exported
            await client.erase_user("mira")
    assert await kagent_made.fetchval("SELECT count(*) FROM agent_instance") == 1
    assert await kagent_made.fetchval("SELECT version FROM schema_migrations") == 13
