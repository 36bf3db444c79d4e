"""Tables of other programs are declared for sqlc only: no track, model or statement takes them."""

from __future__ import annotations

from pathlib import Path

from agentrows.gen import models
from policy.checks.migration_policy import parse, walk
from policy.checks.owner_scope import read_queries, read_schema

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / "queries" / "foreign"
OURS = set(read_schema(ROOT / "migrations").columns)
SOURCES = {"langgraph_source.sql"}
"""Files of queries that run in a database of another program."""
QUERIES = [
    (path, query)
    for path in sorted((ROOT / "queries").glob("*.sql"))
    for query in read_queries(path)
]


def tables(text: str) -> set[str]:
    """Return the tables that statements name, without their common table expressions."""
    nodes = list(walk(parse("queries", "statements", text).statements))
    named = {node["ctename"] for node in nodes if node["@"] == "CommonTableExpr"}
    return {
        node["relname"]
        for node in nodes
        if node["@"] == "RangeVar" and "schemaname" not in node and node["relname"] not in named
    }


DECLARED = {name for path in FOREIGN.glob("*.sql") for name in tables(path.read_text())}


def test_foreign_tables_have_no_name_of_ours() -> None:
    assert {"checkpoints", "checkpoint_writes"} <= DECLARED
    assert set() == DECLARED & OURS
    assert [name for name in models.__all__ if name.startswith("LangGraph")] == []


def test_statements_use_tables_of_one_database() -> None:
    for path, query in QUERIES:
        used = tables(query.sql)
        if path.name in SOURCES:
            assert used <= DECLARED | {"pg_class"}, query.name
        else:
            assert used & DECLARED == set(), query.name


def test_queries_of_a_source_only_read() -> None:
    for path, query in QUERIES:
        if path.name in SOURCES:
            (statement,) = parse("queries", query.name, query.sql).statements
            assert statement["@"] == "SelectStmt"
            assert not any("lockingClause" in node for node in walk(statement))
