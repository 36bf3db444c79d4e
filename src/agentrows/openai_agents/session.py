"""The session: a history of items in PostgreSQL."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar
from uuid import uuid4

from agents import SessionSettings

from agentrows import InvalidValue, Stores
from agentrows.bridge import CallRunner, check_row_security
from agentrows.lazy_client import LazyClient
from agentrows.openai_agents._items import NOT_JSON, decode, decode_all, encode, settle
from agentrows.validation import KEY_SEPARATOR, check_id, check_key_part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Self

    from agents import RunContextWrapper, TResponseInputItem

    from agentrows import Event, Settings

__all__ = ["PostgresSession", "stored_agent_id"]

T = TypeVar("T")
AGENT_ID: Final = "openai-agents"
ITEMS: Final = "items"
"""The part of a stored agent id that marks the format of the events."""
PRUNED_AT_ONCE: Final = 500
"""Events that one statement reads while it searches for prunable ones."""
METHODS: Final = ("get_items", "add_items", "pop_item", "clear_session")
"""The methods of the protocol; a subclass that overrides one may store items in another form."""


def stored_agent_id(agent_id: str = AGENT_ID) -> str:
    """Return the agent id that the stored sessions of an `agent_id` have.

    `client.list_sessions_for_agent(stored_agent_id(), user_id=…)` lists a user's conversations. No
    other framework uses such an id, not even for an agent of the same name.

    Raises:
        InvalidValue: the id is empty, longer than 506 bytes, or contains U+001F or NUL.

    """
    stored = f"{check_key_part('agent_id', agent_id)}{KEY_SEPARATOR}{ITEMS}"
    return check_id("agent_id", stored)


class _Key(TypedDict):
    """The owner of a session, and the mark of the format of its items."""

    user_id: str
    agent_id: str


class PostgresSession:
    """The history of a user's conversation; implements the protocol `agents.memory.Session`.

    The items are events of the session `session_id` of the user `user_id`, as JSON text. The first
    item creates the session with the agent `stored_agent_id(agent_id)`, which marks their format: a
    session of another agent or of another framework raises Conflict.

    `client` is a `PostgresClient`, or a `Transaction`, which then includes the changes of the
    session. `session_settings.limit` is the default number of items that `get_items` returns.

    The methods work in any event loop while that of the client runs. With `row_security` each call
    runs in `client.as_user(user_id)`, which takes more round trips.

    An argument `wrapper`, which the SDK passes to all methods of a session or to none, is accepted
    for subclasses.

    Raises:
        InvalidValue: an id is empty, longer than 512 bytes, or contains U+001F or NUL; or
            `row_security` is used with a transaction.

    """

    session_settings: SessionSettings | None

    def __init__(  # noqa: PLR0913  one keyword per option
        self,
        session_id: str,
        *,
        client: Stores | LazyClient,
        user_id: str,
        agent_id: str = AGENT_ID,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        row_security: bool = False,
    ) -> None:
        if not isinstance(client, Stores | LazyClient):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"client must be a PostgresClient, not {type(client).__name__}")
        check_row_security(client, row_security=row_security)
        self.session_id = check_key_part("session_id", session_id)
        self.user_id = check_key_part("user_id", user_id)
        self.agent_id = check_key_part("agent_id", agent_id)
        self.session_settings = _to_settings(session_settings)
        self._client = client
        self._row_security = row_security
        self._key = _Key(user_id=self.user_id, agent_id=stored_agent_id(agent_id))

    @classmethod
    def from_dsn(  # noqa: PLR0913  one keyword per option
        cls,
        session_id: str,
        dsn: str | None = None,
        *,
        user_id: str,
        agent_id: str = AGENT_ID,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        row_security: bool = False,
        settings: Settings | None = None,
    ) -> Self:
        """Return a session with a client of its own, which the first call opens.

        For scripts and `Runner.run_sync`: the client belongs to the event loop of the first call,
        and is opened again if that event loop is closed. `close`, or the end of `async with`,
        closes it. A service opens one client and passes it to all sessions.

        `dsn` and `settings` are those of `PostgresClient.open`.
        """
        return cls(
            session_id,
            client=LazyClient(dsn, settings),
            user_id=user_id,
            agent_id=agent_id,
            session_settings=session_settings,
            row_security=row_security,
        )

    async def __aenter__(self) -> Self:
        """Return the session."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the session."""
        await self.close()

    async def close(self) -> None:
        """Close the client that `from_dsn` created; a client of the application stays open."""
        if isinstance(self._client, LazyClient):
            await self._client.close()

    async def _run(
        self, call: Callable[[Stores], Awaitable[T]], *, is_repeatable: bool = True
    ) -> T:
        """Return the result of a call, which runs in the event loop of the client."""
        client = self._client
        if isinstance(client, LazyClient):
            client = await client.get()
        runner = CallRunner(client, row_security=self._row_security)
        return await runner.run(self.user_id, call, is_repeatable=is_repeatable)

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """Return the last `limit` items, oldest first; all without a limit, none for 0 or less.

        The limit is the argument, else that of `session_settings`. Rows that are not JSON are left
        out and do not count.

        Raises:
            Conflict: the session belongs to another agent.
            Deleted: the session is deleted.

        """
        del wrapper
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit <= 0:
            return []
        return await self._run(partial(self._list, limit=limit))

    async def _list(self, stores: Stores, *, limit: int | None) -> list[TResponseInputItem]:
        items: list[TResponseInputItem] = []
        before: Event | None = None
        while True:
            missing = None if limit is None else limit - len(items)
            events = await stores.list_items(
                self.session_id, limit=missing, before=before, **self._key
            )
            items = [*decode_all(events), *items]
            if missing is None or len(events) < missing or len(items) == limit:
                return items
            before = events[0]

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """Append items: all of them or none, next to each other. The first ones create the session.

        A lost connection is retried and stores nothing twice.

        Raises:
            Conflict: the session belongs to another agent, or has events without being stored.
            Deleted: the session is deleted; its id cannot be reused.
            InvalidValue: an item has no JSON form.

        """
        del wrapper
        texts = encode(items)
        if texts:
            append = partial(self._append, texts=texts, ids=_new_ids(texts))
            await settle(self._run(append))

    async def _append(self, stores: Stores, *, texts: Sequence[str], ids: Sequence[str]) -> None:
        await stores.append_items(self.session_id, items=texts, ids=ids, **self._key)

    async def pop_item(
        self, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> TResponseInputItem | None:
        """Remove and return the last item, or None; of several callers each gets another item.

        Rows that are not JSON are removed too.

        Raises:
            Conflict: the session belongs to another agent.
            Deleted: the session is deleted.
            OutcomeUnknown: the connection was lost; the item may have been removed.

        """
        del wrapper
        return await settle(self._run(self._pop, is_repeatable=False))

    async def _pop(self, stores: Stores) -> TResponseInputItem | None:
        while (text := await stores.pop_event(self.session_id, **self._key)) is not None:
            with contextlib.suppress(*NOT_JSON):
                return decode(text)
        return None

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Remove the rows of all items. The session stays, without items.

        Raises:
            Conflict: the session belongs to another agent.
            Deleted: the session is deleted.

        """
        del wrapper
        await settle(self._run(self._purge))

    async def _purge(self, stores: Stores) -> None:
        await stores.purge_events(self.session_id, **self._key)

    # Hooks of the SDK without which a limited history is not compacted, and an encrypted one does
    # not drop expired items. The SDK looks them up by name.

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[TResponseInputItem], bool] | None = None
    ) -> _Snapshot | None:
        """Return the last `limit` items and a function that replaces a part of them at the end.

        None if an item is not JSON, or a subclass overrides a method of the protocol.
        """
        if self._overrides_protocol():
            return None

        async def read(stores: Stores) -> list[Event]:
            return await stores.list_items(self.session_id, limit=limit + 1, **self._key)

        events = await self._run(read)
        is_complete = len(events) <= limit
        events = events[len(events) - min(limit, len(events)) :]
        try:
            items = [decode(event.data) for event in events]
        except NOT_JSON:
            return None

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            replaced = events[start:]
            if not replaced:
                return False
            texts = encode(output)
            replace = partial(
                self._replace,
                texts=texts,
                ids=_new_ids(texts),
                replaced=replaced,
                prune_prefix=prune_prefix,
            )
            return await settle(self._run(replace))

        return _Snapshot(items, is_complete, replace_suffix)

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        """Replace all items in one transaction; return whether that was possible."""
        if self._overrides_protocol():
            return False
        texts = encode(items)
        replace = partial(self._replace_all, texts=texts, ids=_new_ids(texts))
        return await settle(self._run(replace))

    async def _replace_all(
        self, stores: Stores, *, texts: Sequence[str], ids: Sequence[str]
    ) -> bool:
        return await stores.replace_items(self.session_id, items=texts, ids=ids, **self._key)

    async def _replace(
        self,
        stores: Stores,
        *,
        texts: Sequence[str],
        ids: Sequence[str],
        replaced: list[Event],
        prune_prefix: Callable[[TResponseInputItem], bool] | None,
    ) -> bool:
        """Replace the last events if they are unchanged, and remove the prunable first ones."""
        expired: list[str] = []
        if prune_prefix is not None:
            list_page = partial(
                stores.list_events_for_session,
                self.session_id,
                user_id=self.user_id,
                limit=PRUNED_AT_ONCE,
            )
            expired = await _prefix(list_page, replaced, prune_prefix)
        return await stores.replace_items(
            self.session_id,
            items=texts,
            ids=ids,
            last_ids=[event.id for event in replaced],
            expired_ids=expired,
            **self._key,
        )

    def _overrides_protocol(self) -> bool:
        cls = type(self)
        return any(getattr(cls, name) is not getattr(PostgresSession, name) for name in METHODS)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The end of a history, with the attributes that the SDK expects."""

    items: list[TResponseInputItem]
    complete: bool
    replace_suffix: Callable[[int, list[TResponseInputItem]], Awaitable[bool]]


async def _prefix(
    list_page: Callable[..., Awaitable[list[Event]]],
    replaced: list[Event],
    is_prunable: Callable[[TResponseInputItem], bool],
) -> list[str]:
    """Return the ids of the first events that are prunable, as far as the events to replace."""
    ids: list[str] = []
    last: Event | None = None
    while events := await list_page(after=last):
        for event in events:
            try:
                if event.id == replaced[0].id or not is_prunable(decode(event.data)):
                    return ids
            except NOT_JSON:
                return ids
            ids.append(event.id)
        last = events[-1]
    return ids


def _new_ids(texts: Sequence[str]) -> list[str]:
    """Return ids for items, which make storing them repeatable."""
    return [str(uuid4()) for _ in texts]


def _to_settings(settings: SessionSettings | dict[str, Any] | None) -> SessionSettings:
    """Return settings; a dictionary must not have other keys, which the SDK's class ignores."""
    if not isinstance(settings, dict):
        return SessionSettings() if settings is None else settings
    unknown = settings.keys() - {field.name for field in fields(SessionSettings)}
    if unknown:
        raise InvalidValue(f"session_settings has the unknown field {min(unknown)!r}")
    return SessionSettings(**settings)
