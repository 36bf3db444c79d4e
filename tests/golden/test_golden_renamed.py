"""Values of enums without letters, renamed fields of composite types, and rows in arrays."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from golden.golden_cases import run, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TYPE mark AS ENUM ('#', '*', '%', '', ' ', '<=', '😀', '日本');
CREATE TYPE spot AS (x int, "y z" numeric, y_z int, class text);
CREATE SCHEMA app;
CREATE TYPE app.size AS (w int, h int);
CREATE TABLE post (id int PRIMARY KEY, mark mark NOT NULL, spot spot, size app.size);
"""
QUERIES = """
-- name: AddPost :one
INSERT INTO post (id, mark, spot, size) VALUES (@id, @mark, @spot, @size) RETURNING *;
-- name: NestPosts :one
SELECT jsonb_agg(post)::text AS posts FROM post;
-- name: Agg :many
SELECT id, 1 AS one FROM post;
-- name: Agg2 :many
SELECT id, 2 AS two FROM post;
-- name: Agg10 :many
SELECT id, 10 AS ten FROM post;
"""
RENAME = {
    "spot.x": "left",
    "spot.y z": "yz",
    "spot.y_z": "depth",
    "public.spot.class": "kind",
    "app.size.w": "width",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    options = {"package": "gen", "rename": RENAME}
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options=options)
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path / "gen"
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


@pytest.mark.usefixtures("package")
async def test_signs_have_their_unicode_names_and_fields_their_new_ones(database: str) -> None:
    query: Any = importlib.import_module("gen.query")
    models: Any = importlib.import_module("gen.models")
    enums: Any = importlib.import_module("gen.enums")
    assert {each.name: each.value for each in enums.Mark} == {
        "NUMBER_SIGN": "#",
        "ASTERISK": "*",
        "PERCENT_SIGN": "%",
        "EMPTY": "",
        "SPACE": " ",
        "LESS_THAN_SIGN_EQUALS_SIGN": "<=",
        "U1F600": "😀",
        "日本": "日本",
    }
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        for number, mark in enumerate(enums.Mark):
            spot = models.Spot(left=1, yz=2, depth=3, kind="k")
            size = models.AppSize(width=4, h=5)
            row = await query.add_post(connection, id=number, mark=mark, spot=spot, size=size)
            assert (row.mark, row.spot, row.size) == (mark, spot, size)
        stored = await connection.fetchval("SELECT spot::text FROM post WHERE id = 0")
        assert stored == "(1,2,3,k)"
        assert (await query.agg2(connection))[0].two == 2
    finally:
        await connection.close()


def test_names_with_numbers_are_in_the_order_of_the_linter(package: Path) -> None:
    done = run(package, "ruff", "check", "--isolated", "--preview", "--select", "RUF022", ".")
    assert done.returncode == 0, done.stdout
    assert '"Agg2Row",\n    "Agg10Row",\n    "AggRow",\n' in (package / "query.py").read_text()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT array_agg(post) AS posts FROM post",
            "query.sql:2:8: Rows: column posts: rows in an array have no model; write jsonb_agg(…)",
        ),
        (
            "SELECT array_agg(p) AS posts FROM (SELECT id FROM post) AS p",
            "rows in an array have no model; write jsonb_agg(…)",
        ),
        (
            "SELECT ARRAY(SELECT post FROM post) AS posts",
            "rows in an array have no model; write jsonb_agg(…)",
        ),
    ],
)
def test_rows_in_an_array_are_refused_with_the_cure(
    query: str, message: str, tmp_path: Path
) -> None:
    statement = f"-- name: Rows :many\n{query};\n"
    write_project(tmp_path, query=statement, schema=SCHEMA, options={"package": "gen"})
    done = run(tmp_path, "sqlc", "generate")
    assert message in done.stderr
    assert "second field would be called y_z; rename one: rename: {spot.y_z: …}" in done.stderr


def test_renamed_field_that_is_unknown_is_refused(tmp_path: Path) -> None:
    options = {"package": "gen", "rename": {**RENAME, "spot.z": "nothing"}}
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options=options)
    done = run(tmp_path, "sqlc", "generate")
    assert "no table, column, type, field, value or query is spot.z" in done.stderr


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (
            {"spot.y_z": "depth"},
            "Spot: the field y_z has the name of a column whose field is depth",
        ),
        (
            {"spot.y_z": "yz", "post.id": "mark", "post.mark": "sign"},
            "Post: the field mark has the name of a column whose field is sign; give it another",
        ),
    ],
)
def test_field_with_the_name_of_a_renamed_column_is_refused(
    rename: dict[str, str], message: str, tmp_path: Path
) -> None:
    """Pydantic would read the value of the one as that of the other."""
    options = {"package": "gen", "rename": rename}
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options=options)
    done = run(tmp_path, "sqlc", "generate")
    assert message in done.stderr


def test_columns_called_as_names_of_generated_functions_keep_their_names(tmp_path: Path) -> None:
    names = ["given", "row", "rows", "value", "sequences", "fields"]
    columns = ", ".join(f'"{name}" int' for name in names)
    schema = f"CREATE TABLE item (id int PRIMARY KEY, {columns});"
    quoted = ", ".join(f'"{name}"' for name in names)
    query = f"-- name: FindItem :one\nSELECT {quoted} FROM item WHERE given = @given;\n"
    write_project(tmp_path, query=query, schema=schema, options={"package": "gen"})

    completed = run(tmp_path, "sqlc", "generate")

    assert completed.returncode == 0, completed.stderr
    written = (tmp_path / "gen" / "query.py").read_text()
    assert "given: int) ->" in written
    assert all(f"\n    {name}: int | None" in written for name in names)


def test_renamed_enum_has_its_new_name_in_tables_and_older_views(tmp_path: Path) -> None:
    schema = (
        "CREATE TYPE mood AS ENUM ('good', 'bad');"
        "CREATE TABLE day (id int PRIMARY KEY, mood mood NOT NULL);"
        "CREATE VIEW moods AS SELECT mood FROM day;"
        "ALTER TYPE mood RENAME TO feeling;"
    )
    query = (
        "-- name: ListDays :many\nSELECT mood FROM day WHERE mood = @mood::feeling;\n"
        "-- name: ListMoods :many\nSELECT mood FROM moods;\n"
    )
    write_project(tmp_path, query=query, schema=schema, options={"package": "gen"})

    completed = run(tmp_path, "sqlc", "generate")

    assert completed.returncode == 0, completed.stderr
    written = (tmp_path / "gen" / "query.py").read_text()
    assert "mood: enums.Feeling) -> list[enums.Feeling]" in written
    assert "async def list_moods(db: DBTX, /) -> list[enums.Feeling]" in written
