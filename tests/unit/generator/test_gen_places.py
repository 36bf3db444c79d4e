"""Every error of a query or of the schema begins with its position, `file:line:column`."""

from __future__ import annotations

import ast
import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from golden.golden_cases import run, write_project

from sqlc_gen_asyncpg.__main__ import generate
from sqlc_gen_asyncpg.check.command import capture
from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.sql.alignment import align

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCE: Final = Path(__file__).parents[3] / "src" / "sqlc_gen_asyncpg"
SCHEMA: Final = "CREATE TABLE item (id text PRIMARY KEY, note text, size int, data jsonb);\n"

# Queries with a mark before the position of their problem.
MARKED: Final = {
    "column": "-- name: A :many\nSELECT id,\n  §nope(note) AS x\nFROM item;",
    "column after a star": "-- name: A :many\nSELECT *,\n §nope(1) AS x FROM item AS i;",
    "column after an embed": "-- name: A :many\nSELECT sqlc.embed(i), §nope(1) AS x FROM item i;",
    "column of RETURNING": "-- name: A :one\nDELETE FROM item\n  RETURNING *, §nope(1) AS x;",
    "column of a UNION": "-- name: A :many\nSELECT §nope(1) AS x UNION SELECT 2;",
    "parameter": "-- name: A :many\nSELECT id FROM item\nWHERE nope(§@x) = 1;",
    "second column of a name": "-- name: A :many\nSELECT *,\n  §id FROM item;",
    "parameter as sqlc.arg": (
        "-- name: A :many\nSELECT id FROM item WHERE nope(§sqlc.arg(x)) = 1;"
    ),
    "first use of a parameter": (
        "-- name: A :many\nSELECT id FROM item WHERE §@x IS NULL OR note = @x;"
    ),
    "parameter without a name": (
        "-- name: A :many\nSELECT * FROM item\nWHERE id = ANY(§$1::text[]);"
    ),
    "text beyond ASCII": "-- Größe\n-- name: A :many\nSELECT 'äö'::text AS o, §nope(1) AS x;",
    "directive": "-- name: A :many\n-- A comment.\n§--  py: what\nSELECT id FROM item;",
    "directive above the name": "§-- py: column no text\n-- name: A :many\nSELECT id FROM item;",
    "directive of a parameter": (
        "-- name: A :many\n-- py: param id text\n§-- py: param y text\n"
        "SELECT id FROM item WHERE id = @id;"
    ),
    "type of a directive": "-- name: A :many\n§-- py: column id nope\nSELECT id FROM item;",
    "unused mark of a command": "-- name: A :many\n§-- py: one!\nSELECT id FROM item;",
    "name of a row": "-- name: A :one\n§-- py: row Mine\nSELECT id FROM item;",
    "arrays of a batch": "-- name: A :exec\n§-- py: batch rows Row\nDELETE FROM item;",
    "name that sqlc leaves": "-- name: A :one\nSELECT JSON_VALUE(data, §@path) AS x FROM item;",
    "operator with a name": "-- name: A :one\nSELECT id FROM item\nWHERE note §=@x AND id = @y;",
    "syntax that is not read": (
        "-- name: A :many\nWITH RECURSIVE t AS (SELECT id FROM item UNION ALL SELECT id FROM t)\n"
        "§SEARCH DEPTH FIRST BY id SET o SELECT nope(id) AS y FROM t WHERE id = @id;"
    ),
    "result": "-- x\n\n§-- name: A :execlastid\nDELETE FROM item;",
    "name of a function": (
        "-- name: A :exec\nDELETE FROM item;\n\n§-- name: a :exec\nDELETE FROM item;"
    ),
    "name after a statement": (
        "-- name: B :exec\nDELETE FROM item;§-- name: A :execlastid\nSELECT 1;"
    ),
    "line ends of Windows": "-- name: A :many\r\nSELECT id,\r\n  §nope(1) AS x\r\nFROM item;\r\n",
}


SCHEMAS: Final = {
    "column": "CREATE TABLE item (\n  id int,\n  §spot point);",
    "added column": "CREATE TABLE item (id int);\nALTER TABLE item ADD COLUMN §spot point;",
    "renamed column": "CREATE TABLE item (id int, §b box);\nALTER TABLE item RENAME b TO spot;",
    "renamed table": "CREATE TABLE old (§spot box);\nALTER TABLE old RENAME TO item;",
    "view": "CREATE VIEW §item AS SELECT point(1, 2) AS spot;",
    "table made again": (
        "CREATE TABLE item (spot box);\nDROP TABLE item;\nCREATE TABLE item (§spot box);"
    ),
    "enum": "CREATE TABLE item (id int);\nCREATE TYPE §kind AS ENUM ('a b', 'a-b');",
    "table of the same name": "CREATE TABLE item (id int);\nCREATE TABLE §items (id int);",
}
DELETE: Final = "-- name: A :exec\nDELETE FROM item;"


def numbered(queries: Iterable[str]) -> Iterator[str]:
    """Yield the queries with names of their own."""
    for number, query in enumerate(queries):
        yield re.sub(r"name: (\w)", rf"name: \g<1>{number}", query)


