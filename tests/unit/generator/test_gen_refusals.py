"""Refusals through the real sqlc: exit code 1, and one line per problem with its cure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from golden.golden_cases import run, write_project

from sqlc_gen_asyncpg.__main__ import generate
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.command import capture
from sqlc_gen_asyncpg.errors import GeneratorError, InternalError
from sqlc_gen_asyncpg.protocol import Query, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = """
CREATE EXTENSION vector;
CREATE SCHEMA app;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b int);
CREATE TABLE item (
    id text PRIMARY KEY,
    note text,
    size int,
    pair pair,
    spot point,
    embedding vector(3),
    at timestamptz
);
CREATE TABLE other (id text PRIMARY KEY, item_id text);
CREATE TABLE mooded (mood mood, note text);
CREATE VIEW short (key) AS SELECT id FROM other;
CREATE PROCEDURE tidy(x text) LANGUAGE sql AS 'DELETE FROM other WHERE id = x';
"""

# A query, and what its line must say.
REFUSED = {
    "Unnamed": (
        ":many",
        "SELECT id FROM item WHERE id = ANY($1::text[])",
        "$1 has no name; write sqlc.arg(name), or @name, for each parameter of the query, or see",
    ),
    "SameName": (
        ":many",
        "SELECT i.id FROM item AS i, other AS o WHERE i.id = $1 AND o.id = $2",
        "two parameters would be called id; write sqlc.arg(name), or @name, for each parameter",
    ),
    "AnyParameter": (
        ":many",
        "SELECT id FROM item WHERE @x IS NULL",
        "parameter x: it has no type where it first occurs, so that PostgreSQL refuses the query",
    ),
    "TypedTooLate": (
        ":many",
        "SELECT id FROM item WHERE @x IS NULL OR note = @x",
        "cast it there, as in @x::text",
    ),
    "NumberTooLate": (
        ":many",
        "SELECT id FROM item WHERE @x IS NULL OR size = @x",
        "cast it there, as in @x::int4",
    ),
    "NotSure": (
        ":many",
        "SELECT id FROM item WHERE size IN (SELECT unnest(@x))",
        "type for it is not sure; cast it to the one that is meant, as in @x::bigint",
    ),
    "TwoTypes": (
        ":exec",
        "UPDATE mooded SET mood = @x, note = CASE WHEN @x = 'ok' THEN 'fine' END",
        "parameter x: PostgreSQL refuses the query, as it would be both text and mood; cast it",
    ),
    "TwoTypesOfTwoColumns": (
        ":exec",
        "UPDATE item SET size = @x, note = @x",
        "would be both int4 and text; cast it everywhere to one of them, as in @x::int4",
    ),
    "TwoTypesInRows": (
        ":many",
        "SELECT note FROM item WHERE (size, id) = (@x, @x)",
        "would be both int4 and text; cast it everywhere to one of them, as in @x::int4",
    ),
    "EnumAndText": (
        ":many",
        "SELECT note FROM mooded WHERE @x::text = '' OR mood = @x",
        "PostgreSQL has no operator mood = text; cast the other operand, as in (…)::text",
    ),
    "NoValue": (
        ":many",
        "SELECT note FROM mooded WHERE mood = @x OR @x = ''",
        "PostgreSQL refuses it: '' is not a value of type mood; use NULL for a missing value",
    ),
    "TextAndNumber": (
        ":exec",
        "UPDATE item SET size = @x WHERE id = @x",
        "text cannot become int4 without a cast; cast it there, as in @x::int4",
    ),
    "NoFunction": (
        ":many",
        "SELECT id FROM item WHERE size = @x AND note = lower(@x)",
        "it is int4 in its first use, PostgreSQL has no function lower(int4); cast it there",
    ),
    "NothingInCommon": (
        ":many",
        "SELECT id FROM item WHERE size = @x AND note = coalesce(@x, note)",
        "int4 and text have no common type; cast it there, as in @x::text",
    ),
    "IntervalTaken": (
        ":many",
        "SELECT id FROM item WHERE at > now() - @x",
        "PostgreSQL has no operator timestamptz > interval; cast its parameters",
    ),
    "AnyArgument": (
        ":many",
        "SELECT id FROM item WHERE note LIKE concat('%', @x, '%')",
        "parameter x: it has no type where it first occurs",
    ),
    "Merge": (
        ":exec",
        "MERGE INTO other o USING item i ON o.id = i.id WHEN MATCHED AND i.note = @x THEN DELETE",
        "sqlc reads neither parameters nor results of MERGE; write INSERT",
    ),
    "UnreadableParameter": (
        ":exec",
        (
            "WITH RECURSIVE t AS (SELECT id FROM item UNION SELECT id FROM t) SEARCH DEPTH FIRST "
            "BY id SET path DELETE FROM item WHERE item.note = @x"
        ),
        "parameter x: the statement cannot be read; cast every parameter and every column",
    ),
    "UnreadableResult": (
        ":many",
        (
            "WITH RECURSIVE t AS (SELECT id, 1 + 1 AS n FROM item UNION SELECT id, n FROM t) "
            "SEARCH DEPTH FIRST BY id SET path SELECT n + 1 AS next FROM t"
        ),
        "column next: the statement cannot be read; cast every parameter and every column",
    ),
    "ViewWithNames": (
        ":many",
        "SELECT * FROM short",
        "sqlc does not read the names in CREATE VIEW short (…); give them to the columns",
    ),
    "NoColumns": (":many", "SELECT FROM item", ":many needs a result"),
    "SameColumn": (
        ":many",
        "SELECT i.id, o.id FROM item AS i JOIN other AS o ON o.item_id = i.id",
        "two columns would be called id; name one with AS",
    ),
    "LastId": (":execlastid", "DELETE FROM item", "use :one with RETURNING"),
    "Slice": (
        ":many",
        "SELECT id FROM item WHERE id IN (sqlc.slice('ids'), 'a')",
        "sqlc.slice must be alone",
    ),
    "Lowest": (
        ":many",
        "-- py: one!\nSELECT id FROM item",
        "-- py: one! goes with :one and :batchone, not with :many",
    ),
    "Iterator": (":one", "-- py: iterator\nSELECT id FROM item", "-- py: iterator goes with :many"),
    "RowOfExec": (":exec", "-- py: row A\nDELETE FROM item", "-- py: row goes with :one and :many"),
    "RowOfScalar": (
        ":many",
        "-- py: row A\nSELECT id FROM item",
        "one column is returned as it is",
    ),
    "Unknown": (":many", "-- py: rows A\nSELECT id FROM item", "is unknown or repeated"),
    "NoParameter": (
        ":many",
        "-- py: param i text\nSELECT id FROM item",
        "-- py: param i: there is no parameter of that name",
    ),
    "BadType": (
        ":many",
        "-- py: param id txt\nSELECT id FROM item WHERE id = @id",
        "type txt is not known",
    ),
    "NoArrays": (
        ":exec",
        "-- py: batch items NewItem\nDELETE FROM item WHERE id = @id",
        "-- py: batch items: the query has no array parameters",
    ),
    "BatchTwice": (
        ":exec",
        "-- py: batch items NewItem\nDELETE FROM item WHERE id = @items OR id = ANY(@ids::text[])",
        "two parameters would be called items",
    ),
    "BatchName": (
        ":exec",
        "-- py: batch list NewItem\nDELETE FROM item WHERE id = ANY(@ids::text[])",
        "-- py: batch list NewItem: list cannot be the name of an argument; write list_",
    ),
    "RowOne": (":many", "-- py: row Shared\nSELECT id, note FROM item", ""),
    "RowTwo": (
        ":many",
        "-- py: row Shared\nSELECT id, size FROM item",
        "there is another Shared with other fields",
    ),
    "RowOfTable": (
        ":many",
        "-- py: row Item\nSELECT id, size FROM item",
        "there is another Item with other fields",
    ),
    "DocOfNoModel": (
        ":many",
        "-- py: doc Shared A row.\nSELECT id FROM item",
        "-- py: doc Shared: Shared must be a model of -- py: row or -- py: batch in this query",
    ),
    "DocOfTable": (
        ":many",
        "-- py: row Other\n-- py: doc Other A row.\nSELECT id, item_id FROM other",
        "COMMENT ON documents the model of a table",
    ),
    "DocOfNoField": (
        ":many",
        "-- py: row Sized\n-- py: doc Sized.note A note.\nSELECT id, size FROM item",
        "-- py: doc Sized.note: Sized has no such field",
    ),
    "DocOne": (
        ":many",
        "-- py: row Noted\n-- py: doc Noted A row.\nSELECT id, note FROM item",
        "",
    ),
    "DocTwice": (
        ":many",
        "-- py: row Noted\n-- py: doc Noted A row.\nSELECT id, note FROM item",
        "-- py: doc Noted: another query has this line; write it once",
    ),
    "Plus": (
        ":many",
        "SELECT id FROM item LIMIT @x + 1",
        "write sqlc.arg(name) in place of @name",
    ),
    "NoBlank": (
        ":many",
        "SELECT id FROM item WHERE id=@x",
        "@x is not a parameter here; put a blank",
    ),
    "NoBlankJson": (":many", "SELECT id FROM item WHERE note||@x = 'a'", "put a blank before it"),
    "RowOfNoType": (
        ":many",
        "SELECT id FROM item WHERE pair = @pair",
        "it has no type; cast it, as in @pair::pair",
    ),
    "RowsOfNoType": (
        ":many",
        "SELECT id FROM item WHERE pair = ANY(@pairs)",
        "it has no type; cast it, as in @pairs::pair[]",
    ),
    "RowCast": (":many", "SELECT id FROM item WHERE pair = ANY(@pairs::pair[])", ""),
    "StarOfFunction": (
        ":many",
        "SELECT i.id, e.* FROM item AS i, json_each_text(i.note::json) AS e",
        "FROM f(…) AS e(a, b), and list them: e.a",
    ),
    "NamedFunction": (
        ":many",
        "SELECT i.id, e.b FROM item AS i, json_each_text(i.note::json) AS e(a, b)",
        "",
    ),
    "NameInJson": (
        ":one",
        "SELECT JSON_OBJECT('a': @a::text) AS doc",
        "does not replace @a there, as in SQL/JSON; name the value in a subquery",
    ),
    "ArgInJson": (
        ":one",
        "SELECT JSON_OBJECT('a': sqlc.arg(a)::text) AS doc",
        "does not replace sqlc.arg(a) there",
    ),
    "GivenJson": (
        ":one",
        "SELECT JSON_OBJECT('a': given.a) AS doc FROM (SELECT @a::text AS a) AS given",
        "",
    ),
    "LateFile": (":many", "-- A.\n-- py: file\nSELECT id FROM item", "above the first query"),
    "LookupOfMany": (
        ":many",
        "-- py: lookup\nSELECT id FROM other WHERE id = @id",
        "-- py: lookup goes with :one, not with :many",
    ),
    "LookupThatDeletes": (
        ":one",
        "-- py: lookup\nDELETE FROM other WHERE id = @id RETURNING id",
        "-- py: lookup: it goes with a SELECT that the generator can read",
    ),
    "LookupInsideDelete": (
        ":one",
        (
            "-- py: lookup\nWITH gone AS (DELETE FROM other WHERE id = @id RETURNING id)\n"
            "SELECT id FROM gone"
        ),
        "-- py: lookup: a statement that changes rows cannot be a subquery",
    ),
    "LookupOfAll": (
        ":one",
        "-- py: lookup\nSELECT id FROM other LIMIT 1",
        "-- py: lookup: the query needs a parameter",
    ),
    "LookupByArray": (
        ":one",
        "-- py: lookup\nSELECT id FROM other WHERE id = ANY (@ids::text[]) LIMIT 1",
        "-- py: lookup: the parameter ids is an array, and arrays of arrays cannot be unnested",
    ),
    "LookupByPair": (
        ":one",
        "-- py: lookup\nSELECT id FROM item WHERE pair = @pair::pair",
        "-- py: lookup: the parameter pair is composite; pass its fields",
    ),
    "LookupInOrder": (
        ":one",
        (
            "-- py: lookup\n-- py: order by sort over (id)\n"
            "SELECT id FROM other WHERE id > @id ORDER BY id LIMIT 1"
        ),
        "-- py: lookup: an order that an argument selects is not possible beside it",
    ),
    "LookupOfLargestParameter": (
        ":one",
        "-- py: lookup\nSELECT id, (SELECT max(@low::int)) AS top FROM other WHERE id = @id",
        (
            "-- py: lookup: max is an aggregate of parameters alone, which the batch cannot "
            "contain; name them in a subquery: FROM (SELECT @x::int AS x) AS given"
        ),
    ),
    "LookupCountsFilteredByParameter": (
        ":one",
        "-- py: lookup\nSELECT count(*) FILTER (WHERE @wanted::bool) AS n FROM other",
        "-- py: lookup: count is an aggregate of parameters alone",
    ),
    "LookupOfLargestOfSubquery": (
        ":one",
        "-- py: lookup\nSELECT max((SELECT other.id FROM other WHERE id = @id)) AS top",
        "-- py: lookup: max is an aggregate of parameters alone",
    ),
    "LookupOfLargestOfCorrelatedSubquery": (
        ":one",
        (
            "-- py: lookup\nSELECT max((SELECT o.id FROM other AS o "
            "WHERE o.id = p.id AND o.id = @id)) AS top FROM other AS p"
        ),
        "",
    ),
    "LookupOfLargestNamedParameter": (
        ":one",
        "-- py: lookup\nSELECT max(g.x) AS top FROM (SELECT @x::int AS x) AS g",
        "",
    ),
    "LookupCountsRows": (
        ":one",
        "-- py: lookup\nSELECT count(*) AS n FROM other WHERE id = @id",
        "",
    ),
    "LookupSumsColumnAndParameter": (
        ":one",
        "-- py: lookup\nSELECT count(id || @tail::text) AS n FROM other",
        "",
    ),
    "LookupTwice": (
        ":one",
        "-- py: lookup\n-- py: lookup\nSELECT id FROM other WHERE id = @id",
        "-- py: lookup is unknown or repeated",
    ),
    "OrderOfNoColumn": (
        ":many",
        "-- py: order by sort over (id, nope)\nSELECT id FROM other ORDER BY id",
        "order by sort: nope is not a column of the result; there are id",
    ),
    "OrderOfTwoColumns": (
        ":many",
        (
            "-- py: order by s over (id)\nSELECT sqlc.embed(a), sqlc.embed(b)\n"
            "FROM other AS a, other AS b ORDER BY a.id"
        ),
        "order by s: id is ambiguous; there are id, item_id",
    ),
    "OrderWithoutTies": (
        ":many",
        "-- py: order by sort over (id)\nSELECT id FROM (SELECT id FROM other ORDER BY id) AS o",
        "order by sort: the statement has no ORDER BY; write one whose columns are unique",
    ),
    "OrderOfDistinct": (
        ":many",
        "-- py: order by sort over (id)\nSELECT DISTINCT ON (id) id FROM other ORDER BY id",
        "order by sort: DISTINCT ON has an order of its own; use a subquery",
    ),
    "OrderTwice": (
        ":many",
        "-- py: order by sort over (id asc, id)\nSELECT id FROM other ORDER BY id",
        "order by sort: id is in the list twice",
    ),
    "OrderOfXml": (
        ":many",
        "-- py: order by sort over (x)\nSELECT id, id::xml AS x FROM other ORDER BY id",
        "order by sort: x has the type xml, which has no order",
    ),
    "OrderOfChange": (
        ":many",
        "-- py: order by sort over (id)\nDELETE FROM other RETURNING id",
        "order by sort: it goes with a SELECT that the generator can read",
    ),
    "OrderOfCommand": (
        ":exec",
        "-- py: order by sort over (id)\nSELECT id FROM other ORDER BY id",
        "-- py: order by goes with :one and :many, not with :exec",
    ),
    "OrderOfParameter": (
        ":many",
        "-- py: order by sort over (id)\nSELECT id FROM other WHERE id = @sort ORDER BY id",
        "order by sort: a parameter has this name; choose another for the argument",
    ),
    "OrderByText": (
        ":many",
        "-- py: order by sort over (id, lower(id))\nSELECT id FROM other ORDER BY id",
        "order by sort: 'lower(id)' is no column; write order by ARGUMENT over (COLUMN",
    ),
    "OrderByNothing": (
        ":many",
        "-- py: order by sort over id\nSELECT id FROM other ORDER BY id",
        "order by sort: there is no list of columns; write order by ARGUMENT over",
    ),
    "OrderByTwoArguments": (
        ":many",
        "-- py: order by a over (id)\n-- py: order by b over (id)\nSELECT id FROM other ORDER BY 1",
        "-- py: order by b over (id) is unknown or repeated",
    ),
}


QUERIES = "\n".join(f"-- name: {name} {cmd}\n{sql};\n" for name, (cmd, sql, _) in REFUSED.items())


def lines_of(stderr: str) -> list[str]:
    """The plugin's lines in what sqlc printed."""
    text = stderr.partition("error running command ")[2]
    return [line for line in text.split("\n") if line.strip()]


