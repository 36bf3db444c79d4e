"""Each batch statement is its look-up for each element of the arrays, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from agentrows import gen
from agentrows.gen.sessions import GET_SESSION, GET_SESSION_BATCH
from agentrows.stores._lookup_batches import LOOKUP_BATCHES

BATCH = re.compile(
    r"-- name: (?P<name>\w+)Batch :many\n"
    r"SELECT found\.\*, wanted\.number\n"
    r"FROM ROWS FROM \((?P<arrays>unnest\(\$1::\w+\[\]\)(?:, unnest\(\$\d+::\w+\[\]\))*)\)\n"
    r"WITH ORDINALITY AS wanted \((?P<columns>(?:arg\d+, )+)number\)\n"
    r"CROSS JOIN LATERAL \(\n(?P<lookup>.*)\n\) AS found",
    re.DOTALL,
)


def _name(sql: str) -> str:
    """The name of a query, from the first line of its generated SQL."""
    return sql.partition("\n")[0].split()[2]


def as_lookup(batch: str) -> str:
    """The look-up that a batch statement runs for each element of its arrays.

    The arrays are read side by side, so the values of one row of `wanted` are those of one caller.
    """
    parts = BATCH.fullmatch(batch)
    assert parts is not None, "it is no look-up for each row of the arrays"
    numbers = re.findall(r"\$(\d+)", parts["arrays"])
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert re.findall(r"arg(\d+)", parts["columns"]) == numbers, "columns and arrays differ"
    assert "$" not in parts["lookup"], "the look-up uses an array, not an element of it"
    single = re.sub(r"\bwanted\.arg(\d+)\b", r"$\1", parts["lookup"])
    return f"-- name: {parts['name']} :one\n{single}"


@pytest.mark.parametrize(
    ("lookup", "batch"), LOOKUP_BATCHES.items(), ids=map(_name, LOOKUP_BATCHES)
)
def test_batch_statement_is_its_lookup_over_arrays(lookup: str, batch: str) -> None:
    assert as_lookup(batch) == lookup


def test_every_declared_lookup_may_run_in_a_batch() -> None:
    modules = [
        importlib.import_module(f"{gen.__name__}.{module.name}")
        for module in pkgutil.iter_modules(gen.__path__)
    ]
    declared = [getattr(module, "LOOKUP_BATCHES", {}) for module in modules]
    assert {key: each[key] for each in declared for key in each} == LOOKUP_BATCHES


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("user_id = wanted.arg2", "user_id IS NOT NULL"),
        ("user_id = wanted.arg2", "user_id = ANY($2::text[])"),
        ("user_id = wanted.arg2", "user_id = wanted.arg1"),
        ("wanted (arg1, arg2, number)", "wanted (arg2, arg1, number)"),
        ("FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]))", "FROM unnest($1::text[])"),
        ("deleted_at IS NULL", "true"),
        ("wanted.number", "1 AS number"),
    ],
)
def test_batch_with_other_conditions_is_detected(written: str, changed: str) -> None:
    assert written in GET_SESSION_BATCH
    broken = GET_SESSION_BATCH.replace(written, changed)
    try:
        found = as_lookup(broken)
    except AssertionError:
        return
    assert found != GET_SESSION
