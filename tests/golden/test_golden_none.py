"""An argument may be None where NULL can matter, and the server then stores or compares NULL."""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any, get_type_hints

import asyncpg
import pytest

from golden.golden_cases import run, write_project
from sqlc_gen_asyncpg.build.none_arguments import optional_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE DOMAIN label AS text NOT NULL;
CREATE TYPE spot AS (x int, y int);
CREATE TABLE item (
    id bigint PRIMARY KEY, title text NOT NULL, note text, size int, tags text[],
    spot spot, label label, parent bigint, number serial
);
"""
# A query, and the arguments that may be None; those with a default have a `=`.
QUERIES = {
    "WHERE note = @note OR note LIKE @pattern OR note || @suffix = 'ab'": "",
    "WHERE '%' || @part || '%' LIKE note AND size BETWEEN @low AND @high": "",
    "WHERE note IN (@a, @b) OR (note, size) > (@c, @d) OR size + @e > 1": "",
    "WHERE note = sqlc.narg('note') OR size = sqlc.narg(size)": "note= size=",
    "WHERE number = sqlc.narg('number')::int OR id = @id": "number=",
    "WHERE note IS DISTINCT FROM @note AND @title IS NOT DISTINCT FROM title": "note title",
    "WHERE note = @note OR (note IS NULL AND @note IS NULL)": "note",
    "WHERE note = @note::text OR note IS DISTINCT FROM @note::text": "",
    "WHERE coalesce(@title, title) = coalesce(note, @other)": "title",
    "WHERE title = CASE WHEN @a::bool THEN @b ELSE title END LIMIT @n": "",
}
CHANGES = {
    "INSERT INTO item (id, title, note, tags) VALUES (@id, @title, @note, @tags)": "note tags",
    "INSERT INTO item (id, title, parent) VALUES (@id, @title, @id)": "",
    "INSERT INTO item (id, title, note) SELECT @id, @title, nullif(@note, '')": "note",
    "INSERT INTO item (id, title, note) VALUES (@id, coalesce(@title, 'a'), @note::text)": "title",
    "INSERT INTO item (id, title, note) VALUES (@id, @t, @n) ON CONFLICT (id) DO UPDATE SET"
    " note = coalesce(@m, excluded.note)": "n m",
    "UPDATE item SET title = coalesce(@title, title), note = @note WHERE id = @id": "title note",
    "UPDATE item SET note = CASE WHEN @set::bool THEN @note ELSE note END WHERE id = @id": "note",
    "UPDATE item SET note = lower(@note), size = size + @by, title = @title WHERE id = @id": "",
    "UPDATE item AS i SET note = @note, title = @title, label = @label": "note",
    "UPDATE item SET spot.x = @x, tags[1] = @tag WHERE id = @id": "x tag",
    "UPDATE item SET note = @note WHERE note = @note": "note",
    "UPDATE item SET number = @number, parent = @parent": "parent",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    reads = [f"-- name: Q{i} :many\nSELECT id FROM item {sql};" for i, sql in enumerate(QUERIES)]
    writes = [f"-- name: C{i} :exec\n{sql};" for i, sql in enumerate(CHANGES)]
    write_project(
        tmp_path,
        query="\n".join([*reads, *writes]),
        schema=SCHEMA,
        options={"package": "gen", "omit_unused_models": True},
    )
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


def none_arguments(function: object) -> str:
    """Return the arguments with None in their annotation; a `=` marks a default of None."""
    hints = get_type_hints(function)
    defaults: dict[str, object] = getattr(function, "__kwdefaults__", None) or {}
    names = [name for name in hints if "None" in str(hints[name]) and name != "return"]
    return " ".join(name + ("=" if name in defaults else "") for name in names)


@pytest.mark.usefixtures("package")
async def test_argument_takes_none_only_where_null_matters(database: str) -> None:
    module: Any = importlib.import_module("gen.query")
    expected = {
        **{f"q{i}": (sql, QUERIES[sql]) for i, sql in enumerate(QUERIES)},
        **{f"c{i}": (sql, CHANGES[sql]) for i, sql in enumerate(CHANGES)},
    }
    found = {
        name: (sql, none_arguments(getattr(module, name))) for name, (sql, _) in expected.items()
    }
    assert found == expected
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        await connection.execute("INSERT INTO item (id, title, label) VALUES (1, 'a', 'b')")
        assert await module.q3(connection) == []
        assert await module.q5(connection, note=None, title=None) == []
        assert await module.q6(connection, note=None) == [1]
        await module.c5(connection, title=None, note="n", id=1)
        await module.c9(connection, x=None, tag=None, id=1)
        rows = await connection.fetch("SELECT title, note, tags FROM item")
        assert [tuple(row) for row in rows] == [("a", "n", [None])]
        for name in expected:  # the server accepts every statement
            await connection.prepare(getattr(module, name.upper()))
    finally:
        await connection.close()


OVERRIDES = """
-- name: Values :exec
INSERT INTO item (id, title, note) VALUES (1, 'a', @note::text);
-- name: Select :exec
INSERT INTO item (id, title, note) SELECT id, title, sqlc.narg('note')::text FROM item;
-- name: Batch :exec
INSERT INTO item (id, title, note) SELECT unnest(@id::bigint[]), 'a', unnest(@note::text[]);
-- name: Case :exec
UPDATE item SET note = CASE WHEN @set::boolean THEN @note::text ELSE note END;
-- name: Other :exec
UPDATE item SET note = lower(@note::text), title = @title::text WHERE note = @find::text;
-- name: Both :exec
UPDATE item SET note = @note::text, title = @note::text;
"""


def test_override_follows_a_column_through_casts_and_selects(tmp_path: Path) -> None:
    values = {"name": "Kind", "values": ["a", "b"]}
    overrides = [{"column": "item.note", "enum": values}]
    options = {"package": "gen", "omit_unused_models": True, "overrides": overrides}
    write_project(tmp_path, query=OVERRIDES, schema=SCHEMA, options=options)
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    text = (tmp_path / "gen" / "query.py").read_text()
    signatures = re.findall(r"async def (\w+)\(.*?\*, (.*?)\) -> None", text)
    assert dict(signatures) == {
        "values": "note: enums.OpenKind",
        "select": "note: enums.OpenKind | None = None",
        "batch": "id: Sequence[int], note: Sequence[enums.OpenKind]",
        "case": "set: bool, note: enums.OpenKind",
        "other": "note: str, title: str, find: str",
        "both": "note: str",
    }


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT sqlc.narg('a'), sqlc.narg( b ), SQLC.NARG(C), sqlc . narg(\"D\")", {*"abcD"}),
        ("SELECT 'sqlc.narg(''a'')', $$sqlc.narg('b')$$ -- sqlc.narg('c')", set[str]()),
        ("SELECT sqlc.arg('a'), @b, /* sqlc.narg('c') */ sqlc.narg('größe')", {"größe"}),
    ],
)
def test_names_of_narg_are_read_outside_of_strings_and_comments(sql: str, names: set[str]) -> None:
    assert optional_names(sql) == names
