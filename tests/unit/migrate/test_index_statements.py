"""Which indexes a file makes: read from its words."""

from __future__ import annotations

import pytest

from agentrows.errors import InvalidTrack
from agentrows.migrate.file_checks import check_statements
from agentrows.migrate.index_statements import (
    altered_tables,
    created_indexes,
    dropped_objects,
    indexes_after,
    rebuilds_indexes,
    settings_after,
)
from agentrows.migrate.table_names import split_table_name
from agentrows.migrate.track import File


def file(sql: str) -> File:
    return File("t/000001_x.up.sql", sql, "")


@pytest.mark.parametrize(
    ("sql", "dropped"),
    [
        ("DROP TABLE IF EXISTS a, b CASCADE", (("a", None), ("b", None))),
        ("ALTER TABLE a DROP COLUMN IF EXISTS n, DROP m CASCADE", (("a", "n"), ("a", "m"))),
        ("ALTER TABLE ONLY a DROP n", (("a", "n"),)),
        ("ALTER TABLE a DROP CONSTRAINT n, ALTER m DROP NOT NULL, ALTER k DROP DEFAULT", ()),
        ("ALTER TABLE a ALTER n DROP IDENTITY, ALTER m DROP EXPRESSION", ()),
    ],
)
def test_dropped_tables_and_columns_are_found(
    sql: str, dropped: tuple[tuple[str, str | None], ...]
) -> None:
    assert dropped_objects(file(sql)) == dropped


@pytest.mark.parametrize(
    ("sql", "name", "table"),
    [
        ("CREATE INDEX a_n ON a (n)", "a_n", "a"),
        (
            "create unique index concurrently if not exists A_N on only a using btree (n);",
            "a_n",
            "a",
        ),
        ('CREATE INDEX "A n" ON app."Some ""Table" (n)', "A n", 'Some "Table'),
        ("-- CREATE INDEX no ON b (n)\nCREATE INDEX a_n ON app.a (n)", "a_n", "a"),
        ("SELECT 'x; CREATE INDEX no ON b (n)'; CREATE INDEX a_n ON a (n)", "a_n", "a"),
        ("DO $x$ CREATE INDEX no ON b (n); $x$; CREATE INDEX a_n ON a (n)", "a_n", "a"),
        ("/* ; CREATE INDEX no ON b (n) */ CREATE INDEX a_n ON a (n)", "a_n", "a"),
    ],
)
def test_an_index_is_found_with_its_table(sql: str, name: str, table: str) -> None:
    (index,) = created_indexes(file(sql))
    assert (index.name, index.table) == (name, table)


@pytest.mark.parametrize("sql", ["", "CREATE INDEX ON a (n)", "CREATE TABLE index (n int)"])
def test_statement_that_creates_no_index_yields_none(sql: str) -> None:
    assert created_indexes(file(sql)) == ()


def test_a_concurrent_index_has_to_have_a_name() -> None:
    with pytest.raises(InvalidTrack, match="concurrently without a name"):
        created_indexes(file("CREATE UNIQUE INDEX CONCURRENTLY ON a (n)"))


def test_rebuild_of_an_index_is_detected() -> None:
    assert rebuilds_indexes(file("REINDEX (VERBOSE) TABLE CONCURRENTLY a"))
    assert not rebuilds_indexes(file("REINDEX TABLE a"))


def test_index_that_a_later_statement_drops_is_not_expected() -> None:
    files = [
        file("CREATE INDEX a_n ON a (n); CREATE INDEX a_m ON a (m); CREATE INDEX b_n ON b (n)"),
        file("DROP INDEX IF EXISTS a_n; DROP TABLE b"),
    ]
    assert indexes_after(files) == {"a_m": "a"}


def test_renamed_table_keeps_its_indexes() -> None:
    files = [
        file("CREATE INDEX a_n ON a (n); CREATE INDEX b_n ON b (n)"),
        file('ALTER TABLE IF EXISTS app.a RENAME TO "New"; ALTER TABLE b RENAME COLUMN n TO m'),
    ]
    assert indexes_after(files) == {"a_n": "New", "b_n": "b"}


