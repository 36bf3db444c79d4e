"""Arguments of generated functions never hide a name that the body uses."""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from golden.golden_cases import run, write_project
from sqlc_gen_asyncpg import name_rules, naming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, at timestamptz, tags text[]);
"""
ROWS = "INSERT INTO t VALUES (1, 'a', now(), '{x}'), (2, 'b', now(), '{}')"
QUERIES = """
-- name: STATUS :many
SELECT id FROM t WHERE name = sqlc.arg('STATUS')::text;
-- name: GetIt :one
SELECT t.* FROM t WHERE name = sqlc.arg('GET_IT')::text AND id = @affected::int;
-- name: GetRow :one
SELECT t.* FROM t WHERE name = sqlc.arg('_read_t')::text AND name <> sqlc.arg('_READ_T')::text;
-- name: Ids :many
-- py: iterator
SELECT id FROM t WHERE id > sqlc.arg('_LIST_OF_INT_ADAPTER')::int
    AND id > sqlc.arg('_INT_ADAPTER')::int AND id > sqlc.arg('IDS')::int;
-- name: Touch :execrows
UPDATE t SET at = sqlc.arg('require_aware')::timestamptz WHERE id = sqlc.arg('TOUCH')::int
    AND id < sqlc.arg('status')::int AND id < sqlc.arg('__debug__')::int;
-- name: CountAll :one
SELECT count(*) FROM t WHERE name <> sqlc.arg('COUNT_ALL')::text AND id < @required::int;
-- name: AddAll :exec
-- py: batch items NewRow
INSERT INTO t (id, name) SELECT unnest(sqlc.arg('ADD_ALL')::int[]), unnest(@zip::text[]);
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_project(
        tmp_path,
        query=QUERIES,
        schema=SCHEMA.split("INSERT", maxsplit=1)[0],
        options={"package": "gen"},
    )
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path / "gen"
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


def hidden_names(module: str) -> set[str]:
    """Return the arguments of a module's functions that are names of the module or builtins."""
    tree = ast.parse(module)
    top: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                top |= {each.asname or each.name for each in names}
            case ast.AnnAssign(target=ast.Name(name)):
                top.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                top.add(name)
            case _:
                pass
    hidden: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef):
            arguments = {
                each.arg
                for each in (*node.args.posonlyargs, *node.args.kwonlyargs)
                if each.arg != "db"
            }
            called = {
                each.func.id
                for statement in node.body
                for each in ast.walk(statement)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            }
            constants = {each for each in top if each.upper() == each}
            hidden |= arguments & (called | constants)
    return hidden


def test_argument_names_never_hide_the_statement(package: Path) -> None:
    assert hidden_names(package.joinpath("query.py").read_text()) == set()


@pytest.mark.usefixtures("package")
async def test_argument_value_is_not_run_as_sql(database: str) -> None:
    query: Any = importlib.import_module("gen.query")
    connection: Any = await asyncpg.connect(database)
    try:
        await connection.execute(f"{SCHEMA}{ROWS}")
        assert await query.status(connection, STATUS_="a") == [1]
        attack = "DELETE FROM t WHERE name <> $1 RETURNING id"
        assert await query.status(connection, STATUS_=attack) == []
        assert await query.count_all(connection, COUNT_ALL_=attack, required_=9) == 2
        assert (await query.get_it(connection, GET_IT_="a", affected_=1)).name == "a"
        assert (await query.get_row(connection, _read_t_="a", _READ_T_="b")).id == 1
        assert await query.ids(connection, _LIST_OF_INT_ADAPTER_=0, _INT_ADAPTER_=1, IDS_=0) == [2]
        await query.add_all(connection, items=[])
        async with connection.transaction():
            rows = query.iter_ids(connection, _LIST_OF_INT_ADAPTER_=0, _INT_ADAPTER_=0, IDS_=0)
            assert [each async for each in rows] == [1, 2]
    finally:
        await connection.close()


def test_names_used_in_generated_bodies_are_unavailable_to_arguments(
    expected_packages: Path,
) -> None:
    """A new function in a template must be added to name_rules.BODY_NAMES."""
    unknown: set[str] = set()
    for path in expected_packages.rglob("*.py"):
        text = path.read_text()
        for node in ast.parse(text).body if "DO NOT EDIT" in text else ():
            if isinstance(node, ast.AsyncFunctionDef) and path.stem != "pgcopy":
                unknown |= free_names(node)
    plain = {each for each in unknown if not name_rules.is_private(each) and each.upper() != each}
    of_rows = {"copied", "tuples"}  # only in functions with the one argument `rows`
    assert plain - of_rows <= name_rules.BODY_NAMES
    assert {"affected", "required", "require_aware"} <= plain


def free_names(function: ast.AsyncFunctionDef) -> set[str]:
    """Return the names that a body reads and does not bind."""
    names = [
        each
        for statement in function.body
        for each in ast.walk(statement)
        if isinstance(each, ast.Name)
    ]
    bound = {each.id for each in names if isinstance(each.ctx, ast.Store)}
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    bound |= {each.arg for each in every}
    return {each.id for each in names if each.id not in bound}


def test_builtins_that_no_body_calls_are_allowed_as_arguments() -> None:
    for name in ("id", "type", "format"):
        assert hasattr(builtins, name)
        assert naming.argument_name(name, "SQL") == name
