"""Comments of a query file that document a query, the file, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sqlc_gen_asyncpg.build.comments import FileComments, parse_comments, read_file_comments
from sqlc_gen_asyncpg.errors import GeneratorError

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
-- Owned by the harbour.
-- All rights reserved.

-- Berths.

-- The oldest berth.
-- name: OldestBerth :one
-- Of all quays.
SELECT id
-- a remark at the margin
FROM berth ORDER BY built LIMIT 1;

---- Ships ----

-- name: ListShips :many
SELECT id FROM ship; -- trailing

-- name: CountShips :one

SELECT count(*) FROM ship;
"""


def test_comment_next_to_the_name_documents_the_query(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text(FILE, "utf-8")
    found = read_file_comments(("q.sql",), str(tmp_path))
    assert found == {
        ("q.sql", "OldestBerth"): FileComments(
            (" The oldest berth.", " Of all quays."),
            (" Owned by the harbour.", " All rights reserved.", "", " Berths.", ""),
        ),
        ("q.sql", "ListShips"): FileComments(()),
        ("q.sql", "CountShips"): FileComments(()),
    }


def test_comment_above_a_blank_line_documents_the_file(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_bytes(FILE.replace("\n", "\r\n").encode("utf-8-sig"))
    layout = read_file_comments(("*.sql",), str(tmp_path))["q.sql", "OldestBerth"]
    comments = (
        " Owned by the harbour.",
        " All rights reserved.",
        " Berths.",
        " The oldest berth.",
        " Of all quays.",
        " a remark at the margin",
        " py: one!",
    )
    says = parse_comments(comments, layout)
    assert says.doc == ("The oldest berth.", "Of all quays.")
    assert says.file_doc == ("Owned by the harbour.", "All rights reserved.", "", "Berths.")
    assert says.one


def test_comment_of_a_missing_query_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match=r"absent\.sql does not exist"):
        read_file_comments(("absent.sql",), str(tmp_path))


def test_byte_that_is_not_utf8_is_replaced_in_a_comment(tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes(b"-- Caf\xe9.\n-- name: A :one\nSELECT 1;\n")

    layouts = read_file_comments(("latin.sql",), str(tmp_path))

    assert layouts["latin.sql", "A"].doc == (" Caf\ufffd.",)


def test_comment_of_the_request_is_used_without_a_query_file() -> None:
    assert parse_comments((" A heading.",), None).doc == ("A heading.",)
