"""Random statements that the server runs have the types and NULLs that are inferred."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, cast

import asyncpg
import pytest
import pytest_asyncio

from golden.random_statements import COLUMNS, TABLES, RandomStatements
from golden.test_golden_inference import ours, spelled
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql.statements import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

STATEMENTS: Final = 600
SCHEMA: Final = Schema(
    "public",
    {
        ("public", table): {
            name: ValueType(
                normal_name(kind.removesuffix("[]")), int(kind.endswith("[]")), nullable=nullable
            )
            for name, (kind, nullable) in named.items()
        }
        for table, named in COLUMNS.items()
    },
)


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database, statement_cache_size=0)
    await connection.execute(TABLES)
    await connection.execute("SET statement_timeout = '200ms'")
    yield connection
    await connection.close()


def differences(
    sql: str, infos: Sequence[ValueType], types: Sequence[str], rows: Sequence[asyncpg.Record]
) -> list[str]:
    """Return the columns whose type or NULL is another one than inferred."""
    wrong: list[str] = []
    written = "RETURNING" in sql  # by convention, items of a column are not NULL
    for index, (info, theirs) in enumerate(zip(infos, types, strict=True)):
        if info.type and ours(info) != theirs:
            wrong.append(f"column {index} is {theirs}, inferred {ours(info)}")
        values = [row[index] for row in rows]
        if None in values and not info.nullable:
            wrong.append(f"column {index} is NULL, inferred {info}")
        items = [
            item
            for value in values
            if isinstance(value, list)
            for item in cast("list[object]", value)
        ]
        if None in items and not written and info.dims and not info.null_items:
            wrong.append(f"column {index} has an item that is NULL, inferred {info}")
    return wrong


async def run(
    connection: asyncpg.Connection[asyncpg.Record], sql: str
) -> tuple[list[str], list[asyncpg.Record]] | None:
    """Return the types and the rows of a statement; None if the server refuses it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        statement = await connection.prepare(sql)
        types = [spelled(each.type.name) for each in statement.get_attributes()]
        return types, await statement.fetch()
    except asyncpg.PostgresError:
        return None
    finally:
        await transaction.rollback()


@pytest.mark.parametrize("seed", range(2))
async def test_random_statements_return_what_is_inferred(
    connection: asyncpg.Connection[asyncpg.Record], seed: int
) -> None:
    source = RandomStatements(Random(seed))  # noqa: S311  # not secret
    wrong: list[str] = []
    ran = known = total = 0
    for _ in range(STATEMENTS // 2):
        sql = source.statement()
        result = await run(connection, sql)
        if result is None:
            continue
        ran += 1
        inference = Inference(SCHEMA)
        infos = [info for _, info in columns(inference, parse(sql), None)]
        wrong += [f"{sql}: {each}" for each in differences(sql, infos, *result)]
        wrong += [f"{sql}: refused, {each}" for each in inference.type_errors.values()]
        known += sum(bool(each.type) for each in infos)
        total += len(infos)
    assert wrong == []
    assert ran > STATEMENTS // 4
    assert known > total * 9 // 10
