"""The words for errors of the server that an operator has to mend on the machine."""

from __future__ import annotations

import asyncpg
import pytest

from agentrows.migrate.messages import explain_server_error, server_message


def error(sqlstate: str, **fields: str) -> asyncpg.PostgresError:
    """Return the driver's error for these fields of the server's message."""
    letters = {"message": "M", "detail": "D", "hint": "H", "server_source_filename": "F"}
    found = {"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": "it failed"}
    made: asyncpg.PostgresError = asyncpg.PostgresError.new(
        found | {letters[name]: text for name, text in fields.items()}
    )
    return made


@pytest.mark.parametrize(
    ("given", "start"),
    [
        (error("53100", server_source_filename="fd.c"), "the server's disk is full: it failed"),
        (
            error("53100", server_source_filename="dsm_impl.c"),
            "the server's shared memory is full: ",
        ),
        (error("25006"), "the server is read-only: "),
        (error("53200"), "the server is out of resources: it failed (SQLSTATE 53200)"),
        (error("58030"), "the server is out of resources: "),
    ],
)
def test_server_without_free_resources_is_named_with_the_cure(
    given: asyncpg.PostgresError, start: str
) -> None:
    assert (explain_server_error(given) or "").startswith(start)


@pytest.mark.parametrize("given", [error("42601"), error("23505"), OSError("gone")])
def test_other_errors_have_no_explanation(given: Exception) -> None:
    assert explain_server_error(given) is None


@pytest.mark.parametrize("sqlstate", ["23505", "23514", "22P02", "21000", "44000", "P0001"])
def test_the_detail_of_an_error_about_data_is_left_out(sqlstate: str) -> None:
    message = server_message(error(sqlstate, detail="Key (n)=(private)", hint="Look\nthere."))
    assert message == f"it failed (SQLSTATE {sqlstate}); hint: Look there."


def test_the_detail_of_other_errors_is_part_of_the_message() -> None:
    message = server_message(error("2BP01", detail="view v on table a\ndepends on it"))
    assert message == "it failed (SQLSTATE 2BP01); detail: view v on table a depends on it"


def test_policies_that_block_a_file_are_named_with_the_cure() -> None:
    message = server_message(error("2BP01", detail="policy p on table a depends on it"))
    assert "policy p on table a" in message
    assert "`agentrows migrate goto 0 --track rls`" in message
