"""Rows inside of JSON are equal to the rows that the driver returns."""

from __future__ import annotations

import importlib
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from golden.golden_cases import CASES_FOLDER, run, write_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

ROWS = r"""
INSERT INTO post VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO reply VALUES (
    10, 1, 'é"\', 12345678901234567890.12345678901234567890, 0.1, '\x00ff5c', '{"\\x01"}',
    '2026-01-02 03:04:05.678901+02', '2026-01-02 03:04:05', '2026-01-02', '03:04:05.5', 0.1,
    '{1.5,NaN}', '00000000-0000-0000-0000-000000000001', 'very happy', '{sad}',
    '{"a": [1, 2.5, null, "x"], "b": {"c": 1e3}}', '(1,2.345678901234567890123)',
    ARRAY[(1, 0.1)::spot, (NULL, NULL)::spot], '10.0.0.1/8', '10.0.0.0/8', 'c'
);
INSERT INTO reply (id, post_id, price, made, local, due, score, data, address) VALUES
    (11, 1, 'NaN', 'infinity', '-infinity', 'infinity', 'Infinity', '"text"', '::1'),
    (12, 2, '-Infinity', '0001-01-01 00:00+00', 'infinity', '-infinity', '-Infinity', '1.5', NULL),
    (13, 2, 100, '9999-12-31 00:00:00.999999+00', NULL, NULL, 3, 'true', '10.0.0.1');
INSERT INTO attachment VALUES (100, 10, 0.30000000000000000001), (101, 10, NULL), (102, 12, 7);
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    """Make the golden packages importable for the time of a test."""
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    yield
    for name in [each for each in sys.modules if each.startswith("gen_")]:
        del sys.modules[name]


@pytest_asyncio.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    await connection.execute((CASES_FOLDER / "nested" / "schema.sql").read_text())
    await connection.execute(ROWS)
    yield connection
    await connection.close()


def shown(value: object) -> str:
    """Return a value's text, in which NaN equals NaN."""
    return repr(value)


async def test_nested_rows_equal_the_rows_of_the_driver(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    posts: Any = importlib.import_module("gen_nested.posts")
    await db.execute("SET timezone TO 'Asia/Kolkata'")
    replies = await posts.all_replies(db)
    assert len(replies) == 4
    expected = [
        [reply for reply in replies if reply.post_id == 1],
        [reply for reply in replies if reply.post_id == 2],
        [],
    ]
    found = await posts.list_posts(db)
    assert [post.title for post in found] == ["one", "two", "three"]
    assert shown([post.replies for post in found]) == shown(expected)
    assert shown(await posts.list_replies(db)) == shown(replies)
    assert shown(await posts.find_replies(db, id=1)) == shown(expected[0])
    assert await posts.find_replies(db, id=3) is None
    assert shown(await posts.collect_replies(db, post_id=2)) == shown(expected[1])
    assert await posts.collect_replies(db, post_id=3) == []
    declared = await posts.list_declared(db)
    assert shown([post.replies for post in declared]) == shown(expected)
    assert shown([post.first for post in declared]) == shown([replies[0], replies[2], None])
    assert [str(each.weight) for each in declared[0].lightest] == [
        "0.30000000000000000001",
        "None",
    ]
    keys = [posts.RepliesOfParams(post_id=1), posts.RepliesOfParams(post_id=3)]
    assert shown(await posts.replies_of(db, rows=keys)) == shown([expected[0], []])
    assert shown(await posts.rows_of(db, rows=keys)) == shown([expected[0], []])


async def test_row_without_a_match_is_none_inside_of_a_list(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    posts: Any = importlib.import_module("gen_nested.posts")
    found = await posts.list_unfiltered(db)
    assert [[each and each.id for each in row.replies] for row in found] == [
        [10, 11],
        [12, 13],
        [None],
    ]
    assert found[2].post.title == "three"
    async with db.transaction():
        assert shown([row async for row in posts.iter_list_unfiltered(db)]) == shown(found)


async def test_rows_are_nested_in_nested_rows(db: asyncpg.Connection[asyncpg.Record]) -> None:
    posts: Any = importlib.import_module("gen_nested.posts")
    first, second, third = await posts.list_trees(db)
    assert [str(each.price) for each in first.answers] == [
        "12345678901234567890.12345678901234567890",
        "NaN",
    ]
    weights = [[each.weight for each in answer.attachments] for answer in second.answers]
    assert weights == [[7], []]
    assert str(first.answers[0].attachments[0].weight) == "0.30000000000000000001"
    assert third.answers == []
    deep = await posts.deep(db)
    weights = [
        [each.rows and [item.weight for item in each.rows] for each in row.rows] for row in deep
    ]
    assert weights == [[[Decimal("0.30000000000000000001"), None], None], [[7], None], []]
    assert deep[1].rows[0].rows[0].class_ == 102


async def test_second_column_of_a_name_gets_a_number(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    posts: Any = importlib.import_module("gen_nested.posts")
    pairs = sorted((pair.id, pair.id_2, pair.id_3) for pair in await posts.pairs(db))
    assert pairs == [(1, 100, 10), (1, 101, 10), (2, 102, 12)]
    alone = await posts.json_alone(db)
    assert alone[0].bodies == ['é"\\', None, None, None]


async def test_bytes_in_another_format_are_refused(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    posts: Any = importlib.import_module("gen_nested.posts")
    await db.execute("SET bytea_output TO escape")
    with pytest.raises(ValueError, match="must be in the format hex"):
        await posts.list_posts(db)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("column rows models.Item[]", "a codec for json returns numeric as float"),
        ("column rows models.Spotted[]", "there is no Python type for point"),
        ("column rows models.Item[][]", "is one object or an array of objects"),
        ("column id models.Item", "is read from json, jsonb or text, not from int4"),
    ],
)
def test_rows_that_json_cannot_contain_are_refused(line: str, message: str, tmp_path: Path) -> None:
    write_project(
        tmp_path,
        schema="CREATE TABLE item (id int PRIMARY KEY, price numeric);"
        "CREATE TABLE spotted (id int, spot point);",
        query=f"-- name: Q :many\n-- py: {line}\nSELECT id, jsonb_agg(item) AS rows FROM item"
        " GROUP BY id;",
        options={"package": "gen", "json": "codec", "omit_unused_models": True},
    )
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 1
    assert message in completed.stderr
