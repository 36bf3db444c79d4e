"""Sessions of applications: a session with its state, and events that are appended by version.

An application is the agent of its sessions. Its name is compared exactly, and the same session id
in two applications of a user is two sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict, cast

from agentrows.errors import AlreadyExists, Deleted, InvalidValue, NotFound, OutcomeUnknown, Stale
from agentrows.gen import app_sessions as queries
from agentrows.gen import sessions as session_queries
from agentrows.gen import threads as thread_queries
from agentrows.gen.models import AppSession
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._pages import Page, PageOrder, Pages
from agentrows.stores._requirements import SESSION_STATES, SHARES, TASK_OWNERS, require
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._thread_values import delete_unnamed_values
from agentrows.validation import (
    INT64,
    KEY_SEPARATOR,
    check_id,
    check_int64,
    check_jsonb_object,
    check_key_part,
    check_limit,
    check_number,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.gen.models import PrunedSessions
    from agentrows.gen.pgjson import JsonLike

    State = dict[str, JsonValue]
    NewState = Mapping[str, JsonLike]
    Create = Callable[[], Awaitable[AppSession | None]]

BY_ACTIVITY: Final = PageOrder(AppSession, ("last_event_at", "id"), (-math.inf, ""))
ALL_BY_ACTIVITY: Final = PageOrder(
    AppSession, ("last_event_at", "user_id", "id"), (-math.inf, "", "")
)
MOST_ORPHANS: Final = 3
"""Attempts to create a session if its state was left behind; more are not expected."""


class _States(TypedDict):
    """The states of a call, by the name of the argument."""

    state: NewState
    user_state: NewState
    app_state: NewState


@dataclass(frozen=True)
class AppSessionStore:
    """Store of the sessions of applications, with their states."""

    db: Executor

    async def create_app_session(
        self,
        id: str,
        *,
        user_id: str,
        app_name: str,
        started_at: float,
        state: NewState | None = None,
        user_state: NewState | None = None,
        app_state: NewState | None = None,
    ) -> AppSession:
        """Store a new session of an application at version 1 and return it.

        `state` is that of the session; the values of `user_state` and `app_state` are merged into
        the states that the sessions of the user, or of the application, share. `started_at` is the
        time by the clock of the application, in seconds since 1970. The result has no events.

        Raises:
            AlreadyExists: the user has a session of the application with this id.
            Deleted: `delete_session` marked it as deleted; `purge_app_session` removes it.
            SchemaBehind: migration 22 of the track agentrows is not applied.

        """
        key = _check_key(self.db, id, user_id, app_name)
        create = partial(
            queries.create_app_session,
            self.db.once,
            **key,
            **_check_states(state, user_state, app_state),
            last_event_at=check_number("started_at", started_at),
        )
        return await self._create(create, key, state or {}, started_at)

    async def _create(
        self, create: Create, key: dict[str, str], state: NewState, started_at: float
    ) -> AppSession:
        """Create a session, and again if only its state was left behind."""
        for _ in range(MOST_ORPHANS):
            try:
                session = await create()
            except OutcomeUnknown:
                session = await self._find_created(key, state, started_at)
                if session is None:
                    raise
            if session is not None:
                return session
            is_deleted = await queries.is_app_session_deleted(self.db.repeatable, **key)
            if is_deleted:
                raise Deleted(f"session {key['id']!r} is deleted: purge_app_session removes it")
            if is_deleted is not None:
                break
            # A release without the table of the states removed the session, but not its state.
            await queries.delete_orphaned_states(
                self.db.repeatable, user_id=key["user_id"], session_id=key["id"]
            )
        raise AlreadyExists(f"session {key['id']!r} of this user and application already exists")

    async def _find_created(
        self, key: dict[str, str], state: NewState, started_at: float
    ) -> AppSession | None:
        """Return the session that a call with a lost reply has stored; None if it is not stored."""
        stored = await queries.get_app_session(self.db.repeatable, **key, last=0)
        if stored is None or (stored.version, stored.last_event_at) != (1, started_at):
            return None
        return stored if stored.state == state else None

    async def find_app_session(
        self, id: str, *, user_id: str, app_name: str, last: int | None = None
    ) -> AppSession | None:
        """Return a user's session of an application with its events, oldest first.

        All events are returned, or with `last=n` the last n of them (0: none). The order is that of
        their arrival. None if there is no such session, or it is deleted. A session of the agent
        that another program stored has version 0 and an empty state.
        """
        if last is not None and (check_int64("last", last) < 0):
            raise InvalidValue("last must be an integer of at least 0, or None for all events")
        key = _check_key(self.db, id, user_id, app_name)
        return await queries.get_app_session(self.db.repeatable, **key, last=last)

    async def list_app_sessions(
        self,
        *,
        user_id: str,
        app_name: str,
        limit: int | None = None,
        after: AppSession | str | None = None,
    ) -> Page[AppSession]:
        """Return a user's sessions of an application without events, least recently active first.

        The order is that of `last_event_at`, then of the id by code point. At most `limit` rows, or
        all with None. Pass `next_token`, or the last row, as `after` for the next page.
        """
        owner = _check_owner(self.db, user_id, app_name)
        pages = Pages(self.db, "list_app_sessions", BY_ACTIVITY, owner)
        after_time, after_id = pages.start(after)
        sessions = await queries.list_app_sessions(
            self.db.repeatable,
            **owner,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(sessions, limit)

    async def list_app_sessions_all_users(
        self, app_name: str, *, limit: int | None = None, after: AppSession | str | None = None
    ) -> Page[AppSession]:
        """Return all users' sessions of an application without events, least recently active first.

        For the operator of the application, not for its users. The order is that of
        `last_event_at`, then of the user and the id by code point. At most `limit` rows, or all
        with None. Pass `next_token`, or the last row, as `after` for the next page.
        """
        require(self.db, SHARES)
        require(self.db, SESSION_STATES)
        app_name = check_key_part("app_name", app_name)
        filters = {"app_name": app_name}
        pages = Pages(self.db, "list_app_sessions_all_users", ALL_BY_ACTIVITY, filters)
        after_time, after_user_id, after_id = pages.start(after)
        sessions = await queries.list_all_app_sessions(
            self.db.repeatable,
            app_name=app_name,
            after_time=after_time,
            after_user_id=after_user_id,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(sessions, limit)

    async def find_user_state(self, *, user_id: str, app_name: str) -> State | None:
        """Return the state that a user's sessions of an application share; None without one."""
        owner = _check_owner(self.db, user_id, app_name)
        state = await queries.find_user_state(self.db.repeatable, **owner)
        return cast("State | None", state)

    async def append_app_event(
        self,
        id: str,
        *,
        session_id: str,
        user_id: str,
        app_name: str,
        version: int,
        data: str,
        occurred_at: float,
        state: NewState | None = None,
        user_state: NewState | None = None,
        app_state: NewState | None = None,
        base_state: NewState | None = None,
    ) -> int:
        """Store an event at the end of a session with the values that it sets; return the version.

        `version` is the one that was read, and the result the next one. The values of the states
        replace those of the same keys. `occurred_at` is the time by the clock of the application,
        in seconds since 1970; the order is that of arrival. For a session of another program
        (version 0) `base_state` is its state before. The call can be repeated: an event that the
        session has with the same data is not stored again. Its id may exist in other sessions.

        Raises:
            Stale: the session is at another version; nothing was stored.
            NotFound: the user has no such session of the application, or it is deleted.
            AlreadyExists: the session has an event with this id and other data.
            SchemaBehind: migration 22 of the track agentrows is not applied.

        """
        event = {
            **_check_key(self.db, id, user_id, app_name),
            "session_id": check_key_part("session_id", session_id),
            "data": check_text("data", data),
        }
        appended = await queries.append_app_event(
            self.db.repeatable,
            **event,
            version=_check_version(version),
            occurred_at=check_number("occurred_at", occurred_at),
            **_check_states(state, user_state, app_state),
            base_state=_check_state("base_state", base_state),
            notify=self.db.options.notify_events,
        )
        return await self._explain(event, version) if appended is None else appended

    async def _explain(self, event: dict[str, str], version: int) -> int:
        """Return the version after an event that is stored already; else raise the reason."""
        stored = await queries.compare_app_event(self.db.repeatable, **event)
        session = f"session {event['session_id']!r}"
        if stored is None:
            raise NotFound(f"no {session} of this user and application")
        if stored.is_same:
            return min(version + 1, stored.version)
        if stored.is_stored:
            raise AlreadyExists(f"event {event['id']!r} of {session} exists with other data")
        raise Stale(f"{session} is at version {stored.version}, not {version}: read it again")

    async def purge_session(self, id: str, *, user_id: str) -> PrunedSessions:
        """Remove a user's session and all rows that belong to it; its id can be used again.

        These are its events, state, tasks with their events and push notification configs,
        checkpoints with their writes and values, CrewAI rows and shares, rows marked as deleted
        included. The states that sessions share stay. A task without an owner that may belong to
        another user stays, hidden from all users. Waits for concurrent writers of the session.

        Returns the number of removed rows by table, all zero if there are none. Inside a
        transaction it must be read committed.

        Raises:
            InvalidValue: called in a transaction that is not read committed.
            SchemaBehind: migration 22 of the track agentrows is not applied.

        """
        require(self.db, TASK_OWNERS)
        require(self.db, SESSION_STATES)
        check_id("id", id)
        check_id("user_id", user_id)

        async def purge(db: Executor) -> PrunedSessions:
            return await _purge(db, id, user_id=user_id)

        return await self.db.repeat(purge, isolation=choose_isolation(self.db))

    async def purge_app_session(self, id: str, *, user_id: str, app_name: str) -> bool:
        """Remove a user's session of an application as `purge_session`; return whether it existed.

        Raises:
            InvalidValue: called in a transaction that is not read committed.
            SchemaBehind: migration 22 of the track agentrows is not applied.

        """
        require(self.db, TASK_OWNERS)
        key = _check_key(self.db, id, user_id, app_name)

        async def purge(db: Executor) -> bool:
            rows = await queries.list_app_session_keys(db, **key)
            for row in rows:
                await _purge(db, row, user_id=user_id)
            if not rows:  # another release may have removed the session, but not its state
                await queries.delete_orphaned_states(
                    db, user_id=key["user_id"], session_id=key["id"]
                )
            return bool(rows)

        return await self.db.repeat(purge, isolation=choose_isolation(self.db))


