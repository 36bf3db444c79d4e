"""NOT NULL domains in columns, parameters, casts and joins."""

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

    from pydantic import BaseModel

SCHEMA = """
CREATE DOMAIN label AS text CHECK (value IS NOT NULL OR true) NOT NULL;
CREATE DOMAIN short_label AS label CHECK (length(value) < 9);
CREATE DOMAIN loose AS integer NOT NULL;
ALTER DOMAIN loose DROP NOT NULL;
CREATE DOMAIN strict AS integer;
ALTER DOMAIN strict SET NOT NULL;
CREATE TABLE thing (id int PRIMARY KEY, label label, short short_label, loose loose, strict strict);
CREATE TABLE other (id int PRIMARY KEY, thing_id int);
"""
QUERIES = """
-- name: AddThing :exec
INSERT INTO thing (id, label, short, loose, strict) VALUES (@id, @label, @short, @loose, @strict);
-- name: GetThing :one
SELECT * FROM thing WHERE id = @id;
-- name: Labels :many
SELECT label, upper(label) AS loud, label || @tail AS longer FROM thing;
-- name: Joined :many
SELECT o.id, t.label, t.label::label AS again FROM other AS o LEFT JOIN thing AS t ON t.id = o.id;
-- name: Cast :many
SELECT o.thing_id::strict AS sure, @word::label AS word FROM other AS o;
-- name: Keep :exec
UPDATE thing SET label = coalesce(sqlc.narg(label), label) WHERE id = @id;
"""
SIGNATURES = [
    "id: int, label: str, short: str, loose: int | None, strict: int",
    "word: str",
    "label: str | None = None, id: int",
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options={"package": "gen"})
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path / "gen"
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


async def test_not_null_domain_is_never_none(package: Path, database: str) -> None:
    text = (package / "query.py").read_text()
    assert [each for each in SIGNATURES if f"*, {each}" not in " ".join(text.split())] == []
    queries: Any = importlib.import_module("gen.query")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        await connection.execute("INSERT INTO other VALUES (1, 1), (2, 1)")
        await queries.add_thing(connection, id=1, label="a", short="b", loose=None, strict=3)
        for name in ("label", "short", "strict"):
            values = {"label": "a", "short": "b", "strict": 3, name: None}
            with pytest.raises(asyncpg.NotNullViolationError):
                await queries.add_thing(connection, id=2, loose=1, **values)
        thing: BaseModel = await queries.get_thing(connection, id=1)
        fields = {name: each.annotation for name, each in type(thing).model_fields.items()}
        assert fields == {"id": int, "label": str, "short": str, "loose": int | None, "strict": int}
        assert {each.again for each in await queries.joined(connection)} == {"a", None}
        assert [each.sure for each in await queries.cast(connection, word="w")] == [1, 1]
        await queries.keep(connection, id=1, label=None)
        rows = await queries.labels(connection, tail="!")
        assert [(each.label, each.loud, each.longer) for each in rows] == [("a", "A", "a!")]
    finally:
        await connection.close()
