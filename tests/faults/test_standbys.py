"""Servers that refuse writes, or lack a feature that the client requires."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import ConfigError, PostgresClient, Retry, Settings, Unavailable
from agentrows.db import connect
from support.servers import DEBIANS_15, free_port, own_server, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTENSIONS = Path("/usr/share/postgresql/15/extension")


async def test_write_on_standby_fails_at_once_unless_dsn_has_several_hosts() -> None:
    with own_server() as primary:
        async with PostgresClient.open(primary.dsn()) as client:
            await client.store_session("s-1", user_id="mira")
        with own_server(replica_of=primary) as standby:
            retries: list[Retry] = []
            async with PostgresClient.open(
                standby.dsn(), migrations="off", on_retry=retries.append
            ) as client:
                async with asyncio.timeout(10):
                    with pytest.raises(Unavailable, match="the server is a standby"):
                        await client.store_session("s-2", user_id="mira")
                assert len(retries) <= 1
                assert await client.list_sessions(user_id="mira")

            reading = standby.dsn() + "?target_session_attrs=standby"
            async with PostgresClient.open(reading, migrations="off") as client:
                with pytest.raises(ConfigError, match="this client is connected to a standby"):
                    await client.store_session("s-2", user_id="mira")

            both = (
                f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres"
            )
            async with PostgresClient.open(both, migrations="off") as client:
                await client.store_session("s-2", user_id="mira")


@pytest.fixture(scope="module")
def debians() -> Iterator[str]:
    """The DSN of a server with a writable folder of extensions."""
    if not (DEBIANS_15 / "initdb").exists():
        skip("Debian's package postgresql-15 is not installed")
    control, script = EXTENSIONS / "citus.control", EXTENSIONS / "citus--1.0.sql"
    if control.exists():
        skip("the extension citus is installed here")
    try:
        control.write_text("default_version = '1.0'\n")
        script.write_text("SELECT 1;\n")
        with own_server(DEBIANS_15) as server:
            yield server.dsn()
    finally:
        control.unlink(missing_ok=True)
        script.unlink(missing_ok=True)


async def test_as_user_with_citus_is_refused(debians: str) -> None:
    settings = Settings(vector_enabled=False, row_security=True)
    admin = await asyncpg.connect(debians)
    await admin.execute("CREATE ROLE service LOGIN")
    async with PostgresClient.open(debians, settings=settings):
        await admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO service")
    dsn = debians.replace("postgres@", "service@")
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
        async with client.as_user("mira") as tx:
            await tx.store_session("s-1", user_id="mira")
        async with client.with_timeout(5).as_user("mira") as tx:
            assert (await tx.get_session("s-1", user_id="mira")).id == "s-1"
        await admin.execute("CREATE EXTENSION citus")
        with pytest.raises(ConfigError, match="the extension citus"):
            async with client.as_user("mira") as tx:
                await tx.get_session("s-1", user_id="mira")
    await admin.close()


async def test_application_name_and_intervals_of_dsn_reach_the_server(debians: str) -> None:
    settings = Settings(vector_enabled=False)
    dsn = debians + "?application_name=billing&client_connection_check_interval=0"
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
        assert await client.db.fetchval("SHOW application_name") == "billing"
        assert await client.db.fetchval("SHOW client_connection_check_interval") == "0"
    async with PostgresClient.open(debians, settings=settings, migrations="off") as client:
        assert await client.db.fetchval("SHOW application_name") == "agentrows"
        assert await client.db.fetchval("SHOW client_connection_check_interval") == "1s"


async def test_wait_for_absent_server_logs_readable_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dsn = f"postgresql://app:hunter2@127.0.0.1:{free_port()}/app"

    with pytest.raises(Unavailable):
        await PostgresClient.connect(dsn, settings=Settings(ready_timeout_s=4))

    lines = [each.getMessage() for each in caplog.records if each.name == "agentrows"]
    assert 1 <= len(lines) <= 3
    assert lines[0].startswith(f"waiting for {dsn[-len('127.0.0.1:00000/app') : -4]}: the database")
    assert lines[0].endswith("(0 s of 4 s)")
    assert "hunter2" not in caplog.text


async def test_retries_of_many_calls_log_few_readable_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with own_server() as server:
        settings = Settings(retry_timeout_s=20)
        async with PostgresClient.open(server.dsn(), settings=settings) as client:
            await client.store_session("s-1", user_id="mira")
            server.stop()
            calls = [
                asyncio.ensure_future(client.get_session("s-1", user_id="mira")) for _ in range(50)
            ]
            await asyncio.sleep(1)
            server.start()
            assert {session.id for session in await asyncio.gather(*calls)} == {"s-1"}
    lines = [
        each
        for each in caplog.records
        if each.name == "agentrows" and each.getMessage().startswith("retrying")
    ]
    assert 1 <= len(lines) <= 10
    assert lines[0].levelno == logging.WARNING
    assert re.match(r"retrying get_session after \d+\.\d s: the database", lines[0].getMessage())


async def test_pgvector_outside_search_path_raises_error_with_cure() -> None:
    with own_server() as own:
        admin = await asyncpg.connect(own.dsn())
        await admin.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
        await admin.close()

        with pytest.raises(ConfigError, match=r"in the schema 'ext'.*\?search_path=public,ext"):
            await PostgresClient.connect(own.dsn(), migrations="off")
        dsn = own.dsn() + "?search_path=public,ext"
        async with PostgresClient.open(dsn) as client:
            await client.store_agent_memory(
                agent_name="a", user_id="mira", content="x", embedding=[1.0] * 768
            )


async def test_server_without_check_interval_is_used_without_it(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CHECK_CLIENT", "refused")
    monkeypatch.setattr(connect, "SESSION", {connect.CHECKS_CLIENT: "refused"})

    async with PostgresClient.open(migrated, migrations="off") as client:
        assert await client.db.fetchval("SHOW client_connection_check_interval") == "0"


async def test_too_old_server_raises_error_with_its_version(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "OLDEST_SERVER", 99)

    with pytest.raises(ConfigError, match="PostgreSQL 99 or later is needed, the server has 18"):
        await PostgresClient.connect(migrated, migrations="off")
