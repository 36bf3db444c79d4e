"""Sessions: the conversations of a user with an agent, by id and user together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from agentrows.errors import AlreadyExists, Deleted, NotFound
from agentrows.gen import sessions as queries
from agentrows.gen.models import PrunedSessions, Session
from agentrows.stores._isolation import check_read_committed
from agentrows.stores._pages import NEWEST, Page, PageOrder, Pages
from agentrows.stores._requirements import TASK_OWNERS, require
from agentrows.stores._retention import BATCH_SIZE, FIRST_PARENTS, Batch, run_all_batches
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._session_retention import TABLES_OF_SESSIONS, idle_sessions
from agentrows.validation import (
    UNSET,
    check_choice,
    check_flag,
    check_id,
    check_indexed_text,
    check_limit,
    check_optional_id,
    check_retention,
    is_set,
)

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.validation import Unset

    Order = Literal["activity", "created"]


@dataclass(frozen=True)
class SessionStore:
    """Store of users' sessions."""

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
        """Store a session, mark it as active and return it.

        An argument left out keeps the stored value; None clears it. `name` and `source` have at
        most 2,000 bytes.

        Raises:
            Deleted: the user has deleted a session with this id; the id cannot be reused.

        """
        session = await queries.upsert_session(
            self.db.repeatable,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            name=check_indexed_text("name", name),
            set_name=is_set(name),
            agent_id=check_optional_id("agent_id", agent_id),
            set_agent_id=is_set(agent_id),
            source=check_indexed_text("source", source),
            set_source=is_set(source),
        )
        if session is None:
            raise Deleted(f"session {id!r} is deleted: its id cannot be reused")
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

        `name` and `source` have at most 2,000 bytes.

        Raises:
            AlreadyExists: the user has a session with this id.
            Deleted: the user has deleted a session with this id; the id cannot be reused.

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
            raise Deleted(f"session {id!r} is deleted: its id cannot be reused")
        raise AlreadyExists(f"session {id!r} of this user already exists")

    async def update_session(
        self,
        id: str,
        *,
        user_id: str,
        name: str | Unset | None = UNSET,
        agent_id: str | Unset | None = UNSET,
        source: str | Unset | None = UNSET,
    ) -> Session:
        """Change a user's stored session, mark it as active and return it.

        An argument left out keeps the stored value; None clears it. `name` and `source` have at
        most 2,000 bytes. Unlike `store_session`, it never creates a session.

        Raises:
            NotFound: the user has no such session, or it is deleted.

        """
        session = await queries.update_session(
            self.db.repeatable,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            name=check_indexed_text("name", name),
            set_name=is_set(name),
            agent_id=check_optional_id("agent_id", agent_id),
            set_agent_id=is_set(agent_id),
            source=check_indexed_text("source", source),
            set_source=is_set(source),
        )
        if session is None:
            raise NotFound(f"no session {id!r} of this user")
        return session

    async def get_session(self, id: str, *, user_id: str) -> Session:
        """Return a user's session.

        Raises:
            NotFound: the user has no such session, or it is deleted.

        """
        session = await queries.get_session(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        if session is None:
            raise NotFound(f"no session {id!r} of this user")
        return session

    async def count_sessions(self, *, user_id: str, agent_id: str | None = None) -> int:
        """Count a user's sessions, or with `agent_id` those with an agent.

        The number is that of the rows of `list_sessions`, or of `list_sessions_for_agent`: of an
        agent's sessions, those that an agent started are left out.
        """
        return await queries.count_sessions(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            agent_id=check_optional_id("agent_id", agent_id),
        )

    async def list_sessions(
        self,
        *,
        user_id: str,
        limit: int | None = None,
        after: Session | str | None = None,
        order: Order = "activity",
    ) -> Page[Session]:
        """Return a user's sessions, the most recently active or `created` first.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        by = _check_order(order)
        filters = {"user_id": check_id("user_id", user_id), "order": order}
        pages = Pages(self.db, "list_sessions", PageOrder(Session, (by, "id"), NEWEST), filters)
        after_time, after_id = pages.start(after)
        list_page = (
            queries.list_sessions_by_activity
            if order == "activity"
            else queries.list_sessions_by_creation
        )
        sessions = await list_page(
            self.db.repeatable,
            user_id=user_id,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(sessions, limit)

    async def list_sessions_for_agent(
        self,
        agent_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: Session | str | None = None,
        order: Order = "activity",
    ) -> Page[Session]:
        """Return a user's sessions with an agent, the most recently active or `created` first.

        Sessions that an agent started are left out. At most `limit` rows, or all with None.
        Pass `next_token`, or the last row, as `after` for the next page.
        """
        by = _check_order(order)
        owner = {
            "agent_id": check_id("agent_id", agent_id),
            "user_id": check_id("user_id", user_id),
        }
        pages = Pages(
            self.db,
            "list_sessions_for_agent",
            PageOrder(Session, (by, "id"), NEWEST),
            {**owner, "order": order},
        )
        after_time, after_id = pages.start(after)
        list_page = (
            queries.list_agent_sessions_by_activity
            if order == "activity"
            else queries.list_agent_sessions_by_creation
        )
        sessions = await list_page(
            self.db.repeatable,
            **owner,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(sessions, limit)

    async def list_sessions_for_agent_all_users(
        self,
        agent_id: str,
        *,
        limit: int | None = None,
        after: Session | str | None = None,
        order: Order = "activity",
    ) -> Page[Session]:
        """Return all users' sessions with an agent, the most recently active or `created` first.

        For the operator of the agent, not for its users. Sessions that an agent started are left
        out. At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after`
        for the next page.
        """
        pages = Pages(
            self.db,
            "list_sessions_for_agent_all_users",
            PageOrder(Session, (_check_order(order), "id", "user_id"), (*NEWEST, "")),
            {"agent_id": check_id("agent_id", agent_id), "order": order},
        )
        after_time, after_id, after_user_id = pages.start(after)
        list_page = (
            queries.list_all_agent_sessions_by_activity
            if order == "activity"
            else queries.list_all_agent_sessions_by_creation
        )
        sessions = await list_page(
            self.db.repeatable,
            agent_id=agent_id,
            after_time=after_time,
            after_id=after_id,
            after_user_id=after_user_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(sessions, limit)

    async def delete_session(self, id: str, *, user_id: str) -> bool:
        """Mark a user's session as deleted; return whether it existed. Its id cannot be reused."""
        deleted = await queries.delete_session(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0

    async def prune_expired_sessions(
        self, retention: timedelta, *, dry_run: bool = False
    ) -> PrunedSessions:
        """Delete the sessions of all users that were idle for longer than `retention`.

        Their events, tasks, push notification configs, checkpoints, checkpoint writes, CrewAI rows
        and shares are removed with them, and without being counted their states, and the events
        and push configs of A2A tasks. A session is idle if neither its own row nor any of these
        rows was written within the retention, and no share of it was opened. Deleting a row does
        not count as writing it. Sessions are removed in batches of about 1,000 rows, each in a
        transaction of its own; sessions in use by another transaction are skipped. A retention of
        zero or less removes nothing. `prune` does the same for other tables.

        Returns the number of removed rows by table; `dry_run` counts them and removes none. Inside
        a transaction all batches are part of it, and it must be read committed.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: called inside `as_user`, or in a transaction that is not read committed.

        """
        require(self.db, TASK_OWNERS)
        check_retention("retention", retention)
        check_flag("dry_run", dry_run)
        if retention <= timedelta(0):
            return _to_model(Counter())
        scope = await read_access_scope(self.db.repeatable, "prune_expired_sessions")
        if self.db.in_transaction and not dry_run:
            check_read_committed(scope.isolation, "prune_expired_sessions")
        removed = await run_all_batches(
            self.db,
            idle_sessions(scope),
            Batch(retention, size=FIRST_PARENTS, dry_run=dry_run),
            goal=BATCH_SIZE,
        )
        return _to_model(removed.rows)


def _check_order(order: Order) -> str:
    """Return the field by which sessions are ordered."""
    check_choice("order", order, ("activity", "created"))
    return "updated_at" if order == "activity" else "created_at"


def _to_model(rows: Counter[str]) -> PrunedSessions:
    return PrunedSessions.model_validate(
        {name: rows[table] for name, table in TABLES_OF_SESSIONS.items()}
    )
