"""docs/reliability.md matches the code: its tests exist, its declarations are the stores'."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()
ONCE = "once"
TRANSACTION = "in a transaction of their own"
STREAM = "a stream, begun once"
ALL_OF_IT = {
    "Pages",
    "_Run",
    "_check_key",
    "_check_owner",
    "_list_uncovered_tables",
    "choose_isolation",
    "event_pages",
    "find_obstacle",
    "memory_table",
    "read_access_scope",
    "require",
    "run_all_batches",
    "run_batches",
}
"""Functions of the store's executor that run no statement, or declare it themselves."""


def faults() -> list[list[str]]:
    """Return the cells of each row of the table of faults."""
    table = DOCUMENT.partition("| fault |")[2].partition("\n\n")[0]
    return [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]


def names_of_tests() -> set[str]:
    """Return the names of the tests in tests/faults."""
    return {
        name
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"(?m)^(?:async )?def (test_\w+)\(", path.read_text())
    }


@pytest.mark.parametrize("row", faults(), ids=lambda row: row[0])
def test_every_row_of_the_table_names_existing_tests(row: list[str]) -> None:
    assert len(row) == 4
    named = re.findall(r"`(test_\w+)`", row[3])

    assert named, "name the test of this fault in the last column"
    assert set(named) <= names_of_tests(), "tests/faults has no test of this name"


def declared(method: str) -> str | None:
    """Return the declaration of a method by its source; None if it is repeatable."""
    if "self.db.once" in method:
        return ONCE
    if "queries.iter_" in method:
        return STREAM
    return TRANSACTION if "self.db.transaction(" in method else None


def declared_in_the_stores() -> dict[str, str]:
    """Return each public method that is not repeatable, with its declaration."""
    declarations: dict[str, str] = {}
    for path in (ROOT / "src" / "agentrows" / "stores").glob("*.py"):
        methods = {
            node.name: ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.AsyncFunctionDef)
        }
        for name, text in methods.items():
            helpers = re.findall(r"self\.(_\w+)\(", text)
            helped = [methods[helper] for helper in helpers if helper in methods]
            declaration = declared("\n".join([text, *helped]))
            if declaration and not name.startswith("_"):
                declarations[name] = declaration
    return declarations


def test_declarations_in_the_document_match_the_stores() -> None:
    documented = {
        method: how
        for how in (ONCE, TRANSACTION, STREAM)
        for method in re.findall(
            r"`(\w+)`", next(row for row in DOCUMENT.splitlines() if row.startswith(f"| {how} |"))
        )
    }

    assert documented == declared_in_the_stores(), (
        "the table of declarations in docs/reliability.md differs from src/agentrows/stores: list "
        "each method that is not repeatable in the row of its declaration"
    )


def test_every_statement_of_a_store_is_declared() -> None:
    """A generated function gets `db.once`, `db.repeatable` or a transaction, and not `db`."""
    undeclared: list[str] = []
    for path in (ROOT / "src" / "agentrows" / "stores").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == "self.db":
                called = ast.unparse(node.func)
                if called not in ALL_OF_IT and not called.startswith("queries.iter_"):
                    undeclared.append(f"{path.name}: {called}")

    assert undeclared == [], "pass self.db.once or self.db.repeatable to these functions"
