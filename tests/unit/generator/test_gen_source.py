"""Generated source that ruff leaves unchanged, and literals with the right values."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from golden.golden_cases import run
from hypothesis import given
from hypothesis import strategies as st

from sqlc_gen_asyncpg.render.imports import Imports
from sqlc_gen_asyncpg.render.module_text import ModuleText
from sqlc_gen_asyncpg.render.source import (
    WIDTH,
    call,
    comprehension,
    docstring,
    sort_names,
    sql_literal,
    string,
    width,
)
from sqlc_gen_asyncpg.render.type_words import type_words
from sqlc_gen_asyncpg.sql.line_breaks import break_long_lines
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize

if TYPE_CHECKING:
    from pathlib import Path

SQL = st.text(alphabet=st.sampled_from("a \"'\\\n\t\r$%{}?😀é\x07") | st.characters(codec="utf-8"))


@given(SQL)
def test_sql_literal_evaluates_to_the_query(text: str) -> None:
    text = text.replace("\r\n", "\n").replace("\r", " ")
    assert ast.literal_eval(sql_literal(text)) == text


def test_sql_literal_preserves_a_lone_carriage_return() -> None:
    assert ast.literal_eval(sql_literal("a\rb")) == "a\rb"


@given(st.text())
def test_string_literal_evaluates_to_the_string(text: str) -> None:
    assert ast.literal_eval(string(text)) == text


@given(st.lists(SQL.filter(lambda text: "\n" not in text), min_size=1))
def test_docstring_of_any_lines_is_valid_python(lines: list[str]) -> None:
    lines[0] = lines[0].strip() or "A."
    source = "\n".join(["def f() -> None:", *docstring(lines, 4)])
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function)


def test_blank_line_follows_first_sentence_of_a_docstring() -> None:
    assert docstring(["One.", "Two"]) == ['"""One.', "", "Two", '"""']
    assert docstring(["One", "and two."]) == ['"""One', "and two.", '"""']
    assert docstring(["One"]) == ['"""One."""']


def test_long_call_has_one_argument_per_line() -> None:
    assert call("f(", ["a", "b"], ")", 4) == ["    f(a, b)"]
    assert call("f(", ["a" * 60, "b" * 60], ")") == [
        "f(",
        "    " + "a" * 60 + ",",
        "    " + "b" * 60 + ",",
        ")",
    ]


def test_long_argument_is_split_too() -> None:
    a, b = "a" * 60, "b" * 60
    assert call("f(", [f"g({a}, {b})"], ")") == [
        "f(",
        "    g(",
        f"        {a},",
        f"        {b},",
        "    ),",
        ")",
    ]
    assert call("f(", [f'(\'"(,\', "{a}", h({a}, "|"),)'], ")")[1:4] == [
        "    (",
        "        '\"(,',",
        f'        "{a}",',
    ]
    assert call("def f(", [f"x: {a}[int | str] | {b}"], "):")[1:3] == [
        f"    x: {a}[int | str]",
        f"    | {b},",
    ]
    assert comprehension("x = ", f"g({a}, {b})", "for each in y") == [
        "x = [",
        "    g(",
        f"        {a},",
        f"        {b},",
        "    )",
        "    for each in y",
        "]",
    ]


def test_long_text_of_an_argument_is_several_literals() -> None:
    text = "word " * 40 + 'and "quoted" words'
    lines = call("f: str = Field(", [f"description={string(text)}"], ")", 4)
    assert lines[1] == "        description=("
    assert ast.literal_eval("(" + "".join(lines[2:-2]) + ")") == text
    assert max(map(width, lines)) <= WIDTH


def test_long_lines_of_a_docstring_are_wrapped() -> None:
    long = "word " * 30
    assert docstring([f"{'One word ' * 5}ends. {long}"], 4)[:2] == [
        f'    """{"One word " * 5}ends.',
        "",
    ]
    lines = docstring([long, "", f"  - {long}", "x" * 200], 4)
    assert max(width(line) for line in lines if " x" not in line) <= WIDTH
    assert lines[3:5] == [
        f"      - {'word ' * 17}word",
        f"      {'word ' * 11}word",
    ]
    assert f"    {'x' * 200}" in lines


