"""`status` and `verify` only read: no table, no lock, no rights beyond SELECT."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio

from agentrows.db import connect
from agentrows.errors import AgentRowsError, ConfigError, SchemaBehind
from agentrows.migrate import MigrationContext, Migrator, builtin, builtin_tracks
from agentrows.migrate.plan import SAME_AS
from agentrows.migrate.server import Extension
from support.catalog import catalog
from support.runners import App
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import asyncpg

    from agentrows.config import Password


EVERYTHING = (
    "SELECT 'class', oid, relname::text FROM pg_class UNION ALL"
    " SELECT 'schema', oid, nspname::text FROM pg_namespace UNION ALL"
    " SELECT 'extension', oid, extname::text FROM pg_extension ORDER BY 1, 2"
)


def as_role(dsn: str, role: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:hunter2-word@"))


@pytest_asyncio.fixture
async def limited(database: str, db: asyncpg.Connection) -> AsyncIterator[str]:
    """The DSN of a role that may read the public schema and nothing more."""
    role = re.sub(r"\W", "_", await db.fetchval("SELECT 'limited_' || current_database()"))
    await db.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2-word';"
        f"GRANT USAGE ON SCHEMA public TO {role};"
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role};"
    )
    yield as_role(database, role)
    await db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_role_with_only_select_can_read_the_status(
    database: str, limited: str, db: asyncpg.Connection
) -> None:
    assert not (await Migrator(limited, builtin_tracks()).status()).is_current
    with pytest.raises(SchemaBehind):
        await Migrator(limited, builtin_tracks()).verify()
    assert await catalog(db) == []
    assert await db.fetchval("SELECT to_regclass('schema_migrations')") is None

    await Migrator(database, builtin_tracks()).up()

    assert (await Migrator(limited, builtin_tracks()).verify()).is_current
    assert (await Migrator(limited, builtin_tracks()).apply()).files == ()
    assert (await Migrator(limited, builtin_tracks()).up()).files == ()


def everything_in(rows: list[asyncpg.Record]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rows]


async def test_reading_the_status_creates_nothing_in_any_catalog(
    limited: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    tracks = [*builtin_tracks(), write_track(tmp_path, "t", "SELECT 1;", schema="app")]
    before = everything_in(await db.fetch(EVERYTHING))
    await Migrator(limited, tracks).status()
    await Migrator(limited, tracks).plan()
    await Migrator(limited, tracks).doctor()
    with pytest.raises(SchemaBehind):
        await Migrator(limited, tracks).verify()
    assert everything_in(await db.fetch(EVERYTHING)) == before


async def test_version_creates_nothing_and_needs_only_select(
    database: str, limited: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    app = App(tmp_path, limited)
    app.write("SELECT 1;")
    tracks = builtin_tracks()
    before = everything_in(await db.fetch(EVERYTHING))
    nothing = "".join(f"{track.name}\t0\n" for track in tracks)
    assert (await app.run("version")).out == f"{nothing}app\t0\n"
    assert (await Migrator(limited, tracks).status()).versions == {}
    assert everything_in(await db.fetch(EVERYTHING)) == before

    await Migrator(database, tracks).up()
    newest = await Migrator(database, tracks).status()

    before = everything_in(await db.fetch(EVERYTHING))
    lines = [f"{track.name}\t{track.newest}\n" for track in newest.tracks]
    assert (await app.run("version")).out == "".join(lines) + "app\t0\n"
    found = await Migrator(limited, tracks).status()
    assert found.versions == {track.name: track.newest for track in newest.tracks}
    assert everything_in(await db.fetch(EVERYTHING)) == before


@pytest.mark.parametrize(
    ("act", "statements"),
    [(Migrator.up, 6), (Migrator.apply, 4), (Migrator.verify, 4), (Migrator.status, 4)],
)
async def test_a_run_with_nothing_to_do_takes_few_statements(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[..., Awaitable[object]],
    statements: int,
) -> None:
    await Migrator(database, builtin_tracks()).up()
    asked: list[str] = []

    async def connect_and_log(
        dsn: str, *, application_name: str, password: Password | None
    ) -> asyncpg.Connection:
        db = await connect.connect(dsn, application_name=application_name, password=password)
        db.add_query_logger(lambda query: asked.append(query.query))
        return db

    monkeypatch.setattr("agentrows.migrate.session.connect", connect_and_log)
    await act(Migrator(database, builtin_tracks()))
    assert len(asked) == statements, "\n".join(asked)


async def test_a_role_without_select_is_refused_with_the_table(
    database: str, limited: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, builtin_tracks()).up()
    role = urlsplit(limited).username
    await db.execute(f"REVOKE ALL ON schema_migrations FROM {role}")
    with pytest.raises(ConfigError, match="permission denied for table schema_migrations"):
        await Migrator(limited, builtin_tracks()).status()


async def test_reading_the_status_takes_no_lock(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    await Migrator(database, [track]).up()
    async with db.transaction():
        await db.execute("LOCK TABLE t_versions IN SHARE ROW EXCLUSIVE MODE")
        await db.execute("SELECT pg_advisory_xact_lock(1)")
        assert (await Migrator(database, [track]).verify()).is_current


async def test_a_status_has_the_version_of_each_track(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;", "SELECT 2;")
    await Migrator(database, [track]).up()
    await db.execute("UPDATE t_versions SET version = 1, dirty = true")
    (found,) = (await Migrator(database, [track]).status()).tracks
    assert (found.name, found.version, found.newest, found.dirty) == ("t", 1, 2, True)
    assert found.table == '"public"."t_versions"'
    assert found.pending == ("t/000002_step.up.sql",)
    assert found.moved_by == "another tool"


async def test_a_search_path_without_a_schema_is_a_configuration_error(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f'ALTER DATABASE "{name}" SET search_path = nowhere')
    track = write_track(tmp_path, "t", "SELECT 1;")
    with pytest.raises(ConfigError, match="search_path 'nowhere' names no schema"):
        await Migrator(database, [track]).up()


async def test_no_message_contains_the_password(limited: str, tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    errors: list[str] = []
    for dsn in (limited, limited.replace("/test_", "/missing_"), "postgresql://u:hunter2-word@["):
        try:
            await Migrator(dsn, [track]).up()
        except AgentRowsError as error:
            errors.append(repr(error) + repr(error.__cause__))
    assert len(errors) == 3
    assert not any("hunter2-word" in error for error in errors)
    assert "hunter2-word" not in repr(MigrationContext(limited, (track,)))


async def test_role_that_cannot_create_pgvector_gets_an_error_with_the_cure(
    limited: str, db: asyncpg.Connection
) -> None:
    role = urlsplit(limited).username
    await db.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    with pytest.raises(ConfigError, match="superuser run `CREATE EXTENSION vector`") as caught:
        await Migrator(limited, builtin_tracks()).up()
    assert "AGENTROWS_VECTOR_ENABLED=false" in str(caught.value)
    assert await catalog(db) == []

    assert (await Migrator(limited, builtin_tracks(vector=False)).up()).status.is_current


async def test_installed_pgvector_needs_no_right_to_create_it(
    limited: str, db: asyncpg.Connection
) -> None:
    await db.execute(f"GRANT CREATE ON SCHEMA public TO {urlsplit(limited).username}")
    await db.execute("CREATE EXTENSION vector")
    assert (await Migrator(limited, builtin_tracks()).up()).status.is_current


async def test_right_that_the_catalog_does_not_show_is_tested(
    db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(_db: asyncpg.Connection, _name: str) -> Extension:
        return Extension("0.8.0", None, may_create=False)

    monkeypatch.setattr("agentrows.migrate.server.find_extension", find)
    await builtin.require_pgvector(db)
    assert await db.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 0


@pytest.mark.parametrize(
    ("offered", "problem"),
    [
        (None, "does not have pgvector"),
        (Extension("0.4.4", None, may_create=True), r"pgvector 0.4.4 is older than 0.5"),
        (Extension("0.8.0", "0.4.4", may_create=True), "ALTER EXTENSION vector UPDATE"),
        (Extension("0.5.0", None, may_create=True), None),
        (Extension("0.10.1", "0.10.0", may_create=False), None),
        (Extension("1.0", "1.0", may_create=False), None),
    ],
)
async def test_a_server_without_a_usable_pgvector_is_refused(
    offered: Extension | None,
    problem: str | None,
    monkeypatch: pytest.MonkeyPatch,
    db: asyncpg.Connection,
) -> None:
    async def find(_db: asyncpg.Connection, _name: str) -> Extension | None:
        return offered

    monkeypatch.setattr("agentrows.migrate.server.find_extension", find)
    if problem is None:
        await builtin.require_pgvector(db)
        return
    with pytest.raises(ConfigError, match=problem) as caught:
        await builtin.require_pgvector(db)
    assert "AGENTROWS_VECTOR_ENABLED=false" in str(caught.value)


NO_EXTENSIONS = """
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'extension "vector" is not here' USING ERRCODE = '{sqlstate}'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION')
    EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize(
    ("sqlstate", "cure"),
    [
        ("0A000", r"On Azure add VECTOR to the server parameter azure\.extensions"),
        ("42501", "have a superuser run `CREATE EXTENSION vector` there"),
        ("58P01", "Install the package there again"),
        ("55000", r"cannot be created in this database: .*\(SQLSTATE 55000\)"),
    ],
)
async def test_a_server_that_does_not_create_pgvector_names_the_cure(
    database: str, db: asyncpg.Connection, sqlstate: str, cure: str
) -> None:
    await db.execute(NO_EXTENSIONS.format(sqlstate=sqlstate))
    with pytest.raises(ConfigError, match=cure):
        await Migrator(database, builtin_tracks()).up()
    assert await db.fetchval("SELECT to_regclass('agent')") is None


