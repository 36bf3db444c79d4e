"""Rules of this project about its source: SQL, sizes, comments and links."""

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
# They read the catalog of any database, which sqlc cannot type.
RUNNER = [
    *(
        ROOT / "src" / "agentrows" / "migrate" / name
        for name in ("index_catalog.py", "ledger.py", "relations.py", "server.py", "session_sql.py")
    ),
    ROOT / "src" / "sqlc_gen_asyncpg" / "check" / "schema.py",
]
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE) \S")
# Statements that repair an object, which are printed and not run.
CURES = ROOT / "src" / "agentrows" / "migrate" / "cures.py"
# It grants rights on the tables that a database has, so an administrator runs it there.
PRINTED = [ROOT / "src" / "agentrows" / "roles" / "grants.sql"]
WITHOUT_SQL = [path for path in WRITTEN if path not in (*RUNNER, CURES)]
LONGEST_FILE = 400
LONGEST_FUNCTION = 45
# Files that may be longer, with the reason.
LONGER_FILES: dict[str, int] = {}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sql_in(source: str) -> list[str]:
    """Return the string constants that are statements of SQL."""
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]


@pytest.mark.parametrize("path", WITHOUT_SQL, ids=name)
def test_sql_is_in_queries_and_migrations_only(path: Path) -> None:
    assert sql_in(path.read_text()) == [], "move this SQL to a file in queries/"


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


def test_sql_in_a_module_is_detected() -> None:
    assert sql_in('await db.fetch("SELECT * FROM agent")') == ["SELECT * FROM agent"]
    assert all(sql_in(path.read_text()) for path in RUNNER)


def test_source_contains_only_the_sql_file_that_is_printed() -> None:
    assert sorted((ROOT / "src").rglob("*.sql")) == PRINTED


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_files_and_functions_are_within_the_size_limits(path: Path) -> None:
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

    assert source.count("\n") <= LONGER_FILES.get(name(path), LONGEST_FILE), "split this module"
    assert long == [], f"split these functions: at most {LONGEST_FUNCTION} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "queries").glob("*.sql")), ids=name)
def test_every_query_has_a_description(path: Path) -> None:
    queries = re.split(r"(?m)^-- name: ", path.read_text())[1:]

    assert queries
    for query in queries:
        first = query.splitlines()[1]
        assert re.match(r"-- (?!py:|unscoped:)\S", first), (
            f"describe {query.splitlines()[0]} in a comment under its name: it is the docstring"
        )


def sql_of(name: str) -> str:
    """Return the SQL of a query without its comment."""
    for path in (ROOT / "queries").glob("*.sql"):
        for query in re.split(r"(?m)^-- name: ", path.read_text())[1:]:
            if query.startswith(f"{name} :"):
                return re.sub(r"(?m)^--.*\n", "", query.partition("\n")[2])
    raise LookupError(name)


@pytest.mark.parametrize("path", sorted((ROOT / "queries").glob("*.sql")), ids=name)
def test_no_insert_select_is_counted_by_its_command_tag(path: Path) -> None:
    """Some engines count the rows sent and not the rows stored."""
    queries = re.split(r"(?m)^-- name: ", path.read_text())[1:]
    counted = [query for query in queries if ":execrows" in query.partition("\n")[0]]

    assert [query.split()[0] for query in counted if re.search(r"\bINSERT\b", query)] == [], (
        "count the rows of these queries by RETURNING"
    )


def test_both_memory_searches_have_the_same_conditions() -> None:
    shared, separator, _ = sql_of("SearchMemories").partition("\n)\nSELECT")

    assert separator
    assert sql_of("SearchAndTouchMemories").startswith(shared)


@pytest.mark.parametrize(
    "other", ["LockExpiredSessions", "PruneSessions", "CountValuesOfExpiredSessions"]
)
def test_dry_run_and_prune_have_the_same_idle_condition(other: str) -> None:
    _, where, rest = sql_of("CountExpiredSessions").partition("WHERE\n")
    condition, ended, _ = rest.partition("\n),\n")

    assert where
    assert ended
    assert " ".join(condition.split()) in " ".join(sql_of(other).split())


@pytest.mark.parametrize(
    ("listing", "alias", "deletion", "target"),
    [
        ("ListSessionsOfEvents", "named", "PruneEventsOfSessions", "e"),
        ("ListTasksByAge", "t", "PruneTasks", "t"),
        ("ListPushNotificationsByAge", "p", "PrunePushNotifications", "p"),
        ("ListPushConfigsByAge", "p", "PrunePushConfigs", "p"),
        ("ListCrewMemoriesByAge", "page", "PruneCrewMemories", "each"),
        ("ListFlowStatesByAge", "page", "PruneFlowStates", "each"),
    ],
)
def test_deletion_checks_the_condition_of_its_list_again(
    listing: str, alias: str, deletion: str, target: str
) -> None:
    before, ended, _ = sql_of(listing).rpartition('AS "is_idle!"')
    condition = re.split(r"(?m)^    (?:coalesce\(\(|\()$", before)[-1]
    condition = re.sub(r"\)(?:, false\))?\s*$", "", condition)
    condition = re.sub(rf"\b{alias}\.", f"{target}.", condition)

    assert ended
    assert len(condition) > 100
    assert " ".join(condition.split()) in " ".join(sql_of(deletion).split())


@pytest.mark.parametrize(
    "path", sorted({*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")}), ids=name
)
def test_every_relative_link_of_a_document_exists(path: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == [], (
        "these links lead to no file"
    )


GUARD = re.compile(
    r"length\(([\w.]+)\) - length\(translate\((?:(?!length\().)*? pg_input_is_valid\(\1, 'jsonb'\)"
)


def test_every_copy_of_the_json_depth_guard_is_the_same() -> None:
    """The guard counts brackets, because the server cannot parse JSON that is nested too deep."""
    texts = [" ".join(path.read_text().split()) for path in (ROOT / "queries").glob("*.sql")]
    copies = [
        match[0].replace(match[1], "text") for text in texts for match in GUARD.finditer(text)
    ]

    assert len(copies) == sum(text.count("max(nested.depth)") for text in texts) > 1, (
        "write the guard as the other queries do"
    )
    assert len(set(copies)) == 1, "the copies of the guard differ"
