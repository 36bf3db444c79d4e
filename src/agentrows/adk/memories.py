"""The memory service of ADK on the memories of agents."""

from __future__ import annotations

import inspect
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from google.adk.memory import BaseMemoryService
from google.adk.memory.base_memory_service import SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.genai import types
from pydantic_core import to_jsonable_python

from agentrows import ConfigError, InvalidValue, NewMemory
from agentrows.adk.clients import ClientOwner
from agentrows.lazy_client import LazyClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Self

    from google.adk.events.event import Event
    from google.adk.sessions import Session

    from agentrows import MemoryHit, Settings, Stores

    Vectors = Sequence[Sequence[float]]
    Embed = Callable[[list[str]], Vectors | Awaitable[Vectors]]

NAMESPACE: Final = uuid.UUID("5d8f4c0e-8d53-4f0a-9b3c-6a4d7f0f9d11")
"""The namespace of the ids of memories."""
BATCH_SIZE: Final = 200
"""Texts that are embedded in one call, and memories that are stored in one statement."""
LONGEST_QUERY: Final = 5_000
"""Characters of a query that are searched."""
MOST_WORDS: Final = 500
WRONG_TABLE: Final = (
    "the memory service of ADK needs the table agentrows_memory: set "
    "AGENTROWS_MEMORY_TABLE=agentrows and AGENTROWS_MEMORY_MODEL"
)


class MemoryService(ClientOwner, BaseMemoryService):
    """Memories of ADK in PostgreSQL: the texts of events, by application and user.

    A search returns the memories with any word of the query. With `embed`, a plain or async
    function that returns a vector for each text of a list, it returns those nearest to the query,
    combined with those that have all of its words. `limit` is the number of memories of a search.

    The settings of the client must be `memory_table="agentrows"` and `memory_model`, which is the
    name of the embedding model; without `embed` any name. `client` and `row_security` are those of
    `SessionService`.
    """

    def __init__(
        self,
        client: Stores | LazyClient,
        *,
        embed: Embed | None = None,
        limit: int = 10,
        row_security: bool = False,
    ) -> None:
        if embed is not None and not callable(embed):
            raise InvalidValue("embed must be a function")
        super().__init__(client, row_security=row_security)
        self._embed = embed
        self._limit = limit

    @classmethod
    def from_dsn(
        cls,
        dsn: str | None = None,
        *,
        settings: Settings | None = None,
        row_security: bool = False,
        embed: Embed | None = None,
        limit: int = 10,
    ) -> Self:
        """Return a service that opens a client in the running event loop at its first use.

        DSN and settings are those of `PostgresClient.open`. `close`, or the end of a block
        `async with`, closes the client.
        """
        client = LazyClient(dsn, settings)
        return cls(client, embed=embed, limit=limit, row_security=row_security)

    async def add_session_to_memory(self, session: Session) -> None:
        """Store the texts of a session's events; those that are stored already are replaced."""
        await self.add_events_to_memory(
            app_name=session.app_name,
            user_id=session.user_id,
            events=session.events,
            session_id=session.id,
        )

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Store the texts of events; those that are stored already are replaced.

        An event without a text is left out. `custom_metadata` is returned with each memory.
        """
        entries = [
            (
                _id_of(app_name, user_id, "event", event.id),
                MemoryEntry(
                    content=event.content,
                    author=event.author,
                    timestamp=datetime.fromtimestamp(event.timestamp, UTC).isoformat(),
                    custom_metadata=dict(custom_metadata or {}),
                ),
            )
            for event in events
            if event.content and not event.partial
        ]
        await self._store(app_name, user_id, entries, session_id)

    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Store memories; one with an id that is stored for the user replaces that memory.

        Raises:
            InvalidValue: a memory has no text.

        """
        shared = dict(custom_metadata or {})
        entries: list[tuple[str, MemoryEntry]] = []
        for index, entry in enumerate(memories):
            if not _text_of(entry.content):
                raise InvalidValue(f"memories[{index}].content has no text")
            merged = {**shared, **entry.custom_metadata}
            entry = entry.model_copy(update={"custom_metadata": merged})  # noqa: PLW2901
            entries.append((_id_to_store(app_name, user_id, entry.id), entry))
        await self._store(app_name, user_id, entries, None)

    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        """Return the memories of a user in an application that match a query, best first.

        `app_name` is compared exactly: `my-app` and `my_app` share nothing.
        """
        words = _quote_words(query)
        if not words:
            return SearchMemoryResponse()
        # Memories with one word of many would displace the nearest ones.
        text = (" or " if self._embed is None else " ").join(words)
        embedding = (await self._embed_all([query]))[0]

        async def search(stores: Stores) -> list[MemoryHit]:
            _check_table(stores)
            return await stores.search_agent_memory(
                agent_name=app_name,
                user_id=user_id,
                text=text,
                embedding=embedding,
                limit=self._limit,
                touch=False,
            )

        hits = await self._run(user_id, search)
        return SearchMemoryResponse(memories=[_to_entry(hit) for hit in hits])

    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        """Delete the memory with the id of a search; do nothing if there is none."""
        if not memory_id:
            return
        id_ = memory_id

        async def delete(stores: Stores) -> bool:
            _check_table(stores)
            return await stores.delete_agent_memory(id_, agent_name=app_name, user_id=user_id)

        await self._run(user_id, delete)

    async def _store(
        self,
        app_name: str,
        user_id: str,
        entries: Sequence[tuple[str, MemoryEntry]],
        session_id: str | None,
    ) -> None:
        """Store the entries that have a text, in batches; the last one of an id remains."""
        texts = {id_: _text_of(entry.content) for id_, entry in entries}
        kept = [item for item in dict(entries).items() if texts[item[0]]]
        for start in range(0, len(kept), BATCH_SIZE):
            batch = kept[start : start + BATCH_SIZE]
            vectors = await self._embed_all([texts[id_] for id_, _ in batch])
            memories = [
                NewMemory(
                    id=id_,
                    agent_name=app_name,
                    user_id=user_id,
                    content=texts[id_],
                    embedding=cast("Any", vector),
                    metadata=_metadata_of(entry, session_id),
                )
                for (id_, entry), vector in zip(batch, vectors, strict=True)
            ]

            async def store(stores: Stores, memories: list[NewMemory] = memories) -> int:
                _check_table(stores)
                return await stores.store_agent_memories(memories)

            await self._run(user_id, store)

    async def _embed_all(self, texts: list[str]) -> Sequence[Sequence[float] | None]:
        """Return a vector for each text; None for each without an embedding function."""
        if self._embed is None:
            return [None] * len(texts)
        result = self._embed(texts)
        vectors = await result if inspect.isawaitable(result) else result
        if len(vectors) != len(texts):
            raise InvalidValue(
                f"embed must return a vector for each of {len(texts)} texts, got {len(vectors)}"
            )
        return vectors