def refused(
    directory: Path,
    query: str,
    *,
    schema: str = SCHEMA,
    options: Mapping[str, object] | None = None,
    package: bool = True,
) -> list[str]:
    """The problems of a project that sqlc itself accepts."""
    given = {"package": "gen", **(options or {})} if package else (options or None)
    write_project(directory, query=query, schema=schema, options=given)
    done = run(directory, "sqlc", "generate")
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert not (directory / "gen").exists()
    lines = lines_of(done.stderr)
    assert lines, done.stderr
    return lines


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All refused queries in one file, so that sqlc runs once."""
    return refused(tmp_path_factory.mktemp("refused"), QUERIES)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_query_is_refused_with_its_cure(name: str, problems: list[str]) -> None:
    message = REFUSED[name][2]
    first = QUERIES[: QUERIES.index(f"-- name: {name} ")].count("\n") + 1
    last = first + REFUSED[name][1].count("\n") + 1
    mine = [line for line in problems if re.match(rf"query\.sql:\d+:\d+: {name}: ", line)]
    assert all(first <= int(line.split(":")[1]) <= last for line in mine), mine
    assert len(mine) == bool(message), mine
    assert message in "".join(mine)


def test_columns_of_tables_are_refused_too(problems: list[str]) -> None:
    found = [line.split(":")[:5] for line in problems if line.startswith("schema.sql")]
    assert found == [["schema.sql", "11", "5", " table item", " column spot"]]


def test_problems_with_queries_and_the_schema_have_a_position(
    problems: list[str], taken: list[str], custom: list[str]
) -> None:
    for line in [*problems, *taken, *custom]:
        assert re.match(r"(query|schema)\.sql:\d+:\d+: |options: ", line), line


OTHER = "CREATE TABLE item (id text PRIMARY KEY);"
PLAIN = "-- name: A :exec\nDELETE FROM item;"

TAKEN_QUERIES = ["GetURL", "GetUrl", "Lower", "lower", "日本", "Go"]
TAKEN_SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE sign AS ENUM ('a+', 'a-');
CREATE TABLE item (id text PRIMARY KEY, _x int, x_ int);
CREATE TABLE items (id text);
CREATE TABLE app.item (id int);
CREATE TABLE app_items (id int, data jsonb);
CREATE TABLE fields (id int, note text);
CREATE TYPE face AS ENUM ('ok');
CREATE TYPE berth AS (pier int);
CREATE TABLE app.berths (id int);
CREATE TYPE app_berth AS (pier int);
"""
TAKEN_RENAME = {"fields": "_Field", "fields.note": "mro", "face.ok": "title", "Go": "required"}
TAKEN = [
    "query GetUrl would be called get_url, as query GetURL is; rename one: rename: {GetUrl: …}",
    "query lower would be called lower, as query Lower is",
    "table items would be called Item, as table item is; rename one: rename: {items: …}",
    "would be called AppItem, as table",
    "table fields: rename: fields: _Field cannot be the name of a class; write Field_",
    "column note: rename: fields.note: mro cannot be the name of a field; write mro_",
    "enum face: rename: face.ok: title cannot be the name of an enum member; write title_",
    "Go: rename: Go: required cannot be the name of a function; write required_",
    "日本: the function and the constant of its SQL would both be called 日本, which has no small",
    "a second field would be called x_; rename one: rename: {item.x_: …}",
    "a type and a table would both be AppBerth; rename the table: rename: {app.berths: …}",
    "'a+' and 'a-' would both be A; rename one: rename: {sign.a-: …}",
    "py_type Nope is not known; write package.module.Name",
    "data: app.Field: generated code has another Field; import it under another name",
]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A project in which every name is taken."""
    queries = [f"-- name: {name} :exec\nDELETE FROM item;\n" for name in TAKEN_QUERIES]
    overrides = [
        {"column": "item.id", "py_type": "Nope"},
        {"db_type": "jsonb", "py_type": "app.Field"},
    ]
    return refused(
        tmp_path_factory.mktemp("taken"),
        "\n".join(queries),
        schema=TAKEN_SCHEMA,
        options={"overrides": overrides, "rename": TAKEN_RENAME},
    )


@pytest.mark.parametrize("message", TAKEN)
def test_taken_name_is_refused_with_its_cure(message: str, taken: list[str]) -> None:
    assert [line for line in taken if message in line], taken


def test_unused_table_with_a_refused_column_is_left_out(tmp_path: Path) -> None:
    options = {"package": "gen", "omit_unused_models": True}
    query = "-- name: A :many\nSELECT * FROM other;"
    write_project(tmp_path, query=query, schema=SCHEMA, options=options)
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 0, done.stderr
    assert "class Item" not in (tmp_path / "gen" / "models.py").read_text()


UNUSED: dict[str, object] = {
    "composites": {"nope": {"x": "text"}},
    "converters": [{"name": "idle", "py_type": "str", "from_db": "app.a", "to_db": "app.b"}],
    "inflection_exclude_table_names": ["item", "nopes"],
    "overrides": [
        {"column": "item.nope", "py_type": "str"},
        {"column": "*.id", "py_type": "str"},
        {"db_type": "citext", "py_type": "str"},
    ],
    "rename": {"A": "fetch", "item.id": "key", "public.item": "Thing", "item.ids": "x", "B": "y"},
}


def test_option_without_effect_is_refused(tmp_path: Path) -> None:
    problems = refused(tmp_path, PLAIN, schema=OTHER, options=UNUSED)
    assert problems == [
        f"options: {message}; correct or remove it"
        for message in (
            "rename: no table, column, type, field, value or query is B",
            "rename: no table, column, type, field, value or query is item.ids",
            "inflection_exclude_table_names: no table is nopes",
            "composites: no type is nope",
            "overrides: no column is item.nope",
            "overrides: no column and no parameter has the type citext",
            "converters: no override and no comment names idle",
        )
    ]


CUSTOM_SCHEMA = """
CREATE EXTENSION vector;
CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('a');
CREATE TYPE point AS ENUM ('b');
CREATE TYPE doc AS (at text, body jsonb);
CREATE TABLE item (id text, look vector(3), data jsonb, first doc, one text, two text, str text,
    "any" text, rank text, price numeric);
