"""The session service of ADK on the sessions of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform import time as platform_time
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions import BaseSessionService, Session
from google.adk.sessions.base_session_service import ListSessionsResponse
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from agentrows import (
    AlreadyExists,
    Deleted,
    InvalidValue,
    NotFound,
    Stale,
    Stores,
    UnreadableRow,
)
from agentrows.adk.clients import ClientOwner
from agentrows.adk.states import (
    find_unwritable,
    fold_events,
    merge_state,
    select_temporary,
    split_state,
)
from agentrows.adk.versions import read_version, write_version

if TYPE_CHECKING:
    from google.adk.sessions.base_session_service import GetSessionConfig

    from agentrows import AppSession, Page

STALE: Final = "the session has been modified in storage since it was loaded: reload it"
RELOADS: Final = 10
"""Attempts of `append_with_reload`; each one fails only if another writer was faster."""


class SessionService(ClientOwner, BaseSessionService):
    """Sessions, events and state of ADK in PostgreSQL.

    `client` is a client, or a transaction, in which an event and other rows commit together. With
    `row_security` each call runs in `client.as_user(user_id)`, except a list of all users; it needs
    a client and AGENTROWS_ROW_SECURITY.

    Errors of the database are those of agentrows. InvalidValue, which is a ValueError, names an
    argument or a key of the state that cannot be stored.
    """

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Store a new session and return it; without an id it gets a UUID.

        Raises:
            AlreadyExistsError: the user has a session of the application with this id.

        """
        id_ = (session_id or "").strip() or platform_uuid.new_uuid()
        parts = split_state(state)
        started_at = platform_time.get_time()

        async def create(stores: Stores) -> AppSession:
            return await stores.create_app_session(
                id_,
                user_id=user_id,
                app_name=app_name,
                started_at=started_at,
                state=parts.session,
                user_state=parts.user,
                app_state=parts.app,
            )

        try:
            row = await self._run(user_id, create, is_repeatable=False)
        except (AlreadyExists, Deleted) as error:
            raise AlreadyExistsError(f"Session with id {id_} already exists.") from error
        return _to_session(row, app_name)

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """Return a session with its events in the order of their arrival; None if it is missing.

        `config` limits the events, and never the state: to the last `num_recent_events`, and of
        these to those not older than `after_timestamp`.

        Raises:
            UnreadableRow: an event of another program is not an event of ADK.

        """
        id_ = (session_id or "").strip()
        if not id_:
            return None
        last = config.num_recent_events if config else None
        row = await self._find(id_, user_id=user_id, app_name=app_name, last=last)
        if row is None:
            return None
        events = _read_events(row)
        session = _to_session(row, app_name)
        if row.version == 0:
            # Another program made the session: its events are its state.
            every = events
            if last is not None:
                whole = await self._find(id_, user_id=user_id, app_name=app_name)
                every = _read_events(whole) if whole else events
            session.state = {**fold_events(every), **session.state}
        if config and config.after_timestamp is not None:
            events = [event for event in events if event.timestamp >= config.after_timestamp]
        session.events = events
        return session

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """Return the sessions of a user, or of all users, with their states and without events.

        The least recently updated one is first. A session of another program has only the shared
        states until an event is appended to it.
        """

        async def list_own(stores: Stores) -> Page[AppSession]:
            return await stores.list_app_sessions(user_id=user_id or "", app_name=app_name)

        if user_id is None:
            rows = await (await self._stores()).list_app_sessions_all_users(app_name)
        else:
            rows = await self._run(user_id, list_own)
        return ListSessionsResponse(sessions=[_to_session(row, app_name) for row in rows])

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Remove a session with all rows that belong to it; its id can be used again.

        The states of the user and of the application stay. Does nothing if there is no session.
        """
        id_ = (session_id or "").strip()

        async def purge(stores: Stores) -> None:
            await stores.purge_app_session(id_, user_id=user_id, app_name=app_name)

        if id_:
            await self._run(user_id, purge)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Return the state of a user, with keys without the prefix user:; {} if there is none."""

        async def find(stores: Stores) -> dict[str, Any] | None:
            return await stores.find_user_state(user_id=user_id, app_name=app_name)

        return await self._run(user_id, find) or {}

    async def append_event(self, session: Session, event: Event) -> Event:
        """Store an event at the end of a session, with the state that it sets, and return it.

        A partial event is returned and not stored. An event that the session has already, with the
        same content, is not stored again.

        Raises:
            StaleSessionError: the stored session was changed since this one was read; nothing was
                stored.
            SessionNotFoundError: the session is missing, or was deleted.
            AlreadyExistsError: the session has an event with this id and another content.

        """
        if event.partial:
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        version = read_version(session)
        if version is None:
            version = await self._match_version(session)
        try:
            stored = await self._append(session, event, version)
        except Stale as error:
            raise StaleSessionError(STALE) from error
        except NotFound as error:
            raise SessionNotFoundError(f"Session {session.id} not found.") from error
        except AlreadyExists as error:
            raise AlreadyExistsError(
                f"Event {event.id} of session {session.id} exists with another content."
            ) from error
        write_version(session, stored)
        if stored == version:  # delivered again
            return event
        session.last_update_time = event.timestamp
        return self._commit_event_to_session(session, event)

    async def append_with_reload(self, session: Session, event: Event) -> Event:
        """Append an event after the newest one; update `session` if another writer changed it.

        Use it if the state of the event does not depend on the state that was read. It raises the
        errors of `append_event`, StaleSessionError only after 10 attempts.
        """
        for _ in range(RELOADS - 1):
            try:
                return await self.append_event(session, event)
            except StaleSessionError:
                newest = await self.get_session(
                    app_name=session.app_name, user_id=session.user_id, session_id=session.id
                )
                if newest is None:
                    raise SessionNotFoundError(f"Session {session.id} not found.") from None
                session.state = {**newest.state, **select_temporary(session.state)}
                session.events = newest.events
                session.last_update_time = newest.last_update_time
                write_version(session, read_version(newest) or 0)
        return await self.append_event(session, event)

    async def _append(self, session: Session, event: Event, version: int) -> int:
        """Store an event, if the session is at this version; return the new version."""
        parts = split_state(event.actions.state_delta)
        data = _dump(event)
        base: dict[str, Any] = {}
        if version == 0:
            every = await self._find(session.id, user_id=session.user_id, app_name=session.app_name)
            base = fold_events(_read_events(every)) if every else {}

        async def append(stores: Stores) -> int:
            return await stores.append_app_event(
                event.id,
                session_id=session.id,
                user_id=session.user_id,
                app_name=session.app_name,
                version=version,
                data=data,
                occurred_at=event.timestamp,
                state=parts.session,
                user_state=parts.user,
                app_state=parts.app,
                base_state=base,
            )

        return await self._run(session.user_id, append)

    async def _match_version(self, session: Session) -> int:
        """Return the version of a session from elsewhere, if its last event is the stored one."""
        row = await self._find(
            session.id, user_id=session.user_id, app_name=session.app_name, last=1
        )
        if row is None:
            raise SessionNotFoundError(f"Session {session.id} not found.")
        stored = [event.id for event in _read_events(row)]
        if row.last_event_at > session.last_update_time and stored != [
            event.id for event in session.events[-1:]
        ]:
            raise StaleSessionError(STALE)
        return row.version

    async def _find(
        self, session_id: str, *, user_id: str, app_name: str, last: int | None = None
    ) -> AppSession | None:
        async def find(stores: Stores) -> AppSession | None:
            return await stores.find_app_session(
                session_id, user_id=user_id, app_name=app_name, last=last
            )

        return await self._run(user_id, find)


def _to_session(row: AppSession, app_name: str) -> Session:
    """Return a session of ADK without events."""
    session = Session(
        id=row.id,
        app_name=app_name,
        user_id=row.user_id,
        state=merge_state(row),
        last_update_time=row.last_event_at,
    )
    write_version(session, row.version)
    return session


def _read_events(row: AppSession) -> list[Event]:
    """Return the events of a row."""
    events: list[Event] = []
    # One by one: it is three times as fast as one list.
    for number, data in enumerate(row.events, 1):
        try:
            events.append(Event.model_validate_json(data))
        except ValidationError as error:
            raise UnreadableRow(
                f"event {number} of {len(row.events)} that were read from session {row.id!r} is "
                "not an event of ADK"
            ) from error
    return events


def _dump(event: Event) -> str:
    """Return the JSON text of an event, without the fields that are None."""
    try:
        return event.model_dump_json(exclude_none=True)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        key = find_unwritable(event.actions.state_delta)
        name = "event" if key is None else f"state_delta[{key!r}]"
        raise InvalidValue(f"{name} cannot be written as JSON: {error}") from error
