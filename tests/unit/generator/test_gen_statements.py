"""Statements with a syntax that few queries use, as the one reader of SQL reads them."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.schema.ddl import read_text
from sqlc_gen_asyncpg.sql.statements import parse

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