def test_long_line_of_sql_is_broken_after_commas_of_its_list() -> None:
    columns = ", ".join(f"table_name.column_{number}" for number in range(12))
    sql = f"SELECT {columns}\nFROM f({columns})\n-- {columns}\nWHERE a = '{columns}'"
    broken = break_long_lines(sql)
    assert tokenize(broken) == tokenize(sql)
    assert broken.split("\n")[:2] == [
        f"SELECT {', '.join(columns.split(', ')[:4])},",
        f"    {', '.join(columns.split(', ')[4:8])},",
    ]
    assert broken.endswith(sql[sql.index("\nFROM f(") :])


@given(st.text(alphabet="a ,()'\n$-\"*/").map(lambda text: text * 9))
def test_broken_sql_has_the_same_tokens(sql: str) -> None:
    broken = break_long_lines(sql)
    assert broken.split() == sql.split()
    try:
        tokens = tokenize(sql)
    except SqlSyntaxError:
        assert broken == sql
    else:
        assert tokenize(broken) == tokens


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", "int"),
        ("int | None", "optional_int"),
        ("list[int | None] | None", "optional_list_of_optional_int"),
        ("list[list[dt.datetime]]", "list_of_list_of_datetime"),
        ("models.ShopLine | None", "optional_shop_line"),
        ("enums.OpenMood", "mood"),
        ("PgJson[Wishes] | None", "optional_wishes_from_json"),
        ("PgJsonText[JsonValue]", "json_value_from_text"),
        ("PgRange[dt.date]", "range_of_date"),
        ("dict[str, str | None]", "dict_of_str_and_optional_str"),
        ("IPv4Network | IPv6Network | None", "optional_ip_network"),
        ("str | int", "str_or_int"),
        ("None", "none"),
    ],
)
def test_type_is_named_in_words(annotation: str, words: str) -> None:
    assert type_words(annotation) == words


def test_names_are_sorted_like_the_linter_sorts_them() -> None:
    names = ["b", "Ab", "B_A", "BA", "a10", "a9", "Row", "IDS"]
    assert sort_names(names) == ["BA", "B_A", "IDS", "Ab", "Row", "a9", "a10", "b"]


def test_formatter_leaves_all_literals_unchanged(tmp_path: Path) -> None:
    texts = ["a", 'a"', "a\\", '"""', "'", "\\'", "\"'", 'a\nb\\\n"""\'', "\t\x07é😀", "a\r"]
    lines = [f"A{i} = {sql_literal(text)}" for i, text in enumerate(texts)]
    lines += [f"B{i} = {string(text)}" for i, text in enumerate(texts)]
    a, b = "a" * 60, "b" * 60
    lines += ["", "", *call("def f(", ["c", f"x: list[{a}] | {b} | {a}"], ") -> None:")]
    lines += call("return g(", [f"h({a}, required({b}, {a}))"], ")", 4)
    lines += ["", "", *call("C = (", [f'(\'"(,\', "{a}", {b})', "d"], ")")]
    lines += comprehension("D = ", f"g({a}, {b})", "for each in y")
    file = tmp_path / "literals.py"
    file.write_text("\n".join(lines) + "\n")
    done = run(tmp_path, "ruff", "format", "--isolated", "--diff", "literals.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["id", "x" * 76, "é" * 90, 'a,,"'])
def test_tuple_of_one_name_of_any_width_is_valid_python(name: str) -> None:
    made = ModuleText(Imports({}))
    constant = made.columns("Row", (name,))
    module: dict[str, object] = {}
    exec("\n".join(["from typing import Final", *made.take_constants()]), module)  # noqa: S102
    assert module[constant] == (name,)