def _check_key(db: Executor, id: str, user_id: str, app_name: str) -> dict[str, str]:
    """Return the key of a session of an application; raise an error for unusable parts."""
    owner = _check_owner(db, user_id, app_name)
    return {"id": check_key_part("id", id), **owner}


def _check_owner(db: Executor, user_id: str, app_name: str) -> dict[str, str]:
    """Return a user and an application; raise an error for unusable names."""
    require(db, SHARES)
    require(db, SESSION_STATES)
    return {
        "user_id": check_key_part("user_id", user_id),
        "app_name": check_key_part("app_name", app_name),
    }


def _check_version(version: int) -> int:
    if check_int64("version", version) < 0 or version + 1 not in INT64:
        raise InvalidValue("version must be an integer of at least 0")
    return version


async def _purge(db: Executor, id: str, *, user_id: str) -> PrunedSessions:
    """Remove a session in a transaction: lock its rows, then delete in newer snapshots."""
    scope = await read_access_scope(db, "purge_session", allows_one_user=True)
    check_read_committed(scope.isolation, "purge_session")
    await queries.lock_tasks_of_session(db, session_id=id, user_id=user_id)
    await queries.lock_session(db, id=id, user_id=user_id)
    await thread_queries.lock_checkpoints_of_threads(db, user_id=user_id, thread_ids=[id])
    # Again: writers may have committed more tasks before the session was locked.
    tasks = await queries.lock_tasks_of_session(db, session_id=id, user_id=user_id)
    purged = await queries.purge_session(db, id=id, user_id=user_id, task_id=tasks)
    if tasks and scope.has_task_events:
        await session_queries.prune_rows_of_tasks(db, task_id=tasks)
    purged.checkpoint_values = await delete_unnamed_values(db, [(user_id, id)])
    await queries.delete_orphaned_states(
        db, user_id=user_id, session_id=id.split(KEY_SEPARATOR, maxsplit=1)[0]
    )
    return purged


def _check_states(
    state: NewState | None, user_state: NewState | None, app_state: NewState | None
) -> _States:
    """Return the three states of a call by the name of their argument."""
    return {
        "state": _check_state("state", state),
        "user_state": _check_state("user_state", user_state),
        "app_state": _check_state("app_state", app_state),
    }


def _check_state(name: str, state: NewState | None) -> NewState:
    """Return a state that jsonb can store; raise InvalidValue with the key of an unusable value."""
    if state is None:
        return {}
    try:
        check_jsonb_object(name, state)
    except InvalidValue:
        if isinstance(state, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            for key, value in state.items():
                check_jsonb_object(f"{name}[{key!r}]", {key: value})
        raise
    return state
