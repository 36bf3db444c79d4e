"""Feedback: accepted values, lists and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentrows import (
    Conflict,
    Deleted,
    Feedback,
    FeedbackIssueType,
    FeedbackSummary,
    InvalidValue,
    NotFound,
)
from support.stores import BEFORE_ALL, TIMES, count, spread, visit

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient

NONE = FeedbackSummary(
    total=0, positive=0, negative=0, instructions=0, factual=0, incomplete=0, tool=0
)


async def test_stored_feedback_is_returned_as_it_is_listed(client: PostgresClient) -> None:
    stored = await client.store_feedback(
        user_id="mira",
        is_positive=False,
        feedback_text="  Wrong city. ",
        issue_type="factual",
        message_id=2**63 - 1,
    )
    assert (stored.user_id, stored.is_positive, stored.message_id) == ("mira", False, 2**63 - 1)
    assert stored.feedback_text == "  Wrong city. "
    assert stored.issue_type is FeedbackIssueType.FACTUAL
    assert stored.created_at is not None
    assert await client.list_feedback(user_id="mira") == [stored]


async def test_feedback_needs_neither_an_issue_nor_a_message(client: PostgresClient) -> None:
    stored = await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
    assert (stored.issue_type, stored.message_id) == (None, None)


@pytest.mark.parametrize("text", ["", " ", "\n\t  ", "\u00a0\u2003"])
async def test_feedback_without_words_is_refused(
    client: PostgresClient, db: asyncpg.Connection, text: str
) -> None:
    with pytest.raises(InvalidValue, match="feedback_text"):
        await client.store_feedback(user_id="mira", is_positive=True, feedback_text=text)
    assert await count(db, "feedback") == 0


@pytest.mark.parametrize("issue", list(FeedbackIssueType))
async def test_an_issue_is_given_as_the_enum_or_as_its_text(
    client: PostgresClient, issue: FeedbackIssueType
) -> None:
    for given in (issue, issue.value):
        stored = await client.store_feedback(
            user_id="mira", is_positive=False, feedback_text="No.", issue_type=given
        )
        assert stored.issue_type is issue


@pytest.mark.parametrize("issue", ["style", "", "Factual", "factual ", "FACTUAL"])
async def test_an_unknown_issue_is_refused(
    client: PostgresClient, db: asyncpg.Connection, issue: str
) -> None:
    with pytest.raises(InvalidValue, match="issue_type"):
        await client.store_feedback(
            user_id="mira", is_positive=False, feedback_text="No.", issue_type=issue
        )
    assert await count(db, "feedback") == 0


async def test_unknown_issue_of_another_writer_is_listed_and_counted_in_total(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO feedback (user_id, is_positive, feedback_text, issue_type, created_at) "
        "VALUES ('mira', false, 'No.', 'style', now()), ('mira', true, '', 'tool', NULL)"
    )
    found = await client.list_feedback(user_id="mira")
    assert [(each.issue_type, each.feedback_text) for each in found] == [
        ("style", "No."),
        (FeedbackIssueType.TOOL, ""),
    ]
    summary = await client.summarize_feedback(user_id="mira")
    expected = {"total": 2, "positive": 1, "negative": 1, "tool": 1}
    assert summary == NONE.model_copy(update=expected)


async def test_a_summary_counts_the_feedback_of_one_user_by_verdict_and_by_issue(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    given = [*FeedbackIssueType, FeedbackIssueType.TOOL, FeedbackIssueType.TOOL, None]
    for issue in given:
        await client.store_feedback(
            user_id="mira", is_positive=issue is None, feedback_text="Said.", issue_type=issue
        )
    await client.store_feedback(user_id="noor", is_positive=True, feedback_text="Said.")
    await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Withdrawn.")
    await db.execute("UPDATE feedback SET deleted_at = now() WHERE feedback_text = 'Withdrawn.'")
    assert await client.summarize_feedback(user_id="mira") == FeedbackSummary(
        total=7, positive=1, negative=6, instructions=1, factual=1, incomplete=1, tool=3
    )
    assert len(await client.list_feedback(user_id="mira")) == 7


async def test_an_unknown_user_has_no_feedback(client: PostgresClient) -> None:
    await client.store_feedback(user_id="noor", is_positive=True, feedback_text="Good.")
    assert await client.list_feedback(user_id="mira") == []
    assert await client.summarize_feedback(user_id="mira") == NONE


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_pages_of_feedback_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    ids = [
        (await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")).id
        for _ in TIMES
    ]
    await spread(db, "feedback", "created_at")
    found = await visit(
        Feedback, lambda after: client.list_feedback(user_id="mira", limit=limit, after=after)
    )
    order = sorted(range(len(TIMES)), key=lambda n: (TIMES[n] or BEFORE_ALL, ids[n]), reverse=True)
    assert [each.id for each in found] == [ids[n] for n in order]
    assert await client.list_feedback(user_id="mira") == found


async def test_bare_verdict_is_stored_with_an_empty_text(client: PostgresClient) -> None:
    stored = await client.store_feedback(user_id="mira", is_positive=True)

    assert (stored.is_positive, stored.feedback_text, stored.issue_type) == (True, "", None)
    assert await client.get_feedback(stored.id, user_id="mira") == stored
    once = [
        await client.store_feedback(user_id="mira", is_positive=True, idempotency_key="k-1")
        for _ in range(2)
    ]
    assert once[0] == once[1]


async def test_update_changes_only_the_arguments_that_are_passed(client: PostgresClient) -> None:
    stored = await client.store_feedback(
        user_id="mira", is_positive=False, feedback_text="Wrong.", issue_type="factual"
    )

    kept = await client.update_feedback(stored.id, user_id="mira", is_positive=True)
    assert (kept.is_positive, kept.feedback_text, kept.issue_type) == (True, "Wrong.", "factual")
    assert kept.updated_at is not None
    assert stored.updated_at is not None
    assert kept.updated_at > stored.updated_at
    cleared = await client.update_feedback(
        stored.id, user_id="mira", feedback_text=None, issue_type=None
    )
    assert (cleared.feedback_text, cleared.issue_type) == ("", None)
    set_again = await client.update_feedback(
        stored.id, user_id="mira", feedback_text="Slow.", issue_type="tool"
    )
    assert (set_again.feedback_text, set_again.issue_type) == ("Slow.", "tool")
    assert await client.list_feedback(user_id="mira") == [set_again]


async def test_feedback_of_another_user_is_neither_read_nor_changed(
    client: PostgresClient,
) -> None:
    hers = await client.store_feedback(user_id="noor", is_positive=True)

    with pytest.raises(NotFound, match=str(hers.id)):
        await client.get_feedback(hers.id, user_id="mira")
    with pytest.raises(NotFound, match=str(hers.id)):
        await client.update_feedback(hers.id, user_id="mira", is_positive=False)
    assert await client.delete_feedback(hers.id, user_id="mira") is False
    assert await client.get_feedback(hers.id, user_id="noor") == hers


async def test_deleted_feedback_is_not_returned_and_keeps_its_key(client: PostgresClient) -> None:
    stored = await client.store_feedback(user_id="mira", is_positive=True, idempotency_key="k-1")

    assert await client.delete_feedback(stored.id, user_id="mira") is True
    assert await client.delete_feedback(stored.id, user_id="mira") is False
    assert await client.list_feedback(user_id="mira") == []
    assert (await client.summarize_feedback(user_id="mira")).total == 0
    with pytest.raises(NotFound):
        await client.get_feedback(stored.id, user_id="mira")
    with pytest.raises(NotFound):
        await client.update_feedback(stored.id, user_id="mira", is_positive=False)
    with pytest.raises(Deleted):
        await client.store_feedback(user_id="mira", is_positive=True, idempotency_key="k-1")


async def test_repeated_call_after_an_update_conflicts(client: PostgresClient) -> None:
    stored = await client.store_feedback(user_id="mira", is_positive=True, idempotency_key="k-1")
    await client.update_feedback(stored.id, user_id="mira", is_positive=False)

    with pytest.raises(Conflict):
        await client.store_feedback(user_id="mira", is_positive=True, idempotency_key="k-1")


@pytest.mark.parametrize("text", ["", " ", "\n\t  "])
async def test_update_with_a_text_without_words_is_refused(
    client: PostgresClient, text: str
) -> None:
    stored = await client.store_feedback(user_id="mira", is_positive=True)
    with pytest.raises(InvalidValue, match="feedback_text"):
        await client.update_feedback(stored.id, user_id="mira", feedback_text=text)
