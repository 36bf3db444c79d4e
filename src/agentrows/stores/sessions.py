"""Sessions: the conversations of a user with an agent, by id and user together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from agentrows.errors import AlreadyExists, Deleted, InvalidValue, NotFound
from agentrows.gen import sessions as queries
from agentrows.gen.models import PrunedSessions, Session
from agentrows.stores._arguments import (
    NEWEST,
    UNSET,
    check_after,
    check_choice,
    check_flag,
    check_id,
    check_indexed_text,
    check_limit,
    check_optional_id,
    given,
    page_after,
)
from agentrows.stores._schema import check_read_committed, look_around, needs, new_snapshots

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import IdleSession
    from agentrows.stores._arguments import Place, Unset

    Order = Literal["activity", "created"]


LONGEST_RETENTION: Final = timedelta(days=365_000)
"""What PostgreSQL can still subtract from now, and by far."""
PRUNED_AT_ONCE: Final = 1000
"""Sessions that one transaction of a prune locks and removes."""


@dataclass(frozen=True)
class SessionStore:
    """The sessions of each user."""

    db: Executor

    async def store_session(
        self,
        id: str,
        *,
        user_id: str,
        name: str | Unset | None = UNSET,
        agent_id: str | Unset | None = UNSET,
        source: str | Unset | None = UNSET,
    ) -> Session:
        """Store a session and return it; it counts as active now.

        An argument left out keeps the stored value, None clears it. Raises Deleted for an id that
        this user has deleted.
        """
        session = await queries.upsert_session(
            self.db.repeatable,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            name=check_indexed_text("name", name),
            set_name=given(name),
            agent_id=check_optional_id("agent_id", agent_id),
            set_agent_id=given(agent_id),
            source=check_indexed_text("source", source),
            set_source=given(source),
        )
        if session is None:
            raise Deleted(f"session {id!r} was deleted, its id stays taken")
        return session

    async def create_session(
        self,
        id: str,
        *,
        user_id: str,
        name: str | None = None,
        agent_id: str | None = None,
        source: str | None = None,
    ) -> Session:
        """Store a new session and return it.

        Raises AlreadyExists if this user has one with the id, and Deleted if they had one.
        """
        session = await queries.insert_session(
            self.db.once,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            name=check_indexed_text("name", name),
            agent_id=check_optional_id("agent_id", agent_id),
            source=check_indexed_text("source", source),
        )
        if session is not None:
            return session
        if await queries.is_session_deleted(self.db.repeatable, id=id, user_id=user_id):
            raise Deleted(f"session {id!r} was deleted, its id stays taken")
        raise AlreadyExists(f"session {id!r} exists already")

    async def get_session(self, id: str, *, user_id: str) -> Session:
        """Return a user's session; raise NotFound if it is deleted or somebody else's."""
        session = await queries.get_session(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        if session is None:
            raise NotFound(f"no session {id!r} of this user")
        return session

    async def list_sessions(
        self,
        *,
        user_id: str,
        limit: int | None = None,
        after: Session | None = None,
        order: Order = "activity",
    ) -> list[Session]:
        """Return a user's sessions, the most recently active (or `created`) first.

        At most `limit`; a page goes on `after` its last row.
        """
        after_time, after_id = _place(after, order)
        page = (
            queries.list_sessions_by_activity
            if order == "activity"
            else queries.list_sessions_by_creation
        )
        return await page(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )

    async def list_sessions_for_agent(
        self,
        agent_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: Session | None = None,
        order: Order = "activity",
    ) -> list[Session]:
        """Return a user's sessions with an agent, without those that an agent started.

        Order, `limit` and `after` are those of `list_sessions`.
        """
        after_time, after_id = _place(after, order)
        page = (
            queries.list_agent_sessions_by_activity
            if order == "activity"
            else queries.list_agent_sessions_by_creation
        )
        return await page(
            self.db.repeatable,
            agent_id=check_id("agent_id", agent_id),
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )

    async def list_sessions_for_agent_all_users(
        self,
        agent_id: str,
        *,
        limit: int | None = None,
        after: Session | None = None,
        order: Order = "activity",
    ) -> list[Session]:
        """Return every user's sessions with an agent: for its operator, not for its users.

        Without those that an agent started; order, `limit` and `after` as in `list_sessions`.
        """
        after_time, after_id = _place(after, order)
        page = (
            queries.list_all_agent_sessions_by_activity
            if order == "activity"
            else queries.list_all_agent_sessions_by_creation
        )
        return await page(
            self.db.repeatable,
            agent_id=check_id("agent_id", agent_id),
            after_time=after_time,
            after_id=after_id,
            after_user_id=after.user_id if after else "",
            limit=check_limit("limit", limit),
        )

    async def delete_session(self, id: str, *, user_id: str) -> bool:
        """Mark a user's session as deleted, for good; say whether there was one."""
        deleted = await queries.delete_session(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0

    async def prune_expired_sessions(
        self, retention: timedelta, *, dry_run: bool = False
    ) -> PrunedSessions:
        """Remove every user's sessions that were idle for longer than `retention`, for good.

        Their events, tasks, push notification configs, checkpoints, checkpoint writes, CrewAI rows
        and shares are removed with them. A session is idle if neither its own row nor any of these
        rows was written within the retention, and no share of it was opened. Deleting a row does
        not count as writing it. Sessions are removed in batches of at most 1000, each in a
        transaction of its own; sessions in use by another transaction are skipped. A retention of
        zero or less removes nothing.

        Returns the number of removed rows by table; `dry_run` counts them and removes none. Inside
        a transaction all batches are part of it, and it must be read committed.

        Raises: InvalidValue inside `as_user`, and for another isolation level; ConfigError where
        policies hide every row (agentrows.unscoped).
        """
        needs(self.db, "core", 7)
        if not isinstance(retention, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue("retention must be a timedelta")
        check_flag("dry_run", dry_run)
        if retention > LONGEST_RETENTION:
            raise InvalidValue(f"retention must be at most {LONGEST_RETENTION.days:,} days")
        if retention <= timedelta(0):
            return _sum([])
        found = await look_around(self.db.repeatable, "prune_expired_sessions")
        if dry_run:
            return await queries.count_expired_sessions(self.db.repeatable, retention=retention)
        if self.db.in_transaction:
            check_read_committed(found.isolation, "prune_expired_sessions")
        batches: list[PrunedSessions] = []
        last: IdleSession | None = None
        while True:
            prune = partial(_prune_batch, retention=retention, after=last)
            last, pruned = await self.db.repeat(prune, isolation=new_snapshots(self.db))
            if last is None:
                return _sum(batches)
            batches.append(pruned)


async def _prune_batch(
    db: Executor, *, retention: timedelta, after: IdleSession | None
) -> tuple[IdleSession | None, PrunedSessions]:
    """Remove the expired ones of the next idle sessions; return the last of these, None at the end.

    Locks are taken in statements of their own, never waiting: the statement that removes rows then
    sees all that was committed before. A session is skipped if a writer has one of its tasks. The
    statement that locks runs for no session too, because it checks the rights of the role.
    """
    idle = await queries.list_idle_sessions(
        db,
        retention=retention,
        after_time=after.last_used if after else "-infinity",
        after_id=after.id if after else "",
        after_user_id=after.user_id if after else "",
        batch_size=PRUNED_AT_ONCE,
    )
    locked = await queries.lock_expired_sessions(
        db,
        retention=retention,
        id=[session.id for session in idle],
        user_id=[session.user_id for session in idle],
    )
    if not locked:
        return idle[-1] if idle else None, _sum([])
    sessions = await queries.lock_tasks_of_sessions(
        db, id=[session.id for session in locked], user_id=[session.user_id for session in locked]
    )
    pruned = await queries.prune_sessions(
        db,
        retention=retention,
        id=[session.id for session in sessions],
        user_id=[session.user_id for session in sessions],
    )
    return idle[-1], pruned


def _place(after: Session | None, order: Order) -> Place:
    """Return where a page begins that goes on after this row."""
    check_choice("order", order, ("activity", "created"))
    check_after(after, Session, "id", "user_id")
    if after is None:
        return NEWEST
    return page_after(after.updated_at if order == "activity" else after.created_at, after.id)


def _sum(batches: list[PrunedSessions]) -> PrunedSessions:
    """Add up what the batches removed, table by table."""
    return PrunedSessions(
        sessions=sum(batch.sessions for batch in batches),
        tasks=sum(batch.tasks for batch in batches),
        push_notifications=sum(batch.push_notifications for batch in batches),
        events=sum(batch.events for batch in batches),
        checkpoints=sum(batch.checkpoints for batch in batches),
        checkpoint_writes=sum(batch.checkpoint_writes for batch in batches),
        crewai_memories=sum(batch.crewai_memories for batch in batches),
        crewai_flow_states=sum(batch.crewai_flow_states for batch in batches),
        shares=sum(batch.shares for batch in batches),
    )
