"""Look-ups that wait for a connection: one statement, and for each caller its own result."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from agentrows import (
    InvalidValue,
    NewEvent,
    NewStoreItem,
    NotFound,
    PostgresClient,
    Settings,
    StatementTimeout,
    Unavailable,
)
from agentrows.db.lookup_batches import MOST_BYTES, MOST_LOOKUPS
from agentrows.errors import PoolTimeout
from agentrows.gen.sessions import GET_SESSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    Statements = Callable[[], Awaitable[dict[str, int]]]

USERS = ("mira", "noah")


@pytest_asyncio.fixture
async def narrow(client: PostgresClient, client_dsn: str) -> AsyncIterator[PostgresClient]:
    """A client with one connection, on sessions s-0 to s-39 of mira and s-0 to s-19 of noah."""
    for user, count in zip(USERS, (40, 20), strict=True):
        for n in range(count):
            await client.store_session(f"s-{n}", user_id=user, name=f"{user} {n}")
    async with open_narrow(client_dsn) as opened:
        yield opened


@contextlib.asynccontextmanager
async def open_narrow(dsn: str, **settings: Any) -> AsyncGenerator[PostgresClient]:  # noqa: ANN401
    options = {"pool_min_size": 1, "pool_max_size": 1, "pooler": "transaction", **settings}
    async with PostgresClient.open(
        dsn, settings=Settings.model_validate(options), migrations="off"
    ) as opened:
        yield opened


@contextlib.asynccontextmanager
async def busy(client: PostgresClient, seconds: float = 0.3) -> AsyncGenerator[None]:
    """Use the only connection while the block starts its calls."""
    sleeping = asyncio.create_task(client.db.fetchval("SELECT pg_sleep($1)", seconds))
    await asyncio.sleep(seconds / 6)
    yield
    await sleeping


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that connections run from now on."""
    names: list[str] = []
    for method in ("fetch", "fetchrow"):
        run = getattr(asyncpg.Connection, method)

        async def logged(
            self: asyncpg.Connection,
            query: str,
            *args: object,
            _run: Any = run,  # noqa: ANN401
            **options: object,
        ) -> object:
            names.append(query.partition("\n")[0].removeprefix("-- name: "))
            return await _run(self, query, *args, **options)

        monkeypatch.setattr(asyncpg.Connection, method, logged)
    return names