async def test_extension_created_by_an_administrator_is_sufficient(
    database: str, db: asyncpg.Connection
) -> None:
    """Azure refuses CREATE EXTENSION IF NOT EXISTS, too, to a role that is no administrator."""
    await db.execute("CREATE EXTENSION vector")
    await db.execute(NO_EXTENSIONS.format(sqlstate="42501"))
    assert (await Migrator(database, builtin_tracks()).up()).status.is_current


async def test_pgvector_outside_of_the_search_path_is_refused_before_any_file(
    database: str, db: asyncpg.Connection
) -> None:
    await db.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
    with pytest.raises(ConfigError, match='pgvector is in the schema "ext", which is not on'):
        await Migrator(database, builtin_tracks()).up()
    assert await db.fetchval("SELECT to_regclass('agent')") is None
    separator = "&" if "?" in database else "?"
    tracks = builtin_tracks()
    assert (await Migrator(f"{database}{separator}search_path=public,ext", tracks).up()).files


async def test_the_first_wording_of_the_vector_file_is_no_changed_file(
    database: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, builtin_tracks()).up()
    (before,) = SAME_AS
    await db.execute(
        "UPDATE vector_schema_migrations_history SET sha256 = $1 WHERE version = 1", before
    )
    assert (await Migrator(database, builtin_tracks()).verify()).is_current
    assert (await Migrator(database, builtin_tracks()).up()).files == ()
