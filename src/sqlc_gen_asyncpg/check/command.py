"""The command line: --help, --version, `check --fresh` and `check --dsn …`.

For `check`, sqlc runs a substitute plugin that only records the requests of sqlc.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import SQLC_VERSION, __version__, protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.annotations import contradictions
from sqlc_gen_asyncpg.check.freshness import outdated_files, written_files
from sqlc_gen_asyncpg.check.schema import differences
from sqlc_gen_asyncpg.errors import GeneratorError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import asyncpg

    from sqlc_gen_asyncpg import ir

__all__ = ["capture", "check", "run"]

_DESCRIPTION: Final = (
    "A plugin for sqlc that writes typed asyncpg functions and pydantic models from SQL. "
    "sqlc runs it, with a request on stdin, if a plugin in sqlc.yaml has "
    "`process: {cmd: sqlc-gen-asyncpg, format: json}`."
)
_CHECK_HELP: Final = "compare the generated files with the SQL, or their types with a database"
_CHECK_DESCRIPTION: Final = (
    "With --fresh, compare the generated files with those that `sqlc generate` would write now: "
    "none may be missing, differ, or be left over from a query file that is gone. It needs no "
    "database. With --dsn, compare the generated annotations with a database. Every query is "
    "prepared on the server, and the types of its parameters and results must agree with the "
    "annotations. Columns that are NOT NULL in the schema's files must be NOT NULL in the "
    "database, and enums must have the same values. Nothing is written, and no query is run. Exit "
    "codes: 0 if everything agrees, 1 if anything differs, 2 if the check could not be completed."
)
_NO_PLUGIN: Final = (
    "the configuration of sqlc has no plugin whose cmd is sqlc-gen-asyncpg or a path to it"
)
_PLUGIN_PATH: Final = re.compile(
    r"""(\bcmd["']?\s*:\s*)(["']?)[^"'\s#,{}]*/sqlc-gen-asyncpg\2(?!\S*\w)"""
)
# A plugin that records its requests and generates nothing.
_RECORDER: Final = """#!{python}
import os, sys
folder = {folder!r}
name = os.path.join(folder, f"{{len(os.listdir(folder)):04}}-{{os.getpid()}}.json")
with open(name, "wb") as file:
    file.write(sys.stdin.buffer.read())
print('{{"files": []}}')
"""


def run(arguments: Sequence[str]) -> int:
    """Run --help, --version or check; return the exit code.

    argparse exits with 2 for an unknown command.
    """
    if arguments[0] == "check":
        return check(arguments[1:])
    parser = argparse.ArgumentParser(prog="sqlc-gen-asyncpg", description=_DESCRIPTION)
    version = f"sqlc-gen-asyncpg {__version__} for sqlc {SQLC_VERSION}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("check", help=f"{_CHECK_HELP}; see check --help")
    parser.parse_args(arguments)
    return check(["check"])


def check(arguments: Sequence[str]) -> int:
    """Run the command `check`.

    Returns 0 if all annotations agree, 1 if any differs, 2 if the check cannot be completed.
    """
    parser = argparse.ArgumentParser(prog="sqlc-gen-asyncpg check", description=_CHECK_DESCRIPTION)
    parser.add_argument(
        "--fresh", action="store_true", help="check that `sqlc generate` would change no file"
    )
    parser.add_argument(
        "--dsn",
        help="the database, with the schema applied: postgresql://user@host/database",
    )
    parser.add_argument(
        "--file", default="", help="the configuration of sqlc (default: ./sqlc.yaml)"
    )
    options = parser.parse_args(arguments)
    if not options.fresh and not options.dsn:
        parser.error("give --fresh, --dsn or both")
    problems: list[str] = []
    checked: list[str] = []
    try:
        directory = str(Path(options.file).parent) if options.file else ""
        requests = [protocol.decode(raw) for raw in capture(options.file)]
        packages = [build(request, directory) for request in requests]
        if options.fresh:
            written = written_files(requests, packages, directory)
            problems += outdated_files(written)
            checked.append(f"{len(written)} files")
        if options.dsn:
            problems += asyncio.run(_check(options.dsn, requests, packages, directory))
            count = sum(len(module.functions) for package in packages for module in package.modules)
            checked.append(f"{count} queries")
    except (GeneratorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    sys.stdout.write(f"{' and '.join(checked)} checked, {len(problems)} problems\n")
    return 1 if problems else 0


def capture(config: str = "", directory: Path | None = None) -> list[bytes]:
    """Return the requests that sqlc sends to `sqlc-gen-asyncpg` for a configuration.

    A plugin that is configured with a path is replaced too, in a copy of the configuration.

    Raises:
        GeneratorError: sqlc fails, or no plugin of this name is configured.

    """
    with TemporaryDirectory() as temporary, _config_with_name(config, directory) as file:
        folder = Path(temporary) / "requests"
        folder.mkdir()
        recorder = Path(temporary) / "sqlc-gen-asyncpg"
        recorder.write_text(_RECORDER.format(python=sys.executable, folder=str(folder)))
        recorder.chmod(0o755)
        scripts = str(Path(sys.executable).parent)
        path = os.pathsep.join([temporary, scripts, os.environ.get("PATH", "")])
        process = subprocess.run(  # noqa: S603  # the arguments are the user's own
            ["sqlc", "diff", *(["-f", file] if file else [])],  # noqa: S607
            env={**os.environ, "PATH": path},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        requests = [request.read_bytes() for request in sorted(folder.iterdir())]
    errors = process.stderr.strip()
    # The output of another plugin may differ, which sqlc prints there, too.
    if (process.returncode and not errors.startswith("--- a/")) or not requests:
        raise GeneratorError([errors or _NO_PLUGIN])
    return requests


@contextmanager
def _config_with_name(config: str, directory: Path | None) -> Generator[str]:
    """Yield the configuration; if it has a path to the plugin, a copy with the bare name."""
    folder = directory or Path()
    names = [config] if config else ["sqlc.yaml", "sqlc.yml", "sqlc.json"]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    text = path.read_text("utf-8") if path else ""
    by_name = _PLUGIN_PATH.sub(r"\1\2sqlc-gen-asyncpg\2", text)
    if path is None or by_name == text:
        yield config
        return
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".sqlc-", suffix=path.suffix
    ) as file:
        file.write(by_name)
        file.flush()
        yield str(Path(file.name).resolve())


async def _check(
    dsn: str, requests: list[protocol.Request], packages: list[ir.Package], directory: str
) -> list[str]:
    import asyncpg  # noqa: PLC0415  # not imported when sqlc runs the plugin

    connection: asyncpg.Connection[asyncpg.Record] | None = None
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise GeneratorError([f"cannot connect: {error}"]) from error
    except (ValueError, LookupError, OverflowError):
        pass  # the driver's message would contain a part of the DSN
    if connection is None:
        message = "--dsn is not a valid DSN; write postgresql://user@host/database"
        raise GeneratorError([message])
    try:
        lines: list[str] = []
        for request in requests:
            lines += await differences(partial(_first_column, connection), request, directory)
        for package in packages:
            lines += await contradictions(connection, package)
        return list(dict.fromkeys(lines))
    finally:
        await connection.close()


async def _first_column(
    connection: asyncpg.Connection[asyncpg.Record], query: str, argument: str
) -> list[str]:
    return [row[0] for row in await connection.fetch(query, argument)]