def test_if_not_exists_is_read_for_each_index() -> None:
    found = created_indexes(
        file("CREATE INDEX IF NOT EXISTS a_n ON a (n); CREATE INDEX b_n ON b (n)")
    )
    assert [index.if_not_exists for index in found] == [True, False]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("CREATE UNIQUE INDEX CONCURRENTLY a_n ON app.a (n)", ("app.a",)),
        (
            "ALTER TABLE IF EXISTS ONLY a ADD COLUMN n int; ALTER TABLE a SET (fillfactor = 80)",
            ("a",),
        ),
        ("DROP TABLE IF EXISTS a, app.b CASCADE", ("a", "app.b")),
        ("SET LOCAL ROLE other; ALTER TABLE a ADD COLUMN n int", ()),
        ("CREATE TABLE a (n int); SELECT 'ALTER TABLE a'; INSERT INTO a VALUES (1)", ()),
    ],
)
def test_tables_that_only_their_owner_can_change_are_found(
    sql: str, tables: tuple[str, ...]
) -> None:
    assert altered_tables(file(sql)) == tables


def test_storage_settings_that_files_leave_are_found() -> None:
    sets = file("ALTER TABLE a SET (fillfactor = 80); ALTER TABLE b SET (fillfactor = 70)")
    assert settings_after([sets]) == {("a", "fillfactor"), ("b", "fillfactor")}
    undone = file("ALTER TABLE a RESET (fillfactor); DROP TABLE b")
    assert settings_after([sets, undone]) == set()


def test_name_of_a_table_is_split_from_its_schema() -> None:
    assert split_table_name('app . "Some ""Table"') == ("app", 'Some "Table')
    assert split_table_name("a") == (None, "a")


@pytest.mark.parametrize(
    "before",
    [
        r"COMMENT ON TABLE a IS 'C:\data\';",
        r"SELECT E'it\'s; ' -- continued" + "\n" + r"'\'';",
        "/* outer /* inner */ CREATE INDEX CONCURRENTLY ON b (x); */",
        "SELECT $1 + 1; PREPARE p AS SELECT $1, $2;",
        "SELECT $é$ ' $é$;",
        "SELECT a$x$b FROM (SELECT 1 AS a$x$b) AS _;",
        "SELECT U&'\\0027', N'n', B'1', X'1F', 1e5, 0x1F;",
    ],
)
def test_strings_and_comments_hide_no_index_behind_them(before: str) -> None:
    found = created_indexes(
        file(f"{before} CREATE UNIQUE INDEX i ON a (n); COMMENT ON INDEX i IS 'x';")
    )
    assert [index.name for index in found] == ["i"]


@pytest.mark.parametrize(
    ("sql", "name", "made_on"),
    [
        ("CREATE INDEX if ON a (n)", "if", "a"),
        ("CREATE INDEX ÄN ON a (n)", "Än", "a"),
        (f"CREATE INDEX {'x' * 70} ON a (n)", "x" * 63, "a"),
        (f"CREATE INDEX {'ä' * 40} ON a (n)", "ä" * 31, "a"),
        (r'CREATE INDEX U&"d\0061t\+000061\\" ON a (n)', "data\\", "a"),
        (r"""CREATE INDEX U&"d!0061ta" UESCAPE '!' ON a (n)""", "data", "a"),
        ("CREATE INDEX i ON app /* of */ . -- ours\n a (n)", "i", "app.a"),
        ("CREATE/**/INDEX i ON a (n)", "i", "a"),
        ('CREATE INDEX "concurrently" ON a (n)', "concurrently", "a"),
    ],
)
def test_a_name_is_read_as_the_server_reads_it(sql: str, name: str, made_on: str) -> None:
    (index,) = created_indexes(file(sql))
    assert (index.name, index.written_table) == (name, made_on)


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT 1;\nCOPY t FROM stdin;\n1\ta'b\n\\.\n", 2),
        ("copy app.t (a, b) from STDIN with (format csv);", 1),
        ("COPY (SELECT 1) TO STDOUT", 1),
        ("SELECT 1;\n\n\\restrict abc\nSELECT 2;", 3),
        ("\\connect other\n", 1),
        ("\\copy t FROM 'f'", 1),
        ("SELECT 'a\\';\n\\i x.sql", 2),
        ("SET standard_conforming_strings = off;", 1),
    ],
)
def test_a_statement_that_needs_psql_is_refused_with_its_line(sql: str, line: int) -> None:
    with pytest.raises(InvalidTrack, match=rf"^t/000001_x\.up\.sql, line {line}: "):
        check_statements(file(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "COPY t FROM '/srv/rows.csv'; COPY t FROM PROGRAM 'cat'; COPY t TO 'stdout'",
        "COPY (SELECT * FROM stdin) TO '/tmp/x'",
        "INSERT INTO t SELECT 1 FROM stdin; SELECT '\\.', E'\\n', $$\\connect$$; -- \\i x",
        "SET standard_conforming_strings = on;",
    ],
)
def test_a_statement_that_the_server_runs_alone_is_accepted(sql: str) -> None:
    check_statements(file(sql))
