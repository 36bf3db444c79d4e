"""`AgentRowsStore`: the long-term memory of LangGraph on a client or a transaction."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from langgraph.store.base import BaseStore

from agentrows import PostgresClient
from agentrows.bridge import CallRunner, OpenedAdapter, run_in_loop, wait_in_thread
from agentrows.errors import AgentRowsError, ClientClosed, InvalidValue
from agentrows.langgraph.embeddings import TextIndex
from agentrows.langgraph.operations import plan_operations
from agentrows.langgraph.store_calls import StoreCalls
from agentrows.langgraph.users import UserResolver

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Self

    from langgraph.store.base import Op, Result, TTLConfig

    from agentrows import Settings, Stores
    from agentrows.langgraph.embeddings import StoreIndexConfig
    from agentrows.langgraph.users import User

__all__ = ["AgentRowsStore"]

T = TypeVar("T")
logger = logging.getLogger("agentrows")

SWEEP_MINUTES: Final = 5.0


class AgentRowsStore(BaseStore):
    """Stores the items of LangGraph on a `PostgresClient`, for each user separately.

    ::

        async with PostgresClient.open("postgresql://…") as client:
            store = AgentRowsStore(client, user=lambda namespace: namespace[1])
            graph = builder.compile(store=store)
            await store.aput(("users", "mira"), "diet", {"vegetarian": True})

    `user` is the id of the user that owns the items, or a function of the namespace: of the prefix
    for a search, and of the prefix for a list of namespaces, `()` without one. There is no default
    user. The clients of a LangGraph server send namespaces themselves, so a function of the
    namespace protects users from each other only if the server checks the namespace.

    `index` switches on the search by similarity: the searches compare every vector under the
    namespace, and any number of dimensions is possible. `ttl` is LangGraph's; a time to live is in
    minutes and may be a fraction.

    The methods work in any event loop and thread; the statements run in the event loop of the
    client. Concurrent calls are merged into few statements. The operations of one batch on items of
    one user are stored completely or not at all. With a `Transaction` as `client` the items are
    stored when it commits. With `row_security` each statement is restricted to the rows of its user
    by PostgreSQL (`client.as_user`).

    A value is JSON: tuples become lists, and keys that are no text become text. NUL, lone
    surrogates and the order of keys are kept.

    Raises:
        InvalidValue: an argument has another type, or `row_security` is set for a transaction.

    """

    supports_ttl: bool = True

    def __init__(
        self,
        client: Stores,
        *,
        user: User[tuple[str, ...]],
        index: StoreIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        row_security: bool = False,
    ) -> None:
        super().__init__()
        self._stores = client
        self._users: UserResolver[tuple[str, ...]] = UserResolver(user)
        self.index_config = index
        self._index = None if index is None else TextIndex(index)
        self.ttl_config = ttl
        self._calls = StoreCalls(CallRunner(client, row_security=row_security), self._index, ttl)
        self._sweeper: asyncio.Task[None] | None = None

    @classmethod
    def open(  # noqa: PLR0913  one keyword per setting
        cls,
        dsn: str | None = None,
        *,
        user: User[tuple[str, ...]],
        index: StoreIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        row_security: bool = False,
        settings: Settings | None = None,
    ) -> OpenedAdapter[Self]:
        """Open a client for a block, and return the store on it.

        `async with` opens the client in the running event loop, `with` in an event loop in a thread
        of its own, for programs without one. The DSN and the settings are those of
        `PostgresClient.open`. If `ttl` has a `sweep_interval_minutes`, expired items are deleted
        at this interval.

        ::

            with AgentRowsStore.open("postgresql://…", user="mira") as store:
                graph = builder.compile(store=store)

        Raises:
            InvalidValue: an argument is wrong.

        """
        UserResolver(user)
        if index is not None:
            TextIndex(index)
        return OpenedAdapter(
            lambda: PostgresClient.connect(dsn, settings=settings),
            lambda client: cls(  # noqa: SLF001  its own method
                client, user=user, index=index, ttl=ttl, row_security=row_security
            )._with_sweeper(),
            lambda store: store.stop_ttl_sweeper(),
        )

    def for_user(self, user: str) -> Self:
        """Return a copy of this store for one user, whatever the namespace."""
        clone = copy.copy(self)
        clone._users = UserResolver(user)  # noqa: SLF001  a copy of this object
        return clone

    async def setup(self) -> None:
        """Check that the schema has the tables of this store; `agentrows migrate up` creates them.

        Raises:
            ConfigError: the store has an index, and the settings disable vectors.
            SchemaBehind: the database lacks a migration.

        """
        index = self._index

        async def check(stores: Stores) -> None:
            await stores.list_store_items([("", "")], user_id="-")
            if index is not None:
                await stores.search_store_vectors([0.0], user_id="-", space=index.space, limit=1)

        await self._in_loop(lambda: check(self._stores))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations and return their results in the same order.

        The reads see the state before the writes; of two puts of one key the last counts.

        Raises:
            asyncio.InvalidStateError: the caller runs in the event loop of the client.
            InvalidValue: an operation is wrong.
            InvalidNamespaceError: a namespace is wrong.

        """
        every = list(ops)
        return wait_in_thread(self._stores.db.loop, lambda: self._execute(every))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations and return their results in the same order.

        The reads see the state before the writes; of two puts of one key the last counts.

        Raises:
            InvalidValue: an operation is wrong.
            InvalidNamespaceError: a namespace is wrong.

        """
        every = list(ops)
        if asyncio.get_running_loop() is self._stores.db.loop:
            return await self._execute(every)
        return await run_in_loop(self._stores.db.loop, lambda: self._execute(every))

    async def sweep_ttl(self) -> int:
        """Delete the expired items of all users; return their number.

        With row security the role of the client has to see the rows of all users outside of
        `as_user`.
        """
        return await self._in_loop(self._stores.prune_expired_store_items)

    async def start_ttl_sweeper(
        self, sweep_interval_minutes: float | None = None
    ) -> asyncio.Task[None]:
        """Delete expired items at an interval; return the task, which runs until it is stopped.

        The default interval is that of the `ttl` configuration, else 5 minutes. A second call
        returns the running task.
        """

        async def start() -> asyncio.Task[None]:
            return self._start_sweeper(sweep_interval_minutes)

        return await self._in_loop(start)

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  LangGraph's name
        """Stop the task; return whether it ended within `timeout` seconds."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is None:
            return True

        async def stop() -> bool:
            sweeper.cancel()
            done, _ = await asyncio.wait([sweeper], timeout=timeout)
            return bool(done)

        return await self._in_loop(stop)

    def _with_sweeper(self) -> Self:
        """Start the sweeper if the configuration has an interval, and return this store."""
        if (self.ttl_config or {}).get("sweep_interval_minutes"):
            self._start_sweeper(None)
        return self

    def _start_sweeper(self, minutes: float | None) -> asyncio.Task[None]:
        if self._sweeper is None or self._sweeper.done():
            configured = (self.ttl_config or {}).get("sweep_interval_minutes")
            interval_s = (minutes or configured or SWEEP_MINUTES) * 60
            self._sweeper = asyncio.create_task(self._sweep(interval_s))
        return self._sweeper

    async def _sweep(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._stores.prune_expired_store_items()
            except ClientClosed:
                return
            except AgentRowsError as error:
                logger.warning("expired items are not deleted: %s", error)

    async def _in_loop(self, start: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run a coroutine in the event loop of the client."""
        loop = self._stores.db.loop
        if asyncio.get_running_loop() is loop:
            return await start()
        return await run_in_loop(loop, start)

    def _execute(self, ops: Sequence[Op]) -> Coroutine[object, object, list[Result]]:
        """Check operations, and return a coroutine that executes them."""
        return self._calls.execute(plan_operations(ops, self._resolve), len(ops))

    def _resolve(self, namespace: Sequence[str]) -> str:
        """Return the user of a namespace."""
        try:
            return self._users.resolve(tuple(namespace))
        except LookupError as error:
            raise InvalidValue(
                f"the function `user` finds no user in the namespace {tuple(namespace)!r}"
            ) from error
