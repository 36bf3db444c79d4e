"""A runner's own connection: its settings, how it ends, and the meaning of its driver's errors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, translate
from agentrows.migrate import session_sql
from agentrows.migrate.cleanup import within_limit
from agentrows.migrate.messages import DRIVER, explained
from agentrows.migrate.server import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator
    from typing import Self

    import asyncpg

POOLED: Final = (
    "this connection goes through a pooler (pgbouncer, for instance), which may hand each "
    "statement to another server process; the migration lock needs one: connect to PostgreSQL "
    "itself"
)


@dataclass(frozen=True, slots=True)
class OwnSession:
    """The session of a run, which belongs to one server process until the end."""

    db: asyncpg.Connection
    lock_timeout: str
    checks_client: bool

    @classmethod
    async def start(cls, db: asyncpg.Connection, *, lock_timeout_s: float) -> Self:
        """Set the settings of a run."""
        lock_timeout = milliseconds(lock_timeout_s)
        checks_client = await session_sql.configure(db, lock_timeout=lock_timeout)
        return cls(db, lock_timeout, checks_client)

    async def clean(self, lock_ids: Collection[int], *, search_path: str) -> None:
        """End everything that a file may leave in the session, except the locks of the run."""
        await session_sql.clean(
            self.db,
            search_path=search_path,
            lock_timeout=self.lock_timeout,
            checks_client=self.checks_client,
        )
        await session_sql.unlock_others(self.db, lock_ids)

    async def holds(self, lock_ids: Collection[int]) -> bool:
        """Return whether the server process that answers holds all of these locks."""
        return await session_sql.held_locks(self.db, lock_ids) == {*lock_ids}

    async def require_locks(self, lock_ids: Collection[int]) -> None:
        """Raise ConfigError if another server process holds the locks: a pooler is in between."""
        if not await self.holds(lock_ids):
            raise ConfigError(POOLED)


@contextlib.asynccontextmanager
async def closing(db: asyncpg.Connection) -> AsyncGenerator[asyncpg.Connection]:
    """Close the connection at the end, by force if the server does not answer."""
    try:
        yield db
    finally:
        await within_limit(db, db.close)
        db.terminate()


@contextlib.contextmanager
def driver_errors() -> Generator[None]:
    """Turn the driver's errors into ours; those that can only be a bug stay as they are."""
    try:
        yield
    except DRIVER as error:
        ours = translate(error)
        if ours is None:
            raise
        cause = explained(error)
        raise (type(ours)(cause) if cause else ours) from error