CREATE TABLE spare (id text);
"""
CUSTOM_OPTIONS: dict[str, object] = {
    "json": "codec",
    "overrides": [
        {"column": "item.look", "py_type": "app.types.Look"},
        {"column": "item.one", "py_type": "app.types.Word"},
        {"column": "item.two", "py_type": "app.words.Word"},
        {"column": "item.str", "py_type": "app.types.str"},
        {"column": "item.any", "py_type": "typing.Any"},
        {"column": "item.rank", "py_type": "app.types.rank"},
        {"column": "item.price", "py_type": "decimal.Decimal"},
    ],
}
CUSTOM_QUERIES = """
-- name: CopyData :copyfrom
INSERT INTO item (id, data) VALUES (@id, @data);

-- name: NoColumn :many
-- py: column nope text
SELECT id FROM item;

-- name: NoState :many
-- py: column id app.stat
SELECT id FROM item;

-- name: First :many
SELECT first FROM item;

-- name: Twice :many
SELECT sqlc.embed(spare), sqlc.embed(spare) FROM spare;
"""
CUSTOM = [
    "enum point: PostgreSQL reads point as its own type of that name; rename it",
    "column look: vector cannot become app.types.Look without a converter",
    "column two: two overrides import Word, from app.types and app.words",
    "column str: app.types.str: generated code has another str",
    "column any: Any is not allowed: give a type",
    "models: Item: field rank has the name of app.types.rank of an override; import that under",
    "CopyData: column data: a codec for json in the text format cannot be copied with",
    "NoColumn: -- py: column nope: there is no column of that name",
    "NoState: column id: type app.stat is not known",
    "First: column first: type doc is composite, and its field body cannot be read: the driver has",
    "Twice: two columns would be called spare",
]


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What cannot be another type, or not so."""
    directory = tmp_path_factory.mktemp("custom")
    return refused(directory, CUSTOM_QUERIES, schema=CUSTOM_SCHEMA, options=CUSTOM_OPTIONS)


