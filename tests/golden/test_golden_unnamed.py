"""`unnamed_parameters: number` names every parameter, and its value reaches that parameter."""

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

SCHEMA = "CREATE TABLE item (id bigint PRIMARY KEY, note text, size int NOT NULL, tags text[]);"
QUERIES = """
-- name: Add :exec
INSERT INTO item (id, note, size, tags)
SELECT unnest($1::bigint[]), unnest($2::text[]), unnest($3::int[]), ARRAY['a'];
-- name: Between :many
SELECT id FROM item WHERE size BETWEEN $2 AND $1 AND id = ANY($3::bigint[]) ORDER BY id;
-- name: Search :many
SELECT id FROM item WHERE note LIKE '%' || $1 || '%' AND ($2::text IS NULL OR note <> $2) LIMIT $3;
-- name: Both :many
-- py: param dollar_2 text?
SELECT id FROM item WHERE note IN ($1, $2::text) OR id IN ($3, $4, $3) ORDER BY id;
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    options = {"package": "gen", "unnamed_parameters": "number"}
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options=options)
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path / "gen"
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


async def test_unnamed_parameter_is_named_after_its_number(package: Path, database: str) -> None:
    queries: Any = importlib.import_module(f"{package.name}.query")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        columns = {"dollar_2": ["ab", "bc", "cd"], "dollar_3": [1, 2, 3], "dollar_1": [7, 8, 9]}
        await queries.add(connection, **columns)
        assert await queries.between(connection, size_2=2, size=3, dollar_3=[7, 9]) == [9]
        assert await queries.search(connection, dollar_1="b", dollar_2="ab", limit=5) == [8]
        assert await queries.both(connection, note="ab", dollar_2=None, id=8, id_4=9) == [7, 8, 9]
    finally:
        await connection.close()
