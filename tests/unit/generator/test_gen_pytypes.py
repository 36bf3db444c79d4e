"""PostgreSQL types in all their spellings, and their Python annotations."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.pytypes import PG_TYPES, Type, builtin, normal_name, parse_type


@pytest.mark.parametrize(
    ("schema", "name", "normal"),
    [
        ("pg_catalog", "int4", "int4"),
        ("", "pg_catalog.int4", "int4"),
        ("", "integer", "int4"),
        ("", "int", "int4"),
        ("", "INTEGER", "int4"),
        ("", "bigserial", "int8"),
        ("", "double precision", "float8"),
        ("", "timestamp with time zone", "timestamptz"),
        ("", "timestamp  without time zone", "timestamp"),
        ("", '"char"', "char"),
        ("pg_catalog", "bpchar", "bpchar"),
        ("public", "vector", "vector"),
        ("", "public.vector", "vector"),
        ("", "character varying", "varchar"),
        ("app", "level", "app.level"),
        ("", "app.level", "app.level"),
        ("", "Mood", "Mood"),
    ],
)
def test_spellings_of_a_type_have_one_normal_name(schema: str, name: str, normal: str) -> None:
    assert normal_name(name, schema) == normal


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("int8", "int"),
        ("float8", "float"),
        ("numeric", "Decimal"),
        ("char", "bytes"),
        ("timestamptz", "dt.datetime"),
        ("jsonb", "JsonValue"),
        ("ext.vector", "Vector"),
        ("uuid", "UUID"),
    ],
)
def test_postgresql_type_has_its_python_annotation(name: str, hint: str) -> None:
    assert builtin(name).hint == hint


def test_no_annotation_is_any() -> None:
    for each in PG_TYPES.values():
        assert "Any" not in {each.hint, each.row, each.argument, each.field}


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("", "cast it"),
        ("any", "cast it"),
        ("anyarray", "cast it"),
        ("record", "cast it"),
        ("point", "omit_unused_models: true"),
        ("box", "select it as …::text"),
        ("email", "db_type: email"),
    ],
)
def test_type_without_python_type_is_refused_with_a_cure(name: str, cure: str) -> None:
    with pytest.raises(Refused, match=cure):
        builtin(name)


def test_arrays_are_returned_as_lists_and_taken_as_sequences() -> None:
    of = Type(PG_TYPES["text"], nullable=True, dims=2, nullable_element=True)
    assert of.hint == "list[list[str | None]] | None"
    assert of.argument == "Sequence[Sequence[str | None]] | None"
    assert of.field == "list[list[str | None]] | None"


def test_array_of_vectors_takes_vectors_only() -> None:
    assert Type(PG_TYPES["vector"]).argument == "Vector | list[float]"
    assert Type(PG_TYPES["vector"], dims=1).argument == "Sequence[Vector]"


@pytest.mark.parametrize(
    ("text", "name", "dims", "nullable", "nullable_element"),
    [
        ("text", "text", 0, False, False),
        ("text?", "text", 0, True, False),
        ("text[]", "text", 1, False, False),
        ("text[]?", "text", 1, True, False),
        ("text?[]", "text", 1, False, True),
        ("text?[]?", "text", 1, True, True),
        ("int[][]", "int", 2, False, False),
        ("timestamp with time zone?", "timestamp with time zone", 0, True, False),
        ("app.level", "app.level", 0, False, False),
    ],
)
def test_type_notation_of_directives_is_parsed(
    text: str,
    name: str,
    dims: int,
    nullable: bool,  # noqa: FBT001  # a column of the table above
    nullable_element: bool,  # noqa: FBT001  # a column of the table above
) -> None:
    found = parse_type(text)
    assert (found.name, found.dims) == (name, dims)
    assert (found.nullable, found.nullable_element) == (nullable, nullable_element)


@pytest.mark.parametrize("text", ["", "?", "[]", "text[", "text??", "text]["])
def test_invalid_type_notation_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is not a type"):
        parse_type(text)