async def test_waiting_lookups_run_as_one_statement_with_their_own_rows(
    narrow: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [(f"s-{n}", user) for n in range(40) for user in USERS]
    async with busy(narrow):
        names = watch(monkeypatch)
        calls = [asyncio.create_task(narrow.get_session(id_, user_id=user)) for id_, user in wanted]
        await asyncio.sleep(0)
    results = await asyncio.gather(*calls, return_exceptions=True)
    for (id_, user), result in zip(wanted, results, strict=True):
        if user == "noah" and int(id_[2:]) >= 20:
            assert isinstance(result, NotFound)
            assert repr(id_) in str(result)
        else:
            assert not isinstance(result, BaseException)
            assert (result.id, result.user_id, result.name) == (id_, user, f"{user} {id_[2:]}")
    assert names == ["GetSessionBatch :many"]


async def test_every_batch_returns_what_its_lookup_returns(
    narrow: PostgresClient, client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.store_agent("travel", type="declarative", config={"model": "small"})
    await client.store_events(
        [NewEvent(id=f"e-{n}", user_id="mira", session_id="s-1", data=f"{n}") for n in range(3)]
    )
    for n in range(3):
        await client.store_task(f"t-{n}", user_id="mira", session_id="s-1", data=f"{n}")
        await client.store_items(
            [NewStoreItem(namespace="users.mira", key=f"k-{n}", value="{}")], user_id="mira"
        )
    lookups: list[Callable[[PostgresClient], Awaitable[object]]] = [
        lambda c: c.get_agent("travel"),
        lambda c: c.get_agent("absent"),
        *(partial(_get_event, f"e-{n}") for n in range(4)),
        lambda c: c.get_event("e-1", user_id="noah"),
        *(partial(_get_task, f"t-{n}") for n in range(4)),
        lambda c: c.get_task("t-1", user_id="noah"),
        *(partial(_find_item, f"k-{n}", "users.mira") for n in range(4)),
        partial(_find_item, "k-1", ""),
        lambda c: c.find_store_item("k-1", user_id="noah", namespace="users.mira"),
    ]
    async with busy(narrow):
        names = watch(monkeypatch)
        calls = [asyncio.ensure_future(lookup(narrow)) for lookup in lookups]
        await asyncio.sleep(0)
    together = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(names) == [
        "FindStoreItemBatch :many",
        "GetAgentBatch :many",
        "GetEventBatch :many",
        "GetTaskBatch :many",
    ]
    monkeypatch.undo()
    for lookup, found in zip(lookups, together, strict=True):
        (alone,) = await asyncio.gather(lookup(client), return_exceptions=True)
        if isinstance(found, NotFound):
            assert (type(alone), str(alone)) == (NotFound, str(found))
        else:
            assert found == alone


def _get_event(id_: str, client: PostgresClient) -> Awaitable[object]:
    return client.get_event(id_, user_id="mira")


def _find_item(key: str, namespace: str, client: PostgresClient) -> Awaitable[object]:
    return client.find_store_item(key, user_id="mira", namespace=namespace)


def _get_task(id_: str, client: PostgresClient) -> Awaitable[object]:
    return client.get_task(id_, user_id="mira")


async def test_lookup_with_a_free_connection_runs_alone(
    narrow: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = watch(monkeypatch)
    await narrow.get_session("s-1", user_id="mira")
    assert names == ["GetSession :one"]


@pytest.mark.usefixtures("narrow")
async def test_merge_lookups_false_runs_each_alone(
    client_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_narrow(client_dsn, merge_lookups=False) as single:
        async with busy(single):
            names = watch(monkeypatch)
            calls = [asyncio.create_task(single.get_session("s-1", user_id="mira")) for _ in "abc"]
            await asyncio.sleep(0)
        await asyncio.gather(*calls)
    assert names == ["GetSession :one"] * 3


async def test_lookups_of_a_transaction_run_alone(
    narrow: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with narrow.transaction() as tx:
        names = watch(monkeypatch)
        await asyncio.gather(*(tx.get_session(f"s-{n}", user_id="mira") for n in range(5)))
    assert names.count("GetSession :one") == 5
    assert "GetSessionBatch :many" not in names


@pytest.mark.parametrize("who", ["first", "last", "all"])
async def test_cancelled_callers_leave_the_others_in_the_batch(
    narrow: PostgresClient, db: asyncpg.Connection, who: str
) -> None:
    """The first one runs the batch, so its end must not end the statement of the others."""
    async with lock_of_sessions(db) as unlock:
        async with busy(narrow, 0.2):
            calls = [
                asyncio.create_task(narrow.get_session(f"s-{n}", user_id="mira")) for n in range(10)
            ]
            await asyncio.sleep(0)
        await until_blocked(db)
        gone = {"first": calls[:1], "last": calls[-1:], "all": calls}[who]
        for call in gone:
            call.cancel()
        await asyncio.wait(gone)
        await unlock()
    results = await asyncio.gather(*calls, return_exceptions=True)
    for n, (call, result) in enumerate(zip(calls, results, strict=True)):
        if call in gone:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert not isinstance(result, BaseException)
            assert result.id == f"s-{n}"
    assert (await narrow.get_session("s-1", user_id="mira")).id == "s-1"


async def test_time_limit_of_one_caller_ends_its_call_alone(
    narrow: PostgresClient, db: asyncpg.Connection
) -> None:
    async with lock_of_sessions(db) as unlock:
        async with busy(narrow, 0.2):
            hasty = asyncio.create_task(narrow.with_timeout(0.8).get_session("s-1", user_id="mira"))
            await asyncio.sleep(0)
            patient = asyncio.create_task(narrow.get_session("s-2", user_id="mira"))
            await asyncio.sleep(0)
        with pytest.raises(StatementTimeout):
            await hasty
        assert not patient.done()
        await unlock()
    assert (await patient).id == "s-2"


async def test_error_of_one_lookup_does_not_reach_another(narrow: PostgresClient) -> None:
    """A lone surrogate is refused before the statement; NUL and length are checked as well."""
    async with busy(narrow):
        good = [asyncio.create_task(narrow.get_session(f"s-{n}", user_id="mira")) for n in range(3)]
        bad = [
            asyncio.create_task(narrow.db.repeatable.fetchrow(GET_SESSION, value, "mira"))
            for value in ("\ud800", 7)
        ]
        await asyncio.sleep(0)
    assert [session.id for session in await asyncio.gather(*good)] == ["s-0", "s-1", "s-2"]
    for call in bad:
        with pytest.raises(InvalidValue):
            await call


async def test_lost_connection_is_retried_by_each_caller(
    narrow: PostgresClient, db: asyncpg.Connection
) -> None:
    async with lock_of_sessions(db) as unlock:
        async with busy(narrow, 0.2):
            calls = [
                asyncio.create_task(narrow.get_session(f"s-{n}", user_id="mira")) for n in range(10)
            ]
            await asyncio.sleep(0)
        await until_blocked(db)
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE relation = 'session'::regclass AND NOT granted"
        )
        await unlock()
    assert [session.id for session in await asyncio.gather(*calls)] == [f"s-{n}" for n in range(10)]


@pytest.mark.usefixtures("narrow")
async def test_lost_connection_without_retries_is_unavailable_for_each_caller(
    db: asyncpg.Connection, client_dsn: str
) -> None:
    async with open_narrow(client_dsn, retry_timeout_s=0) as single, lock_of_sessions(db):
        async with busy(single, 0.2):
            calls = [
                asyncio.create_task(single.get_session(f"s-{n}", user_id="mira")) for n in range(3)
            ]
            await asyncio.sleep(0)
        await until_blocked(db)
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE relation = 'session'::regclass AND NOT granted"
        )
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    assert len({id(result) for result in results}) == 3


async def test_pool_timeout_is_that_of_each_caller(client_dsn: str) -> None:
    async with open_narrow(client_dsn, acquire_timeout_s=0.3) as single:
        async with busy(single, 1.2):
            calls = [
                asyncio.create_task(single.get_session(f"s-{n}", user_id="mira")) for n in range(3)
            ]
            results = await asyncio.gather(*calls, return_exceptions=True)
            late = asyncio.create_task(single.get_session("s-1", user_id="mira"))
            with pytest.raises(PoolTimeout):
                await late
        assert [type(result) for result in results] == [PoolTimeout] * 3
        assert (await single.get_session("s-1", user_id="mira")).id == "s-1"


async def test_batches_are_bounded_in_number_and_bytes(
    narrow: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 2 * MOST_LOOKUPS + 10
    async with busy(narrow):
        names = watch(monkeypatch)
        calls = [
            asyncio.create_task(narrow.get_session("s-1", user_id="mira")) for _ in range(number)
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert names == ["GetSessionBatch :many"] * 3
    names.clear()
    async with busy(narrow):
        long = "ü" * (MOST_BYTES // 2 - 100)
        large = [
            asyncio.create_task(narrow.db.repeatable.fetchrow(GET_SESSION, long, "mira"))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
    assert await asyncio.gather(*large) == [None] * 5
    kinds = [name for name in names if name.startswith("GetSession")]
    assert len(kinds) == 3


async def test_other_calls_keep_their_turn(narrow: PostgresClient) -> None:
    """A look-up that joins a batch overtakes other calls; none of these waits longer for it."""
    order: list[str] = []

    async def note(name: str, call: Awaitable[object]) -> None:
        await call
        order.append(name)

    async with busy(narrow):
        tasks: list[asyncio.Task[None]] = []
        for name, call in (
            ("one", narrow.get_session("s-1", user_id="mira")),
            ("list", narrow.list_sessions(user_id="mira", limit=1)),
            ("two", narrow.get_session("s-2", user_id="mira")),
            ("count", narrow.count_sessions(user_id="mira")),
        ):
            tasks.append(asyncio.create_task(note(name, call)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert sorted(order[:2]) == ["one", "two"]
    assert order[2:] == ["list", "count"]


@contextlib.asynccontextmanager
async def lock_of_sessions(
    db: asyncpg.Connection,
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Lock the table of sessions for readers too, until the returned function is called."""
    transaction = db.transaction()
    await transaction.start()
    await db.execute("LOCK TABLE session IN ACCESS EXCLUSIVE MODE")
    is_locked = True

    async def unlock() -> None:
        nonlocal is_locked
        is_locked = False
        await transaction.rollback()

    try:
        yield unlock
    finally:
        if is_locked:
            await transaction.rollback()


async def until_blocked(db: asyncpg.Connection) -> None:
    """Wait until a statement waits for the lock."""
    async with asyncio.timeout(20):
        while not await db.fetchval(
            "SELECT count(*) FROM pg_locks WHERE relation = 'session'::regclass AND NOT granted"
        ):
            await asyncio.sleep(0.02)
