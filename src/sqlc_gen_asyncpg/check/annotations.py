"""`sqlc-gen-asyncpg check --dsn …`: the generated annotations against a real server.

sqlc is run with a plugin in this one's place that keeps the request. The only module that imports
asyncpg.
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

from sqlc_gen_asyncpg import ir, protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.schema import ARRAYS_OF_DOMAINS, differences
from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.pytypes import PG_TYPES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from sqlc_gen_asyncpg.pytypes import PyType

__all__ = ["capture", "contradictions", "main"]

# What the server calls otherwise than SQL does.
_BASES: Final = {"regprocedure": "regclass", "regproc": "regclass", "regnamespace": "regclass"}
# How vectors travel where the options say that no codec is set for them.
_AS_TEXT: Final = {
    *(("float", name) for name in ("halfvec", "vector")),
    *(("list[float]", name) for name in ("halfvec", "vector")),
    ("str", "sparsevec"),
}
_DESCRIPTION: Final = (
    "Compare the generated annotations with a database. Every query is prepared on the server, and "
    "the types of its parameters and results must agree with the annotations. Columns that are NOT "
    "NULL in the schema's files must be NOT NULL in the database, and enums must have the same "
    "values. Nothing is written, and no query is run. Exit codes: 0 if all agrees, 1 if something "
    "differs, 2 if the check could not be made."
)
_NO_PLUGIN: Final = (
    "the configuration of sqlc has no plugin whose cmd is sqlc-gen-asyncpg, or a path to it"
)
_BY_PATH: Final = re.compile(
    r"""(\bcmd["']?\s*:\s*)(["']?)[^"'\s#,{}]*/sqlc-gen-asyncpg\2(?!\S*\w)"""
)
_KEEP: Final = """#!{python}
import os, sys
folder = {folder!r}
name = os.path.join(folder, f"{{len(os.listdir(folder)):04}}.json")
with open(name, "wb") as file:
    file.write(sys.stdin.buffer.read())
print('{{"files": []}}')
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 if anything is contradicted, 2 if it cannot be checked."""
    parser = argparse.ArgumentParser(prog="sqlc-gen-asyncpg check", description=_DESCRIPTION)
    parser.add_argument(
        "--dsn",
        required=True,
        help="the database, with the schema applied: postgresql://user@host/database",
    )
    parser.add_argument(
        "--file", default="", help="the configuration of sqlc (default: ./sqlc.yaml)"
    )
    given = parser.parse_args(arguments)
    try:
        directory = str(Path(given.file).parent) if given.file else ""
        requests = [protocol.decode(each) for each in capture(given.file)]
        packages = [build(each, directory) for each in requests]
        problems = asyncio.run(_check(given.dsn, requests, packages, directory))
    except (GeneratorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for each in problems:
        sys.stdout.write(f"{each}\n")
    count = sum(len(module.functions) for package in packages for module in package.modules)
    sys.stdout.write(f"{count} queries checked, {len(problems)} contradicted\n")
    return 1 if problems else 0


def capture(config: str = "", directory: Path | None = None) -> list[bytes]:
    """Return the requests that sqlc sends to `sqlc-gen-asyncpg` for a configuration.

    A plugin that is called by a path is called by its name for it, in a copy of the file.
    """
    with TemporaryDirectory() as temporary, _by_name(config, directory) as file:
        requests = Path(temporary) / "requests"
        requests.mkdir()
        keeper = Path(temporary) / "sqlc-gen-asyncpg"
        keeper.write_text(_KEEP.format(python=sys.executable, folder=str(requests)))
        keeper.chmod(0o755)
        here = str(Path(sys.executable).parent)
        path = os.pathsep.join([temporary, here, os.environ.get("PATH", "")])
        done = subprocess.run(  # noqa: S603  # the arguments are the user's own
            ["sqlc", "generate", *(["-f", file] if file else [])],  # noqa: S607
            env={**os.environ, "PATH": path},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        found = [each.read_bytes() for each in sorted(requests.iterdir())]
    if done.returncode or not found:
        raise GeneratorError([done.stderr.strip() or _NO_PLUGIN])
    return found


@contextmanager
def _by_name(config: str, directory: Path | None) -> Generator[str]:
    """Yield the configuration; if it calls the plugin by a path, a copy beside it, for a moment."""
    folder = directory or Path()
    names = [config] if config else ["sqlc.yaml", "sqlc.yml", "sqlc.json"]
    path = next((folder / each for each in names if (folder / each).is_file()), None)
    text = path.read_text("utf-8") if path else ""
    plain = _BY_PATH.sub(r"\1\2sqlc-gen-asyncpg\2", text)
    if path is None or plain == text:
        yield config
        return
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".sqlc-", suffix=path.suffix
    ) as file:
        file.write(plain)
        file.flush()
        yield str(Path(file.name).resolve())


async def _check(
    dsn: str, requests: list[protocol.Request], packages: list[ir.Package], directory: str
) -> list[str]:
    import asyncpg  # noqa: PLC0415  # generating must not load it

    connection: asyncpg.Connection[asyncpg.Record] | None = None
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise GeneratorError([f"cannot connect: {error}"]) from error
    except (ValueError, LookupError, OverflowError):
        pass  # what the driver says of a DSN holds a part of it
    if connection is None:
        raise GeneratorError(["--dsn is not understood; it reads postgresql://user@host/database"])
    try:
        found: list[str] = []
        for request in requests:
            found += await differences(partial(_first, connection), request, directory)
        for each in packages:
            found += await contradictions(connection, each)
        return list(dict.fromkeys(found))
    finally:
        await connection.close()


async def _first(
    connection: asyncpg.Connection[asyncpg.Record], query: str, argument: str
) -> list[str]:
    return [row[0] for row in await connection.fetch(query, argument)]


async def contradictions(
    connection: asyncpg.Connection[asyncpg.Record], package: ir.Package
) -> list[str]:
    """Return a line for every annotation that the server contradicts."""
    import asyncpg  # noqa: PLC0415

    found: list[str] = []
    domains = {each["oid"]: each["of"] for each in await connection.fetch(ARRAYS_OF_DOMAINS)}
    for module in package.modules:
        models = {f"models.{each.name}": each for each in package.models}
        models.update({each.name: each for each in module.models})
        for function in module.functions:
            where = f"{module.filename}: {function.query}"
            try:
                statement = await connection.prepare(function.sql)
            except asyncpg.PostgresError as error:
                found.append(f"{where}: the server refuses it: {error}")
                continue
            lines = _compared(function, models, statement, domains)
            found += [f"{where}: {line}" for line in lines]
    return found


def _compared(
    function: ir.Function,
    models: dict[str, ir.Model],
    statement: PreparedStatement[asyncpg.Record],
    domains: Mapping[int, str],
) -> Iterator[str]:
    takes, returns = list(_parameters(function, models)), list(_columns(function, models))
    parameters = list(statement.get_parameters())
    columns = [each.type for each in statement.get_attributes()]
    if len(takes) != len(parameters):
        yield f"it passes {len(takes)} parameters, the server takes {len(parameters)}"
    if function.result and len(returns) != len(columns):
        yield f"it reads {len(returns)} columns, the server returns {len(columns)}"
    pairs = [*zip(takes, parameters, strict=False), *zip(returns, columns, strict=False)]
    for (name, annotation), each in pairs:
        of = domains.get(each.oid)  # the server knows an array of a domain by the domain's name
        kind = each._replace(name=f"_{of}") if of else each
        if not agrees(annotation, kind):
            yield f"{name} is {annotation}, the server has {kind.name}"


def _parameters(function: ir.Function, models: dict[str, ir.Model]) -> Iterator[tuple[str, str]]:
    arguments = {each.name: each for each in function.arguments}
    for bind in function.binds:
        argument = arguments[bind.argument]
        annotation = argument.field.annotation
        if bind.column:
            model = models[re.sub(r"^list\[|\]$", "", annotation)]
            of = next(each.annotation for each in model.fields if each.name == bind.column)
            annotation = f"list[{of}]"
        yield bind.column or bind.argument, annotation


def _columns(function: ir.Function, models: dict[str, ir.Model]) -> Iterator[tuple[str, str]]:
    result = function.result
    if isinstance(result, ir.Scalar):
        yield "the result", result.row
    elif result:
        fields = {each.name: each.annotation for each in models[result.model].fields}
        for part in result.shape:
            if isinstance(part, str):
                yield part, fields[part]
                continue
            model = models[fields[part.name].removesuffix(" | None")]
            for name in part.columns:
                of = next(each.annotation for each in model.fields if each.name == name)
                yield f"{part.name}.{name}", of


def agrees(annotation: str, kind: asyncpg.Type) -> bool:
    """Whether values of this type can be what the annotation says; another type's may not."""
    plain = annotation.replace(" | None", "").replace("Sequence[", "list[")
    name = kind.name
    if kind.kind == "array" and not name.startswith("_"):
        name = f"_{name.removesuffix('[]')}"
    while name.startswith("_") and plain.startswith("list["):
        name, plain = name[1:], plain[5:-1]
        while plain.startswith("list[") and "multirange" not in name:
            plain = plain[5:-1]
    known = {text for each in PG_TYPES.values() for text in _spellings(each)}
    if (plain, name) in _AS_TEXT or plain not in known:
        return True  # an enum, a model or the type of an override: the database knows none of it
    base = _BASES.get(name, name)
    return base in PG_TYPES and plain in _spellings(PG_TYPES[base])


def _spellings(of: PyType) -> set[str]:
    texts = (of.hint, of.row, of.argument, of.field)
    return {text.replace(" | None", "").replace("Sequence[", "list[") for text in texts}
