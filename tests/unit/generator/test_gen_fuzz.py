"""Mutated SQL and requests: the generator returns files or raises GeneratorError."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlc_gen_asyncpg.__main__ import generate
from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.schema.ddl import read_text
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT: Final = r"""
SELECT a, count(*) FILTER (WHERE b > $1) OVER w FROM item AS i LEFT JOIN other USING (a)
WHERE a = ANY($2::text[]) GROUP BY ROLLUP (a) WINDOW w AS (PARTITION BY a) LIMIT $3

WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t) SELECT * FROM t,
LATERAL (SELECT CASE WHEN a > 1 THEN 'x' END AS c) AS x ORDER BY a DESC NULLS LAST

INSERT INTO item (a, b) SELECT x.a, (x.r).b FROM unnest($1::text[]) WITH ORDINALITY AS x(a, r)
ON CONFLICT (a) DO UPDATE SET b = excluded.b, c[1] = $2 WHERE item.a IS NOT NULL RETURNING *

UPDATE item SET (a, b) = ($1, DEFAULT) FROM other AS o WHERE o.a = item.a AND
(item.a, item.b) IN (VALUES ('x', 1)) RETURNING item.a || $2 AS "a!", o.*

DELETE FROM ONLY item USING other WHERE EXISTS (SELECT FROM other) RETURNING
ARRAY[[1, 2], [3, 4]], JSON_VALUE(j, '$.a' RETURNING int), E'\'', $$x$$, interval '1' day

CREATE FUNCTION f(a int DEFAULT 1, OUT b text[], VARIADIC c numeric(1, 2)[]) RETURNS TABLE
(x int, y double precision) LANGUAGE sql AS 'x'; CREATE VIEW v (a) AS SELECT 1; CREATE TYPE
p AS (a int, b text COLLATE "C"); CREATE DOMAIN d AS timestamp with time zone[] CHECK (true)
"""
SEEDS: Final = [each.replace("\n", " ").strip() for each in TEXT.split("\n\n")]
PIECES: Final = sorted({token.text for seed in SEEDS for token in tokenize(seed)} - {""})
COLUMN: Final[dict[str, Any]] = {
    "name": "a",
    "type": {"schema": "", "name": "text"},
    "not_null": True,
    "is_array": False,
    "array_dims": 0,
    "table": {"schema": "", "name": "item"},
    "original_name": "a",
}
REQUEST: Final[dict[str, Any]] = {
    "sqlc_version": "v1.31.1",
    "settings": {"engine": "postgresql", "schema": ["schema.sql"]},
    "catalog": {
        "default_schema": "public",
        "schemas": [
            {
                "name": "public",
                "tables": [{"rel": {"name": "item"}, "columns": [COLUMN], "comment": ""}],
                "enums": [{"name": "mood", "vals": ["sad", "ok"], "comment": ""}],
                "composite_types": [{"name": "pair", "comment": ""}],
            }
        ],
    },
    "queries": [
        {
            "name": "GetItem",
            "cmd": ":one",
            "text": SEEDS[0],
            "comments": [" A comment", " py: one!"],
            "filename": "query.sql",
            "params": [{"number": 1, "column": COLUMN}],
            "columns": [COLUMN],
            "insert_into_table": None,
        }
    ],
    "plugin_options": base64.b64encode(b'{"package":"gen"}').decode(),
    "global_options": "",
}


@pytest.fixture(autouse=True, scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with the request's files; without them every request is refused at once."""
    folder = tmp_path_factory.mktemp("project")
    folder.joinpath("schema.sql").write_text(f"{SEEDS[-1]};")
    with contextlib.chdir(folder):
        yield


def test_unchanged_request_is_generated() -> None:
    request = copy.deepcopy(REQUEST)
    request["queries"][0].update(text="SELECT a FROM item WHERE a = $1", comments=[])
    assert b"files" in generate(json.dumps(request).encode())


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A seed with some of its tokens dropped, doubled, swapped or replaced."""
    parts = [each.text for each in tokenize(draw(st.sampled_from(SEEDS)))]
    for _ in range(draw(st.integers(1, 4))):
        here = draw(st.integers(0, len(parts) - 1))
        what = draw(st.sampled_from(["drop", "double", "swap", "put", "cut"]))
        if what == "drop":
            del parts[here]
        elif what == "double":
            parts.insert(here, parts[here])
        elif what == "swap":
            there = draw(st.integers(0, len(parts) - 1))
            parts[here], parts[there] = parts[there], parts[here]
        elif what == "put":
            parts[here] = draw(st.sampled_from(PIECES) | st.text(max_size=4))
        else:
            parts = parts[: here + 1]
        parts = parts or ["SELECT"]
    return " ".join(parts)


def places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a tree of JSON."""
    found = [path] if path else []
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        pairs = list(cast("dict[str | int, Any]", node).items())
    elif isinstance(node, list):
        pairs = list(enumerate(cast("list[object]", node)))
    for key, value in pairs:
        found += places(value, (*path, key))
    return found


NOTHING: Final = object()
PLACES: Final = places(REQUEST)
VALUES: Final = st.sampled_from(
    [
        None,
        "",
        "any",
        "a!",
        ":many",
        "$1",
        "*",
        -1,
        0,
        2**40,
        True,
        1.5,
        [],
        {},
        [None],
        {"name": 1},
    ]
) | st.text(max_size=6)


@settings(max_examples=300, deadline=None)
@given(statements(), st.sampled_from([":one", ":many", ":exec", ":copyfrom", ":batchone"]))
def test_mutated_statement_never_raises_an_internal_error(text: str, cmd: str) -> None:
    request = copy.deepcopy(REQUEST)
    request["queries"][0].update(text=text, cmd=cmd)
    with contextlib.suppress(GeneratorError):
        generate(json.dumps(request).encode())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), VALUES | st.just(NOTHING))
def test_mutated_request_never_raises_an_internal_error(
    path: tuple[str | int, ...], value: object
) -> None:
    request = copy.deepcopy(REQUEST)
    node: Any = request
    for key in path[:-1]:
        node = node[key]
    if value is NOTHING:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    with contextlib.suppress(GeneratorError):
        generate(json.dumps(request).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_never_raise_an_internal_error(raw: bytes) -> None:
    with contextlib.suppress(GeneratorError):
        generate(raw)


@settings(max_examples=300, deadline=None)
@given(statements())
def test_mutated_schema_never_raises_an_internal_error(text: str) -> None:
    with contextlib.suppress(SqlSyntaxError):
        read_text(f"{SEEDS[-1]}; {text}")
