"""Masks of SQL that tries to mislead, and the rewriting of `sqlc.slice`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlc_gen_asyncpg.build.slices import mask, rewrite_slices
from sqlc_gen_asyncpg.errors import Refused


@given(st.text(alphabet=st.sampled_from("a'\"$-/*\\E \n().1x")))
def test_mask_is_as_long_as_its_text(sql: str) -> None:
    assert len(mask(sql)) == len(sql)


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
def test_mask_blanks_literals_and_comments(sql: str, masked: str) -> None:
    assert mask(sql) == masked


def test_slice_in_in_becomes_any() -> None:
    sql = "SELECT ' IN ($1)' WHERE a IN ($1) AND b NOT IN ( $2 ) AND c IN ($3)"
    expected = "SELECT ' IN ($1)' WHERE a = ANY($1) AND b <> ALL($2) AND c IN ($3)"
    assert rewrite_slices(sql, {1, 2}) == expected


def test_slice_beside_another_value_is_refused() -> None:
    with pytest.raises(Refused, match="must be alone"):
        rewrite_slices("SELECT 1 WHERE a IN ($1, 2)", {1})
