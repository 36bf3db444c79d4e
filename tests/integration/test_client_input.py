"""Invalid arguments of the client: the error names them, and nothing is opened."""

from __future__ import annotations

import dataclasses
import inspect
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import (
    ConfigError,
    InvalidValue,
    NotFound,
    PostgresClient,
    Settings,
    Stores,
    Transaction,
    TransactionalStores,
)
from agentrows.db.executor import Executor
from agentrows.live_feeds import LiveFeeds
from support.hostile import NOTHING_OF_THE_KIND, NUMBERS, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

IMPATIENT: Final = Settings(ready_timeout_s=0.2, connect_timeout_s=0.2, migrations="off")
TRIED: Final = (
    "as_user",
    "call_as_user",
    "close",
    "connect",
    "from_pool",
    "listen",
    "open",
    "ping",
    "tail_events",
    "transaction",
    "with_timeout",
)
NO_DSN: Final = (
    "",
    " ",
    "\0",
    "postgresql://127.0.0.1/\0",
    "postgresql://127.0.0.1/\ud800",
    "postgresql://127.0.0.1:99999/x",
    "postgresql://127.0.0.1:1x/x",
    "postgresql://[::1/x",
    "mysql://127.0.0.1/x",
    "x" * 2**20,
    "embedded://host/x",
)


def test_every_client_method_is_covered() -> None:
    public = {
        name
        for each in (Stores, Transaction, TransactionalStores, LiveFeeds, PostgresClient)
        for name, value in vars(each).items()
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
    }
    assert public == set(TRIED)


def others(fits: Callable[[object], bool], *more: object) -> list[Any]:
    return [each for each in (*NOTHING_OF_THE_KIND, *more) if not fits(each)]


async def test_timeout_that_is_not_positive_is_refused_by_name(
    client: PostgresClient,
) -> None:
    for value in others(lambda each: is_number(each) and 0 < each < math.inf, *NUMBERS):  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
        with pytest.raises(InvalidValue, match=r"^timeout_s "):
            client.with_timeout(value)


@pytest.mark.parametrize("timeout_s", [5, 0.5, 1e18, 1e308, 2**70], ids=str)
async def test_very_long_timeout_is_accepted(client: PostgresClient, timeout_s: float) -> None:
    with pytest.raises(NotFound):
        await client.with_timeout(timeout_s).get_agent("nobody")


async def test_transaction_refuses_invalid_isolation_and_readonly_by_name(
    client: PostgresClient,
) -> None:
    for value in others(lambda each: each is None, "", "SERIALIZABLE", "read committed"):
        with pytest.raises(InvalidValue, match=r"^isolation "):
            async with client.transaction(isolation=value):
                pass
    for value in others(lambda each: isinstance(each, bool), 0, 1):
        with pytest.raises(InvalidValue, match=r"^readonly "):
            async with client.transaction(readonly=value):
                pass
    await client.ping()


async def test_as_user_refuses_an_invalid_user_id(migrated: str) -> None:
    settings = Settings(row_security=True, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        behind = dataclasses.replace(client, db=Executor(client.db._source))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        for value in others(lambda each: each == "text", "", "x" * 513, "a\0b"):
            with pytest.raises(InvalidValue, match=r"^user_id "):
                async with behind.as_user(value):
                    pass
            with pytest.raises(InvalidValue, match=r"^user_id "):
                await behind.call_as_user(value, lambda tx: tx.list_agents())


async def test_listen_refuses_an_invalid_channel(client: PostgresClient) -> None:
    for value in others(lambda each: each == "text", "", "x" * 64, "a\0b"):
        with pytest.raises(InvalidValue, match=r"^channel "):
            async with client.listen(value):
                pass


async def test_tail_refuses_invalid_arguments_by_name(client: PostgresClient) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    for value in others(lambda each: each == "text", "", "x" * 513, "a\0b"):
        with pytest.raises(InvalidValue, match=r"^session_id "):
            await anext(client.tail_events(value, user_id="mira"))
        with pytest.raises(InvalidValue, match=r"^user_id "):
            await anext(client.tail_events("s-1", user_id=value))
    for value in others(lambda each: each is None, "e-1", datetime(2026, 1, 1)):  # noqa: DTZ001
        with pytest.raises(InvalidValue, match=r"^after "):
            await anext(client.tail_events("s-1", user_id="mira", after=value))


async def test_open_refuses_arguments_of_another_type_by_name(migrated: str) -> None:
    def is_none_or_text(value: object) -> bool:
        return value is None or isinstance(value, str)

    for value in others(is_none_or_text):
        with pytest.raises(InvalidValue, match=r"^dsn "):
            await PostgresClient.connect(value, settings=IMPATIENT)
    for value in others(lambda each: each is None):
        with pytest.raises(InvalidValue, match=r"^settings "):
            await PostgresClient.connect(migrated, settings=value)
    for value in others(lambda each: each is None or callable(each), "APPLY", ""):
        with pytest.raises(InvalidValue, match=r"^migrations "):
            async with PostgresClient.open(migrated, settings=IMPATIENT, migrations=value):
                pass
    for value in others(lambda each: each is None or callable(each)):
        with pytest.raises(InvalidValue, match=r"^on_retry "):
            await PostgresClient.connect(migrated, settings=IMPATIENT, on_retry=value)
        with pytest.raises(InvalidValue, match=r"^password "):
            await PostgresClient.connect(migrated, settings=IMPATIENT, password=value)
    for value in others(lambda _: False):
        with pytest.raises(InvalidValue, match=r"^pool "):
            await PostgresClient.from_pool(value)


@pytest.mark.parametrize("dsn", NO_DSN, ids=lambda dsn: ascii(dsn)[:30])
async def test_malformed_dsn_raises_config_error(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"DSN|database"):
        await PostgresClient.connect(dsn, settings=IMPATIENT)
