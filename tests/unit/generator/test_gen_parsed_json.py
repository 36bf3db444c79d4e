"""The directive `json`: refusals, and the models that it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from golden.golden_cases import run, write_project

from sqlc_gen_asyncpg.build.comments import parse_comments
from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = """
CREATE TABLE note (id integer PRIMARY KEY, body text, parsed_body text, about jsonb, tags text[]);
CREATE TABLE entry (id integer PRIMARY KEY, note_id integer NOT NULL, body varchar(100) NOT NULL);
"""
# By the name of the query: its command, its SQL, and the message.
REFUSED: Final = {
    "Taken": (
        ":many",
        "-- py: json body\nSELECT * FROM note",
        "Note has a field parsed_body; give that column another name with AS, or with the option",
    ),
    "Property": (
        ":many",
        "-- py: json body\nSELECT id, body, about AS property FROM note",
        "has a field property; give that column another name with AS",
    ),
    "Absent": (
        ":many",
        "-- py: json data\nSELECT id, body FROM note",
        "the row has no column of that name; it has id, body",
    ),
    "NoText": (":many", "-- py: json about\nSELECT id, about FROM note", "the line is for text"),
    "Texts": (":many", "-- py: json tags\nSELECT id, tags FROM note", "the line is for text"),
    "OneColumn": (":many", "-- py: json body\nSELECT body FROM note", "no row with a model"),
    "NoRows": (":exec", "-- py: json body\nDELETE FROM note", "goes with :one and :many, not with"),
    "Embedded": (
        ":many",
        "-- py: json body\nSELECT sqlc.embed(entry), note.id FROM note, entry",
        "the row has no column of that name; it has entry, id",
    ),
}
ACCEPTED: Final = """
-- name: AddEntry :one
-- py: json body
INSERT INTO entry (id, note_id, body) VALUES (@id, @note_id, @body) RETURNING *;

-- name: ListEntries :many
SELECT sqlc.embed(entry), note.id FROM note JOIN entry ON entry.note_id = note.id;

-- name: ListBodies :many
-- py: row Body
-- py: json body
-- py: json other
SELECT body, parsed_body AS other FROM note;

-- name: ListBodiesAgain :many
-- py: row Body
-- py: json body
SELECT body, parsed_body AS other FROM note;
"""


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All refused queries in one file, so that sqlc runs once."""
    directory = tmp_path_factory.mktemp("refused")
    texts = [f"-- name: {name} {cmd}\n{sql};\n" for name, (cmd, sql, _) in REFUSED.items()]
    write_project(directory, query="\n".join(texts), schema=SCHEMA, options={"package": "gen"})
    done = run(directory, "sqlc", "generate")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_json_line_is_refused_with_its_cure(name: str, problems: str) -> None:
    line = next(line for line in problems.splitlines() if f":1: {name}: -- py: json" in line)
    assert REFUSED[name][2] in line


def test_json_line_is_refused_without_a_column_or_twice() -> None:
    for lines in (("py: json",), ("py: json a b",), ("py: json a", "py: json a")):
        with pytest.raises(Refused, match="unknown or repeated"):
            parse_comments(lines)


@pytest.mark.slow
def test_models_of_tables_and_named_rows_have_the_property_once(tmp_path: Path) -> None:
    options = {"package": "gen", "json_error": "app.errors.NotJson"}
    write_project(tmp_path, query=ACCEPTED, schema=SCHEMA, options=options)
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "gen" / "models.py").read_text()
    assert "from app.errors import NotJson" in text
    calls = [line.strip() for line in text.splitlines() if "return parsed_json(" in line]
    assert calls == [
        'return parsed_json(self, "body", "entry.body", NotJson)',
        'return parsed_json(self, "body", "Body.body", NotJson)',
        'return parsed_json(self, "other", "Body.other", NotJson)',
    ]
