"""Assigned elements, slices and fields; matrices; the ranges of a multirange."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from golden.golden_cases import run, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TYPE address AS (street text, codes integer[]);
CREATE TABLE place (
    id int PRIMARY KEY, nums int[], matrix int[][], home address, spans int4multirange, note text
);
"""
QUERIES = """
-- name: SetParts :one
UPDATE place SET nums[@at] = @num, nums[2:@upto] = @nums, home.street = @street
WHERE id = @id RETURNING nums;
-- name: AddPlace :one
INSERT INTO place (id, home) VALUES (@id, @home)
ON CONFLICT (id) DO UPDATE SET home.codes[@at] = @code RETURNING home;
-- name: OfMatrix :many
SELECT id FROM place WHERE matrix = @matrix;
-- name: Spans :many
SELECT unnest(spans) AS span FROM place;
-- name: Notes :one
SELECT JSON_ARRAY(SELECT p.note FROM place AS p WHERE p.id > 1) AS notes;
-- name: Deep :one
SELECT matrix || ARRAY[[4]] AS more, array_append(nums, 1) AS flat, max(matrix) OVER () AS top,
    (SELECT array_agg(p.nums) FROM place AS p) AS agg, array_agg(ARRAY[note, 'a']) OVER () AS pairs
FROM place;
-- name: Sample :many
SELECT id FROM place TABLESAMPLE bernoulli (@percent) REPEATABLE (@seed);
"""
SIGNATURES = [
    "at: int, num: int | None, upto: int, nums: Sequence[int] | None, street: str | None",
    "id: int, home: models.Address | None, at: int, code: int | None",
    "matrix: Sequence[Sequence[int]])",
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


async def test_elements_slices_and_fields_are_set_and_read(package: Path, database: str) -> None:
    text = " ".join((package / "query.py").read_text().replace(",\n)", "\n)").split())
    assert [each for each in SIGNATURES if each not in text] == []
    queries: Any = importlib.import_module("gen.query")
    models: Any = importlib.import_module("gen.models")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        await connection.execute(
            "INSERT INTO place VALUES (1, '{1,2,3}', '{{1},{2}}', NULL, '{[1,3),[5,6)}', NULL)"
        )
        await connection.set_type_codec(
            "json", schema="pg_catalog", encoder=str, decoder=json.loads
        )
        nums = await queries.set_parts(
            connection, at=1, num=7, upto=3, nums=[8, 9], street="a", id=1
        )
        assert nums == [7, 8, 9]
        home = models.Address(street="b", codes=None)
        changed = await queries.add_place(connection, id=1, home=home, at=1, code=5)
        assert changed == models.Address(street="a", codes=[5])
        assert await queries.of_matrix(connection, matrix=[[1], [2]]) == [1]
        assert [(each.lower, each.upper) for each in await queries.spans(connection)] == [
            (1, 3),
            (5, 6),
        ]
        assert await queries.notes(connection) is None
        deep = await queries.deep(connection)
        assert deep.model_dump() == {
            "more": [[1], [2], [4]],
            "flat": [7, 8, 9, 1],
            "top": [[1], [2]],
            "agg": [[7, 8, 9]],
            "pairs": [[None, "a"]],
        }
        assert await queries.sample(connection, percent=100.0, seed=1.0) == [1]
    finally:
        await connection.close()
