"""The connection of a runner: its settings, its end, and the translation of driver errors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.connect import connect
from agentrows.errors import ConfigError, translate
from agentrows.migrate import session_sql
from agentrows.migrate.cleanup import await_cleanup
from agentrows.migrate.messages import DRIVER, explain_server_error
from agentrows.migrate.server import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator, Mapping
    from typing import Self

    from agentrows.config import Password
    from agentrows.migrate.server import Session

APPLICATION_NAME: Final = "agentrows migrate"
POOLED: Final = (
    "this connection goes through a pooler (pgbouncer, for instance), which may send each "
    "statement to another server process; the migration lock needs a single one: connect to "
    "PostgreSQL itself"
)


@dataclass(frozen=True, slots=True)
class OwnSession:
    """The session of a run, which has one server process until the end."""

    db: asyncpg.Connection
    limits: Mapping[str, str]
    checks_client: bool

    @classmethod
    async def start(
        cls,
        db: asyncpg.Connection,
        *,
        lock_timeout_s: float,
        statement_timeout_s: float | None = None,
    ) -> tuple[Self, Session]:
        """Set the settings of a run; also return the session as it was before.

        Without `statement_timeout_s`, the limit is that of the DSN, or none.
        Raises ConfigError if the connection goes through a pooler.
        """
        limits = {"lock_timeout": milliseconds(lock_timeout_s)}
        if statement_timeout_s is not None:
            limits["statement_timeout"] = milliseconds(statement_timeout_s)
        try:
            session, checks_client = await session_sql.start_session(db, limits=limits)
        except (
            asyncpg.InvalidSQLStatementNameError,
            asyncpg.DuplicatePreparedStatementError,
        ) as error:
            # The driver prepared the statement in another server process than it runs in.
            raise ConfigError(POOLED) from error
        if db.get_server_pid() != session.backend_pid:
            raise ConfigError(POOLED)
        return cls(db, limits, checks_client), session

    async def clean(self, lock_ids: Collection[int], *, search_path: str) -> None:
        """Remove everything that a file may leave in the session, except the locks of the run."""
        await session_sql.clean(
            self.db,
            search_path=search_path,
            limits=self.limits,
            checks_client=self.checks_client,
        )
        await session_sql.unlock_others(self.db, lock_ids)

    async def has_locks(self, lock_ids: Collection[int]) -> bool:
        """Return whether the current server process has all of these locks."""
        return await session_sql.held_locks(self.db, lock_ids) == {*lock_ids}

    async def require_locks(self, lock_ids: Collection[int]) -> None:
        """Raise ConfigError if a pooler has changed to a server process without the locks."""
        if not await self.has_locks(lock_ids):
            raise ConfigError(POOLED)


@contextlib.asynccontextmanager
async def open_connection(
    dsn: str, password: Password | None
) -> AsyncGenerator[asyncpg.Connection]:
    """Connect for a block, and translate the driver's errors in it."""
    db = await connect(dsn, application_name=APPLICATION_NAME, password=password)
    async with closing(db):
        with translating_errors():
            yield db


@contextlib.asynccontextmanager
async def closing(db: asyncpg.Connection) -> AsyncGenerator[asyncpg.Connection]:
    """Close the connection after a block, by force if the server does not answer."""
    try:
        yield db
    finally:
        await await_cleanup(db, db.close)
        db.terminate()


@contextlib.contextmanager
def translating_errors() -> Generator[None]:
    """Translate the driver's errors in a block; an error that has no translation is a bug."""
    try:
        yield
    except DRIVER as error:
        translated = translate(error)
        if translated is None:
            raise
        cause = explain_server_error(error)
        raise (type(translated)(cause) if cause else translated) from error
