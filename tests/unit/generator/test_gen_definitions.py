"""Functions and procedures in the schema's files: arguments, defaults, results and rows."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.infer.values import Candidate
from sqlc_gen_asyncpg.schema.ddl import read_text

DEFINITIONS = {
    "(a int, text) RETURNS bool": Candidate("u", ("int4", "text"), "bool"),
    "() RETURNS timestamp with time zone": Candidate("u", (), "timestamptz"),
    "(double precision, x character varying(3)[]) RETURNS app.kind": Candidate(
        "u", ("float8", "_varchar"), "app.kind"
    ),
    "(a int, b int DEFAULT 1 + f(2, 3), c int = 4) RETURNS int": Candidate(
        "u2", ("int4", "int4", "int4"), "int4"
    ),
    '(char, "char", character(3)) RETURNS char(2)': Candidate(
        "u", ("bpchar", "char", "bpchar"), "bpchar"
    ),
    "(VARIADIC parts text[]) RETURNS text": Candidate("uv", ("_text",), "text"),
    "(a int, OUT b bigint)": Candidate("u", ("int4",), "int8", (("b", "int8", 0),)),
    "(INOUT a int, OUT b text)": Candidate(
        "u", ("int4",), "record", (("a", "int4", 0), ("b", "text", 0))
    ),
    "(a int) RETURNS TABLE (k int, v text[])": Candidate(
        "ur", ("int4",), "record", (("k", "int4", 0), ("v", "text", 1))
    ),
    "(a int) RETURNS SETOF lamp": Candidate("ur", ("int4",), "lamp"),
    "(a int)": Candidate("u", ("int4",), "void"),
}


@pytest.mark.parametrize("text", DEFINITIONS)
def test_function_definition_is_read(text: str) -> None:
    schema_files = read_text(
        f"CREATE OR REPLACE FUNCTION app.f{text} LANGUAGE sql AS $$SELECT 1; $$;"
    )
    assert schema_files.functions == {"app.f": (DEFINITIONS[text],)}


def test_overloads_are_all_read_and_replaced_by_argument_types() -> None:
    schema_files = read_text(
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS '1';"
        "CREATE FUNCTION f(text) RETURNS text LANGUAGE sql AS '1';"
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS bool LANGUAGE sql AS '1';"
    )
    assert schema_files.functions["f"] == (
        Candidate("u", ("text",), "text"),
        Candidate("u", ("int4",), "bool"),
    )


def test_function_with_an_unreadable_type_is_left_out() -> None:
    assert read_text("CREATE FUNCTION f(a lamp.x%TYPE) RETURNS int AS '1'").functions == {}


def test_domain_over_char_is_not_the_quoted_char_type() -> None:
    schema_files = read_text('CREATE DOMAIN code AS char(3); CREATE DOMAIN flag AS "char";')
    assert schema_files.domains == {"code": ("bpchar", 0), "flag": ("char", 0)}


@pytest.mark.parametrize(
    ("arguments", "definition"),
    [
        ("(a int, b text)", Candidate("u", ("int4", "text"), "void")),
        ("(a int, OUT b bigint)", Candidate("u", ("int4", "int8"), "int8", (("b", "int8", 0),))),
    ],
)
def test_out_arguments_of_a_procedure_are_arguments_too(
    arguments: str, definition: Candidate
) -> None:
    schema_files = read_text(f"CREATE PROCEDURE tidy{arguments} LANGUAGE sql AS 'SELECT 1'")

    assert schema_files.functions == {"tidy": (definition,)}