@pytest.mark.parametrize("message", CUSTOM)
def test_impossible_type_override_is_refused(message: str, custom: list[str]) -> None:
    assert [line for line in custom if message in line], custom


def test_invalid_option_is_refused_through_sqlc(tmp_path: Path) -> None:
    problems = refused(tmp_path, PLAIN, options={"packag": "x"})
    assert len(problems) == 1
    assert "packag is not an option" in problems[0]


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        (".", ["-f", "project/sqlc.json"]),
        (".", ["--file=project/sqlc.json"]),
        (".", ["--file", "project/../project/sqlc.json"]),
        ("project/below", ["-f", "../sqlc.json"]),
        ("project/below", ["-f../sqlc.json"]),
    ],
)
def test_sqlc_run_in_another_folder_writes_the_same(
    folder: str, arguments: list[str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "below").mkdir(parents=True)
    write_project(project, query=PLAIN, schema=OTHER, options={"package": "gen"})
    assert run(project, "sqlc", "generate").returncode == 0
    package = project / "gen"
    expected = {path.name: path.read_text() for path in package.iterdir()}
    for path in package.iterdir():
        path.unlink()

    done = run(tmp_path / folder, "sqlc", "generate", *arguments)

    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_text() for path in package.iterdir()} == expected


def test_request_for_missing_files_names_the_folder_to_use(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_project(project, query=PLAIN, schema=OTHER, options={"package": "gen"})
    (request,) = capture(directory=project)

    with pytest.raises(GeneratorError, match=r"schema\.sql does not exist; paths are relative to"):
        generate(request, str(tmp_path))


def test_missing_package_option_is_refused(tmp_path: Path) -> None:
    problems = refused(tmp_path, PLAIN, package=False)
    assert problems == ["options: package is missing; give the import name of the output folder"]


def test_other_sqlc_version_is_refused_naming_both_versions() -> None:

    request = Request("v1.30.0", "postgresql", "public", (), (), {"package": "gen"})
    with pytest.raises(GeneratorError, match=r"v1\.30\.0, the generator is made for v1\.31\.1"):
        build(request)
    lax = Request("v1.30.0", "postgresql", "public", (), (), {"package": "gen", "strict": False})
    assert build(lax).name == "gen"


def test_other_engine_is_refused() -> None:

    request = Request("v1.31.1", "sqlite", "main", (), (), {"package": "gen"})
    with pytest.raises(GeneratorError, match="engine must be postgresql, not sqlite"):
        build(request)


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"catalog": 1}', b'{"\xff' + b"x" * 70_000, b'{"a":' * 9_000]
)
def test_invalid_request_is_refused(raw: bytes) -> None:
    with pytest.raises(GeneratorError, match="not a code generation request") as caught:
        generate(raw)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"\n\x05\n\x012\x12"])
