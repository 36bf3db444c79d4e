"""The rights of the three roles after the SQL of `agentrows grants`, with any role names."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import asyncpg
import pytest

from agentrows import (
    ConfigError,
    InvalidValue,
    NotFound,
    PostgresClient,
    SchemaBehind,
    migrate,
)
from agentrows.migrate import Migrator
from agentrows.migrate.server import quote
from agentrows.roles.grants import grants
from support.methods import call, in_order
from support.postgres import OWNER, READER, SERVICE, SUPERUSER, as_role
from support.servers import DEBIANS_15, EMBEDDED, OwnServer, own_server, skip
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from agentrows import SessionShare
    from support.postgres import Server

COMMAND: Final = Path(sys.executable).parent / "agentrows"
TRACKS: Final = migrate.builtin_tracks()
READS: Final = ("count", "get", "list", "stream", "search", "find", "summarize", "export", "table")
RIGHTS: Final = """
    SELECT 'table ' || relname, relacl::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'schema ' || nspname, nspacl::text FROM pg_namespace
    UNION ALL SELECT 'default ' || defaclobjtype::text, defaclacl::text FROM pg_default_acl
    UNION ALL SELECT 'role ' || rolname, format('%s %s', rolsuper, rolcanlogin) FROM pg_roles
    UNION ALL SELECT 'member', format('%s %s', roleid, member) FROM pg_auth_members
    ORDER BY 1, 2
"""
LETTERS: Final = """
    SELECT string_agg(letter, '/' ORDER BY place)
    FROM unnest(ARRAY['INSERT', 'SELECT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER'],
        ARRAY['a', 'r', 'w', 'd', 'D', 't']) WITH ORDINALITY AS rights (name, letter, place)
    WHERE has_table_privilege($1, $2, name)
"""
REFUSED: Final = (
    "TRUNCATE feedback",
    "DROP TABLE feedback",
    "ALTER TABLE feedback ADD COLUMN extra int",
    "ALTER TABLE feedback DISABLE TRIGGER ALL",
    "CREATE INDEX ON feedback (feedback_text)",
    "CREATE TABLE extra (n int)",
    "CREATE VIEW extra AS SELECT 1",
    "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA extra",
    "CREATE ROLE extra",
    "CREATE PUBLICATION extra FOR ALL TABLES",
    "COMMENT ON TABLE feedback IS 'mine'",
    f"ALTER TABLE feedback OWNER TO {SERVICE}",
    "CREATE POLICY extra ON feedback",
    "SELECT setval('feedback_id_seq', 1)",
    "DO 'BEGIN LOCK TABLE schema_migrations IN SHARE MODE; END'",
    "UPDATE schema_migrations SET version = 99",
    "INSERT INTO schema_migrations VALUES (99, false)",
    "DELETE FROM schema_migrations",
    "DELETE FROM agentrows_schema_migrations_history",
    "UPDATE vector_schema_migrations_history SET sha256 = ''",
    f"SET ROLE {OWNER}",
    f"SET SESSION AUTHORIZATION {SUPERUSER}",
    f"ALTER ROLE {SERVICE} CREATEDB",
    f"ALTER ROLE {OWNER} PASSWORD 'mine'",
    "COPY feedback TO PROGRAM 'cat'",
    "COPY feedback FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM apart.notes",
    "INSERT INTO apart.notes VALUES (1)",
)
FUNCTION: Final = """
    CREATE SCHEMA theirs;
    CREATE FUNCTION theirs.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE FUNCTION theirs.g() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE FUNCTION theirs.h() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
    ALTER FUNCTION theirs.f() OWNER TO other_service;
    ALTER FUNCTION theirs.g() OWNER TO other_service;
    ALTER FUNCTION theirs.h() OWNER TO other_reader;
    SET LOCAL search_path = public, theirs;
