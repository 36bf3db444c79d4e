"""Imports generated packages and calls each of their functions: `call_functions.py FOLDER DSN`."""

from __future__ import annotations

import asyncio
import enum
import importlib
import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, UnionType
from typing import NewType, Union, get_args, get_origin

import asyncpg
from pydantic import BaseModel

# Imported here, since the packages of a test are imported with warnings as errors.
import sqlc_gen_asyncpg.name_rules as rules


def value_of(annotation: object) -> object:
    """Return a value that an argument with this annotation accepts."""
    parts = get_args(annotation)
    if get_origin(annotation) in {Union, UnionType}:
        return value_of(parts[0])
    if get_origin(annotation) is Sequence:
        return [value_of(parts[0])]
    if not isinstance(annotation, type):
        return value_of(annotation.__supertype__) if isinstance(annotation, NewType) else None
    if issubclass(annotation, enum.Enum):
        return next(iter(annotation))
    if issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        required = {
            each.validation_alias or name: "a" for name, each in fields if each.is_required()
        }
        return annotation.model_validate(required)
    return ("a" if annotation is str else None) if annotation is not int else 1


async def call(module: ModuleType, connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Call each function of a module."""
    for name in module.__all__:
        function = getattr(module, name)
        if not inspect.isfunction(function):
            continue
        parameters = list(inspect.signature(function).parameters.values())[1:]
        values = {each.name: value_of(each.annotation) for each in parameters}
        result = function(connection, **values)
        if inspect.isasyncgen(result):
            async for _ in result:
                pass
        else:
            await result


async def main(folders: list[Path], dsn: str) -> int:
    """Return the number of packages that fail, and print why."""
    failures = 0
    # The packages have the same statements, of different tables.
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    for package in folders:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute((package / "schema.sql").read_text())
            for path in sorted(package.glob("*.py")):
                module = importlib.import_module(f"{package.name}.{path.stem}")
                if path.stem not in rules.FIXED_MODULES:
                    await call(module, connection)
        except Exception:  # noqa: BLE001  # all failures are printed
            failures += 1
            position = (package / "position.txt").read_text()
            print(f"{package.name}: {position}: {traceback.format_exc(limit=-3)}")  # noqa: T201
        finally:
            await transaction.rollback()
    await connection.close()
    return failures


if __name__ == "__main__":
    parent = Path(sys.argv[1])
    sys.path.insert(0, str(parent))
    sys.exit(bool(asyncio.run(main(sorted(parent.glob("gen_*")), sys.argv[2]))))
