"""Migration runs with faulty databases, roles, files and sessions."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import migrate
from agentrows.migrate import Migrator
from support.servers import own_server, small_disk, unprivileged

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from support.runners import App, IntactCheck
    from support.servers import OwnServer

A = "CREATE TABLE IF NOT EXISTS a (n int);"
B = "CREATE TABLE IF NOT EXISTS b (n int);"


async def versions(db: asyncpg.Connection) -> list[tuple[object, ...]]:
    if not await db.fetchval("SELECT to_regclass('app_versions')"):
        return []
    query = "SELECT version, dirty FROM app_versions ORDER BY 1"
    return [tuple(row) for row in await db.fetch(query)]


Case = tuple[str, str | None, list[tuple[object, ...]]]
FILES: dict[str, Case] = {
    "hidden COMMIT": (f"{B} COMMIT;", "ends the transaction", [(2, True)]),
    "COMMIT and BEGIN": (f"{B} COMMIT; BEGIN;", "ends the transaction", [(2, True)]),
    "DO COMMIT": ("DO $$ BEGIN COMMIT; END $$;", "SQLSTATE 2D000", []),
    "BOM": (f"\ufeff{B}", "byte order mark", []),
    "CRLF": (f"{B}\r\n", "contains CR", []),
    "BEGIN left open": (f"BEGIN; {B}", None, [(2, False)]),
    "empty": ("", None, [(2, False)]),
    "comment-only": ("-- Nothing yet.\n/* Really. */", None, [(2, False)]),
}


@pytest.mark.parametrize("case", FILES.values(), ids=FILES.keys())
async def test_invalid_file_is_reported(
    app: App,
    db: asyncpg.Connection,
    check_intact: IntactCheck,
    case: tuple[str, str | None, list[tuple[object, ...]]],
) -> None:
    sql, words, rows = case
    app.write(A, sql)
    done = await app.run("up")
    assert done.code == (1 if words else 0), done.err
    assert (words or "") in done.last
    assert await versions(db) == rows
    if words:
        app.write(A, B)
        assert (await app.run("up")).code == 0
    await check_intact(2)


async def test_statement_timeout_in_file_rolls_back(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A, "SET statement_timeout = '1s'; SELECT pg_sleep(20);")
    done = await app.run("up")
    assert done.code == 1
    assert "statement timeout (SQLSTATE 57014); the run was rolled back" in done.last
    assert await versions(db) == []
    app.write(A, B)
    assert (await app.run("up")).code == 0
    await check_intact(2)


async def test_long_reader_of_tracking_table_blocks_nothing(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A)
    assert (await app.run("up")).code == 0
    app.write(A, B)
    async with db.transaction(isolation="repeatable_read"):
        await db.execute("SELECT * FROM app_versions")
        done = await app.run("up", "--ddl-lock-timeout", "0.5")
        assert (done.code, done.out[:14]) == (0, "applied 1 file")
    await check_intact(2)


async def test_locked_table_is_named_and_later_run_succeeds(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A)
    async with db.transaction():
        await db.execute("SELECT FROM feedback")
        done = await app.run("up", "--ddl-lock-timeout", "0.01")
        assert done.code == 1
        assert f"pid {db.get_server_pid()}" in done.last
        assert "tried 5 times" in done.last
    assert (await app.run("up")).code == 0
    await check_intact(1)


async def give_tables(db: asyncpg.Connection, role: str) -> None:
    """Make a role the owner of every table of the schema public."""
    for (table,) in await db.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ):
        await db.execute(f"ALTER TABLE {table} OWNER TO {role}")


async def test_role_without_create_right_gets_an_error_with_the_right(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A)
    name = str(await db.fetchval("SELECT current_database()"))
    role = f"reader_{name}"
    limited = app.dsn.replace("//postgres:@", f"//{role}@")
    await db.execute(f"CREATE ROLE {role} LOGIN")
    try:
        stranger = await app.run("up", dsn=limited, AGENTROWS_VECTOR_ENABLED="0")
        await give_tables(db, role)
        done = await app.run("up", dsn=limited, AGENTROWS_VECTOR_ENABLED="0")
    finally:
        await give_tables(db, "postgres")
        await db.execute(f"DROP ROLE {role}")
    assert (stranger.code, done.code) == (1, 1)
    assert "this role does not own public.agent" in stranger.last
    assert "permission denied for schema public" in done.last
    assert await versions(db) == []
    assert (await app.run("up")).code == 0
    await check_intact(1)


ROWS = [
    ("(-1, true)", "INSERT INTO app_versions VALUES (-1, true)", None),
    ("(1, true) after a failed down", "INSERT INTO app_versions VALUES (1, true)", None),
    ("ahead", "INSERT INTO app_versions VALUES (9, false)", None),
    ("ahead and dirty", "INSERT INTO app_versions VALUES (9, true)", "run the release that has"),
    ("two rows", "INSERT INTO app_versions VALUES (1, false), (2, false)", "has 2 rows"),
    ("unknown version", "INSERT INTO app_versions VALUES (0, false)", "no tool writes"),
]


@pytest.mark.parametrize(("sql", "words"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_tracking_row_of_another_tool_is_handled(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, sql: str, words: str | None
) -> None:
    app.write(A, B)
    await db.execute("CREATE TABLE app_versions (version bigint primary key, dirty boolean)")
    await db.execute(sql)
    before = await versions(db)
    done = await app.run("up")
    assert done.code == (1 if words else 0), done.err
    assert (words or "") in done.last
    if words:
        assert await versions(db) == before
        assert (await app.run("doctor")).code == 1
    if before[0][0] in (9, 0) or words:
        assert (await app.run("force", "0", "--track", "app")).code == 0
        assert (await app.run("up")).code == 0
    await check_intact(2)


async def test_table_of_dbmate_is_not_changed(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A)
    await db.execute("CREATE TABLE app_versions (version varchar(128) primary key)")
    for command in (("up",), ("force", "1", "--track", "app"), ("version",)):
        done = await app.run(*command)
        assert (done.code, "dbmate" in done.last) == (1, True)
    await db.execute("DROP TABLE app_versions")
    assert (await app.run("up")).code == 0
    await check_intact(1)


@pytest.mark.parametrize("fault", ["edited", "deleted"])
async def test_edited_or_deleted_applied_file_is_named(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, fault: str
) -> None:
    app.write(A, B)
    assert (await app.run("up")).code == 0
    first = app.folder / "app" / "000001_step.up.sql"
    before = first.read_text()
    if fault == "edited":
        first.write_text(f"{before}\n-- Better.\n")
    else:
        first.unlink()
    done = await app.run("up")
    assert done.code == 1
    assert "000001_step" in done.last
    assert await versions(db) == [(2, False)]
    first.write_text(before)
    await check_intact(2)


async def test_deleted_last_applied_file_may_belong_to_a_newer_release(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(A, B)
    assert (await app.run("up")).code == 0
    pair = list((app.folder / "app").glob("000002_*"))
    for file in pair:
        file.unlink()
    done = await app.run("up")
    assert (done.code, done.out) == (0, "nothing to do\n")
    assert "app/000002_step.up.sql: of a newer release, or deleted" in done.err
    output = (await app.run("doctor")).out
    assert "unknown applied\tapp/000002_step.up.sql (of a newer release, or deleted)" in output
    assert await versions(db) == [(2, False)]
    app.write(A, B)
    await check_intact(2)


DISK: Final = 24 * 1024 * 1024


async def create_tablespace(dsn: str, space: Path) -> None:
    db = await asyncpg.connect(dsn)
    await db.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
    await db.close()


@pytest.fixture(params=["a full tablespace", "files that must not grow"])
def full(request: pytest.FixtureRequest) -> Generator[tuple[OwnServer, str, str]]:
    """A server with a disk of 24 MB, a tablespace on it, and the server's error for a full disk.

    A limit on the size of the server's files needs no right that an ordinary user lacks, and stops
    the same call of the server.
    """
    if request.param == "files that must not grow":
        with own_server(start=False) as own:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, before[1]))  # the server inherits it
            own.start()
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            yield own, "pg_default", "File too large"
        return
    with small_disk() as folder, own_server() as own:
        space = folder / "space"
        space.mkdir()
        shutil.chown(space, unprivileged() or os.geteuid())
        asyncio.run(create_tablespace(own.dsn(), space))
        yield own, "small", "No space left on device"


@pytest.mark.slow
async def test_full_disk_rolls_run_back(app: App, full: tuple[OwnServer, str, str]) -> None:
    own, space, words = full
    app.dsn = own.dsn()
    db = await asyncpg.connect(app.dsn)
    fill = f"CREATE TABLE b TABLESPACE {space} AS SELECT repeat('x', 1000) AS n"
    app.write(A, f"{fill} FROM generate_series(1, 100000);")
    done = await app.run("up")
    assert done.code == 1
    assert words in done.last
    if space == "small":
        assert "the server's disk is full: " in done.last
    assert "the run was rolled back" in done.last
    assert await versions(db) == []
    app.write(A, f"{fill} FROM generate_series(1, 10);")
    assert (await app.run("up")).code == 0
    assert (await Migrator(app.dsn, migrate.builtin_tracks()).verify()).is_current
    await db.close()
