"""Every immutable or stable function, operator and cast of the server, called with values."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
import pytest_asyncio

from golden.test_golden_inference import spelled
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.sql.statements import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

# Values of each type that are not NULL, the common ones first.
VALUES: Final = {
    "bool": ("true", "false"),
    "int2": ("1", "0", "-1"),
    "int4": ("1", "0", "-1", "7"),
    "int8": ("1", "0", "-1"),
    "float4": ("1.5", "NaN", "-Infinity"),
    "float8": ("1.5", "0", "NaN", "Infinity", "-Infinity"),
    "numeric": ("1.5", "0", "NaN", "Infinity", "-Infinity"),
    "money": ("1.5", "0"),
    "text": ("a", "", "YYYY", "epoch", "public", "day", "UTF8", "$.a", "0"),
    "varchar": ("a", ""),
    "bpchar": ("a", ""),
    "name": ("a", "", "pg_class", "UTF8"),
    "char": ("a", ""),
    "bytea": ("a", ""),
    "date": ("2026-01-31", "infinity", "-infinity"),
    "time": ("12:00", "24:00"),
    "timetz": ("12:00+01",),
    "timestamp": ("2026-01-31 12:00", "infinity", "-infinity"),
    "timestamptz": ("2026-01-31 12:00+01", "infinity", "-infinity"),
    "interval": ("1 day", "0", "infinity", "-infinity"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "018f3a5e-7000-7000-8000-000000000000"),
    "json": ('{"a": 1}', "[]", "null", "[null]", "1"),
    "jsonb": ('{"a": 1}', "[]", "null", "[null]", "1"),
    "jsonpath": ("$.a", "$", "$[*]"),
    "inet": ("10.0.0.1", "::1/64"),
    "cidr": ("10.0.0.0/8",),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "bit": ("101", ""),
    "varbit": ("101", ""),
    "tsvector": ("a b", ""),
    "tsquery": ("a & b", ""),
    "xml": ("<a/>",),
    "oid": ("1259", "0", "1"),
    "regclass": ("pg_class", "0"),
    "regtype": ("int4", "0"),
    "regconfig": ("english",),
    "regdictionary": ("simple",),
    "xid8": ("1",),
    "pg_lsn": ("0/1",),
    "point": ("1,2",),
    "int4range": ("[1,2)", "empty", "(,)"),
    "numrange": ("[1,2)", "empty", "(,)"),
    "tsrange": ("[2026-01-01,)", "empty"),
    "daterange": ("[2026-01-01,)", "empty", "[,infinity]"),
    "int4multirange": ("{[1,2)}", "{}", "{(,)}"),
    "nummultirange": ("{[1,2)}", "{}"),
    "int4[]": ("{1,2}", "{}", "{{1},{2}}"),
    "int2[]": ("{1,2}", "{}"),
    "int8[]": ("{1,2}", "{}"),
    "float4[]": ("{1,2}", "{}"),
    "float8[]": ("{0.5}", "{}"),
    "numeric[]": ("{1,2}", "{}"),
    "text[]": ("{a,b}", "{}", "{{a},{b}}"),
    "oid[]": ("{1259}", "{}"),
}  # fmt: skip
# Concrete types of polymorphic ones; those of one call have the same position.
POLYMORPHIC: Final = {
    "anyelement": ("int4", "text"), "anynonarray": ("int4", "text"),
    "anycompatible": ("int4", "text"), "anycompatiblenonarray": ("int4", "text"),
    "anyarray": ("int4[]", "text[]"), "anycompatiblearray": ("int4[]", "text[]"),
    "anyrange": ("int4range", "numrange"), "anycompatiblerange": ("int4range", "numrange"),
    "anymultirange": ("int4multirange", "nummultirange"),
    "anycompatiblemultirange": ("int4multirange", "nummultirange"), "any": ("int4", "text"),
}  # fmt: skip
MOST_CALLS: Final = 40  # of one function
# Returns the type of an expression and whether it is NULL; no row for an expression that fails.
TRY: Final = """
CREATE FUNCTION try(sql text, OUT type text, OUT is_null bool) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT pg_typeof(x)::oid::regtype::text, num_nulls(x) > 0 FROM (SELECT ' || sql ||
        ' OFFSET 0) AS t (x)' INTO type, is_null;
EXCEPTION WHEN OTHERS THEN
    RETURN;
END
$$
"""
FUNCTIONS: Final = """
SELECT proname, proargtypes::regtype[]::text[] FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile IN ('i', 's') AND prokind = 'f'
    AND NOT proretset AND proname !~ '_to_xml|^pg_stat|^binary_upgrade|^pg_logical|^xml|^pg_ls'
ORDER BY 1, 2
"""
OPERATORS: Final = """
SELECT oprname, oprleft::regtype::text, oprright::regtype::text FROM pg_operator
WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprcode <> 0 ORDER BY 1, 2, 3
"""
CASTS: Final = """
SELECT castsource::regtype::text, casttarget::regtype::text FROM pg_cast
WHERE castsource < 16384 AND casttarget < 16384 ORDER BY 1, 2
"""


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    await connection.execute(TRY)
    yield connection
    await connection.close()


def literals(kind: str, position: int) -> list[str]:
    """Return values of a type in SQL; empty for types that have none here."""
    kind = POLYMORPHIC.get(kind, (kind, kind))[position]
    name = kind if kind.endswith("[]") else spelled(kind.replace('"', ""))
    sql = '"char"' if kind == '"char"' else name
    return [f"'{value}'::{sql}" for value in VALUES.get(name, ())]


def rows_of_arguments(kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield combinations of values, at most MOST_CALLS, and each value in at least one row."""
    for position in (0, 1) if any(each in POLYMORPHIC for each in kinds) else (0,):
        values = [literals(each, position) for each in kinds]
        every = list(itertools.islice(itertools.product(*values), MOST_CALLS))
        longest = max((len(each) for each in values), default=0)
        in_step = (
            [tuple(each[i % len(each)] for each in values) for i in range(longest)]
            if all(values)
            else []
        )
        yield from dict.fromkeys([*every, *in_step])


async def expressions(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """Return a call of each function, operator and cast with each row of values."""
    result: list[str] = []
    for name, kinds in await connection.fetch(FUNCTIONS):
        result += [f'"{name}"({", ".join(args)})' for args in rows_of_arguments(kinds)]
    for name, left, right in await connection.fetch(OPERATORS):
        kinds = [right] if left == "-" else [left, right]
        result += [
            f"{args[0]} {name} {args[-1]}" if len(kinds) > 1 else f"{name} {args[0]}"
            for args in rows_of_arguments(kinds)
        ]
    for source, target in await connection.fetch(CASTS):
        result += [f"{value}::{target}" for value in literals(source, 0)]
    return result


@pytest.mark.slow
async def test_functions_operators_and_casts_return_what_is_inferred(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    wrong: list[str] = []
    typed = 0
    rows = await connection.fetch(
        "SELECT sql, type, is_null FROM unnest($1::text[]) AS u (sql), try(sql) WHERE type <> ''",
        await expressions(connection),
    )
    for sql, kind, is_null in rows:
        inference = Inference(Schema("public", {}))
        ((_, info),) = columns(inference, parse(f"SELECT {sql}"), None)
        if not info.type:
            continue
        typed += 1
        theirs = spelled(kind.removesuffix("[]")) + ("[]" if kind.endswith("[]") else "")
        if info.spelled.replace("[][]", "[]") != theirs:
            wrong.append(f"{sql}: {kind}, inferred {info.spelled}")
        if is_null and not info.nullable:
            wrong.append(f"{sql}: NULL, inferred {info}")
    assert wrong == []
    assert typed > len(rows) * 8 // 10