def test_protobuf_request_is_refused_naming_format_json(raw: bytes) -> None:
    with pytest.raises(GeneratorError, match=r"add `format: json` to the plugin in sqlc\.yaml"):
        generate(raw)


def test_plugin_without_format_json_gets_one_line_through_sqlc(tmp_path: Path) -> None:
    write_project(tmp_path, query=PLAIN, schema=OTHER, options={"package": "gen"})
    config = tmp_path / "sqlc.json"
    config.write_text(config.read_text().replace(', "format": "json"', ""))
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 1
    (line,) = lines_of(done.stderr)
    assert "add `format: json` to the plugin in sqlc.yaml" in line
    assert len(done.stderr) < 400


COLLIDE = "'a b' and 'a-b' would both be A_B;"
COPIES = {
    "CREATE TABLE t (a int, b point);": "parameter b",
    "CREATE TABLE t (a point, b point);": "parameter a",
    "CREATE TYPE pair AS (x int); CREATE TABLE t (a int, b circle);": "parameter b",
}


@pytest.mark.parametrize("schema", COPIES)
def test_copyfrom_of_a_refused_column_names_the_parameter(schema: str, tmp_path: Path) -> None:
    query = "-- name: Copy :copyfrom\nINSERT INTO t (a, b) VALUES (@a, @b);\n"
    options = {"package": "gen", "omit_unused_models": True}
    write_project(tmp_path, query=query, schema=schema, options=options)
    done = run(tmp_path, "sqlc", "generate")
    lines = lines_of(done.stderr)
    assert done.returncode == 1
    assert [each for each in lines if COPIES[schema] in each]
    assert all(re.match(r"query\.sql:2:\d+: Copy: parameter", each) for each in lines)


