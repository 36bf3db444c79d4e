"""`sqlc-gen-asyncpg check` exits with 1 and a line for each difference from the server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from golden.golden_cases import BIN, CASES_FOLDER, EMBEDDED_CASES, run, write_project
from sqlc_gen_asyncpg.check.command import check
from support.postgres import SUPERUSER, as_role

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
    async def send() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(send())


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(BIN), prepend=":")


@pytest.fixture
def project(tmp_path: Path) -> str:
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options={"package": "gen"})
    return str(tmp_path / "sqlc.json")


@pytest.mark.parametrize("case", EMBEDDED_CASES)
def test_check_accepts_the_golden_packages(
    case: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, (CASES_FOLDER / case / "schema.sql").read_text())
    status = check(["--dsn", database, "--file", str(CASES_FOLDER / case / "sqlc.yaml")])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.endswith("queries checked, 0 problems\n")


def test_check_accepts_the_projects_own_queries(
    migrated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (ROOT / "queries" / "foreign").glob("*.sql"):
        execute(as_role(migrated, SUPERUSER), path.read_text())
    status = check(["--dsn", migrated, "--file", str(ROOT / "sqlc.yaml")])
    assert status == 0, capsys.readouterr().out


def test_check_reports_differences_from_the_schema(
    project: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, SCHEMA)
    execute(
        database,
        "ALTER TABLE item ALTER note DROP NOT NULL, ALTER size TYPE numeric, DROP made",
    )
    queries = Path(project).with_name("query.sql")
    assert check(["--dsn", database, "--file", project]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "table item: column note is NOT NULL in the schema's files, but not on the server",
        f'{queries}:2:1: GetItem: the server refuses it: column "made" does not exist',
        f"{queries}:4:1: Sizes: the result is int | None, the server has numeric",
        "2 queries checked, 3 problems",
    ]


VIEWED = """
CREATE SCHEMA app;
CREATE DOMAIN label AS text NOT NULL;
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE TABLE app.thing (id int PRIMARY KEY, label label, mood app.mood);
CREATE TABLE other (id int NOT NULL, thing_id int NOT NULL);
CREATE VIEW app.seen AS SELECT t.id, upper(t.label) AS loud, count(*) OVER () AS n, o.id AS other
FROM app.thing AS t JOIN other AS o ON o.thing_id = t.id;
"""


def test_check_reports_differences_in_nulls_and_enum_values(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "-- name: Seen :many\nSELECT * FROM app.seen;"
    write_project(tmp_path, query=query, schema=VIEWED, options={"package": "gen"})
    arguments = ["--dsn", database, "--file", str(tmp_path / "sqlc.json")]
    execute(database, VIEWED)
    assert check(arguments) == 0, capsys.readouterr().out
    execute(
        database,
        VIEWED[VIEWED.index("CREATE VIEW") :]
        .replace(" JOIN", " LEFT JOIN")
        .replace("CREATE", "CREATE OR REPLACE"),
    )
    for statement in (
        "ALTER DOMAIN label DROP NOT NULL",
        "ALTER TYPE app.mood ADD VALUE 'calm'",
        "ALTER TYPE app.mood RENAME VALUE 'sad' TO 'low'",
    ):
        execute(database, statement)
    capsys.readouterr()
    assert check(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        "table app.thing: column label is NOT NULL in the schema's files, but not on the server",
        "view app.seen: column other is never NULL by the schema's files, but may be on the server",
        "enum app.mood: the server has 'low' too",
        "enum app.mood: the server has 'calm' too",
        "enum app.mood: the server has no 'sad'",
        "1 queries checked, 5 problems",
    ]


def test_check_without_server_has_its_own_exit_code(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(["--dsn", "postgresql://127.0.0.1:1/none", "--file", project]) == 2
    assert "cannot connect" in capsys.readouterr().err


def test_check_of_a_refused_query_has_its_own_exit_code(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, query="-- name: A :one\nSELECT $1::text;", options={"package": "gen"})
    assert check(["--dsn", database, "--file", str(tmp_path / "sqlc.json")]) == 2
    assert "query.sql:2:8: A: " in capsys.readouterr().err


@pytest.mark.parametrize("form", ['"{}"', "'{}'", "{}"])
def test_check_finds_the_plugin_by_its_path(
    form: str, project: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, SCHEMA)
    config = Path(project)
    yaml = config.with_name("sqlc.yaml")
    path = f"cmd: {form.format(BIN / 'sqlc-gen-asyncpg')}, "
    yaml.write_text(config.read_text().replace('"cmd": "sqlc-gen-asyncpg", ', path))
    assert path in yaml.read_text()
    assert check(["--dsn", database, "--file", str(yaml)]) == 0, capsys.readouterr()
    assert sorted(each.name for each in config.parent.iterdir()) == [
        "query.sql",
        "schema.sql",
        "sqlc.json",
        "sqlc.yaml",
    ]


def test_check_reports_a_configuration_without_the_plugin(
    project: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(project)
    other = config.with_name("other")
    other.write_text("#!/bin/sh\necho '{}'\n")
    other.chmod(0o755)
    config.write_text(config.read_text().replace('"sqlc-gen-asyncpg"', f'"{other}"'))
    assert check(["--dsn", database, "--file", project]) == 2
    assert "no plugin whose cmd is sqlc-gen-asyncpg or a path to it" in capsys.readouterr().err


DOMAINS = """
CREATE DOMAIN mail AS text;
CREATE DOMAIN work_mail AS mail;
CREATE TABLE person (id int PRIMARY KEY, mail mail NOT NULL, other work_mail[] NOT NULL);
"""


def test_check_accepts_arrays_of_domains_as_arrays_of_base_types(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = """
-- name: Mails :many
SELECT array_agg(mail) AS mails, other FROM person WHERE mail = ANY(@mails::mail[]) GROUP BY id;
"""
    write_project(tmp_path, query=query, schema=DOMAINS, options={"package": "gen"})
    arguments = ["--dsn", database, "--file", str(tmp_path / "sqlc.json")]
    execute(database, DOMAINS)
    assert check(arguments) == 0, capsys.readouterr().out
    execute(database, "ALTER TABLE person DROP mail, ADD mail int NOT NULL")
    execute(
        database, "CREATE DOMAIN size AS int; ALTER TABLE person ALTER other TYPE size[] USING '{}'"
    )
    assert check(arguments) == 1


def test_fresh_needs_no_database_and_finds_drift_and_orphans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options={"package": "gen"})
    arguments = ["--fresh", "--file", str(tmp_path / "sqlc.json")]
    package = tmp_path / "gen"
    assert check(arguments) == 1
    assert not package.exists()
    assert f"{package}/query.py: it is missing; run sqlc generate" in capsys.readouterr().out

    assert run(tmp_path, "sqlc", "generate").returncode == 0
    assert check(arguments) == 0
    assert capsys.readouterr().out == "4 files checked, 0 problems\n"

    orphan = package / "old.py"
    orphan.write_bytes((package / "query.py").read_bytes())
    (package / "notes.py").write_text("# Written by hand.\n")
    (package / "models.py").write_bytes(b"x" + (package / "models.py").read_bytes())
    assert check(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{package}/models.py: it differs; run sqlc generate",
        f"{package}/old.py: no query file produces it; delete it",
        "4 files checked, 2 problems",
    ]


def test_fresh_and_dsn_are_checked_together(
    project: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, SCHEMA)
    assert run(Path(project).parent, "sqlc", "generate").returncode == 0
    assert check(["--fresh", "--dsn", database, "--file", project]) == 0
    assert capsys.readouterr().out == "4 files and 2 queries checked, 0 problems\n"


def test_check_writes_nothing_of_other_plugins(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(project)
    settings = json.loads(config.read_text())
    settings["sql"][0]["gen"] = {"go": {"package": "db", "out": "go"}}
    config.write_text(json.dumps(settings))
    assert run(config.parent, "sqlc", "generate").returncode == 0
    module = config.with_name("go") / "query.sql.go"
    module.write_text("// changed\n")
    assert check(["--fresh", "--file", project]) == 0, capsys.readouterr().err
    assert module.read_text() == "// changed\n"
