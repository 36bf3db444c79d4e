"""Files of the configuration: unreadable ones are refused with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.protocol import Query, Request
from sqlc_gen_asyncpg.schema.ddl import read_schema
from sqlc_gen_asyncpg.sqlfiles import require_files, sql_files, without_rollback

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("SELECT 1;\n\n  'open", "3:3: unterminated string"),
        ('CREATE TABLE a (id int);\nCREATE TABLE "b (id int);', "2:14: unterminated quoted name"),
        ("SELECT 1; /* /* */\n\n", "1:11: unterminated comment"),
        ("SELECT 1;\n  \\x\n", "2:3: unexpected '\\\\'"),
        ("\\x\nSELECT {1}", "2:8: unexpected '{'"),
    ],
)
def test_unreadable_schema_file_is_refused_with_its_place(
    text: str, place: str, tmp_path: Path
) -> None:
    tmp_path.joinpath("ok.sql").write_text("CREATE DOMAIN d AS int;")
    tmp_path.joinpath("schema.sql").write_text(text)
    with pytest.raises(GeneratorError) as caught:
        read_schema(("ok.sql", "schema.sql"), str(tmp_path))
    assert str(caught.value) == f"{tmp_path / 'schema.sql'}:{place}"


def test_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match=r"nothing\.sql does not exist"):
        read_schema(("nothing.sql",), str(tmp_path))


def test_folder_named_like_a_file_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("a", "b.sql").mkdir(parents=True)
    with pytest.raises(GeneratorError, match=r"b\.sql cannot be read: Is a directory"):
        read_schema(("a",), str(tmp_path))


def test_dangling_link_matched_by_a_pattern_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("a.sql").symlink_to(tmp_path / "nowhere")
    with pytest.raises(GeneratorError, match=r"\*\.sql does not exist"):
        read_schema(("*.sql",), str(tmp_path))


def test_impossible_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="cannot be read"):
        read_schema(("a\0b.sql",), str(tmp_path))


def test_pattern_without_closing_bracket_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("a").write_text("")
    with pytest.raises(GeneratorError, match=r"a\[\.sql: the pattern has a \[ without its \]"):
        sql_files(["a[.sql"], str(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("?/b.sql", ["x/b.sql", "y/b.sql"]),
        ("[z-a].sql", []),
        ("[^z-a].sql", ["!.sql", "a.sql"]),
        ("[!a].sql", ["!.sql", "a.sql"]),
        ("[^a].sql", ["!.sql"]),
        ("x/*", ["x/.c/d.sql", "x/b.sql"]),
        ("*/", ["!.sql", "a.sql", "x/b.sql", "y/b.sql"]),
        ("nothing/../[a].sql", ["a.sql"]),
        ("nothing/../a.sql", ["a.sql"]),
    ],
)
def test_pattern_matches_like_filepath_glob(pattern: str, names: list[str], tmp_path: Path) -> None:
    for each in ("x/b.sql", "x/.c/d.sql", "y/b.sql", "y/c.txt", "a.sql", "!.sql"):
        tmp_path.joinpath(each).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(each).write_text("")
    found = [str(each.relative_to(tmp_path)) for each in sql_files([pattern], str(tmp_path))]
    assert found == names
    assert [str(each) for each in sql_files([f"{tmp_path}/{pattern}"])] == [
        str(tmp_path / each) for each in names
    ]


def test_patterns_without_a_query_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query("A", ":exec", "SELECT 1", (), "a.sql", (), (), None)
    options = {"package": "gen"}
    request = Request(
        "v1.31.1", "postgresql", "public", (), (query,), options, (), ("queries/*.sql",)
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GeneratorError, match=r"a\.sql does not exist; paths are relative to"):
        require_files(request)
    tmp_path.joinpath("queries").mkdir()
    tmp_path.joinpath("queries", "a.sql").write_text("")
    require_files(request)


def test_cut_file_has_unchanged_line_numbers() -> None:
    assert without_rollback("a\r\n\nb\n-- migrate:down\nc") == "a\n\nb"
    assert without_rollback("") == ""
