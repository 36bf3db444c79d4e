"""From files to a track: what is taken, and what is refused by name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agentrows.errors import InvalidTrack
from agentrows.migrate import Track, builtin_tracks
from agentrows.migrate import track as module
from agentrows.migrate.track import File, load, load_all, migrations_root
from support.tracks import write_track

if TYPE_CHECKING:
    from pathlib import Path


def test_builtin_tracks_are_complete_and_in_order() -> None:
    loaded = load_all(builtin_tracks())
    assert [each.track.name for each in loaded] == [
        "core",
        "vector",
        "agentrows",
        "agentrows_vector",
    ]
    assert [each.newest for each in loaded[:2]] == [7, 3]
    assert loaded[0].migrations[0].name == "000001_initial"


def test_the_vector_track_can_be_left_out() -> None:
    assert [track.name for track in builtin_tracks(vector=False)] == ["core", "agentrows"]


def test_the_tracking_tables_are_those_of_golang_migrate() -> None:
    tables = [track.table for track in builtin_tracks()]
    assert tables == [
        "schema_migrations",
        "vector_schema_migrations",
        "agentrows_schema_migrations",
        "agentrows_vector_schema_migrations",
    ]


def test_a_file_is_known_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    loaded = load(write_track(tmp_path, "t", "SELECT 'é';\n"))
    up = loaded.migrations[0].up
    assert up.label == "t/000001_step.up.sql"
    assert up.sha256 == hashlib.sha256("SELECT 'é';\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("000001_step.up.sql.orig", "is not named"),
        ("000001_step.up.psql", "is not named"),
        ("0000002_long.up.sql", "is not named"),
        ("٠٠٠٠٠٢_arabic.up.sql", "is not named"),
        ("README.md", "is not named"),
        ("000001_again.up.sql", "has the same number"),
        ("000002_next.up.sql", r"has no \.down\.sql"),
        ("000002_next.down.sql", r"has no \.up\.sql"),
    ],
)
def test_unexpected_file_is_named(tmp_path: Path, stray: str, message: str) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    (track.directory / stray).write_text("SELECT 1;")
    with pytest.raises(InvalidTrack, match=f"t/.*{message}"):
        load(track)


def test_directory_among_the_files_is_reported(tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    (track.directory / "000002_folder.up.sql").mkdir()
    with pytest.raises(InvalidTrack, match="000002_folder"):
        load(track)


def test_a_gap_is_named(tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;", "SELECT 2;", "SELECT 3;")
    for way in ("up", "down"):
        (track.directory / f"000002_step.{way}.sql").unlink()
    with pytest.raises(InvalidTrack, match="000002 is missing before 000003_step"):
        load(track)


def test_both_files_of_a_version_have_one_name(tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    (track.directory / "000001_step.down.sql").rename(track.directory / "000001_other.down.sql")
    with pytest.raises(InvalidTrack, match="its up is named 000001_step"):
        load(track)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("agentrow", "there is no such track"),
        ("t", "list it behind that track"),
        ("last", "list it behind that track"),
    ],
)
def test_track_listed_before_its_prerequisite_is_refused(
    tmp_path: Path, after: str, message: str
) -> None:
    track = replace(write_track(tmp_path, "t", "SELECT 1;"), after=after)
    with pytest.raises(InvalidTrack, match=f"'t' comes after '{after}', .*{message}"):
        load_all([*builtin_tracks(), track, write_track(tmp_path, "last", "SELECT 1;")])


def test_a_track_may_come_after_one_of_the_library_that_is_switched_off(tmp_path: Path) -> None:
    track = replace(write_track(tmp_path, "t", "SELECT 1;"), after="vector")
    assert load_all([*builtin_tracks(vector=False), track])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xef\xbb\xbfSELECT 1;", "byte order mark"),
        (b"SELECT 1;\r\n", "CR"),
        (b"SELECT '\xe9';", "not UTF-8"),
        (b"SELECT 1;\0", "NUL"),
        (b"-- no-transaction:\nSELECT 1;", "lacks its reason"),
        (b"-- no-transaction\nSELECT 1;", "lacks its reason"),
    ],
)
def test_a_file_that_is_not_plain_text_is_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    (track.directory / "000001_step.up.sql").write_bytes(data)
    with pytest.raises(InvalidTrack, match=f"t/000001_step.up.sql: .*{message}"):
        load(track)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("-- no-transaction: builds an index\nCREATE INDEX", "builds an index"),
        ("-- A reason.\n-- no-transaction: too late\n", None),
        ("SELECT 1;", None),
    ],
)
def test_no_transaction_is_read_only_from_the_first_line(sql: str, reason: str | None) -> None:
    assert File("t/x", sql, "").no_transaction == reason


@pytest.mark.parametrize(
    ("sql", "blank"),
    [
        ("", True),
        (" \n\t;;", True),
        ("-- only words", True),
        ("-- words\n/* more /* and */ more */ ;", True),
        ("/* never closed", True),
        ("SELECT 1", False),
        ("-- /*\nDROP TABLE x; -- */", False),
        ("/* -- */ SELECT 1", False),
        ("/* a */ - 1", False),
    ],
)
def test_a_file_is_blank_if_it_has_no_statement(sql: str, *, blank: bool) -> None:
    assert File("t/x", sql, "").is_blank is blank


def test_an_empty_directory_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidTrack, match="has no migration"):
        load(Track("t", tmp_path / "empty", "versions"))
    with pytest.raises(InvalidTrack, match="there is no directory"):
        load(Track("t", tmp_path / "missing", "versions"))


@pytest.mark.parametrize("name", ["Versions", "a-b", "1a", "", 'a"b', "ä", "a\n"])
def test_names_that_would_need_quotes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidTrack, match="is not of the form"):
        Track("t", tmp_path, name)
    with pytest.raises(InvalidTrack, match="is not of the form"):
        Track("t", tmp_path, "versions", schema=name)


def test_a_table_name_leaves_room_for_its_history(tmp_path: Path) -> None:
    Track("t", tmp_path, "v" * 55)
    with pytest.raises(InvalidTrack, match="longer than 55"):
        Track("t", tmp_path, "v" * 56)


def test_two_tracks_of_one_name_are_refused(tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    with pytest.raises(InvalidTrack, match="2 tracks are named 't'"):
        load_all([track, track])


def test_migrations_are_found_in_a_checkout_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (migrations_root() / "core" / "000001_initial.up.sql").is_file()
    installed = tmp_path / "agentrows"
    (installed / "migrations").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(installed / "migrate" / "track.py"))
    assert migrations_root() == installed / "migrations"
