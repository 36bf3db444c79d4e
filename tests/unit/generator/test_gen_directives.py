"""Documentation and directives in the comment of a query."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.build.comments import Batch, parse_comments
from sqlc_gen_asyncpg.errors import Refused


def test_comment_without_directives_is_documentation() -> None:
    found = parse_comments((" One.", "   indented", "", " Two."))
    assert found.doc == ("One.", "  indented", "", "Two.")


def test_directives_are_not_documentation() -> None:
    found = parse_comments((" One.", " py: one!", " py: row Pair", " Two.", "py: iterator"))
    assert found.doc == ("One.", "Two.")
    assert (found.one, found.iterator, found.row) == (True, True, "Pair")


def test_block_comment_is_read_line_by_line() -> None:
    found = parse_comments(("\n One.\n py: one!\n",))
    assert found.doc == ("One.",)
    assert found.one


def test_batch_directive_names_argument_and_model() -> None:
    assert parse_comments((" py: batch events NewEvent",)).batch == Batch("events", "NewEvent")


def test_doc_lines_of_one_target_are_collected() -> None:
    directives = parse_comments(
        (" py: doc Pair Two accounts.", " py: doc Pair.one The first.", " py: doc Pair Equal ones.")
    )
    assert directives.model_docs == {
        "Pair": ("Two accounts.", "Equal ones."),
        "Pair.one": ("The first.",),
    }


def test_param_and_column_directives_have_types() -> None:
    found = parse_comments((" py: param since timestamp with time zone?", " py: param ids text?[]"))
    assert found.params["since"].name == "timestamp with time zone"
    assert found.params["since"].nullable
    assert found.params["ids"].nullable_element


def test_lines_above_py_file_document_the_file() -> None:
    found = parse_comments((" All of it.", " py: file", " One."))
    assert (found.file_doc, found.doc) == (("All of it.",), ("One.",))


@pytest.mark.parametrize(
    "line",
    [
        "py: onee!",
        "py: one",
        "py:",
        "py: batch events",
        "py: batch events New Event",
        "py: batch 1 NewEvent",
        "py: param ids",
        "py: param ids text[",
        "py: row",
        "py: doc",
        "py: doc Pair",
        "py: row Two Words",
        "py: file",
    ],
)
def test_unknown_directive_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        parse_comments((f" {line}",))


def test_repeated_directive_is_refused() -> None:
    with pytest.raises(Refused, match="unknown or repeated"):
        parse_comments((" py: row A", " py: row B"))
