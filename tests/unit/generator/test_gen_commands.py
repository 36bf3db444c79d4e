"""The command line of the generator, run as a process."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sqlc_gen_asyncpg import SQLC_VERSION, __version__

COMMAND = str(Path(sys.executable).with_name("sqlc-gen-asyncpg"))


def called(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with an empty request."""
    return subprocess.run(  # noqa: S603  # the arguments are those of the tests
        [COMMAND, *arguments], input="", capture_output=True, text=True, check=False
    )


def test_help_names_plugin_configuration_and_commands() -> None:
    done = called("--help")
    assert done.returncode == 0
    assert "format: json" in done.stdout
    assert "check" in done.stdout


def test_version_prints_generator_and_sqlc_version() -> None:
    done = called("--version")
    assert done.returncode == 0
    assert done.stdout == f"sqlc-gen-asyncpg {__version__} for sqlc {SQLC_VERSION}\n"


def test_help_of_check_describes_arguments_and_exit_codes() -> None:
    done = called("check", "--help")
    assert done.returncode == 0
    assert "--dsn" in done.stdout
    assert "--fresh" in done.stdout
    assert "Exit codes" in " ".join(done.stdout.split())
    assert "module" not in done.stdout
    assert "asyncpg." not in done.stdout


@pytest.mark.parametrize("arguments", [["chekc"], ["-x"], ["check"], ["--", "check"]])
def test_unknown_command_exits_with_2_and_the_usage(arguments: list[str]) -> None:
    done = called(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: sqlc-gen-asyncpg")


def test_protocol_method_is_not_read_as_a_command() -> None:
    done = called("/plugin.CodegenService/Generate")
    assert done.returncode == 1
    assert "add `format: json`" in done.stderr


def test_terminal_instead_of_a_request_exits_with_2() -> None:
    terminal, end = pty.openpty()
    try:
        done = subprocess.run(  # noqa: S603
            [COMMAND], stdin=end, capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        os.close(end)
        os.close(terminal)
    assert done.returncode == 2
    assert "--help" in done.stderr
