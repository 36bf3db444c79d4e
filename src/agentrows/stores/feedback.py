"""Feedback: users' verdicts on messages of an agent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from agentrows.errors import Conflict, Deleted, InvalidValue, NotFound
from agentrows.gen import feedback as queries
from agentrows.gen.enums import FeedbackIssueType
from agentrows.gen.models import Feedback
from agentrows.stores._pages import Page, PageOrder, Pages
from agentrows.stores._requirements import FEEDBACK_KEYS, FEEDBACK_TARGETS, require
from agentrows.validation import (
    END_OF_TIME,
    UNSET,
    check_choice,
    check_flag,
    check_id,
    check_int64,
    check_limit,
    check_text,
    is_set,
)

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from agentrows.db.executor import Executor
    from agentrows.gen.models import FeedbackSummary
    from agentrows.validation import Unset


TARGETS: Final = "agentrows_feedback_target"


class _Verdict(NamedTuple):
    """The columns that must be the same in each call with one idempotency key."""

    message_id: int | None
    is_positive: bool
    feedback_text: str
    issue_type: str | None
    event_id: str | None
    task_id: str | None

    @classmethod
    def from_row(cls, row: Feedback) -> Self:
        return cls(
            message_id=row.message_id,
            is_positive=row.is_positive,
            feedback_text=row.feedback_text,
            issue_type=row.issue_type,
            event_id=row.event_id,
            task_id=row.task_id,
        )

    @property
    def has_target(self) -> bool:
        """Whether the verdict is about an event or a task."""
        return self.event_id is not None or self.task_id is not None


NEWEST_FIRST: Final[PageOrder[Feedback, tuple[datetime | None, int]]] = PageOrder(
    Feedback, ("created_at", "id"), (END_OF_TIME, 0)
)


@dataclass(frozen=True)
class FeedbackStore:
    """Store of users' feedback."""

    db: Executor

    async def store_feedback(
        self,
        *,
        user_id: str,
        is_positive: bool,
        feedback_text: str | None = None,
        issue_type: FeedbackIssueType | str | None = None,
        message_id: int | None = None,
        event_id: str | None = None,
        task_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Feedback:
        """Store a user's verdict and return it.

        A verdict without a text, such as a thumbs-up, is stored with an empty one; a
        `feedback_text` that is passed must not be empty. `issue_type` is one of instructions,
        factual, incomplete, tool. `event_id` and `task_id` name an event or a task, which need not
        be stored. With an `idempotency_key` of 1 to 512 bytes the call can be repeated, for example
        after OutcomeUnknown: the same user and key return the row that the first call stored.

        Raises:
            Conflict: the user's key was used with another verdict.
            Deleted: the feedback stored under the key is deleted.
            SchemaBehind: the key needs migration 12 of the track agentrows, the ids 32.

        """
        new = _Verdict(
            message_id=None if message_id is None else check_int64("message_id", message_id),
            is_positive=check_flag("is_positive", is_positive),
            feedback_text=_check_verdict_text(feedback_text),
            issue_type=_check_issue_type(issue_type),
            event_id=None if event_id is None else check_id("event_id", event_id),
            task_id=None if task_id is None else check_id("task_id", task_id),
        )
        check_id("user_id", user_id)
        if idempotency_key is None:
            return await self._store_new(new, user_id=user_id)
        check_id("idempotency_key", idempotency_key)
        return await self._store_once(new, user_id=user_id, key=idempotency_key)

    async def _store_new(self, new: _Verdict, *, user_id: str) -> Feedback:
        """Store a verdict without a key."""
        if new.has_target:
            require(self.db, FEEDBACK_TARGETS)
            return await queries.insert_feedback_with_target(
                self.db.once,
                user_id=user_id,
                message_id=new.message_id,
                is_positive=new.is_positive,
                feedback_text=new.feedback_text,
                issue_type=_check_issue_type(new.issue_type),
                event_id=new.event_id,
                task_id=new.task_id,
            )
        return await queries.insert_feedback(
            self.db.once,
            user_id=user_id,
            message_id=new.message_id,
            is_positive=new.is_positive,
            feedback_text=new.feedback_text,
            issue_type=_check_issue_type(new.issue_type),
        )

    async def _store_once(self, new: _Verdict, *, user_id: str, key: str) -> Feedback:
        """Store a verdict under a key, or return the verdict that is stored under it."""
        require(self.db, FEEDBACK_KEYS, *([FEEDBACK_TARGETS] if new.has_target else []))
        insert = (
            partial(
                queries.insert_feedback_once_with_target,
                event_id=new.event_id,
                task_id=new.task_id,
            )
            if new.has_target
            else queries.insert_feedback_once
        )
        while True:
            db = self.db.repeatable
            stored = await insert(
                db,
                user_id=user_id,
                idempotency_key=key,
                message_id=new.message_id,
                is_positive=new.is_positive,
                feedback_text=new.feedback_text,
                issue_type=_check_issue_type(new.issue_type),
            )
            if stored is not None:
                return stored
            # No row: the key is in use, or its feedback was erased meanwhile and is stored again.
            find = (
                queries.find_feedback_by_key_with_target
                if await self._can_read_targets()
                else queries.find_feedback_by_key
            )
            stored = await find(db, user_id=user_id, idempotency_key=key)
            if stored is None:
                if await queries.has_feedback_key(db, user_id=user_id, idempotency_key=key):
                    raise Deleted("the feedback stored under this idempotency_key is deleted")
                continue
            if new != _Verdict.from_row(stored):
                raise Conflict("this user's idempotency_key was used with another verdict")
            return stored

    async def get_feedback(self, id: int, *, user_id: str) -> Feedback:
        """Return feedback of a user.

        Raises:
            NotFound: the user has no such feedback, or it is deleted.

        """
        check_int64("id", id)
        check_id("user_id", user_id)
        get = (
            queries.get_feedback_with_target
            if await self._can_read_targets()
            else queries.get_feedback
        )
        feedback = await get(self.db.repeatable, id=id, user_id=user_id)
        if feedback is None:
            raise NotFound(f"no feedback {id} of this user")
        return feedback

    async def update_feedback(
        self,
        id: int,
        *,
        user_id: str,
        is_positive: bool | Unset = UNSET,
        feedback_text: str | Unset | None = UNSET,
        issue_type: FeedbackIssueType | str | Unset | None = UNSET,
    ) -> Feedback:
        """Change a user's feedback and return it.

        An argument left out keeps the stored value; None clears the text or the issue type. A
        `feedback_text` that is passed must not be empty. The event and the task stay. Afterwards
        `store_feedback` raises Conflict under the idempotency key of this feedback, unless the
        verdict is the new one.

        Raises:
            NotFound: the user has no such feedback, or it is deleted.

        """
        text = None if feedback_text is UNSET else _check_verdict_text(feedback_text)
        issue = None if issue_type is UNSET else _check_issue_type(issue_type)
        verdict = None if is_positive is UNSET else check_flag("is_positive", is_positive)
        check_int64("id", id)
        check_id("user_id", user_id)
        update = (
            queries.update_feedback_with_target
            if await self._can_read_targets()
            else queries.update_feedback
        )
        feedback = await update(
            self.db.repeatable,
            id=id,
            user_id=user_id,
            is_positive=verdict,
            feedback_text=text,
            issue_type=issue,
            set_issue_type=is_set(issue_type),
        )
        if feedback is None:
            raise NotFound(f"no feedback {id} of this user")
        return feedback

    async def delete_feedback(self, id: int, *, user_id: str) -> bool:
        """Mark a user's feedback as deleted; return whether it existed.

        Its idempotency key cannot be reused.
        """
        deleted = await queries.delete_feedback(
            self.db.repeatable, id=check_int64("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0

    async def list_feedback(
        self,
        *,
        user_id: str,
        event_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        after: Feedback | str | None = None,
    ) -> Page[Feedback]:
        """Return a user's feedback, newest first; that about an event or a task, if one is given.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.

        Raises:
            SchemaBehind: `event_id` and `task_id` need migration 32 of the track agentrows.

        """
        check_id("user_id", user_id)
        if event_id is not None:
            check_id("event_id", event_id)
        if task_id is not None:
            check_id("task_id", task_id)
        has_filter = event_id is not None or task_id is not None
        if has_filter:
            require(self.db, FEEDBACK_TARGETS)
        given = {"event_id": event_id, "task_id": task_id} if has_filter else {}
        pages = Pages(self.db, "list_feedback", NEWEST_FIRST, {"user_id": user_id, **given})
        after_time, after_id = pages.start(after)
        check_limit("limit", limit)
        list_page = (
            partial(queries.list_feedback_with_target, event_id=event_id, task_id=task_id)
            if has_filter or await self._can_read_targets()
            else queries.list_feedback
        )
        feedback = await list_page(
            self.db.repeatable,
            user_id=user_id,
            after_time=after_time,
            after_id=after_id,
            limit=limit,
        )
        return pages.page(feedback, limit)

    async def summarize_feedback(self, *, user_id: str) -> FeedbackSummary:
        """Count a user's feedback by verdict and by issue type; all zero for an unknown user."""
        return await queries.summarize_feedback(
            self.db.repeatable, user_id=check_id("user_id", user_id)
        )

    async def _can_read_targets(self) -> bool:
        """Return whether the targets of feedback can be read; the client remembers that they can.

        The table is optional, and may appear while the client is open.
        """
        known = self.db.readable_tables
        if TARGETS not in known and await queries.can_read_feedback_targets(self.db.repeatable):
            known.add(TARGETS)
        return TARGETS in known


def _check_verdict_text(value: str | None) -> str:
    """Return the text to store: an empty one for None; raise InvalidValue for an empty text."""
    if value is None:
        return ""
    if not check_text("feedback_text", value).strip():
        raise InvalidValue("feedback_text must not be empty: leave it out for a bare verdict")
    return value


def _check_issue_type(value: FeedbackIssueType | str | None) -> FeedbackIssueType | None:
    if value is None:
        return None
    check_choice("issue_type", value, [issue.value for issue in FeedbackIssueType])
    return FeedbackIssueType(value)