@pytest.mark.parametrize(
    ("override", "schema", "line"),
    [
        (
            {"enum": {"name": "Kind", "values": ["a b", "a-b"]}},
            "",
            f"options: enum Kind: {COLLIDE} rename one: rename: {{Kind.a-b: …}}",
        ),
        (
            {"py_type": "str", "column": "*.nothing"},
            "CREATE TYPE kind AS ENUM ('a b', 'a-b');",
            f"schema.sql:1:13: enum kind: {COLLIDE} rename one: rename: {{kind.a-b: …}}",
        ),
    ],
)
def test_colliding_enum_values_are_refused_once(
    override: dict[str, object], schema: str, line: str, tmp_path: Path
) -> None:
    kind = "kind" if schema else "text"
    options = {"package": "gen", "overrides": [{"column": "t.kind", **override}]}
    write_project(
        tmp_path,
        query="-- name: A :many\nSELECT kind FROM t WHERE kind = @kind;\n",
        schema=f"{schema} CREATE TABLE t (id int PRIMARY KEY, kind {kind} NOT NULL);",
        options=options if not schema else {"package": "gen"},
    )
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 1
    assert lines_of(done.stderr) == [line]


def test_internal_error_names_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_comments: object, _layout: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("sqlc_gen_asyncpg.build.query.parse_comments", fails)
    query = Query("A", ":exec", "SELECT 1", (), "a.sql", (), (), None)
    request = Request("v1.31.1", "postgresql", "public", (), (query,), {"package": "gen"})
    with pytest.raises(InternalError, match=r"^a\.sql: A: internal error: KeyError\('x'\)$"):
        build(request)
