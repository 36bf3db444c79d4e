"""The client: every store on a pool, and the same methods in a transaction.

::

    async with PostgresClient.open("postgresql://…") as client:
        await client.store_feedback(user_id="mira", is_positive=False, feedback_text="Wrong city.")
        async with client.transaction() as tx:
            await tx.store_session("s-41", user_id="mira", agent_id="travel")
            await tx.store_events([NewEvent(id="e-1", user_id="mira", session_id="s-41", data="…")])
"""

from __future__ import annotations

import contextlib
import inspect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, get_args

import asyncpg

from agentrows.config import MigrationMode, Settings
from agentrows.errors import InvalidValue
from agentrows.gen import database
from agentrows.live_feeds import LiveFeeds
from agentrows.startup import open_executor, use_pool
from agentrows.stores._requirements import ROW_SECURITY, require
from agentrows.stores._row_security import restrict_to_user
from agentrows.stores.agents import AgentStore
from agentrows.stores.app_sessions import AppSessionStore
from agentrows.stores.checkpoints import CheckpointStore
from agentrows.stores.conversations import ConversationStore
from agentrows.stores.crewai import CrewAIStore
from agentrows.stores.event_search import EventSearchStore
from agentrows.stores.events import EventStore
from agentrows.stores.feedback import FeedbackStore
from agentrows.stores.histories import HistoryStore
from agentrows.stores.memory import MemoryStore
from agentrows.stores.memory_copies import MemoryCopyStore
from agentrows.stores.push_configs import PushConfigStore
from agentrows.stores.push_notifications import PushNotificationStore
from agentrows.stores.retention import RetentionStore
from agentrows.stores.sessions import SessionStore
from agentrows.stores.shares import ShareStore
from agentrows.stores.store_items import ItemStore
from agentrows.stores.table_stats import TableStatsStore
from agentrows.stores.task_versions import TaskVersionStore
from agentrows.stores.tasks import TaskStore
from agentrows.stores.thread_imports import ThreadImportStore
from agentrows.stores.thread_retention import ThreadRetentionStore
from agentrows.stores.threads import ThreadStore
from agentrows.stores.tools import ToolStore
from agentrows.stores.transcripts import TranscriptStore
from agentrows.stores.users import UserStore
from agentrows.validation import (
    check_choice,
    check_flag,
    check_id,
    check_number,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Self

    from agentrows.config import Password
    from agentrows.db.executor import Executor, Isolation
    from agentrows.db.retries import OnRetry
    from agentrows.migrate import MigrationRunner
    from agentrows.startup import Close

__all__ = ["PostgresClient", "Stores", "Transaction", "TransactionalStores"]

T = TypeVar("T")


@dataclass(frozen=True)
class Stores(
    AgentStore,
    SessionStore,
    AppSessionStore,
    ShareStore,
    EventStore,
    EventSearchStore,
    ConversationStore,
    TaskStore,
    TaskVersionStore,
    PushNotificationStore,
    PushConfigStore,
    FeedbackStore,
    ToolStore,
    CheckpointStore,
    ThreadStore,
    ThreadImportStore,
    ThreadRetentionStore,
    CrewAIStore,
    MemoryStore,
    MemoryCopyStore,
    ItemStore,
    TranscriptStore,
    HistoryStore,
    RetentionStore,
    UserStore,
    TableStatsStore,
):
    """The methods of all stores, on one executor.

    `db` also runs an application's own generated functions: `await my_query(tx.db, …)`.
    """

    def with_timeout(self, timeout_s: float) -> Stores:
        """Return the same stores with a time limit of `timeout_s` for each statement.

        The limit includes retries and the wait for a connection (PoolTimeout). At the limit a
        statement raises StatementTimeout. Outside a transaction, a statement that must not run
        twice raises OutcomeUnknown instead, because the server may have completed it before the
        cancellation.

        Raises:
            InvalidValue: `timeout_s` is not a positive number.

        """
        if not 0 < check_number("timeout_s", timeout_s) < math.inf:
            raise InvalidValue("timeout_s must be a positive number of seconds")
        return Stores(self.db.with_timeout(timeout_s))


@dataclass(frozen=True)
class Transaction(Stores):
    """The methods of all stores in one transaction, committed or rolled back as a whole."""


@dataclass(frozen=True)
class TransactionalStores(Stores):
    """The methods of all stores, each on its own connection, and transactions.

    `client.with_timeout(…)` returns such an object, which is valid until the client is closed.
    """

    def with_timeout(self, timeout_s: float) -> TransactionalStores:
        """Return the same stores with a time limit of `timeout_s` for each statement.

        The limit includes retries and the wait for a connection (PoolTimeout). In `transaction` and
        `as_user` it applies to BEGIN, to each statement and to COMMIT. At the limit a statement
        raises StatementTimeout. Outside a transaction, a statement that must not run twice raises
        OutcomeUnknown instead, because the server may have completed it before the cancellation.

        Raises:
            InvalidValue: `timeout_s` is not a positive number.

        """
        return TransactionalStores(super().with_timeout(timeout_s).db)

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AsyncGenerator[Transaction]:
        """Run a block in one transaction: committed at its end, rolled back by any exception.

        Several tasks may use it; their statements run one after another. After an error of a
        statement the transaction cannot be committed, so the block must not suppress the error.
        `isolation` is read_committed, repeatable_read or serializable; None is the default of the
        server.

        Raises:
            Aborted: the server rolled back, or the block suppressed the error of a statement.
            OutcomeUnknown: the connection was lost at COMMIT.
            Unavailable: the connection was lost earlier; nothing was stored.

        """
        check_flag("readonly", readonly)
        async with self.db.transaction(isolation=isolation, readonly=readonly) as scope:
            yield Transaction(scope)

    @contextlib.asynccontextmanager
    async def as_user(
        self, user_id: str, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AsyncGenerator[Transaction]:
        """Run a block in one transaction that is restricted to the rows of one user.

        PostgreSQL's row-level security enforces it for every statement, also for an application's
        own on `tx.db`. It protects against mistakes, not against SQL that sets the variable
        `agentrows.user_id`. Tasks without an owner are hidden, and a token opens only the user's
        own shares. PostgreSQL refuses COPY into these tables.

        Raises:
            ConfigError: AGENTROWS_ROW_SECURITY is off, the policies do not apply to the role, or
                the database has the extension citus, which does not apply them on its nodes.
            OwnedByAnother: a statement stores a row of another user, or under an id of such a row.

        """
        require(self.db, ROW_SECURITY)
        check_id("user_id", user_id)
        async with self.transaction(isolation=isolation, readonly=readonly) as tx:
            await restrict_to_user(tx.db, user_id)
            yield tx

    async def call_as_user(
        self, user_id: str, function: Callable[[Transaction], Awaitable[T]]
    ) -> T:
        """Call a function in a transaction that is restricted to the rows of one user.

        The transaction is that of `as_user`. After a lost connection, also at COMMIT, and after a
        rollback by the server, the function is called again in a new transaction. So it must be
        repeatable.

        Raises:
            ConfigError: as in `as_user`.
            OwnedByAnother: as in `as_user`.

        """
        require(self.db, ROW_SECURITY)
        check_id("user_id", user_id)

        async def call(db: Executor) -> T:
            await restrict_to_user(db, user_id)
            return await function(Transaction(db))

        return await self.db.repeat(call)


@dataclass(frozen=True)
class PostgresClient(LiveFeeds, TransactionalStores):
    """The methods of all stores on a pool; created by `open`, `connect` or `from_pool`."""

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
        """Open a client for a block and close it at the end of the block.

        The DSN is the argument, else that of the settings, else that of the environment
        (AGENTROWS_DATABASE_URL_FILE, AGENTROWS_DATABASE_URL); `embedded:` starts an embedded
        PostgreSQL. The call waits until the server accepts connections, then migrates
        (`migrations`: apply, verify, off, or a function of the application), then opens the pool.
        If a step fails, everything that was opened is closed.

        `password` is a function, plain or async, that is called for each new connection and
        overrides the password of the DSN; an error that it raises becomes Unavailable. Without it
        the password is that of the DSN, of the file AGENTROWS_DATABASE_PASSWORD_FILE, or of
        libpq's password file (PGPASSFILE).

        Calls that had no effect, or that are repeatable, are retried for
        `Settings.retry_timeout_s`; `on_retry` is called before each retry.

        Raises:
            ConfigError: settings or credentials are wrong, or pgvector is missing.
            Unavailable: the server does not accept connections in time.
            SchemaBehind: the schema is behind, and `migrations` is `verify`.
            MigrationError: the migration run failed.
            InvalidValue: an argument has another type.

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
        """Return a client, as `open` does; the application calls `close`."""
        settings = _resolve_settings(settings)
        _check_dsn(dsn)
        _check_migrations(migrations)
        _check_function("password", password)
        _check_hook(on_retry)
        return cls(*await open_executor(dsn, settings, migrations, password, on_retry))

    @classmethod
    async def from_pool(
        cls,
        pool: asyncpg.Pool,
        *,
        settings: Settings | None = None,
        on_retry: OnRetry | None = None,
    ) -> Self:
        """Return a client on a pool of the application; `close` leaves the pool open.

        Create the pool with `init=agentrows.init_connection`. The time limits of connects and
        statements are those of the pool, not of the settings.

        Raises:
            ConfigError: the pool's connections lack the codecs.
            InvalidValue: an argument has another type.

        """
        settings = _resolve_settings(settings)
        _check_hook(on_retry)
        if not isinstance(pool, asyncpg.Pool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"pool must be an asyncpg.Pool, not {type(pool).__name__}")
        return cls(*await use_pool(pool, settings, on_retry))

    async def ping(self, *, timeout_s: float = 5.0) -> None:
        """Check that the database answers within `timeout_s`, which includes retries.

        Raises:
            Unavailable: the database cannot be reached.
            StatementTimeout: the answer did not arrive in time.

        """
        await database.ping(self.with_timeout(timeout_s).db.repeatable)

    async def close(self) -> None:
        """Close the pool. Calls that are still running after 10 s are interrupted.

        Iterations over notifications end; tails of events raise ClientClosed.

        A second call does nothing.
        """
        await self._close()


def _resolve_settings(settings: Settings | None) -> Settings:
    """Return the settings of the argument, else those of the environment."""
    if settings is None:
        return Settings.load()
    if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"settings must be Settings, not {type(settings).__name__}")
    return settings


def _check_dsn(dsn: str | None) -> None:
    if not (dsn is None or isinstance(dsn, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"dsn must be text, not {type(dsn).__name__}")


def _check_migrations(migrations: MigrationMode | MigrationRunner | None) -> None:
    if not (migrations is None or callable(migrations)):
        check_choice("migrations", migrations, get_args(MigrationMode))


def _check_function(name: str, function: object) -> None:
    if not (function is None or callable(function)):
        raise InvalidValue(f"{name} must be a function")


def _check_hook(on_retry: OnRetry | None) -> None:
    _check_function("on_retry", on_retry)
    if inspect.iscoroutinefunction(on_retry):
        raise InvalidValue("on_retry must be a plain function: its result is not awaited")
