"""The words of a SQL text, compared with the lexer of PostgreSQL itself."""

from __future__ import annotations

from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from pglast.parser import ParseError, scan

from agentrows.migrate.sql_text import line_at, statements, tokens, unqualified

PIECES = (
    *(
        "'",
        "''",
        "\\",
        "\\'",
        '"',
        '""',
        "$$",
        "$x$",
        "$1",
        "$",
        "E'",
        "e'",
        "U&'",
        'U&"',
        "B'",
        "N'",
    ),
    *(
        "/*",
        "*/",
        "--",
        "\n",
        " ",
        ";",
        "(",
        ")",
        ".",
        "name",
        "Größe",
        "on",
        "create",
        "a$b",
        "7 ",
        "-",
        "*",
        "/",
    ),
)


def names_of_the_server(sql: str) -> list[int]:
    """Where keywords and names begin, in characters."""
    return [
        token.start
        for token in scan(sql)
        if token.name in ("IDENT", "UIDENT") or token.kind != "NO_KEYWORD"
    ]


def our_names(sql: str) -> list[int]:
    return [start for kind, start, _ in tokens(sql) if kind == "name"]


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example(r"COMMENT ON TABLE a IS 'C:\data\'; CREATE INDEX i ON a (n); COMMENT ON TABLE a IS 'x'")
@example("/* /* */ CREATE INDEX CONCURRENTLY ON t (x) */ name")
@example("E'a' -- b\n 'c\\' name ' name")
@example("'a'\n'b\\' name")
def test_names_begin_where_the_server_reads_them(sql: str) -> None:
    try:
        expected = names_of_the_server(sql)
    except ParseError:
        reject()
    assert our_names(sql) == expected


def test_a_statement_ends_at_its_semicolon_and_nowhere_else() -> None:
    sql = "select ';' ; /* ; */ select a . b, (c); -- ;\nselect $x$;$x$"
    found = [[word.text for word in words] for words in statements(sql)]
    assert found == [["select"], ["select", "a.b", "c"], ["select"]]


def test_a_line_counts_from_one() -> None:
    assert [line_at("a\nb\nc", at) for at in (0, 2, 4)] == [1, 2, 3]


def test_a_qualified_name_is_cut_as_the_server_cuts_it() -> None:
    assert unqualified('app."a""b"') == 'a"b'
    assert unqualified("ä" * 40) == "ä" * 31
