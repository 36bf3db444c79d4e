"""`sqlc-gen-asyncpg check`: silent where the server agrees, exit code 1 and a line where not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from golden.cases import BIN, EMBEDDED_CASES, HERE, write_project
from sqlc_gen_asyncpg.check import main

ROOT = Path(__file__).parents[2]
SCHEMA = """
CREATE TABLE item (
    id serial PRIMARY KEY, note text NOT NULL, size int, made timestamptz NOT NULL DEFAULT now()
);
"""
QUERIES = """
-- name: GetItem :one
SELECT * FROM item WHERE id = @id;
-- name: Sizes :many
SELECT size FROM item WHERE note = @note;
"""


def execute(dsn: str, sql: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(BIN), prepend=":")


@pytest.fixture
def project(tmp_path: Path) -> str:
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options={"package": "gen"})
    return str(tmp_path / "sqlc.json")


@pytest.mark.parametrize("case", EMBEDDED_CASES)
def test_the_golden_packages_hold_on_the_server(
    case: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, (HERE / case / "schema.sql").read_text())
    status = main(["--dsn", database, "--file", str(HERE / case / "sqlc.yaml")])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.endswith("queries checked, 0 contradicted\n")


def test_the_projects_own_queries_hold_on_the_server(
    migrated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--dsn", migrated, "--file", str(ROOT / "sqlc.yaml")])
    assert status == 0, capsys.readouterr().out


def test_what_the_server_has_otherwise_is_named(
    project: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, SCHEMA)
    execute(
        database,
        "ALTER TABLE item ALTER note DROP NOT NULL, ALTER size TYPE numeric, DROP made",
    )
    assert main(["--dsn", database, "--file", project]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "table item: column note is NOT NULL in the schema's files, but not on the server",
        'query.sql: GetItem: the server refuses it: column "made" does not exist',
        "query.sql: Sizes: the result is int | None, the server has numeric",
        "2 queries checked, 3 contradicted",
    ]


def test_no_server_is_another_exit_code(project: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dsn", "postgresql://127.0.0.1:1/none", "--file", project]) == 2
    assert "cannot connect" in capsys.readouterr().err


def test_what_is_refused_is_another_exit_code(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, query="-- name: A :one\nSELECT $1::text;", options={"package": "gen"})
    assert main(["--dsn", database, "--file", str(tmp_path / "sqlc.json")]) == 2
    assert "query.sql: A: " in capsys.readouterr().err
