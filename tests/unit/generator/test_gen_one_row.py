"""Statements of :one that always return a row, and those that may return none."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import one_row
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.sql.statements import parse

INFERENCE = Inference(Schema("public", {}))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM t",
        "select count(*) from t where x = $1",
        "SELECT max(a), min(b) FROM t ORDER BY 1",
        "SELECT coalesce(sum(a), 0) FROM t",
        "WITH x AS (SELECT 1 LIMIT 1) SELECT count(*) FROM x",
        "SELECT 1",
        "SELECT (SELECT count(*) FROM t WHERE x = 1)::bigint",
        "SELECT now()",
        "SELECT EXISTS (SELECT 1 FROM t WHERE id = $1)",
        "SELECT count(*) FILTER (WHERE a) FROM t",
        "INSERT INTO t (a) VALUES ($1) RETURNING a",
        "INSERT INTO t (a) VALUES ($1), ($2) RETURNING a",
        "INSERT INTO t DEFAULT VALUES RETURNING a",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING a",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) WHERE b DO UPDATE SET a = 1 RETURNING a",
        "SELECT count(*) FROM t -- GROUP BY a",
        "SELECT count(*) FROM t WHERE a = 'GROUP BY'",
    ],
)
def test_statement_that_always_returns_a_row(sql: str) -> None:
    assert one_row(INFERENCE, parse(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t",
        "SELECT count(*) FROM t GROUP BY a",
        "SELECT count(*) FROM t HAVING count(*) > 1",
        "SELECT count(*) FROM t LIMIT 1 OFFSET 1",
        "SELECT count(*) OVER () FROM t",
        "SELECT count(*) FILTER (WHERE a) OVER (PARTITION BY b) FROM t",
        "SELECT (SELECT count(*) FROM u) FROM t",
        "SELECT (SELECT count(*) FROM u WHERE u.a = t.a) AS n, 1 FROM t",
        "SELECT 1 WHERE $1",
        "SELECT unnest($1::text[])",
        "SELECT unnest(array_agg(a)) FROM t",
        "SELECT count(*) FROM t UNION SELECT 1",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING RETURNING a",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1 WHERE t.b RETURNING a",
        "INSERT INTO t (a) SELECT a FROM u RETURNING a",
        "UPDATE t SET a = 1 RETURNING a",
        "DELETE FROM t RETURNING count(*)",
        "SELECT 'count(*)' FROM t",
        "SELECT x.count FROM t AS x",
        "VALUES (1)",
    ],
)
def test_statement_that_may_return_no_row(sql: str) -> None:
    assert not one_row(INFERENCE, parse(sql))
