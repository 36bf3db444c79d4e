"""What the project promised itself about its own source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = [
    path
    for path in sorted((ROOT / "src").rglob("*.py"))
    if "gen" not in path.relative_to(ROOT / "src").parts
]
# They read the catalog of any database, so sqlc cannot know it.
RUNNER = [
    *(ROOT / "src" / "agentrows" / "migrate" / name for name in ("ledger.py", "catalog.py")),
    ROOT / "src" / "sqlc_gen_asyncpg" / "check" / "schema.py",
]
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE) \S")
# Its rights are given on tables that only a database knows, so it is run there and not by us.
PRINTED = [ROOT / "src" / "agentrows" / "migrate" / "grants.sql"]
LONGEST_FILE = 400
LONGEST_FUNCTION = 45


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sql_in(source: str) -> list[str]:
    """Return the string constants that are statements of SQL."""
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]


@pytest.mark.parametrize("path", [path for path in WRITTEN if path not in RUNNER], ids=name)
def test_sql_is_in_queries_and_migrations_only(path: Path) -> None:
    assert sql_in(path.read_text()) == []


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_function_outside_of_a_class_has_no_self_argument(path: Path) -> None:
    functions = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert not [
        function.name
        for function in functions
        if "self"
        in {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    ]


def test_sql_in_a_module_is_seen() -> None:
    assert sql_in('await db.fetch("SELECT * FROM agent")') == ["SELECT * FROM agent"]
    assert all(sql_in(path.read_text()) for path in RUNNER)


def test_the_only_sql_file_in_the_source_is_the_one_that_is_printed() -> None:
    assert sorted((ROOT / "src").rglob("*.sql")) == PRINTED


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_a_file_and_a_function_can_be_read_at_once(path: Path) -> None:
    source = path.read_text()
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [
        node.name
        for node in functions
        if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]

    assert source.count("\n") <= LONGEST_FILE
    assert long == []


@pytest.mark.parametrize("path", sorted((ROOT / "queries").glob("*.sql")), ids=name)
def test_every_query_says_what_it_does(path: Path) -> None:
    queries = re.split(r"(?m)^-- name: ", path.read_text())[1:]

    assert queries
    for query in queries:
        first = query.splitlines()[1]
        assert re.match(r"-- (?!py:|unscoped:)\S", first), query.splitlines()[0]


def sql_of(name: str) -> str:
    """Return a query's SQL, without its comment."""
    for path in (ROOT / "queries").glob("*.sql"):
        for query in re.split(r"(?m)^-- name: ", path.read_text())[1:]:
            if query.startswith(f"{name} :"):
                return re.sub(r"(?m)^--.*\n", "", query.partition("\n")[2])
    raise LookupError(name)


@pytest.mark.parametrize(
    ("one", "other", "until"),
    [
        ("SearchMemories", "SearchAndTouchMemories", "\n)\nSELECT"),
        ("CountExpiredSessions", "PruneSessions", "\n),\nexpired_tasks"),
    ],
)
def test_what_two_queries_say_alike_stays_alike(one: str, other: str, until: str) -> None:
    shared, found, _ = sql_of(one).partition(until)

    assert found
    assert sql_of(other).startswith(shared)


@pytest.mark.parametrize(
    "path", sorted({*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")}), ids=name
)
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []
