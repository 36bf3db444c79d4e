"""Feedback: accepted values, lists and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentrows import Feedback, FeedbackIssueType, FeedbackSummary, InvalidValue
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
