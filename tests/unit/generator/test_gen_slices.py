"""What is read off a query's text, on SQL that tries to mislead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlc_gen_asyncpg.build.slices import (
    always_one_row,
    flatten,
    has_outer_join,
    mask,
    result_items,
    rewrite_slices,
    scalars_in_any,
)
from sqlc_gen_asyncpg.errors import Refused


@given(st.text(alphabet=st.sampled_from("a'\"$-/*\\E \n().1x")))
def test_a_mask_is_as_long_as_its_text(sql: str) -> None:
    assert len(mask(sql)) == len(sql)
    assert len(flatten(sql)) == len(sql)


@pytest.mark.parametrize(
    ("sql", "masked"),
    [
        ("a 'b''c' d", "a 000000 d"),
        (r"a E'b\'c' d", "a 0000000 d"),
        (r"a 'b\' d", "a 0000 d"),
        ("a $$ ' $$ d", "a 0000000 d"),
        ("a $x$ $$ $x$ d", "a 0000000000 d"),
        ("a $1 $2", "a $1 $2"),
        ('a "b""c" d', "a qqqqqq d"),
        ("a -- ' b\nc", "a       \nc"),
        ("a /* /* ' */ */ b", "a               b"),
        ("a /* b", "a     "),
        ("nameE'x'", "nameE000"),
    ],
)
def test_literals_and_comments_are_blanked(sql: str, masked: str) -> None:
    assert mask(sql) == masked


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
def test_these_always_have_a_row(sql: str) -> None:
    assert always_one_row(sql)


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
        "SELECT my_function($1)",
        "SELECT unnest(array_agg(a)) FROM t",
        "SELECT count(*) FROM t UNION SELECT 1",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING RETURNING a",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1 WHERE t.b RETURNING a",
        "INSERT INTO t (a) SELECT a FROM u RETURNING a",
        "UPDATE t SET a = 1 RETURNING a",
        "DELETE FROM t RETURNING count(*)",
        "SELECT 'count(*)' FROM t",
        "SELECT x.count FROM t AS x",
        "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE RETURNING a",
        "VALUES (1)",
        "",
    ],
)
def test_these_may_have_none(sql: str) -> None:
    assert not always_one_row(sql)


@pytest.mark.parametrize(
    ("sql", "items"),
    [
        ("SELECT a, b AS c FROM t", ["a", "b AS c"]),
        ("SELECT f(a, b), (SELECT 1, 2) FROM t", ["f(a, b)", "(SELECT 1, 2)"]),
        ("SELECT DISTINCT ON (a, b) c, d FROM t", ["c", "d"]),
        ("SELECT a IS DISTINCT FROM b, c FROM t", ["a IS DISTINCT FROM b", "c"]),
        ("SELECT ALL a", ["a"]),
        ("WITH x AS (SELECT a, b) SELECT c FROM x", ["c"]),
        ("UPDATE t SET a = 1, b = 2 RETURNING a, b", ["a", "b"]),
        ("INSERT INTO t VALUES (1, 2) RETURNING a", ["a"]),
        ("DELETE FROM t", []),
        ("SELECT ARRAY[1, 2], 3", ["ARRAY[1, 2]", "3"]),
        ("SELECT a, ',' FROM t", ["a", "000"]),
    ],
)
def test_the_expressions_of_a_result_are_found(sql: str, items: list[str]) -> None:
    assert result_items(sql) == items


def test_an_outer_join_is_seen_wherever_it_is() -> None:
    assert has_outer_join("SELECT 1 FROM a LEFT JOIN b ON true")
    assert has_outer_join("SELECT 1 FROM a full\n outer join b ON true")
    assert not has_outer_join("SELECT left(a, 1) FROM a JOIN b ON a = 'LEFT JOIN'")


def test_a_parameter_of_any_must_be_an_array() -> None:
    assert scalars_in_any("SELECT 1 WHERE a = ANY($1) AND b <> all ( $2 )", {1}) == [2]
    assert scalars_in_any("SELECT 1 WHERE a = ANY($1::text[])", set()) == []


def test_a_slice_becomes_an_array() -> None:
    sql = "SELECT ' IN ($1)' WHERE a IN ($1) AND b NOT IN ( $2 ) AND c IN ($3)"
    expected = "SELECT ' IN ($1)' WHERE a = ANY($1) AND b <> ALL($2) AND c IN ($3)"
    assert rewrite_slices(sql, {1, 2}) == expected


def test_a_slice_that_does_not_stand_alone_is_refused() -> None:
    with pytest.raises(Refused, match="must stand alone"):
        rewrite_slices("SELECT 1 WHERE a IN ($1, 2)", {1})
