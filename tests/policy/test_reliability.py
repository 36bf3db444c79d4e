"""docs/reliability.md says what the code does: its tests exist, its lists are the stores'."""

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
ALL_OF_IT = {"require", "read_access_scope", "choose_isolation"}
"""What takes a store's executor, and runs nothing on it, or declares by itself."""


def faults() -> list[list[str]]:
    """Return the cells of the table of faults, row by row."""
    table = DOCUMENT.partition("| fault |")[2].partition("\n\n")[0]
    return [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]


def names_of_tests() -> set[str]:
    """Return the names of the tests of faults."""
    return {
        name
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"(?m)^(?:async )?def (test_\w+)\(", path.read_text())
    }


@pytest.mark.parametrize("row", faults(), ids=lambda row: row[0])
def test_every_row_of_the_table_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    named = re.findall(r"`(test_\w+)`", row[3])

    assert named
    assert set(named) <= names_of_tests()


def declared(method: str) -> str | None:
    """Return how a method of a store is declared by its source; None if all is repeatable."""
    if "self.db.once" in method:
        return ONCE
    if "queries.iter_" in method:
        return STREAM
    return TRANSACTION if "self.db.transaction(" in method else None


def in_the_stores() -> dict[str, str]:
    """Return every public method that is not wholly repeatable, and how it is declared."""
    found: dict[str, str] = {}
    for path in (ROOT / "src" / "agentrows" / "stores").glob("*.py"):
        methods = {
            node.name: ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.AsyncFunctionDef)
        }
        for name, text in methods.items():
            helped = [methods[helper] for helper in re.findall(r"self\.(_\w+)\(", text)]
            how = declared("\n".join([text, *helped]))
            if how and not name.startswith("_"):
                found[name] = how
    return found


def test_what_the_document_says_is_declared_once_is_so_in_the_stores() -> None:
    said = {
        method: how
        for how in (ONCE, TRANSACTION, STREAM)
        for method in re.findall(
            r"`(\w+)`", next(row for row in DOCUMENT.splitlines() if row.startswith(f"| {how} |"))
        )
    }

    assert said == in_the_stores()


def test_every_statement_of_a_store_is_declared() -> None:
    """Generated functions get `.once`, `.repeatable`, or what a transaction or stream runs on."""
    undeclared: list[str] = []
    for path in (ROOT / "src" / "agentrows" / "stores").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == "self.db":
                called = ast.unparse(node.func)
                if called not in ALL_OF_IT and not called.startswith("queries.iter_"):
                    undeclared.append(f"{path.name}: {called}")

    assert undeclared == []
