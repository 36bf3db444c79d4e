"""Feedback: what users say of an agent's messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.errors import InvalidValue
from agentrows.gen import feedback as queries
from agentrows.gen.enums import FeedbackIssueType
from agentrows.gen.models import Feedback
from agentrows.stores._arguments import (
    NEWEST,
    check_after,
    check_choice,
    check_flag,
    check_id,
    check_int64,
    check_limit,
    check_text,
    page_after,
)

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import FeedbackSummary


@dataclass(frozen=True)
class FeedbackStore:
    """What each user said."""

    db: Executor

    async def store_feedback(
        self,
        *,
        user_id: str,
        is_positive: bool,
        feedback_text: str,
        issue_type: FeedbackIssueType | str | None = None,
        message_id: int | None = None,
    ) -> Feedback:
        """Store a user's verdict, in words that are not empty, and return it.

        `issue_type` is one of instructions, factual, incomplete, tool.
        """
        if not check_text("feedback_text", feedback_text).strip():
            raise InvalidValue("feedback_text must not be empty")
        if issue_type is not None:
            check_choice("issue_type", issue_type, [issue.value for issue in FeedbackIssueType])
        return await queries.insert_feedback(
            self.db.once,
            user_id=check_id("user_id", user_id),
            message_id=None if message_id is None else check_int64("message_id", message_id),
            is_positive=check_flag("is_positive", is_positive),
            feedback_text=feedback_text,
            issue_type=None if issue_type is None else FeedbackIssueType(issue_type),
        )

    async def list_feedback(
        self, *, user_id: str, limit: int | None = None, after: Feedback | None = None
    ) -> list[Feedback]:
        """Return a user's feedback, newest first, at most `limit`; pages go on `after` a row."""
        check_after(after, Feedback)
        after_time, _ = page_after(after.created_at, "") if after else NEWEST
        return await queries.list_feedback(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=check_int64("after.id", after.id) if after else 0,
            limit=check_limit("limit", limit),
        )

    async def summarize_feedback(self, *, user_id: str) -> FeedbackSummary:
        """Count a user's feedback, by verdict and by issue; all zero for an unknown user."""
        return await queries.summarize_feedback(
            self.db.repeatable, user_id=check_id("user_id", user_id)
        )