def position(text: str, mark: int) -> str:
    """Return the line and the column of a mark, if all marks are left out of the text."""
    before = text[:mark].replace("§", "")
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The problems by schema, from one run of sqlc; paths are relative to the folder."""
    folder = tmp_path_factory.mktemp("marked")
    folder.joinpath("delete.sql").write_text(DELETE)
    write_project(folder, query=QUERIES.replace("§", ""), schema=SCHEMA, options={"package": "gen"})
    config = json.loads(folder.joinpath("sqlc.json").read_text())
    for number, text in enumerate(SCHEMAS.values()):
        folder.joinpath(f"schema{number}.sql").write_text(text.replace("§", ""))
        entry = copy.deepcopy(config["sql"][0])
        entry |= {"schema": f"schema{number}.sql", "queries": "delete.sql"}
        config["sql"].append(entry)
    folder.joinpath("sqlc.json").write_text(json.dumps(config))
    found: dict[str, list[str]] = {}
    for request in capture(directory=folder):
        with pytest.raises(GeneratorError) as caught:
            generate(request, str(folder))
        (path,) = json.loads(request)["settings"]["schema"]
        found[path] = str(caught.value).replace(f"{folder}/", "").split("\n")
    return found


QUERIES: Final = "\n\n".join(numbered(MARKED.values()))


@pytest.mark.parametrize("kind", MARKED)
def test_problem_of_a_query_names_its_position(kind: str, problems: dict[str, list[str]]) -> None:
    marks = [match.start() for match in re.finditer("§", QUERIES)]
    expected = position(QUERIES, marks[list(MARKED).index(kind)])
    places = [":".join(line.split(":")[:3]) for line in problems["schema.sql"]]
    assert f"query.sql:{expected}" in places


@pytest.mark.parametrize("kind", SCHEMAS)
def test_problem_of_the_schema_names_its_position(
    kind: str, problems: dict[str, list[str]]
) -> None:
    marked = SCHEMAS[kind]
    name = f"schema{list(SCHEMAS).index(kind)}.sql"
    expected = f"{name}:{position(marked, marked.index('§'))}: "
    assert [line.startswith(expected) for line in problems[name]] == [True], problems[name]


def test_every_problem_has_a_position(problems: dict[str, list[str]]) -> None:
    for line in (line for lines in problems.values() for line in lines):
        assert re.match(r"\w+\.sql:\d+:\d+: ", line), line


def test_position_is_relative_to_the_current_folder(tmp_path: Path) -> None:
    project = tmp_path / "db"
    project.mkdir()
    write_project(project, query=MARKED["column"].replace("§", ""), options={"package": "gen"})
    done = run(tmp_path, "sqlc", "generate", "-f", "db/sqlc.json")
    assert done.returncode == 1
    assert "db/query.sql:3:3: A: column x: " in done.stderr


def test_internal_error_names_the_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_comments: object, _layout: object) -> None:
        raise KeyError("x")

    write_project(tmp_path, query=f"\n{DELETE}", options={"package": "gen"})
    (request,) = capture(directory=tmp_path)
    monkeypatch.setattr("sqlc_gen_asyncpg.build.query.parse_comments", fails)
    with pytest.raises(Exception, match=r"query\.sql:2:1: A: internal error: KeyError\('x'\)$"):
        generate(request, str(tmp_path))


def reports() -> Iterator[tuple[str, ast.expr]]:
    """The subject of every problem that the generator reports, with its file and line."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in {"add", "catch"} and "report" in ast.dump(node.func):
                yield f"{path.name}:{node.lineno}", node.args[0]


def test_no_problem_but_those_of_options_is_reported_without_a_place() -> None:
    found = list(reports())
    assert len(found) > 15
    for where, subject in found:
        texts = [part for part in ast.walk(subject) if isinstance(part, ast.Constant)]
        if isinstance(subject, ast.Constant | ast.JoinedStr):
            assert str(texts[0].value).startswith(("options", "models")), where


@pytest.mark.parametrize(
    ("source", "sql", "offset", "expected"),
    [
        ("SELECT @a, @b", "SELECT $1, $2", 11, 11),
        ("SELECT sqlc.narg('a') + 1", "SELECT $1 + 1", 12, 24),
        ("SELECT *, 2 * 3 AS x FROM t", "SELECT a, b, 2 * 3 AS x FROM t", 13, 10),
        ("SELECT t.*, u.*, 1 FROM t", "SELECT t.a, t.b, u.a, u.b, 1 FROM t", 27, 17),
        ("SELECT sqlc.embed(t), @a FROM t", "SELECT t.a, t.b, $1 FROM t", 17, 22),
        ("SELECT /* , */ a -- x\n, b;", "SELECT a , b", 11, 24),
        ("SELECT 'it''s', a", "SELECT 'other', a", 16, 7),
        ("SELECT '", "SELECT 1", 7, None),
        ("", "SELECT 1", 7, None),
    ],
)
def test_token_of_sqlcs_text_is_found_in_the_source(
    source: str, sql: str, offset: int, expected: int | None
) -> None:
    assert align(source, sql).source(offset) == expected


def test_many_problems_of_a_long_query_take_a_short_time(tmp_path: Path) -> None:
    values = ", ".join(f"nope(@p{number})" for number in range(3_000))
    write_project(tmp_path, query=f"-- name: A :many\nSELECT {values};", options={"package": "gen"})
    (request,) = capture(directory=tmp_path)
    with pytest.raises(GeneratorError) as caught:
        generate(request, str(tmp_path))
    assert str(caught.value).count("query.sql:2:") == 6_000
    assert json.loads(request)["queries"]