def _check_table(stores: Stores) -> None:
    """Raise ConfigError if the settings choose kagent's table, where names are not exact."""
    if stores.db.options.memory_table != "agentrows":
        raise ConfigError(WRONG_TABLE)


def _id_of(app_name: str, user_id: str, *parts: str) -> str:
    """Return the id of a memory: ids are unique over all users and applications."""
    return str(uuid.uuid5(NAMESPACE, json.dumps([app_name, user_id, *parts])))


def _id_to_store(app_name: str, user_id: str, given: str | None) -> str:
    """Return a new id, that of a search, or for another one an id of the user and application."""
    if given is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return _id_of(app_name, user_id, "memory", given)


def _text_of(content: types.Content) -> str:
    return "\n".join(part.text for part in content.parts or () if part.text and part.text.strip())


def _quote_words(query: str) -> list[str]:
    """Return the words of a query in quotes, which keep a word from being an operator."""
    words = query[:LONGEST_QUERY].replace('"', " ").replace("\0", " ").split()
    return [f'"{word}"' for word in list(dict.fromkeys(words))[:MOST_WORDS]]


def _metadata_of(entry: MemoryEntry, session_id: str | None) -> str:
    values = {
        "author": entry.author,
        "role": entry.content.role,
        "timestamp": entry.timestamp,
        "session_id": session_id,
        "custom_metadata": to_jsonable_python(entry.custom_metadata, serialize_unknown=True),
    }
    return json.dumps({name: value for name, value in values.items() if value})


def _to_entry(hit: MemoryHit) -> MemoryEntry:
    """Return a memory, which another program may have stored."""
    values = _read_metadata(hit.metadata)
    time = values.get("timestamp")
    if not isinstance(time, str):
        time = hit.created_at.isoformat() if hit.created_at else None
    author, role, custom = (values.get(name) for name in ("author", "role", "custom_metadata"))
    return MemoryEntry(
        id=hit.id,
        content=types.Content(
            role=role if isinstance(role, str) else None,
            parts=[types.Part(text=hit.content or "")],
        ),
        author=author if isinstance(author, str) else None,
        timestamp=time,
        custom_metadata=cast("dict[str, Any]", custom) if isinstance(custom, dict) else {},
    )


def _read_metadata(metadata: str | None) -> dict[str, Any]:
    try:
        values: object = json.loads(metadata or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", values) if isinstance(values, dict) else {}
