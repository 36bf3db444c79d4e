"""Calls of adapters to a client, from any event loop and any thread.

A client works only in the event loop that opened it. Frameworks call an adapter from other loops,
from threads, and from programs without a loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from agentrows.client import PostgresClient, Stores, TransactionalStores
from agentrows.errors import ClientClosed, InvalidValue
from agentrows.validation import check_flag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

__all__ = [
    "CallRunner",
    "LoopThread",
    "OpenedAdapter",
    "check_row_security",
    "run_in_loop",
    "wait_in_thread",
]

T = TypeVar("T")

CHECK_S: Final = 1.0
"""Interval at which a waiting caller checks that the other event loop still runs."""
BLOCKS_LOOP: Final = (
    "a synchronous method was called in the event loop of its client, where it would wait for "
    "itself: await its async form, or call it in another thread"
)
NOT_RUNNING: Final = "the event loop in which the client was opened is not running"


class CallRunner:
    """Runs the calls of an adapter on a client or a transaction.

    At most as many calls run at a time as the pool has connections, in a transaction one; the
    others wait without a time limit. With `row_security` each call is a transaction that is
    restricted to the rows of its user (`client.as_user`).

    Raises:
        InvalidValue: `client` is no client and no transaction, or `row_security` is set for a
            transaction.

    """

    def __init__(self, client: Stores, *, row_security: bool = False) -> None:
        if not isinstance(client, Stores):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(
                f"client must be a PostgresClient or a Transaction, not {type(client).__name__}"
            )
        check_row_security(client, row_security=row_security)
        self._stores = client
        self._row_security = row_security

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the client."""
        return self._stores.db.loop

    async def run(
        self, user_id: str, call: Callable[[Stores], Awaitable[T]], *, is_repeatable: bool = True
    ) -> T:
        """Return the result of `call`, which runs in the event loop of the client.

        With row security a repeatable call runs again after a lost connection.

        Raises:
            ClientClosed: the event loop of the client is not running.

        """
        loop = self._stores.db.loop
        if asyncio.get_running_loop() is loop:
            return await self._run(user_id, call, is_repeatable=is_repeatable)
        return await run_in_loop(
            loop, lambda: self._run(user_id, call, is_repeatable=is_repeatable)
        )

    @property
    def merges_lookups(self) -> bool:
        """Whether the client runs look-ups together that wait for a connection."""
        return not self._row_security and self._stores.db.merges_lookups

    async def look_up(self, call: Callable[[Stores], Awaitable[T]]) -> T:
        """Return the result of a look-up where `merges_lookups`, in the event loop of the client.

        It waits in the queue of the pool, not in front of it: only look-ups in the queue are
        merged, and they need few statements.
        """
        return await call(self._stores)

    def run_sync(self, user_id: str, call: Callable[[Stores], Awaitable[T]]) -> T:
        """Return the result of `call` to a caller that is not in the event loop of the client.

        Raises:
            asyncio.InvalidStateError: the caller runs in the event loop of the client.
            ClientClosed: the event loop of the client is not running.

        """
        return wait_in_thread(self._stores.db.loop, lambda: self._run(user_id, call))

    async def _run(
        self, user_id: str, call: Callable[[Stores], Awaitable[T]], *, is_repeatable: bool = True
    ) -> T:
        async with self._stores.db.gate:
            if not (self._row_security and isinstance(self._stores, TransactionalStores)):
                return await call(self._stores)
            if is_repeatable:
                return await self._stores.call_as_user(user_id, call)
            async with self._stores.as_user(user_id) as tx:
                return await call(tx)


def check_row_security(client: object, *, row_security: bool) -> None:
    """Raise InvalidValue if each call has to be restricted to its user in a transaction."""
    if not check_flag("row_security", row_security):
        return
    if isinstance(client, Stores) and not isinstance(client, TransactionalStores):
        raise InvalidValue(
            "row_security needs a client: for a transaction use that of client.as_user"
        )


class LoopThread:
    """An event loop in a thread of its own, for programs without one."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agentrows", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until the loop runs."""
        self._thread.start()
        self._started.wait()

    def run(self, start: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run a coroutine in the loop, and wait for its result."""
        return wait_in_thread(self._loop, start)

    def stop(self) -> None:
        """Cancel the remaining tasks of the loop, and wait for the end of the thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._wait_for_stop())

    async def _wait_for_stop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._started.set()
        await self._stopped.wait()


