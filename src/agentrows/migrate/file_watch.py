"""A watch on the statement of a file, over a second connection.

After a lock timeout, the server no longer reports the table that the statement waited for, so the
table is read while the statement waits. The next try locks that table before any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentrows.db.connect import connect
from agentrows.errors import Unavailable
from agentrows.migrate import server
from agentrows.migrate.session import closing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import asyncpg

    from agentrows.config import Password
    from agentrows.migrate.server import Session

CHECKS_PER_LOCK_TIMEOUT = 3


@dataclass(frozen=True, slots=True)
class TableLock:
    """A table, qualified and quoted, and the mode of `LOCK TABLE` in which it is needed."""

    table: str
    mode: str

    @classmethod
    def from_mode(cls, table: str, mode: str) -> TableLock:
        """Return the lock for a mode as pg_locks names it, like AccessExclusiveLock."""
        return cls(table, re.sub("(?<!^)([A-Z])", r" \1", mode.removesuffix("Lock")).upper())


@dataclass(slots=True)
class FileWatch:
    """The last state of a watched statement."""

    waits_for: TableLock | None = None
    asks_client: bool = False
    """Whether the server waits for rows of a COPY, which the client never sends."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Opens a second connection if a statement takes long."""

    db: asyncpg.Connection
    dsn: str = field(repr=False)
    password: Password | None = field(repr=False)
    session: Session
    lock_timeout_s: float

    @contextlib.asynccontextmanager
    async def second_connection(self) -> AsyncGenerator[asyncpg.Connection]:
        """Open a second connection; raise Unavailable if the DSN leads to another server now."""
        # On another server, the process id of the run belongs to an unrelated session.
        db = await connect(self.dsn, application_name="agentrows watch", password=self.password)
        async with closing(db):
            session = await server.read_session(db)
            if session.server_started_at != self.session.server_started_at:
                raise Unavailable("the DSN leads to another server than before")
            yield db

    @contextlib.asynccontextmanager
    async def watch(self) -> AsyncGenerator[FileWatch]:
        """Watch the statements of a block, from a third of the lock timeout on."""
        state = FileWatch()
        task = asyncio.create_task(self._update(state))
        try:
            yield state
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _update(self, state: FileWatch) -> None:
        pause_s = self.lock_timeout_s / CHECKS_PER_LOCK_TIMEOUT
        await asyncio.sleep(pause_s)
        with contextlib.suppress(Exception):  # without a second connection the run continues
            async with self.second_connection() as db:
                asked = False
                while True:
                    asks, table, mode = await server.statement_state(db, self.session.backend_pid)
                    state.waits_for = TableLock.from_mode(table, mode) if table and mode else None
                    if asks and asked:
                        state.asks_client = True
                        self.db.terminate()
                        return
                    asked = asks
                    await asyncio.sleep(pause_s)
