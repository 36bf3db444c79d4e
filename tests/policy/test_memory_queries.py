"""The queries of both tables of memories have the same filters, except for stated differences."""

from __future__ import annotations

import re
from typing import Final

import pytest

from agentrows.migrate.memory_indexes import load_memory_indexes
from agentrows.stores._indexed_searches import INDEXED_SEARCHES
from policy.checks import memory_searches
from policy.test_house_rules import ROOT, sql_of

# Text in queries/memory.sql, and the text that queries/own_memories.sql has in its place.
DIFFERENCES: Final = (
    (
        (
            "replace(agent_name, '-', '_') = replace(@agent_name::text, '-', '_') "
            "AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'))"
        ),
        "agent_name = @agent_name::text AND model = @model::text",
    ),
    (
        "agent_name IN (@agent_name::text, replace(@agent_name, '-', '_'))",
        "agent_name = @agent_name::text AND model = @model::text",
    ),
    (
        "agent_name IN (@agent_name, replace(@agent_name, '-', '_'))",
        "agent_name = @agent_name::text AND model = @model::text",
    ),
    (
        "agent_name IN (excluded.agent_name, replace(excluded.agent_name, '-', '_'))",
        "agent_name = excluded.agent_name",
    ),
    (
        "memory.id = expired.id",
        "memory.id = expired.id AND memory.model = expired.model",
    ),
    # NOT NULL on the table of this project.
    ("(coalesce(created_at, '-infinity'::timestamptz), id)", "(created_at, id)"),
)
PAIRS: Final = {
    "UpsertMemory": "UpsertOwnMemory",
    "UpsertMemories": "UpsertOwnMemories",
    "ListMemories": "ListOwnMemories",
    "GetMemory": "GetOwnMemory",
    "CountMemories": "CountOwnMemories",
    "DeleteMemory": "DeleteOwnMemory",
    "DeleteMemories": "DeleteOwnMemories",
    "PruneMemories": "PruneOwnMemories",
}
SEARCHES: Final = {
    "SearchMemories": "SearchOwnMemories",
    "SearchAndTouchMemories": "SearchAndTouchOwnMemories",
}
END: Final = re.compile(r"\b(?:ORDER BY|LIMIT|OFFSET|RETURNING|FOR (?:NO KEY )?UPDATE)\b|;")


def one_line(sql: str) -> str:
    """Return SQL with single spaces, and none inside of parentheses."""
    return " ".join(re.sub(r"(?<=\()\s+|\s+(?=\))", "", sql).split())


def filters(sql: str) -> list[str]:
    """Return the condition of each WHERE of a statement, with single spaces."""
    text = one_line(sql)
    starts = [match.end() for match in re.finditer(r"\bWHERE ", text)]
    return [text[start : _end(text, start)].strip() for start in starts]


def _end(text: str, start: int) -> int:
    """Return where a condition ends: at a clause after it, or at its closing parenthesis."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth < 0 or (depth == 0 and END.match(text, place)):
            return place
    return len(text)


def expected(condition: str) -> str:
    """Return the condition that the table of this project needs for one of kagent's table."""
    for theirs, ours in DIFFERENCES:
        condition = condition.replace(theirs, ours)
    return condition


def own_filters(name: str) -> list[str]:
    """Return the conditions of a query on agentrows_memory, with the name of the other table."""
    sql = sql_of(name)
    if "AS m" in sql:
        sql = re.sub(r"\bm\.", "memory.", sql)
    return filters(sql.replace("agentrows_memory", "memory"))


@pytest.mark.parametrize("name", PAIRS)
def test_statements_on_both_tables_have_the_same_filters(name: str) -> None:
    conditions = [expected(condition) for condition in filters(sql_of(name))]

    assert conditions
    assert own_filters(PAIRS[name]) == conditions


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_of_both_tables_compare_the_same_memories(name: str) -> None:
    condition, *_ = filters(sql_of(name))

    assert "user_id = @user_id" in condition
    assert "sqlc.narg('metadata')" in condition
    assert own_filters(SEARCHES[name])[0] == expected(condition)


def test_every_query_of_a_user_on_kagents_table_has_a_counterpart() -> None:
    text = (ROOT / "queries" / "memory.sql").read_text()

    assert set(re.findall(r"(?m)^-- name: (\w+)", text)) == {*PAIRS, *SEARCHES}


def test_conditions_end_at_the_next_clause_or_parenthesis() -> None:
    assert filters("SELECT 1 FROM a WHERE (b AND c) AND d ORDER BY e") == ["(b AND c) AND d"]
    assert filters("WITH x AS (SELECT 1 WHERE a (b)) SELECT 2") == ["a (b)"]


def test_searches_by_index_are_written_from_one_text() -> None:
    text = memory_searches.QUERIES.read_text()

    assert memory_searches.queries(text) == text, "run tests/policy/checks/memory_searches.py"


@pytest.mark.parametrize("dimensions", memory_searches.ALL)
def test_index_and_search_have_the_same_expression(dimensions: int) -> None:
    path = memory_searches.INDEXES / f"{dimensions}.sql"
    first = (memory_searches.INDEXES / f"{memory_searches.FIRST}.sql").read_text()
    text = path.read_text()
    expression = re.search(r"USING hnsw \(\((.*)\) halfvec_cosine_ops\)", text, re.DOTALL)

    assert text == memory_searches.text_for(dimensions, first)
    assert f"halfvec({dimensions + memory_searches.OWNER})" in text
    assert expression
    of_row = one_line(expression[1])
    of_search = of_row.replace(
        f"CASE WHEN vector_dims(embedding) = {dimensions} AND vector_norm(embedding) > 0"
        " THEN embedding END",
        "@embedding::vector",
    )
    for column in ("model", "user_id", "agent_name"):
        of_search = re.sub(rf"\b{column}\b", f"@{column}", of_search)
    for name in (f"SearchOwnMemories{dimensions}", f"SearchAndTouchOwnMemories{dimensions}"):
        sql = one_line(sql_of(name))
        _, found, rest = sql.partition(f"ORDER BY {of_row} <=> ")
        assert found
        assert rest.startswith("(SELECT place FROM wanted)")
        assert f"{of_search} AS place" in sql
        assert f"'agentrows_memory_nearest_{dimensions}'" in sql


def test_every_index_has_a_search() -> None:
    numbers = [index.dimensions for index in load_memory_indexes()]

    assert numbers == list(INDEXED_SEARCHES) == list(memory_searches.ALL)


@pytest.mark.parametrize("touch", ["", "AndTouch"])
def test_search_by_index_has_the_filters_of_the_exact_search(touch: str) -> None:
    exact, by_index = sql_of(f"Search{touch}OwnMemories"), sql_of(f"Search{touch}OwnMemories384")
    condition, *_ = filters(exact)
    end = exact.partition("\nhit AS MATERIALIZED")[2].partition("\n)")[2]

    assert filters(by_index)[0] == condition
    assert f"CASE WHEN {condition} THEN true ELSE false END" in one_line(by_index)
    assert end
    assert by_index.endswith(end)
