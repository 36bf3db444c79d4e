"""The session store of the Claude Agent SDK."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from claude_agent_sdk import SessionStore as BaseSessionStore

from agentrows import InvalidValue
from agentrows.claude.entries import FailedAppends, decode_entry, encode_entries
from agentrows.claude.summaries import Session, add_appended, complete, read_summary
from agentrows.lazy_client import LazyClient
from agentrows.owned_client import OwnedClient
from agentrows.validation import check_key_part

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from claude_agent_sdk import (
        SessionKey,
        SessionListSubkeysKey,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
    )

    from agentrows import Settings, Stores, Transcript
    from agentrows.owned_client import UserId


class SessionStore(BaseSessionStore):
    """Transcripts of a user's sessions in PostgreSQL; implements `claude_agent_sdk.SessionStore`.

    `client` is a `PostgresClient`, or a `Transaction`, which then includes the store's changes.
    `user_id` is the owner of the sessions, or a function that returns the one of the current call.
    If it returns None or '', the owner is `anonymous_user_id`; without one the call raises
    InvalidValue. Another user with the same project and session id has another transcript.

    The methods work in any asyncio event loop while that of the client runs. With `row_security`
    each call runs in `client.as_user(…)`, which takes more round trips.

    Raises:
        InvalidValue: an id is empty, longer than 512 bytes, or contains U+001F or NUL;
            `anonymous_user_id` is passed with a fixed user; or `row_security` is used with a
            transaction.

    """

    def __init__(
        self,
        client: Stores | LazyClient,
        *,
        user_id: UserId,
        anonymous_user_id: str | None = None,
        row_security: bool = False,
    ) -> None:
        self._client = OwnedClient(
            client,
            user_id=user_id,
            anonymous_user_id=anonymous_user_id,
            row_security=row_security,
        )
        self._failed = FailedAppends()

    @classmethod
    def from_dsn(
        cls,
        dsn: str | None = None,
        *,
        user_id: UserId,
        anonymous_user_id: str | None = None,
        row_security: bool = False,
        settings: Settings | None = None,
    ) -> Self:
        """Return a store with a client of its own, which the first call opens.

        For scripts: `close`, or the end of `async with`, closes the client. A service opens one
        client and passes it to all stores. `dsn` and `settings` are those of `PostgresClient.open`.
        """
        return cls(
            LazyClient(dsn, settings),
            user_id=user_id,
            anonymous_user_id=anonymous_user_id,
            row_security=row_security,
        )

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.close()

    async def close(self) -> None:
        """Close the client that `from_dsn` created; a client of the application stays open."""
        await self._client.close()

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Append entries to a transcript, all of them or none; nothing happens without entries.

        An entry with the `uuid` of a stored one is left out. Entries without a `uuid` are stored
        once each, also if the same batch is appended again after an error of this method.

        Raises:
            InvalidValue: an id, or an entry that is not a JSON object, cannot be stored.

        """
        if not entries:
            return
        session, subpath = self._read_key(key)
        place = (session["user_id"], session["project_key"], session["session_id"], subpath)
        rows = self._failed.restore_ids(place, encode_entries(entries))

        async def store(stores: Stores) -> None:
            appended = await stores.append_transcript(entries=rows, subpath=subpath, **session)
            if subpath is None:
                await add_appended(stores, session, appended, entries)

        try:
            await self._client.run(session["user_id"], store)
        except BaseException:
            self._failed.remember(place, rows)
            raise

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Return the entries of a transcript, oldest first; None if it is not stored.

        Raises:
            UnreadableRow: another program stored data that is not JSON.

        """
        session, subpath = self._read_key(key)

        async def read(stores: Stores) -> list[SessionStoreEntry] | None:
            rows = await stores.list_transcript_entries(subpath=subpath, **session)
            return [decode_entry(row) for row in rows] or None

        return await self._client.run(session["user_id"], read)

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """Return the ids of the user's sessions in a project, the last active one first.

        `mtime` is the time of the last append by the clock of the database.
        """
        transcripts = await self._list(project_key)
        return [
            {"session_id": transcript.session_id, "mtime": _to_ms(transcript.updated_at)}
            for transcript in transcripts
        ]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """Return the summaries of the user's sessions in a project, the last active one first.

        A summary that lacks entries, because an append was interrupted, is completed first.
        """
        user_id = self._client.resolve()
        transcripts = await self._list(project_key, user_id)
        summaries: list[SessionSummaryEntry] = []
        for each in transcripts:
            if each.summary_position < each.last_position:
                complete_it = partial(self._complete, user_id, project_key, each)
                data = await self._client.run(user_id, complete_it)
            else:
                data = read_summary(each)
            mtime = _to_ms(each.updated_at)
            summaries.append({"session_id": each.session_id, "mtime": mtime, "data": data})
        return summaries

    async def delete(self, key: SessionKey) -> None:
        """Delete a session with the transcripts of its subagents, or the one of `subpath` alone.

        The rows are removed, and the id can be used again. Nothing happens if it is not stored.
        """
        session, subpath = self._read_key(key)

        async def delete(stores: Stores) -> None:
            await stores.delete_transcripts(subpath=subpath, **session)

        await self._client.run(session["user_id"], delete)

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """Return the subpaths of a session, such as `subagents/agent-1`."""
        session, _ = self._read_key(cast("SessionKey", key))

        async def read(stores: Stores) -> list[str]:
            return await stores.list_transcript_subpaths(**session)

        return await self._client.run(session["user_id"], read)

    async def _list(self, project_key: str, user_id: str | None = None) -> list[Transcript]:
        owner = self._client.resolve() if user_id is None else user_id
        check_key_part("project_key", project_key)

        async def read(stores: Stores) -> list[Transcript]:
            return await stores.list_transcripts(project_key, user_id=owner)

        return await self._client.run(owner, read)

    async def _complete(
        self, user_id: str, project_key: str, transcript: Transcript, stores: Stores
    ) -> dict[str, Any]:
        session = Session(
            session_id=transcript.session_id, project_key=project_key, user_id=user_id
        )
        return await complete(stores, session, transcript)

    def _read_key(self, key: SessionKey) -> tuple[Session, str | None]:
        """Return the key of a session of the caller, and the subpath.

        Raises:
            InvalidValue: a part of the key cannot be stored, or the call has no owner.

        """
        if not isinstance(key, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"key must be a SessionKey, not {type(key).__name__}")
        values = cast("dict[str, str | None]", key)
        names = ("project_key", "session_id")
        project_key, session_id = (
            check_key_part(f"key[{name!r}]", cast("str", values.get(name))) for name in names
        )
        subpath = values.get("subpath")
        if subpath is not None:
            check_key_part("key['subpath']", subpath)
        user_id = self._client.resolve()
        return Session(session_id=session_id, project_key=project_key, user_id=user_id), subpath


def _to_ms(moment: datetime) -> int:
    """Return a time in milliseconds since 1970, rounded down."""
    return int(moment.timestamp() * 1000)