"""
MISTAKES: Final = (
    (f"GRANT {OWNER} TO other_service", f"is a member of, {OWNER}"),
    ("GRANT other_service TO other_reader", "is a member of, other_service"),
    ("GRANT pg_execute_server_program TO other_service", "pg_execute_server_program"),
    ("ALTER ROLE other_service SUPERUSER", "may do more than it should"),
    ("ALTER ROLE other_reader CREATEROLE", "may do more than it should"),
    ("ALTER ROLE other_service BYPASSRLS", "may do more than it should"),
    ("ALTER ROLE other_service CREATEDB", "may do more than it should"),
    ("ALTER ROLE other_reader REPLICATION", "may do more than it should"),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "everybody may create tables"),
    (f"CREATE ROLE between; GRANT {OWNER} TO between; GRANT between TO other_reader", OWNER),
    (
        (
            "DO $$ BEGIN EXECUTE format("
            "'GRANT CREATE ON DATABASE %I TO PUBLIC', current_database()); END $$"
        ),
        "other_service may create schemas",
    ),
    (
        (
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I OWNER TO other_service', current_database()); END $$"
        ),
        "is a member of, pg_database_owner",
    ),
    ("GRANT TRUNCATE ON feedback TO PUBLIC", "granted on public.feedback"),
    ("GRANT UPDATE ON schema_migrations TO PUBLIC", "granted on public.schema_migrations"),
    ("GRANT UPDATE (version) ON schema_migrations TO PUBLIC", "on public.schema_migrations"),
    ("GRANT INSERT (version) ON schema_migrations_history TO PUBLIC", "schema_migrations_history"),
    ("GRANT UPDATE (user_id) ON session TO PUBLIC", "granted on public.session"),
    ("GRANT REFERENCES (id) ON session TO PUBLIC", "granted on public.session"),
    ("GRANT UPDATE ON SEQUENCE feedback_id_seq TO PUBLIC", "granted on public.feedback_id_seq"),
    ("GRANT USAGE ON SEQUENCE feedback_id_seq TO PUBLIC", "granted on public.feedback_id_seq"),
    *(
        (f"GRANT {role} TO other_{kind}", f"is a member of, {role}")
        for kind in ("service", "reader")
        for role in (
            "pg_read_all_data",
            "pg_write_all_data",
            "pg_signal_backend",
            "pg_monitor",
            "pg_read_all_stats",
            "pg_stat_scan_tables",
            "pg_checkpoint",
        )
    ),
    (f"{FUNCTION} CREATE TRIGGER t BEFORE INSERT ON feedback EXECUTE FUNCTION f()", "function f "),
    (f"{FUNCTION} CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION g()", "function g "),
    (f"{FUNCTION} ALTER TABLE feedback ADD COLUMN n int DEFAULT h()", "function h "),
    (f"{FUNCTION} ALTER TABLE feedback ADD CHECK (h() > 0)", "function h "),
    (f"{FUNCTION} CREATE INDEX ON feedback ((h() + id))", "function h "),
    (f"{FUNCTION} CREATE POLICY p ON feedback USING (h() > 0)", "function h "),
    (
        f"{FUNCTION} CREATE VIEW v AS SELECT h() AS n; ALTER VIEW v OWNER TO {OWNER}",
        "function h ",
    ),
    ("ALTER TABLE feedback OWNER TO other_service", "public.feedback belongs to other_service"),
    ("ALTER TABLE schema_migrations OWNER TO postgres", "belongs to postgres, not to"),
    ("SET LOCAL standard_conforming_strings = off", "standard_conforming_strings has to be on"),
)
HOSTILE: Final = (
    "o'brien",
    'o"brien',
    "o\\brien",
    "o\\'; SELECT 1; --",
    "$grants$; DROP TABLE canary; DO $grants$ BEGIN END",
    "$$",
    "'); DROP TABLE canary; --",
    "'; END $grants$; DROP TABLE canary; --",
    '"; DROP TABLE canary; --',
    "x' OR rolname = 'postgres",
    '", "service": "postgres',
    "%I %s %L %%",
    "{names}",
    "\\u0027",
    ":canary :'canary' :\"canary\"",
    "\\; DROP TABLE canary;",
    "Größe 漢字 🐘",
    " blanks ",
    "SELECT",
    "user",
    "current_user",
    "x" * 63,
)


def rights(tracks: Sequence[migrate.Track] = TRACKS, /, **names: str) -> str:
    return grants(tracks, **{"owner": OWNER, "service": SERVICE, "reader": READER, **names})


@pytest.fixture
async def admin(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    yield connection
    await connection.close()


@pytest.fixture
async def service(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated)
    yield connection
    await connection.close()


def test_grants_run_in_psql_and_second_run_changes_nothing(server: Server, tmp_path: Path) -> None:
    name = server.create_database()
    dsn = server.dsn(name)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AGENTROWS_")}
    names = ("--owner", "printed_owner", "--service", "printed service", "--reader", 'printed"r')
    printed = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "grants", *names],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    psql: list[str | Path] = [
        EMBEDDED / "psql",
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        dsn.replace(":@/", "@/"),
    ]

    async def found() -> list[tuple[str, str]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [(row[0], row[1]) for row in await connection.fetch(RIGHTS)]
        finally:
            await connection.close()

    seen: list[list[tuple[str, str]]] = []
    for _ in range(2):
        done = subprocess.run(psql, input=printed, check=True, capture_output=True, text=True)  # noqa: S603
        assert (done.stdout, done.stderr) == ("", "")
        seen.append(asyncio.run(found()))

    assert seen[0] == seen[1]
    assert {"role printed_owner", "role printed service", 'role printed"r'} <= dict(seen[0]).keys()
    assert all(track.table in printed for track in migrate.builtin_tracks(row_security=True))
    assert "PASSWORD" not in printed.upper().replace("A PASSWORD", "").replace("\\PASSWORD", "")
    server.drop_database(name)
    server.execute('DROP ROLE printed_owner; DROP ROLE "printed service"; DROP ROLE "printed""r"')


async def test_service_role_can_only_read_and_write_rows(
    service: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE SCHEMA apart; CREATE TABLE apart.notes (n int)")

    done: list[str] = []
    for statement in REFUSED:
        try:
            await service.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        done.append(statement)

    assert done == []


async def test_service_role_owns_no_table_and_has_four_rights(
    admin: asyncpg.Connection,
) -> None:
    found = await admin.fetch(
        """SELECT relname, privilege FROM pg_class,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',
                'TRIGGER', 'MAINTAIN']) AS privilege
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND has_table_privilege($1, oid, privilege)""",
        SERVICE,
    )
    of: dict[str, set[str]] = {}
    for table, privilege in found:
        of.setdefault(table, set()).add(privilege)

    tracking = {table for table in of if "schema_migrations" in table}
    assert len(tracking) == 8
    assert all(of[table] == {"SELECT"} for table in tracking)
    assert all(
        of[table] == {"SELECT", "INSERT", "UPDATE", "DELETE"} for table in of.keys() - tracking
    )
    assert not await admin.fetchval(
        "SELECT true FROM pg_class WHERE relowner = $1::regrole", SERVICE
    )


async def test_reader_role_reads_all_rows_and_writes_none(
    client: PostgresClient, migrated: str
) -> None:
    calls = in_order()
    made = {
        method: await call(client, method, arguments)
        for method, arguments in calls
        if method.startswith(("store", "create"))
    }
    share = cast("SessionShare", made["create_session_share"])

    async with PostgresClient.open(as_role(migrated, READER), migrations="verify") as reader:
        for method, each in calls:
            arguments = {**each, "token": share.token} if "token" in each else each
            if method.startswith(READS):
                only = {"touch": False} if method == "search_agent_memory" else {}
                try:
                    await call(reader, method, {**arguments, **only})
                except NotFound:
                    assert "unknown" in arguments.values()
            else:
                writing = {**arguments, **({"dry_run": False} if "dry_run" in arguments else {})}
                with pytest.raises(ConfigError, match="permission denied"):
                    await call(reader, method, writing)
        with pytest.raises(ConfigError, match="permission denied"):
            await call(reader, "search_agent_memory", dict(calls)["search_agent_memory"])


@pytest.mark.parametrize("mode", ["apply", "verify", "off"])
async def test_service_role_opens_current_database_in_every_mode(mode: str, migrated: str) -> None:
    async with PostgresClient.open(migrated, migrations=mode) as client:  # type: ignore[arg-type]
        await client.ping()
    assert (await Migrator(migrated, TRACKS).doctor()).is_healthy


async def test_service_role_cannot_migrate_and_error_names_the_missing_right(
    migrated: str, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    tracks = [*TRACKS, write_track(tmp_path, "app", "CREATE TABLE extra (n int);")]
    before = await admin.fetch(RIGHTS)

    with pytest.raises(SchemaBehind, match="app"):
        await Migrator(migrated, tracks).verify()
    with pytest.raises(ConfigError, match="permission denied"):
        await Migrator(migrated, tracks).up()

    assert await admin.fetch(RIGHTS) == before


async def test_future_table_is_accessible_to_service_role(
    migrated: str, service: asyncpg.Connection, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    made = "CREATE TABLE note (id bigserial PRIMARY KEY, body text);"
    tracks = [*TRACKS, write_track(tmp_path, "app", made)]

    await Migrator(as_role(migrated, OWNER), tracks).up()

    await service.execute("INSERT INTO note (body) VALUES ('Call back.')")
    await admin.execute(rights(tracks))  # the output of `agentrows grants` with the new track
    await service.execute("UPDATE note SET body = 'Done.'; SELECT * FROM app_versions")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("UPDATE app_versions SET version = 7")


async def test_grants_cover_track_in_its_own_schema(
    migrated: str, admin: asyncpg.Connection, service: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "app", "CREATE TABLE note (body text);", schema="app_own")
    await admin.execute(rights([*TRACKS, track]))

    await Migrator(as_role(migrated, OWNER), [track]).up()
    await admin.execute(rights([*TRACKS, track]))

    await service.execute(
        "INSERT INTO app_own.note VALUES ('x'); SELECT * FROM app_own.app_versions"
    )
    for refused in ("DELETE FROM app_own.app_versions", "CREATE TABLE app_own.extra (n int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(refused)


async def test_surplus_rights_are_revoked(
    admin: asyncpg.Connection, service: asyncpg.Connection
) -> None:
    await admin.execute(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {SERVICE}, {READER};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public"
        f" GRANT ALL ON TABLES TO {READER};"
    )

    await admin.execute(rights())

    for refused in ("TRUNCATE feedback", "DELETE FROM schema_migrations"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(refused)
    await admin.execute(f"SET ROLE {OWNER}; CREATE TABLE extra (n int); RESET ROLE")
    may = "SELECT has_table_privilege($1, $2, 'UPDATE')"
    assert [await admin.fetchval(may, READER, name) for name in ("feedback", "extra")] == [
        False,
        False,
    ]


async def test_indirect_surplus_rights_raise_error_and_grant_nothing(
    admin: asyncpg.Connection,
) -> None:
    for mistake, says in MISTAKES:
        transaction = admin.transaction()
        await transaction.start()
        try:
            await admin.execute("CREATE ROLE other_service; CREATE ROLE other_reader")
            await admin.execute(mistake)
            with pytest.raises(asyncpg.RaiseError, match=says):
                await admin.execute(rights(service="other_service", reader="other_reader"))
        finally:
            await transaction.rollback()


@pytest.mark.parametrize("argument", ["owner", "service", "reader", "schema"])
async def test_role_name_with_special_characters_is_quoted(argument: str, database: str) -> None:
    plain = {"owner": "plain_owner", "service": "plain_service", "reader": "plain_reader"}
    admin = await asyncpg.connect(database)
    await admin.execute("CREATE TABLE canary (n int)")
    there = {row[0] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    members = await admin.fetch("SELECT * FROM pg_auth_members")
    for name in HOSTILE:
        names = {"schema": "apart", **plain, argument: name}
        transaction = admin.transaction()
        await transaction.start()

        await admin.execute(rights(**names))
        await admin.execute(
            f"SET LOCAL ROLE {quote(names['owner'])};"
            f"CREATE TABLE {quote(names['schema'])}.{quote(name)} (id bigserial); RESET ROLE"
        )
        await admin.execute(rights(**names))  # now there is a table that is called so

        made = {row[0] for row in await admin.fetch("SELECT rolname FROM pg_roles")} - there
        assert made == {names["owner"], names["service"], names["reader"]}
        assert await admin.fetch("SELECT * FROM pg_auth_members") == members
        assert await admin.fetchval("SELECT to_regclass('canary') IS NOT NULL")
        table = f"{quote(names['schema'])}.{quote(name)}"
        for role, may in ((names["service"], "a/r/w/d"), (names["reader"], "r")):
            assert may == await admin.fetchval(LETTERS, role, table), (role, table)
        await transaction.rollback()
    await admin.close()


@pytest.mark.parametrize(
    "name",
    ["", "a\0b", "a\nb", "\x1b[2J", "\ud800", "x" * 64, "ü" * 32, "public", "none", "pg_monitor"],
)
def test_invalid_role_name_is_refused(name: str) -> None:
    for argument in ("owner", "service", "reader"):
        with pytest.raises(InvalidValue, match=f"^{argument} "):
            rights(**{argument: name})
    with pytest.raises(InvalidValue, match="three roles"):
        rights(reader=SERVICE)


@pytest.fixture(scope="module", params=[EMBEDDED, DEBIANS_15], ids=["18", "15"])
def managed(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A server with an administrator who is no superuser, as in a cloud."""
    if not request.param.is_dir():
        skip("Debian's package postgresql-15 is not installed")
    with own_server(request.param) as own:
        yield own


async def test_administrator_without_superuser_can_run_grants(managed: OwnServer) -> None:
    superuser = await asyncpg.connect(managed.dsn())
    await superuser.execute("CREATE ROLE clerk LOGIN CREATEROLE")
    await superuser.execute("CREATE DATABASE shop OWNER clerk")
    clerk = await asyncpg.connect(as_role(managed.dsn("shop"), "clerk"))
    tracks = migrate.builtin_tracks(vector=False)
    members = "SELECT * FROM pg_auth_members WHERE inherit_option ORDER BY 1"
    if managed.programs == DEBIANS_15:
        members = "SELECT * FROM pg_auth_members ORDER BY 1, 2"
    before = await superuser.fetch(members)

    await clerk.execute(rights(tracks))
    await Migrator(as_role(managed.dsn("shop"), OWNER), tracks).up()
    await clerk.execute(rights(tracks))

    service = await asyncpg.connect(as_role(managed.dsn("shop"), SERVICE))
    await service.execute("DELETE FROM feedback; SELECT * FROM schema_migrations")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("TRUNCATE feedback")
    assert await superuser.fetch(members) == before, "the clerk is no member of the owner for good"
    for connection in (service, clerk, superuser):
        await connection.close()
