"""The command line beside the plugin: --help, --version and check."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import SQLC_VERSION, __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_DESCRIPTION: Final = (
    "A plugin of sqlc that writes typed asyncpg functions and pydantic models from SQL. "
    "sqlc runs it, with a request on stdin, for a plugin of sqlc.yaml that has "
    "`process: {cmd: sqlc-gen-asyncpg, format: json}`."
)
_CHECK: Final = "compare the generated annotations with a database"


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; argparse exits with 2 if there is no such command."""
    if arguments[0] == "check":
        from sqlc_gen_asyncpg.check import annotations  # noqa: PLC0415  # only this command needs it

        return annotations.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="sqlc-gen-asyncpg", description=_DESCRIPTION)
    version = f"sqlc-gen-asyncpg {__version__} for sqlc {SQLC_VERSION}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("check", help=f"{_CHECK}; see check --help")
    parser.parse_args(arguments)
    return run(["check"])