class OpenedAdapter(Generic[T]):
    """A client and the adapter on it, open for a block.

    `async with` opens the client in the running event loop. `with` opens it in an event loop in a
    thread of its own, for programs without one. A second block opens another client. `release`
    ends what the adapter runs, before the client is closed.
    """

    def __init__(
        self,
        connect: Callable[[], Coroutine[object, object, PostgresClient]],
        adapt: Callable[[PostgresClient], T],
        release: Callable[[T], Coroutine[object, object, object]] | None = None,
    ) -> None:
        self._connect = connect
        self._adapt = adapt
        self._release = release
        self._client: PostgresClient | None = None
        self._adapter: T | None = None
        self._thread: LoopThread | None = None

    async def __aenter__(self) -> T:
        """Open the client in the running event loop, and return the adapter."""
        self._check_not_open()
        return await self._open()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self._close()

    def __enter__(self) -> T:
        """Open the client in an event loop of its own, and return the adapter."""
        self._check_not_open()
        self._thread = LoopThread()
        self._thread.start()
        try:
            return self._thread.run(self._open)
        except BaseException:
            self._stop()
            raise

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close the client, and stop its event loop."""
        try:
            if self._thread is not None:
                self._thread.run(self._close)
        finally:
            self._stop()

    def _check_not_open(self) -> None:
        if self._client is not None or self._thread is not None:
            raise InvalidValue("it is open already: call `open` again for another client")

    async def _open(self) -> T:
        self._client = client = await self._connect()
        try:
            self._adapter = adapter = self._adapt(client)
        except BaseException:
            await self._close()
            raise
        return adapter

    async def _close(self) -> None:
        client, self._client = self._client, None
        adapter, self._adapter = self._adapter, None
        try:
            if adapter is not None and self._release is not None:
                await self._release(adapter)
        finally:
            if client is not None:
                await client.close()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()


async def run_in_loop(
    loop: asyncio.AbstractEventLoop, start: Callable[[], Coroutine[object, object, T]]
) -> T:
    """Run a coroutine in an event loop of another thread, and await its result.

    Cancelling the caller cancels the coroutine.

    Raises:
        ClientClosed: the other event loop does not run, or ended.

    """
    future = asyncio.wrap_future(_submit(loop, start))
    try:
        while not future.done():
            await asyncio.wait((future,), timeout=CHECK_S)
            _check_progress(loop, is_done=future.done())
    except BaseException:
        future.cancel()
        raise
    if future.cancelled():
        raise ClientClosed(NOT_RUNNING)
    return future.result()


def wait_in_thread(
    loop: asyncio.AbstractEventLoop, start: Callable[[], Coroutine[object, object, T]]
) -> T:
    """Run a coroutine in an event loop of another thread, and wait for its result.

    Raises:
        asyncio.InvalidStateError: the caller runs in that event loop.
        ClientClosed: the event loop does not run, or ended.

    """
    if _running_loop() is loop:
        raise asyncio.InvalidStateError(BLOCKS_LOOP)
    future = _submit(loop, start)
    try:
        while not future.done():
            concurrent.futures.wait((future,), timeout=CHECK_S)
            _check_progress(loop, is_done=future.done())
    except BaseException:
        future.cancel()
        raise
    if future.cancelled():
        raise ClientClosed(NOT_RUNNING)
    return future.result()


def _submit(
    loop: asyncio.AbstractEventLoop, start: Callable[[], Coroutine[object, object, T]]
) -> concurrent.futures.Future[T]:
    _check_progress(loop, is_done=False)
    coroutine = start()
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError as error:  # the loop was closed after the check
        coroutine.close()
        raise ClientClosed(NOT_RUNNING) from error


def _check_progress(loop: asyncio.AbstractEventLoop, *, is_done: bool) -> None:
    """Raise ClientClosed for a call that is not done in a loop that does not run."""
    if not (is_done or loop.is_running()):
        raise ClientClosed(NOT_RUNNING)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
