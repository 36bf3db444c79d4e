"""Schema files are matched, cut and read as by the real sqlc."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from golden.golden_cases import run, write_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UP = "CREATE TABLE game (id int PRIMARY KEY, score int);"
VIEW = "CREATE VIEW best AS SELECT max(score) AS score FROM game;"
OLD_VIEW = "CREATE OR REPLACE VIEW best AS SELECT 1 AS score;"
QUERY = "-- name: Best :many\nSELECT score FROM best;\n"
EMAILS = "-- name: Emails :many\nSELECT address FROM contact;\n"
DOMAIN = "CREATE DOMAIN email AS text;\n"
CONTACT = "CREATE TABLE contact (id int PRIMARY KEY, address email NOT NULL);\n"

MIGRATIONS = {
    "goose": "-- +goose Up\n{up}\n-- +goose Down\n{down}\n",
    "dbmate": "-- migrate:up\n{up}\n-- migrate:down\n{down}\n",
    "tern": "{up}\n---- create above / drop below ----\n{down}\n",
    "sql-migrate": "-- +migrate Up\n{up}\n-- +migrate Down\n{down}\n",
    "capitals and CRLF": "-- +goose Up\r\n{up}\r\n-- +GOOSE DOWN (all)\r\n{down}\r\n",
}


def generated(
    directory: Path, files: Mapping[str, str], schema: Sequence[str], query: str
) -> tuple[str, str]:
    """Return the module that sqlc writes, and its output on stderr."""
    write_project(directory, query=query, schema="", options={"package": "gen"})
    directory.joinpath("schema.sql").unlink()
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    config = json.loads(directory.joinpath("sqlc.json").read_text())
    config["sql"][0]["schema"] = list(schema)
    directory.joinpath("sqlc.json").write_text(json.dumps(config))
    completed = run(directory, "sqlc", "generate")
    module = directory / "gen" / "query.py"
    return (module.read_text() if module.exists() else ""), completed.stderr


@pytest.mark.parametrize("tool", MIGRATIONS)
def test_down_part_of_a_migration_is_skipped(tool: str, tmp_path: Path) -> None:
    files = {
        "m/1.sql": MIGRATIONS[tool].format(up=UP, down="DROP TABLE game;"),
        "m/2.sql": MIGRATIONS[tool].format(up=VIEW, down=OLD_VIEW),
    }
    module, errors = generated(tmp_path, files, ["m"], QUERY)
    assert "-> list[int | None]" in module, errors


def test_indented_marker_does_not_end_a_migration(tmp_path: Path) -> None:
    files = {"a.sql": f"{UP}\n -- +goose Down\n{VIEW}\n"}
    module, errors = generated(tmp_path, files, ["a.sql"], QUERY)
    assert "-> list[int | None]" in module, errors


@pytest.mark.parametrize(
    "command", ["\\restrict abc", "\\connect shop", "\\! ls 'x", '\\echo "', "\\if x", "\\; /*"]
)
def test_psql_command_is_skipped(command: str, tmp_path: Path) -> None:
    text = f"{command}\r\n{DOMAIN}CREATE TABLE contact (\n{command}\nid int, address email);\n"
    module, errors = generated(tmp_path, {"a.sql": f"{text}{command}"}, ["a.sql"], EMAILS)
    assert "-> list[str | None]" in module, errors


def test_backslash_line_inside_a_string_is_not_skipped(tmp_path: Path) -> None:
    text = f"COMMENT ON TABLE contact IS '\n\\x\n';\nCOMMENT ON TABLE contact IS $$\n\\'\n$$;{VIEW}"
    files = {"a.sql": f"{DOMAIN}{CONTACT}{UP}{text}"}
    module, errors = generated(tmp_path, files, ["a.sql"], QUERY)
    assert "-> list[int | None]" in module, errors


@pytest.mark.parametrize(
    ("names", "schema"),
    [
        (("mods/a/1.sql", "mods/b/2.sql"), ["mods/*"]),
        (("01.sql", "02.sql"), ["0?.sql"]),
        (("1.sql", "2.sql"), ["[1].sql", "[^1q].sql"]),
        (("1.sql", "2.sql"), ["[0-1].sql", "[2-9].sql"]),
        (("a/1.sql", "a/2.sql"), ["a"]),
        (("a/.hidden/1.sql", "a/b/2.sql"), ["a/*"]),
        (("a/b/1.sql", "a/b/2.sql"), ["a/**"]),
        (("a/b/1.sql", "a/c/2.sql"), ["a/**/*.sql"]),
        (("a*.sql", "b].sql"), ["a\\*.sql", "b].sql"]),
        (("a[.sql", "b.sql"), ["a\\[.sql", "nothing*.sql", "a/../b.sql"]),
    ],
)
def test_pattern_matches_the_same_files_as_sqlc(
    names: tuple[str, str], schema: list[str], tmp_path: Path
) -> None:
    tmp_path.joinpath("a").mkdir()
    files = dict(zip(names, (DOMAIN, CONTACT), strict=True))
    module, errors = generated(tmp_path, files, schema, EMAILS)
    assert "-> list[str]" in module, errors


def test_hidden_files_and_down_migrations_are_skipped(tmp_path: Path) -> None:
    files = {
        "m/1.up.sql": f"{UP}\n{VIEW}",
        "m/1.down.sql": OLD_VIEW,
        "m/.2.sql": OLD_VIEW,
        "m/3.txt": OLD_VIEW,
        "m/4.SQL": OLD_VIEW,
    }
    module, errors = generated(tmp_path, files, ["m/*"], QUERY)
    assert "-> list[int | None]" in module, errors


def test_text_after_a_line_too_long_for_sqlc_is_skipped(tmp_path: Path) -> None:
    line = "-- " + "x" * 65_533
    files = {"a.sql": f"{UP}\n{VIEW}\n{line[:-1]}\n{line}\n{OLD_VIEW}"}
    module, errors = generated(tmp_path, files, ["a.sql"], QUERY)
    assert "-> list[int | None]" in module, errors


def test_comment_in_another_encoding_is_accepted(tmp_path: Path) -> None:
    module, errors = generated(
        tmp_path, {"a.sql": f"-- caf\udce9\n{DOMAIN}{CONTACT}"}, ["a.sql"], EMAILS
    )
    assert "-> list[str]" in module, errors


def test_name_may_contain_any_character_beyond_ascii(tmp_path: Path) -> None:
    text = (
        "CREATE DOMAIN preis€ AS text; CREATE DOMAIN GRÖßE AS text;"
        "CREATE TABLE contact (address preis€ NOT NULL, size GRÖßE);"
    )
    module, errors = generated(tmp_path, {"a.sql": text}, ["a.sql"], EMAILS)
    assert "-> list[str]" in module, errors
