"""Each batch statement is its look-up over arrays of the arguments, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrows.stores._lookup_batches import LOOKUP_BATCHES
from policy.checks.owner_scope import read_queries

ROOT = Path(__file__).parents[2]


def _name(sql: str) -> str:
    """The name of a query, from the first line of its generated SQL."""
    return sql.partition("\n")[0].split()[2]


TEXTS = {
    query.name: query.sql
    for path in sorted((ROOT / "queries").glob("*.sql"))
    for query in read_queries(path)
}
DECLARED = {_name(lookup): _name(batch) for lookup, batch in LOOKUP_BATCHES.items()}
SOURCE = re.compile(
    r"from (?:rows from \((?P<several>unnest\(@\w+::text\[\](?:\), unnest\(@\w+::text\[\])+\))\)"
    r"|(?P<one>unnest\(@\w+::text\[\]\)))"
    r" with ordinality as wanted \((?P<names>[\w, ]+), number\) inner join (?P<table>\w+) on "
)


def normalized(sql: str) -> str:
    """The SQL without comments, line breaks, and names of tables before columns."""
    text = re.sub(r"--.*", "", sql)
    text = re.sub(r"\s+", " ", text).strip().rstrip(";").lower()
    return re.sub(r"\( ", "(", re.sub(r" \)", ")", text))


def without_table(text: str, table: str) -> str:
    return text.replace(f"{table}.", "")


def as_lookup(batch: str) -> str:
    """The look-up that a batch statement runs for each element of its arrays."""
    text = normalized(batch)
    source = SOURCE.search(text)
    assert source is not None, "the arrays of the arguments have to be unnested together"
    arrays = re.findall(r"@(\w+)", source["several"] or source["one"])
    assert arrays == source["names"].split(", "), "an array and its column differ in their name"
    columns, rest = text[: source.start()], text[source.end() :]
    assert columns.endswith(", wanted.number "), "the last column has to be the number"
    condition = rest.replace(" where ", " and ", 1)
    single = f"{columns.removesuffix(', wanted.number ')} from {source['table']} where {condition}"
    return re.sub(r"wanted\.(\w+)", r"@\1", without_table(single, source["table"]))


@pytest.mark.parametrize("name", DECLARED)
def test_batch_statement_has_the_conditions_of_its_lookup(name: str) -> None:
    lookup, batch = normalized(TEXTS[name]), TEXTS[DECLARED[name]]
    table = re.search(r" from (\w+) where ", lookup)
    assert table is not None
    # The casts are those of the arrays in the batch statement.
    plain = without_table(lookup, table[1]).replace("::text", "")
    assert as_lookup(batch).replace("::text", "") == plain


def test_every_batch_statement_is_declared() -> None:
    assert sorted(DECLARED.values()) == sorted(
        name for name, sql in TEXTS.items() if "WITH ORDINALITY AS wanted (" in sql
    )


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        (
            "ON session.id = wanted.id AND session.user_id = wanted.user_id",
            "ON session.id = wanted.id",
        ),
        ("wanted.user_id\n", "ANY(@user_id::text[])\n"),
        ("AS wanted (id, user_id, number)", "AS wanted (user_id, id, number)"),
        ("session.deleted_at IS NULL", "true"),
        ("wanted.number", "1 AS number"),
    ],
)
def test_batch_with_other_conditions_is_detected(written: str, changed: str) -> None:
    assert written in TEXTS["GetSessionBatch"]
    broken = TEXTS["GetSessionBatch"].replace(written, changed)
    try:
        found = as_lookup(broken)
    except AssertionError:
        return
    assert found != without_table(normalized(TEXTS["GetSession"]), "session")
