"""Text that ruff leaves alone, and literals that mean what was meant."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from golden.cases import run
from hypothesis import given
from hypothesis import strategies as st

from sqlc_gen_asyncpg.layout import (
    call,
    docstring,
    nested_call,
    sort_names,
    sql_literal,
    string,
)

if TYPE_CHECKING:
    from pathlib import Path

SQL = st.text(alphabet=st.sampled_from("a \"'\\\n\t\r$%{}?😀é\x07") | st.characters(codec="utf-8"))


@given(SQL)
def test_a_query_in_triple_quotes_is_the_query(text: str) -> None:
    text = text.replace("\r\n", "\n").replace("\r", " ")
    assert ast.literal_eval(sql_literal(text)) == text


def test_a_lone_carriage_return_in_a_query_survives() -> None:
    assert ast.literal_eval(sql_literal("a\rb")) == "a\rb"


@given(st.text())
def test_a_string_is_the_string(text: str) -> None:
    assert ast.literal_eval(string(text)) == text


@given(st.lists(SQL.filter(lambda text: "\n" not in text), min_size=1))
def test_a_docstring_is_a_docstring(lines: list[str]) -> None:
    lines[0] = lines[0].strip() or "A."
    source = "\n".join(["def f() -> None:", *docstring(lines, 4)])
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function)


def test_the_first_sentence_of_a_docstring_stands_alone() -> None:
    assert docstring(["One.", "Two"]) == ['"""One.', "", "Two", '"""']
    assert docstring(["One", "and two."]) == ['"""One', "and two.", '"""']
    assert docstring(["One"]) == ['"""One."""']


def test_what_does_not_fit_stands_on_lines_of_its_own() -> None:
    assert call("f(", ["a", "b"], ")", 4) == ["    f(a, b)"]
    assert call("f(", ["a" * 60, "b" * 60], ")") == [
        "f(",
        "    " + "a" * 60 + ",",
        "    " + "b" * 60 + ",",
        ")",
    ]


def test_a_call_in_a_call_that_does_not_fit_is_split_too() -> None:
    short = nested_call("return f(", "g(", ["a", "b"], 4)
    assert short == ["    return f(g(a, b))"]
    assert nested_call("return f(", "g(", ["a" * 43, "b" * 43], 4) == [
        "    return f(",
        f"        g({'a' * 43}, {'b' * 43}),",
        "    )",
    ]
    assert nested_call("return f(", "g(", ["a" * 60, "b" * 60], 4) == [
        "    return f(",
        "        g(",
        "            " + "a" * 60 + ",",
        "            " + "b" * 60 + ",",
        "        ),",
        "    )",
    ]


def test_names_are_sorted_as_the_linter_sorts_them() -> None:
    names = ["b", "Ab", "B_A", "BA", "a10", "a9", "Row", "IDS"]
    assert sort_names(names) == ["BA", "B_A", "IDS", "Ab", "Row", "a9", "a10", "b"]


def test_literals_of_every_kind_are_left_as_they_are_by_the_formatter(tmp_path: Path) -> None:
    texts = ["a", 'a"', "a\\", '"""', "'", "\\'", "\"'", 'a\nb\\\n"""\'', "\t\x07é😀", "a\r"]
    lines = [f"A{i} = {sql_literal(text)}" for i, text in enumerate(texts)]
    lines += [f"B{i} = {string(text)}" for i, text in enumerate(texts)]
    file = tmp_path / "literals.py"
    file.write_text("\n".join(lines) + "\n")
    done = run(tmp_path, "ruff", "format", "--isolated", "--diff", "literals.py")
    assert done.returncode == 0, done.stdout
