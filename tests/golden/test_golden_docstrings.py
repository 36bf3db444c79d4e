"""Docstrings of queries without a comment state what the function returns, also as None."""

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

SCHEMA = "CREATE TABLE item (id int PRIMARY KEY, note text);"
QUERIES = """
-- name: GetItem :one
SELECT * FROM item WHERE id = @id;
-- name: AddItem :one
INSERT INTO item (id, note) VALUES (@id, @note) RETURNING *;
-- name: GetId :one
SELECT id FROM item WHERE id = @id;
-- name: GetNote :one
SELECT note FROM item WHERE id = @id;
-- name: CountItems :one
SELECT count(*) FROM item;
-- name: LastNote :one
SELECT max(note) FROM item;
-- name: ListItems :many
SELECT * FROM item;
-- name: ListIds :many
SELECT id FROM item;
-- name: ClearItems :exec
UPDATE item SET note = NULL;
-- name: DeleteItems :execrows
DELETE FROM item WHERE id > @id;
-- name: TouchItems :execresult
UPDATE item SET note = note;
-- name: Lock :one
SELECT pg_advisory_lock(@key::bigint);
-- name: CopyItems :copyfrom
INSERT INTO item (id, note) VALUES (@id, @note);
-- name: SetNotes :batchexec
UPDATE item SET note = @note WHERE id = @id;
-- name: StoreItems :batchone
INSERT INTO item (id, note) VALUES (@id, @note)
ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING id;
-- name: StoreNotes :batchone
INSERT INTO item (id, note) VALUES (@id, @note)
ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING note;
-- name: StoreRows :batchone
-- py: one!
UPDATE item SET note = @note WHERE id = @id RETURNING *;
-- name: FindIds :batchone
SELECT id FROM item WHERE note = @note;
-- name: FindRows :batchmany
SELECT * FROM item WHERE note = @note;
-- name: FindNotes :batchmany
SELECT note FROM item WHERE id = @id;
"""
DOCSTRINGS = {
    "get_item": "Run GetItem and return its row, or None if there is none.",
    "add_item": "Run AddItem and return its row.",
    "get_id": "Run GetId and return its value, or None if there is no row.",
    "get_note": "Run GetNote and return its value, or None if it is NULL or there is no row.",
    "count_items": "Run CountItems and return its value.",
    "last_note": "Run LastNote and return its value, or None if it is NULL.",
    "list_items": "Run ListItems and return its rows.",
    "list_ids": "Run ListIds and return its values.",
    "clear_items": "Run ClearItems.",
    "delete_items": "Run DeleteItems and return the number of affected rows.",
    "touch_items": "Run TouchItems and return the status of the command.",
    "lock": "Run Lock.",
    "copy_items": "Run CopyItems with the COPY protocol and return the number of rows.",
    "set_notes": "Run SetNotes for each of the rows, all or none.",
    "store_items": "Run StoreItems once per row and return a value for each.",
    "store_notes": "Run StoreNotes once per row and return a value or None for each.",
    "store_rows": "Run StoreRows once per row and return a row for each.",
    "find_ids": "Run FindIds once per row and return a value or None for each.",
    "find_rows": "Run FindRows once per row and return the rows for each.",
    "find_notes": "Run FindNotes once per row and return the values for each.",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options={"package": "gen"})
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path / "gen"
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


@pytest.mark.usefixtures("package")
def test_docstring_states_the_result_and_the_meaning_of_none() -> None:
    query: Any = importlib.import_module("gen.query")
    assert {name: getattr(query, name).__doc__ for name in DOCSTRINGS} == DOCSTRINGS


async def test_results_are_those_of_the_docstrings(package: Path, database: str) -> None:
    query: Any = importlib.import_module("gen.query")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SCHEMA)
        assert await query.get_item(connection, id=1) is None
        assert await query.last_note(connection) is None
        assert (await query.add_item(connection, id=1, note=None)).id == 1
        assert await query.get_note(connection, id=1) is None
        assert await query.get_note(connection, id=2) is None
        rows = [query.StoreItemsParams(id=1, note="a"), query.StoreItemsParams(id=2)]
        assert await query.store_items(connection, rows=rows) == [1, 2]
        notes = [query.StoreNotesParams(id=1, note="a"), query.StoreNotesParams(id=2)]
        assert await query.store_notes(connection, rows=notes) == ["a", None]
        present = [query.StoreRowsParams(id=2, note="c")]
        assert [row.note for row in await query.store_rows(connection, rows=present)] == ["c"]
        with pytest.raises(LookupError, match="StoreRows returned nothing"):
            await query.store_rows(connection, rows=[query.StoreRowsParams(id=9, note="c")])
    finally:
        await connection.close()
    text = (package / "query.py").read_text()
    assert "def store_items(db: DBTX, /, *, rows: Iterable[StoreItemsParams]) -> list[int]:" in text
    assert "rows: Iterable[StoreRowsParams]) -> list[models.Item]:" in text


def test_private_constants_are_above_the_function_that_uses_them_first(package: Path) -> None:
    text = (package / "query.py").read_text()
    reader = text.index("_read_item: Final = reader(models.Item, ")
    assert text.index("GET_ITEM: Final") < reader < text.index("async def get_item(")
    adapter = text.index("_LIST_OF_INT_ADAPTER: Final[TypeAdapter[list[int]]] = TypeAdapter(")
    assert text.index("LIST_IDS: Final") < adapter < text.index("async def list_ids(")
