"""Changes of the schema in their order: names of views' tables, NOT NULL, types and functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from golden.golden_cases import run, write_project

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE SCHEMA app; CREATE TABLE t (id int NOT NULL, b text, c bool NOT NULL);"
VIEW = "CREATE VIEW v AS SELECT id, b, c FROM t;"
ALL_ROWS = "SELECT * FROM {}"
V_COLUMNS = "id: int, b: str | None, c: bool"
FUNCTIONS = (
    "CREATE SCHEMA app; CREATE SCHEMA shop;"
    "CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION shop.f(int) RETURNS text LANGUAGE sql AS 'SELECT $$a$$';"
    "CREATE FUNCTION app.upper(text) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION g(text) RETURNS text LANGUAGE sql AS 'SELECT $$a$$';"
)

# Statements, a query and the fields of its row.
CASES = {
    "column renamed": ("{TABLE}{VIEW}ALTER TABLE t RENAME COLUMN b TO z;", "v", V_COLUMNS),
    "table renamed": ("{TABLE}{VIEW}ALTER TABLE t RENAME TO s;", "v", V_COLUMNS),
    "table moved": ("{TABLE}{VIEW}ALTER TABLE t SET SCHEMA app;", "v", V_COLUMNS),
    "columns swapped": (
        (
            "{TABLE}{VIEW}ALTER TABLE t RENAME b TO d; ALTER TABLE t RENAME c TO b;"
            "ALTER TABLE t RENAME d TO c;"
        ),
        "v",
        V_COLUMNS,
    ),
    "tables swapped": (
        (
            "{TABLE}CREATE TABLE s (id text, b int, c int);{VIEW}ALTER TABLE t RENAME TO x;"
            "ALTER TABLE s RENAME TO t; ALTER TABLE x RENAME TO s;"
        ),
        "v",
        V_COLUMNS,
    ),
    "column added below a star": (
        "{TABLE}CREATE VIEW v AS SELECT * FROM t; ALTER TABLE t ADD COLUMN d int;",
        "v",
        V_COLUMNS,
    ),
    "existing column added": (
        "{TABLE}{VIEW}ALTER TABLE t ADD COLUMN IF NOT EXISTS c bool;",
        "v",
        V_COLUMNS,
    ),
    "schema dropped": (
        (
            "{TABLE}CREATE VIEW app.v AS SELECT max(id) AS id, b FROM t GROUP BY b;"
            "CREATE DOMAIN app.d AS text NOT NULL; DROP SCHEMA IF EXISTS app CASCADE;"
            "CREATE SCHEMA app; CREATE DOMAIN app.d AS text;"
            "CREATE TABLE app.v (id int NOT NULL, b app.d);"
        ),
        "app.v",
        "id: int, b: str | None",
    ),
    "search path set, which sqlc ignores": (
        "CREATE SCHEMA app; SET search_path TO app; CREATE TABLE s (id int NOT NULL, b text);",
        "public.s",
        "id: int, b: str | None",
    ),
    "primary key of an inherited column": (
        "CREATE TABLE s (id int, b text); CREATE TABLE kid (PRIMARY KEY (id)) INHERITS (s);",
        "s",
        "id: int | None, b: str | None",
    ),
    "view renamed and moved": (
        (
            "{TABLE}{VIEW}ALTER VIEW v RENAME TO w; ALTER VIEW w SET SCHEMA app;"
            "ALTER TABLE t RENAME c TO d;"
        ),
        "app.w",
        V_COLUMNS,
    ),
    "view over a renamed view": (
        "{TABLE}{VIEW}CREATE VIEW w AS SELECT id, c FROM v; ALTER VIEW v RENAME TO u;",
        "w",
        "id: int, c: bool",
    ),
    "view replaced below another": (
        (
            "{TABLE}CREATE VIEW v AS SELECT id, c FROM t; CREATE VIEW w AS SELECT id, c FROM v;"
            "CREATE OR REPLACE VIEW v AS SELECT id, nullif(c, true) AS c FROM t;"
        ),
        "w",
        "id: int, c: bool | None",
    ),
    "materialized view": (
        "{TABLE}CREATE MATERIALIZED VIEW v AS SELECT id, c FROM t; ALTER TABLE t RENAME TO s;",
        "v",
        "id: int, c: bool",
    ),
    "view replaced by a table": (
        "{TABLE}{VIEW}DROP VIEW v; CREATE TABLE v (id int NOT NULL, d text NOT NULL);",
        "v",
        "id: int, d: str",
    ),
    "table from a query": (
        (
            "{TABLE}CREATE TABLE v AS SELECT id, c, id + 1.5 AS x FROM t;"
            "ALTER TABLE v ALTER COLUMN c SET NOT NULL;"
        ),
        "v",
        "id: int | None, c: bool, x: Decimal | None",
    ),
    "NOT NULL of a child": (
        (
            "CREATE TABLE v (id int NOT NULL, name text);"
            "CREATE TABLE child (name text NOT NULL, more int) INHERITS (v);"
        ),
        "v",
        "id: int, name: str | None",
    ),
    "child": (
        (
            "CREATE TABLE p (id int NOT NULL, name text);"
            "CREATE TABLE v (name text NOT NULL, more int) INHERITS (p);"
        ),
        "v",
        "id: int, name: str, more: int | None",
    ),
    "domain dropped and created again": (
        (
            "CREATE DOMAIN d AS int NOT NULL; DROP DOMAIN d; CREATE DOMAIN d AS int;"
            "CREATE TABLE v (id int NOT NULL, e d);"
        ),
        "v",
        "id: int, e: int | None",
    ),
    "domain renamed": (
        (
            "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE v (id int NOT NULL, e d);"
            "ALTER DOMAIN d RENAME TO f; ALTER TABLE v ADD COLUMN g f;"
        ),
        "v",
        "id: int, e: int, g: int",
    ),
    "composite type renamed": (
        (
            "CREATE TYPE spot AS (x int, y int); CREATE TABLE t (s spot);"
            "ALTER TYPE spot RENAME TO q; CREATE TABLE u (s q);"
        ),
        "SELECT (t.s).x AS x, (u.s).y AS y FROM t, u",
        "x: int | None, y: int | None",
    ),
    "functions of two schemas": (
        FUNCTIONS,
        "SELECT app.f(1) AS a, shop.f(1) AS b",
        "a: int | None, b: str | None",
    ),
    "function called as a built-in one": (
        FUNCTIONS,
        "SELECT app.upper('a') AS a, upper('a'::text) AS b",
        "a: int | None, b: str",
    ),
    "overload dropped": (
        "{FUNCTIONS}DROP FUNCTION IF EXISTS g(a text) CASCADE;",
        "SELECT g('1') AS a, 1 AS b",
        "a: int | None, b: int",
    ),
    "function renamed and moved": (
        "{FUNCTIONS}ALTER FUNCTION g(int) RENAME TO h; ALTER FUNCTION h(int) SET SCHEMA app;",
        "SELECT app.h(1) AS a, g('a') AS b",
        "a: int | None, b: str | None",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_statements_are_applied_in_their_order(case: str, tmp_path: Path) -> None:
    schema, query, expected = CASES[case]
    schema = schema.format(TABLE=TABLE, VIEW=VIEW, FUNCTIONS=FUNCTIONS)
    query = query if query.startswith("SELECT") else ALL_ROWS.format(query)
    write_project(
        tmp_path,
        schema=schema,
        query=f"-- name: Get :many\n{query};\n",
        options={"package": "gen"},
    )
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    module = tmp_path.joinpath("gen", "query.py").read_text()
    models = tmp_path.joinpath("gen", "models.py").read_text()
    [row] = re.findall(r"-> list\[(?:models\.)?(\w+)\]", module)
    body = re.split(rf"class {row}\(BaseModel\):", module + models)[1].split("\nclass ")[0]
    fields = re.findall(
        r"^    (\w+: [^\n=]+?)(?: = .*)?$", body.split("\nasync def")[0], re.MULTILINE
    )
    assert ", ".join(field for field in fields if "Config" not in field) == expected
