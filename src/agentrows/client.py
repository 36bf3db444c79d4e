"""PostgresClient: every store on a pool; Transaction: the same methods on one connection.

::

    async with PostgresClient.open("postgresql://…") as client:
        await client.store_feedback(user_id="mira", is_positive=False, feedback_text="Wrong city.")
        async with client.transaction() as tx:
            await tx.store_session("s-41", user_id="mira", agent_id="travel")
            await tx.store_events([NewEvent(id="e-1", user_id="mira", session_id="s-41", data="…")])
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentrows.errors import InvalidValue
from agentrows.gen import database
from agentrows.startup import check_settings, open_pool, use_pool
from agentrows.stores._requirements import ROW_SECURITY, require
from agentrows.stores._row_security import restrict_to_user
from agentrows.stores.agents import AgentStore
from agentrows.stores.checkpoints import CheckpointStore
from agentrows.stores.crewai import CrewAIStore
from agentrows.stores.events import EventStore
from agentrows.stores.feedback import FeedbackStore
from agentrows.stores.memory import MemoryStore
from agentrows.stores.push_notifications import PushNotificationStore
from agentrows.stores.sessions import SessionStore
from agentrows.stores.shares import ShareStore
from agentrows.stores.tasks import TaskStore
from agentrows.stores.tools import ToolStore
from agentrows.stores.users import UserStore
from agentrows.validation import check_flag, check_id, check_number

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Self

    import asyncpg

    from agentrows.config import MigrationMode, Password, Settings
    from agentrows.db.executor import Isolation
    from agentrows.db.retries import OnRetry
    from agentrows.migrate import MigrationRunner
    from agentrows.startup import Close

__all__ = ["PostgresClient", "Stores", "Transaction", "TransactionalStores"]


@dataclass(frozen=True)
class Stores(
    AgentStore,
    SessionStore,
    ShareStore,
    EventStore,
    TaskStore,
    PushNotificationStore,
    FeedbackStore,
    ToolStore,
    CheckpointStore,
    CrewAIStore,
    MemoryStore,
    UserStore,
):
    """Every method of every store, on one executor.

    `db` runs an application's own generated functions: `await my_query(tx.db, …)`.
    """

    def with_timeout(self, timeout_s: float) -> Stores:
        """Return the same stores, where a statement may take no longer than `timeout_s`.

        Waiting for a connection (PoolTimeout) and being tried again are part of it. In a statement
        that must not run twice, a time-out raises OutcomeUnknown outside of a transaction: the
        server may have been faster than the cancellation. Else: StatementTimeout.
        """
        if not 0 < check_number("timeout_s", timeout_s) < math.inf:
            raise InvalidValue("timeout_s must be a positive number of seconds")
        return Stores(self.db.with_timeout(timeout_s), hash_tokens=self.hash_tokens)


@dataclass(frozen=True)
class Transaction(Stores):
    """Every method of every store, in one transaction: all of it happens, or nothing."""


@dataclass(frozen=True)
class TransactionalStores(Stores):
    """Every method of every store, each on a connection of its own, and transactions.

    `client.with_timeout(…)` returns one; it is valid as long as the client is open.
    """

    def with_timeout(self, timeout_s: float) -> TransactionalStores:
        """Return the same stores, where a statement may take no longer than `timeout_s`.

        The wait for a connection (PoolTimeout) and retries are part of it; in `transaction` and
        `as_user` BEGIN, each statement and COMMIT have this time. In a statement that must not run
        twice, a time-out raises OutcomeUnknown outside of a transaction: the server may have been
        faster than the cancellation. In all others it raises StatementTimeout.

        Raises:
            InvalidValue: `timeout_s` is not a positive number.

        """
        db = super().with_timeout(timeout_s).db
        return TransactionalStores(db, hash_tokens=self.hash_tokens)

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AsyncGenerator[Transaction]:
        """Run a block in one transaction: committed at its end, undone by any exception.

        Several tasks may use it, their statements run one after another. After a statement failed
        the transaction is lost, whatever the block does (Aborted): let the error leave the block.
        """
        check_flag("readonly", readonly)
        async with self.db.transaction(isolation=isolation, readonly=readonly) as scope:
            yield Transaction(scope, hash_tokens=self.hash_tokens)

    @contextlib.asynccontextmanager
    async def as_user(
        self, user_id: str, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AsyncGenerator[Transaction]:
        """Run a block in one transaction that sees and changes the rows of this user alone.

        PostgreSQL's row-level security holds it to that, whatever a statement forgets: one of ours,
        or one of yours on `tx.db`. It is a guard against mistakes, not against SQL that sets the
        variable `agentrows.user_id` itself. A row for somebody else, and one under an id that
        somebody else's row has, raises OwnedByAnother. Tasks without owner are hidden, and a
        token opens only the user's own shares. PostgreSQL refuses COPY into these tables.

        Needs AGENTROWS_ROW_SECURITY=true, a role that policies hold for, and a database without the
        extension citus, which does not apply them on its nodes: ConfigError if not.
        """
        require(self.db, ROW_SECURITY)
        check_id("user_id", user_id)
        async with self.transaction(isolation=isolation, readonly=readonly) as tx:
            await restrict_to_user(tx.db, user_id)
            yield tx


@dataclass(frozen=True)
class PostgresClient(TransactionalStores):
    """Every method of every store, on a pool of connections."""

    _close: Close = field(repr=False)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        dsn: str | None = None,
        *,
        settings: Settings | None = None,
        migrations: MigrationMode | MigrationRunner | None = None,
        password: Password | None = None,
        on_retry: OnRetry | None = None,
    ) -> AsyncGenerator[Self]:
        """Open a client for a block, and close it at its end.

        The DSN comes from the argument, else from the settings, else from the environment
        (AGENTROWS_DATABASE_URL_FILE, AGENTROWS_DATABASE_URL); `embedded:` starts a PostgreSQL of
        its own. Waits until the server answers, then brings the schema up (`migrations`: apply,
        verify, off, or a runner of your own), then opens the pool. If any step fails, what was
        opened is closed.

        `password` is a function, plain or async, that is asked for each new connection and wins
        over the DSN's password; what it raises becomes Unavailable. Else it is in the DSN, or in
        the file of AGENTROWS_DATABASE_PASSWORD_FILE, or where libpq looks (PGPASSFILE).

        A call of which nothing has happened, because the database was away or undid it, and one
        that may repeat, is tried again for `Settings.retry_timeout_s`; `on_retry` hears of each.

        Raises ConfigError for settings, credentials or a missing pgvector; Unavailable if the
        server does not answer in time; SchemaBehind under `verify`; MigrationError.
        """
        client = await cls.connect(
            dsn, settings=settings, migrations=migrations, password=password, on_retry=on_retry
        )
        try:
            yield client
        finally:
            await client.close()

    @classmethod
    async def connect(
        cls,
        dsn: str | None = None,
        *,
        settings: Settings | None = None,
        migrations: MigrationMode | MigrationRunner | None = None,
        password: Password | None = None,
        on_retry: OnRetry | None = None,
    ) -> Self:
        """Do what `open` does, for an application that calls `close` itself."""
        settings = check_settings(settings)
        db, close = await open_pool(dsn, settings, migrations, password, on_retry)
        return cls(db, close, hash_tokens=settings.hash_share_tokens)

    @classmethod
    async def from_pool(
        cls,
        pool: asyncpg.Pool,
        *,
        settings: Settings | None = None,
        on_retry: OnRetry | None = None,
    ) -> Self:
        """Return a client on a pool that the application owns; `close` leaves it open.

        Its connections must have the codecs (`init=agentrows.init_connection`): ConfigError if not.
        Time limits of connecting and of statements are the pool's own, not those of the settings.
        """
        settings = check_settings(settings)
        db, close = await use_pool(pool, settings, on_retry)
        return cls(db, close, hash_tokens=settings.hash_share_tokens)

    async def ping(self, *, timeout_s: float = 5.0) -> None:
        """Ask the database for an answer, within `timeout_s` with all tries.

        Raises Unavailable if there is none, and StatementTimeout if it does not come in time.
        """
        await database.ping(self.with_timeout(timeout_s).db.repeatable)

    async def close(self) -> None:
        """Close the pool, cutting off calls that still run after 10 s; twice does no harm."""
        await self._close()
