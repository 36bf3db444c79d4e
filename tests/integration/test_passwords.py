"""Passwords from a file, from libpq's file and from a function, read for each connection."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import ConfigError, PostgresClient, Settings, Unavailable, migrate
from agentrows.migrate import Migrator
from support.postgres import LOCKED_ROLE, SERVICE, SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentrows.migrate import MigrationContext

FIRST: Final = "hunter2: the first\\one"
SECOND: Final = "hunter2 @/?#% the second"
COMMAND: Final = Path(sys.executable).parent / "agentrows"
TWO: Final = Settings(pool_min_size=1, pool_max_size=2)
CORE: Final = migrate.builtin_tracks(vector=False)


@pytest.fixture
async def admin(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    yield connection
    await connection.close()


@pytest.fixture
async def locked(migrated: str, admin: asyncpg.Connection) -> AsyncIterator[str]:
    """The DSN, without a password, of a role of which the server wants FIRST."""
    known = await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", LOCKED_ROLE)
    if not known:
        await admin.execute(f"CREATE ROLE {LOCKED_ROLE} LOGIN")
    await admin.execute(f"GRANT {SERVICE} TO {LOCKED_ROLE}")
    await rotate(admin, FIRST)
    yield as_role(migrated, LOCKED_ROLE)
    await admin.execute(f"REVOKE {SERVICE} FROM {LOCKED_ROLE}")


async def rotate(admin: asyncpg.Connection, password: str) -> None:
    await admin.execute(f"ALTER ROLE {LOCKED_ROLE} PASSWORD '{password}'")


async def opens_two(client: PostgresClient) -> None:
    """Make the client open a second connection, beside the one that it has."""
    async with client.transaction() as tx:
        await tx.list_agents()
        await client.ping()


class Tokens:
    """A source of passwords that rotate, and how often it was asked."""

    def __init__(self) -> None:
        self.password = FIRST
        self.asked = 0

    def plain(self) -> str:
        self.asked += 1
        return self.password

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self.plain()


@pytest.mark.parametrize("way", ["plain", "later"])
async def test_password_function_is_called_for_each_connection(
    way: str, locked: str, admin: asyncpg.Connection
) -> None:
    tokens = Tokens()
    async with PostgresClient.open(locked, settings=TWO, password=getattr(tokens, way)) as client:
        assert tokens.asked == 3, "to see that the server answers, for its schema, for the pool"

        await rotate(admin, SECOND)
        tokens.password = SECOND

        await opens_two(client)
        assert tokens.asked == 4


async def test_password_file_is_read_for_each_connection(
    locked: str, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{FIRST}\n")
    settings = TWO.model_copy(update={"database_password_file": secret})
    async with PostgresClient.open(locked, settings=settings) as client:
        await rotate(admin, SECOND)
        secret.write_text(f"{SECOND}\n")

        await opens_two(client)


async def test_libpq_password_file_is_read_for_each_connection(
    locked: str, admin: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"localhost:*:*:{LOCKED_ROLE}:hunter2-first\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    await rotate(admin, "hunter2-first")
    async with PostgresClient.open(locked, settings=TWO) as client:
        await rotate(admin, "hunter2-second")
        passwords.write_text(f"localhost:*:*:{LOCKED_ROLE}:hunter2-second\n")

        await opens_two(client)


async def test_outdated_password_raises_error_without_the_password(
    locked: str, admin: asyncpg.Connection
) -> None:
    async with PostgresClient.open(locked, settings=TWO, password=lambda: FIRST) as client:
        await rotate(admin, SECOND)

        with pytest.raises(ConfigError, match="password authentication failed"):
            await opens_two(client)


async def test_password_function_overrides_dsn_and_dsn_overrides_file(
    locked: str, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(SECOND)
    wrong = as_role(locked, LOCKED_ROLE, "hunter2-wrong")
    settings = Settings(database_password_file=secret)

    assert (await Migrator(wrong, CORE, password=lambda: FIRST).status()).is_current
    assert settings.resolve_password(wrong) is None
    assert settings.resolve_password(f"{locked}&password=hunter2-wrong") is None
    assert settings.resolve_password(locked) is not None


async def test_missing_password_raises_config_error(
    locked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.delenv("PGPASSWORD", raising=False)

    with pytest.raises(ConfigError, match="password"):
        async with PostgresClient.open(locked):
            pass


@pytest.mark.parametrize("content", [None, "", " \n", b"hunter2\xff"])
async def test_empty_password_file_raises_error_with_its_variable(
    content: str | bytes | None, locked: str, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    if content is not None:
        secret.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ConfigError, match="AGENTROWS_DATABASE_PASSWORD_FILE"):
        async with PostgresClient.open(locked, settings=Settings(database_password_file=secret)):
            pass


@pytest.mark.parametrize("answer", [None, "", b"hunter2", 7])
async def test_result_that_is_no_password_raises_config_error(answer: object, locked: str) -> None:
    with pytest.raises(ConfigError, match="must return a non-empty string"):
        await Migrator(locked, CORE, password=lambda: answer).status()  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]


async def test_error_of_password_function_becomes_unavailable_with_cause(locked: str) -> None:
    def fail() -> str:
        raise KeyError("no credentials")

    with pytest.raises(Unavailable, match="could not get the password: KeyError") as caught:
        async with PostgresClient.open(
            locked, settings=Settings(ready_timeout_s=0.1), password=fail
        ):
            pass

    assert isinstance(caught.value.__cause__, KeyError)


async def test_password_function_that_hangs_ends_at_connect_timeout(
    locked: str,
) -> None:
    async def wait() -> str:
        await asyncio.Event().wait()
        return FIRST

    settings = Settings(ready_timeout_s=0.3, connect_timeout_s=0.2)
    with pytest.raises(Unavailable, match="in time"):
        async with PostgresClient.open(locked, settings=settings, password=wait):
            pass


async def test_own_migration_runner_gets_password_function_hidden_in_repr(
    locked: str,
) -> None:
    seen: list[MigrationContext] = []

    async def run(context: MigrationContext) -> None:
        seen.append(context)
        await Migrator(context.dsn, context.tracks, password=context.password).up()

    async with PostgresClient.open(locked, migrations=run, password=Tokens().plain):
        assert "Tokens" not in repr(seen)


CALLS: Final[dict[str, Callable[[str, Callable[[], str]], object]]] = {
    "up": lambda dsn, password: Migrator(dsn, CORE, password=password).up(),
    "apply": lambda dsn, password: Migrator(dsn, CORE, password=password).apply(),
    "dry_run": lambda dsn, password: Migrator(dsn, CORE, password=password).dry_run(),
    "goto": lambda dsn, password: Migrator(dsn, CORE, password=password).goto("core", 7),
    "plan": lambda dsn, password: Migrator(dsn, CORE, password=password).plan(),
    "doctor": lambda dsn, password: Migrator(dsn, CORE, password=password).doctor(),
    "verify": lambda dsn, password: Migrator(dsn, CORE, password=password).verify(),
    "status": lambda dsn, password: Migrator(dsn, CORE, password=password).status(),
}


async def test_every_migrate_function_calls_the_password_function(locked: str) -> None:
    for name, call in CALLS.items():
        tokens = Tokens()
        await call(locked, tokens.plain)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        assert tokens.asked, name
    tokens = Tokens()
    with pytest.raises(ConfigError, match="does not own"):
        await Migrator(locked, CORE, password=tokens.plain).down("core", 1)
    with pytest.raises(ConfigError, match="permission denied"):
        await Migrator(locked, CORE, password=tokens.plain).force("core", 7)
    assert tokens.asked == 2


@pytest.mark.parametrize("command", ["status", "up", "doctor", "plan"])
def test_command_line_reads_the_password_file(command: str, locked: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(FIRST)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    ours |= {"AGENTROWS_DATABASE_URL": locked, "AGENTROWS_DATABASE_PASSWORD_FILE": str(secret)}

    for password, code in ((FIRST, 0), ("hunter2-wrong", 1)):
        secret.write_text(password)
        done = subprocess.run(  # noqa: S603  our own command
            [COMMAND, "migrate", command],
            cwd=tmp_path,
            env=ours,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
