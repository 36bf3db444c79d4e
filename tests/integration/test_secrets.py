"""No error, log, traceback or repr contains the password, for any failure to connect."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

from agentrows import AgentRowsError, PostgresClient, Settings, migrate
from agentrows.migrate import Migrator
from support.leaks import MARK
from support.postgres import LOCKED_ROLE
from support.servers import free_port

if TYPE_CHECKING:
    from support.postgres import Server

COMMAND: Final = Path(sys.executable).parent / "agentrows"
TRACKS: Final = migrate.builtin_tracks(vector=False)
ODD: Final = tuple(
    before + MARK + after
    for before, after in (
        ("", ""),
        ("", "@x"),
        ("a@", ""),
        ("a/", ""),
        ("", "/b"),
        ("", "?a=b"),
        ("1?a=", ""),
        ("1/", ""),
        ("", "#b"),
        ("1#", ""),
        ("a:", ":b"),
        ("[", ""),
        ("[::1]", ""),
        ("%", "%zz"),
        ("é", "漢"),
        ("a b", ""),
        (",", ","),
        ("", "&sslmode=disable"),
        ("", "\t"),
    )
)
"""Passwords with characters that mean something in a DSN, and are not quoted."""
SHAPES: Final = (
    "postgresql://mira:{}@127.0.0.1:{port}/db",
    "postgresql://mira:{}@127.0.0.1:{port},127.0.0.1:{port}/db?target_session_attrs=read-write",
    "postgresql://mira:{}@host.invalid:{port}/db",
    "postgresql://mira:{}@127.0.0.1:{port}0000/db",
    "postgresql://mira:{}@:notaport/db",
    "postgresql://mira@127.0.0.1:{}/db",
    "postgresql://mira:{}@/db?host=/nowhere",
    "postgresql://mira:{}@[::1/db",
    "postgresql://mira:{}@,,/db",
    "postgresql:///db?host=127.0.0.1&port={port}&user=mira&password={}",
    "postgresql:///db?host=127.0.0.1&port=x&user=mira&password={}",
    "postgresql://mira@127.0.0.1:{port}/db?password={}&sslmode=wrong",
    "postgresql://mira:{}@127.0.0.1:{port}/db?ssl_min_protocol_version=SSLv3",
    "postgresql://mira:{}@127.0.0.1:{port}/db?sslnegotiation=never",
    "postgresql://mira:{}@127.0.0.1:{port}/db?target_session_attrs=never",
    "mysql://mira:{}@127.0.0.1/db",
    "mira:{}@127.0.0.1/db",
    "{}",
    "host=127.0.0.1 password={}",
    "embedded://{}/x",
)
DSNS: Final = tuple(
    dict.fromkeys(
        shape.replace("{}", password)
        for shape in SHAPES
        for odd in ODD
        for password in (odd, quote(odd, safe=""))
    )
)


async def error_text_of(dsn: str) -> str:
    """Return the text that an application and an operator get when a DSN fails."""
    with pytest.raises(AgentRowsError) as caught:
        await Migrator(dsn, TRACKS).status()
    return "".join(traceback.format_exception(caught.value)) + repr(caught.value)


async def test_error_of_failed_dsn_does_not_contain_it(caplog: pytest.LogCaptureFixture) -> None:
    port = str(free_port())
    caplog.set_level(0)

    failed: list[str] = []
    for dsn in DSNS:
        if dsn.startswith("embedded:"):
            continue  # it is no DSN of migrate's
        text = await error_text_of(dsn.replace("{port}", port))
        if MARK in text:
            failed.append(f"{dsn}: {text}")

    assert failed == []
    assert MARK not in caplog.text


async def test_refusing_server_does_not_reveal_the_password(server: Server, migrated: str) -> None:
    await asyncio.to_thread(server.execute, MAKE_LOCKED)
    place = migrated.partition("@")[2]
    wrong = f"postgresql://{LOCKED_ROLE}:{MARK}@{place}"
    for dsn in (
        wrong,
        wrong.replace("/test_", "/missing_"),
        wrong.replace(LOCKED_ROLE, "nobody-here"),
        f"{wrong}&nonsense={MARK[:-1]}",
        f"{wrong}&search_path=\x01",
    ):
        assert MARK not in await error_text_of(dsn)


MAKE_LOCKED: Final = f"""
    DO $$ BEGIN CREATE ROLE {LOCKED_ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
    ALTER ROLE {LOCKED_ROLE} PASSWORD 'hunter2-right'
"""


@pytest.mark.parametrize(
    ("command", "dsn"),
    [
        (["migrate", "status"], f"postgresql://mira:{MARK}@127.0.0.1:1/db"),
        (["migrate", "up"], f"postgresql://mira:a@{MARK}@127.0.0.1:1/db"),
        (["migrate", "doctor"], MARK),
        (["demo"], f"embedded://{MARK}/x"),
        (["demo"], f"postgresql://mira:{MARK}@[::1/db"),
    ],
)
def test_command_line_output_does_not_contain_the_dsn(
    command: list[str], dsn: str, tmp_path: Path
) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    ours |= {"AGENTROWS_READY_TIMEOUT_S": "0.1", "AGENTROWS_DATABASE_URL": dsn}
    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, *command, *(["--dsn", dsn] if command == ["demo"] else [])],
        cwd=tmp_path,
        env=ours,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode
    assert MARK not in done.stdout + done.stderr


async def test_repr_of_public_objects_does_not_contain_the_password(migrated: str) -> None:
    settings = Settings.model_validate({"database_url": migrated.replace(":@", f":{MARK}@")})
    async with PostgresClient.open(settings=settings, migrations="off") as client:
        async with client.transaction() as tx:
            held = (settings, client, client.db, tx, tx.db, client.with_timeout(1))
        text = "".join(f"{one!r}{one}{getattr(one, '__dict__', '')}" for one in held)

    assert MARK not in text
    assert MARK not in settings.model_dump_json()


async def test_secret_given_as_file_path_is_not_in_the_error(migrated: str) -> None:
    for name in ("DATABASE_URL_FILE", "DATABASE_PASSWORD_FILE"):
        for secret in (MARK, f"postgresql://mira:{MARK}@db/x", f"/{MARK}", f"{MARK}\0"):
            settings = Settings.model_validate({"database_url": migrated, name.lower(): secret})

            with pytest.raises(AgentRowsError, match=f"AGENTROWS_{name}") as caught:
                await PostgresClient.connect(settings=settings)

            assert MARK not in "".join(traceback.format_exception(caught.value))


def test_generator_check_does_not_print_the_dsn() -> None:
    for dsn in (f"postgresql://mira:{MARK}@127.0.0.1:{MARK}/x", f"postgresql://{MARK}@[/x", MARK):
        done = subprocess.run(  # noqa: S603  our own command
            [COMMAND.with_name("sqlc-gen-asyncpg"), "check", "--dsn", dsn],
            cwd=Path(__file__).parents[2] / "examples" / "booking",
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode
        assert "--dsn is not a valid DSN" in done.stderr
        assert MARK not in done.stdout + done.stderr


LEAK: Final = """
import logging, warnings
import pytest
from agentrows import ConfigError, InvalidValue

def test_error():
    try:
        raise ConfigError("the password {mark}")
    except ConfigError:
        pass

def test_cause():
    with pytest.raises(InvalidValue):
        try:
            raise OSError(2, "{mark}")
        except OSError:
            raise InvalidValue("x") from None

def test_log():
    logging.getLogger("agentrows.db").debug("connecting to %s", "{mark}")

def test_output():
    print("{mark}")

def test_nothing():
    print("hunter")
"""


def test_printed_password_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from support import leaks\n\ndef pytest_configure(config):\n    leaks.watch(config)\n"
    )
    (tmp_path / "test_leak.py").write_text(LEAK.replace("{mark}", MARK))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
        capture_output=True,
        text=True,
    )

    assert "4 errors" in done.stdout or "4 failed" in done.stdout, done.stdout
    assert "5 passed" in done.stdout or "1 passed" in done.stdout, done.stdout
