"""A pytest plugin for the SDK's own tests: `SQLiteSession` is a session in PostgreSQL.

A session in memory gets a user of its own, and a database file is a user: sessions of one file
share their items by id. The environment variable AGENTROWS_SUITE_DSN names the database.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agents.extensions.memory import encrypt_session
from agents.memory import sqlite_session

from agentrows import PostgresClient, Settings
from agentrows.lazy_client import LazyClient
from agentrows.openai_agents import PostgresSession

if TYPE_CHECKING:
    from agents import SessionSettings

SETTINGS: Final = Settings(migrations="off", pool_max_size=3, vector_enabled=False)
IN_MEMORY: Final = ":memory:"
SQLITE_SESSION: Final = sqlite_session.SQLiteSession
KEPT: Final = (sqlite_session, encrypt_session)
"""Modules that compare a session with the class: another one takes the path of other stores."""


class LoopClients(LazyClient):
    """One client for each event loop; those of closed event loops are closed."""

    def __init__(self) -> None:
        super().__init__(os.environ["AGENTROWS_SUITE_DSN"], SETTINGS)
        self._clients: dict[asyncio.AbstractEventLoop, asyncio.Task[PostgresClient]] = {}

    async def get(self) -> PostgresClient:
        """Return the client of the running event loop."""
        for loop in [*self._clients]:
            if loop.is_closed():
                opening = self._clients.pop(loop)
                if opening.done() and not opening.cancelled() and not opening.exception():
                    await opening.result().close()
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            connecting = PostgresClient.connect(self._dsn, settings=SETTINGS)
            self._clients[loop] = loop.create_task(connecting)
        return await asyncio.shield(self._clients[loop])

    async def close(self) -> None:
        """Leave the clients open for the other sessions."""


CLIENTS: Final = LoopClients()


class SwappedSession(PostgresSession):
    """A session with the constructor of `SQLiteSession`."""

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = IN_MEMORY,
        sessions_table: str = "agent_sessions",
        messages_table: str = "agent_messages",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        is_shared = str(db_path) != IN_MEMORY
        user_id = str(Path(db_path).resolve()) if is_shared else secrets.token_hex(16)
        super().__init__(
            session_id,
            client=CLIENTS,
            user_id=f"{user_id} {sessions_table} {messages_table}"[-500:],
            session_settings=session_settings,
        )

    def close(self) -> Any:  # noqa: ANN401  the tests do not await it
        """Do nothing, as the client stays open."""


def pytest_configure() -> None:
    """Swap the class before the test modules import it."""
    for module in [*sys.modules.values()]:
        if getattr(module, "__name__", "").split(".")[0] == "agents":
            for name, value in [*vars(module).items()]:
                if value is SQLITE_SESSION and module not in KEPT:
                    setattr(module, name, SwappedSession)
    sqlite_session.SQLiteSession = SwappedSession  # type: ignore[misc,assignment]
