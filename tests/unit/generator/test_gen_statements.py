"""Statements with a syntax that few queries use, as the one reader of SQL reads them."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.schema.ddl import read_text
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import tokenize

TABLES = {
    ("public", "lamp"): {
        "id": ValueType("int8", nullable=False),
        "values": ValueType("text", 1, nullable=False),
    }
}
PROCEDURES = read_text("CREATE PROCEDURE dim(lamp bigint, by int) LANGUAGE sql AS 'SELECT 1'")


def inferred(sql: str) -> tuple[dict[str, str], dict[int, str]]:
    """The types of the columns by name, and those of the parameters by number."""
    inference = Inference(Schema("public", TABLES, PROCEDURES.functions))
    results = {name: value.spelled for name, value in columns(inference, parse(sql), None)}
    return results, {number: value.spelled for number, value in inference.params.items()}


@pytest.mark.parametrize(
    "call", ["dim($1, $2)", "dim(lamp => $1, by => $2)", "dim(by => $2, lamp => $1)"]
)
def test_parameters_of_call_have_the_types_of_the_procedure(call: str) -> None:
    assert inferred(f"CALL {call}") == ({}, {1: "int8", 2: "int4"})


def test_parameters_of_an_unknown_procedure_have_no_type_without_a_cast() -> None:
    assert inferred("CALL other($1, $2::date)") == ({}, {2: "date"})


@pytest.mark.parametrize(
    "alias", ["AS y (value, number)", "y (value, number)", 'AS "y"(value, number)']
)
@pytest.mark.parametrize("argument", ["values", "lamp.values"])
def test_unnest_with_ordinality_has_the_names_of_its_alias(alias: str, argument: str) -> None:
    sql = f"SELECT id, value, y.number FROM lamp, unnest({argument}) WITH ORDINALITY {alias}"  # noqa: S608

    assert inferred(sql) == ({"id": "int8", "value": "text", "number": "int8"}, {})


def test_column_called_values_is_not_a_values_list() -> None:
    sql = "SELECT values FROM lamp WHERE $1 = ANY(values) AND id IN (VALUES (1), ($2))"

    assert inferred(sql) == ({"values": "text[]"}, {1: "text", 2: "int4"})


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("'a'\n'b'", "'ab'"),
        ("'it''s'\n  -- it's a comment\n\n  'b'\r\n'c'", "'it''sbc'"),
        (r"e'a\''" + "\n" + r"'\'b'", r"e'a\'\'b'"),
        ("'a''\n''b'", "'a''\n''b'"),
    ],
)
def test_literal_that_continues_in_the_next_line_is_one_token(literal: str, expected: str) -> None:
    assert [each.text for each in tokenize(literal)] == [expected, ""]


def test_literals_in_one_line_are_two_tokens() -> None:
    assert [each.text for each in tokenize("'a' 'b'")] == ["'a'", "'b'", ""]


@pytest.mark.parametrize(
    "condition",
    [
        "id IN ((SELECT 1), $1)",
        "id IN ((SELECT 1) + 1, $1)",
        "id = ANY ((SELECT ARRAY[1::bigint]) || ARRAY[$1::bigint])",
    ],
)
def test_list_that_begins_with_a_subquery_is_a_list(condition: str) -> None:
    results, _ = inferred(f"SELECT {condition} AS found FROM lamp")  # noqa: S608

    assert results == {"found": "bool"}


@pytest.mark.parametrize(
    "query",
    ["SELECT unnest($1::int[]), unnest($2::text[])", "SELECT max(1), max('b'::text) FROM lamp"],
)
def test_columns_of_a_subquery_are_compared_by_position(query: str) -> None:
    inference = Inference(Schema("public", TABLES))
    ((_, info),) = columns(inference, parse(f"SELECT (1, 'a'::text) IN ({query})"), None)

    assert info.type == "bool"
    assert inference.type_errors == {}
