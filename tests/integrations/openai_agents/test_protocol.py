"""The protocol of a session: the same tests on ours, and on the SDK's own store as their check."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from agents import RunContextWrapper, Session, SessionSettings, SQLiteSession

from agentrows import InvalidValue, PostgresClient
from agentrows.openai_agents import PostgresSession, stored_agent_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from agents import TResponseInputItem


@dataclass
class Stage:
    """A store of sessions, and a way to write a row into it that is not JSON."""

    make: Callable[..., Session]
    corrupt: Callable[[str], Any]


@pytest.fixture(params=["agentrows", "sqlite"])
def stage(request: pytest.FixtureRequest, client: PostgresClient, tmp_path: Path) -> Stage:
    if request.param == "sqlite":
        path = tmp_path / "sessions.db"

        async def corrupt_sqlite(session_id: str) -> None:
            with sqlite3.connect(path) as connection:
                connection.execute(
                    "INSERT INTO agent_messages (session_id, message_data) VALUES (?, 'no JSON')",
                    (session_id,),
                )

        return Stage(partial(SQLiteSession, db_path=path), corrupt_sqlite)

    async def corrupt(session_id: str) -> None:
        await client.append_items(
            session_id, user_id="mira", agent_id=stored_agent_id(), items=["no JSON"]
        )

    return Stage(
        partial(PostgresSession, client=client, user_id="mira"),
        corrupt,
    )


def message(text: str) -> TResponseInputItem:
    return {"role": "user", "content": text}


def messages(*texts: str) -> list[TResponseInputItem]:
    return [message(text) for text in texts]


def texts(items: list[TResponseInputItem]) -> list[str]:
    return [cast("dict[str, Any]", item)["content"] for item in items]


async def test_session_implements_the_protocol(stage: Stage) -> None:
    session = stage.make("s-1")

    assert isinstance(session, Session)
    assert session.session_id == "s-1"
    assert isinstance(session.session_settings, SessionSettings)
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()


async def test_items_are_returned_in_order_over_several_batches(stage: Stage) -> None:
    session = stage.make("s-1")
    await session.add_items(messages("a", "b", "c"))
    await session.add_items([])
    await session.add_items(messages("d", "d"))

    assert texts(await session.get_items()) == ["a", "b", "c", "d", "d"]
    assert texts(await stage.make("s-1").get_items()) == ["a", "b", "c", "d", "d"]
    assert await stage.make("s-2").get_items() == []


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 100])
@pytest.mark.parametrize("default", [None, 0, 2])
async def test_limit_of_the_argument_overrides_that_of_the_settings(
    stage: Stage, limit: int | None, default: int | None
) -> None:
    session = stage.make("s-1", session_settings=SessionSettings(limit=default))
    await session.add_items(messages("a", "b", "c"))

    effective = default if limit is None else limit
    expected = ["a", "b", "c"][len("abc") - min(3, 3 if effective is None else effective) :]
    assert texts(await session.get_items(limit)) == expected
    assert texts(await session.get_items(limit=limit)) == expected


async def test_settings_can_be_a_dictionary_and_be_replaced(stage: Stage) -> None:
    session = stage.make("s-1", session_settings={"limit": 1})
    await session.add_items(messages("a", "b"))

    assert texts(await session.get_items()) == ["b"]
    session.session_settings = SessionSettings(limit=2)
    assert texts(await session.get_items()) == ["a", "b"]
    with pytest.raises((TypeError, InvalidValue), match="limitt"):
        stage.make("s-1", session_settings={"limitt": 1})


async def test_rows_that_are_not_json_are_passed_over_and_do_not_count(stage: Stage) -> None:
    session = stage.make("s-1")
    await session.add_items(messages("a"))
    await stage.corrupt("s-1")
    await session.add_items(messages("b"))
    for _ in range(5):
        await stage.corrupt("s-1")

    assert texts(await session.get_items()) == ["a", "b"]
    assert texts(await session.get_items(1)) == ["b"]
    assert texts(await session.get_items(2)) == ["a", "b"]
    assert texts(await session.get_items(9)) == ["a", "b"]
    assert await session.pop_item() == message("b")
    assert await session.pop_item() == message("a")
    await stage.corrupt("s-1")
    assert await session.pop_item() is None
    assert await session.get_items() == []


async def test_pop_returns_the_newest_item_and_clear_removes_all(stage: Stage) -> None:
    session, other = stage.make("s-1"), stage.make("s-2")
    await session.add_items(messages("a", "b", "c"))
    await other.add_items(messages("x"))

    assert await session.pop_item() == message("c")
    await session.add_items(messages("d"))
    assert [await session.pop_item() for _ in range(2)] == messages("d", "b")
    await session.clear_session()
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.add_items(messages("e"))
    assert texts(await session.get_items()) == ["e"]
    assert texts(await other.get_items()) == ["x"]


async def test_items_are_returned_as_they_were_stored(stage: Stage) -> None:
    session = stage.make("s-1")
    items: Any = [
        message("Grüße 👋 \u2028 \x00 \x1f \ud83d"),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": "\\u0000"}'},
        {"type": "reasoning", "id": "r", "summary": [], "n": [1, 2.5, True, None, {"z": 2**70}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x" * 100_000}]},
    ]

    await session.add_items(items)

    assert await session.get_items() == items
    assert [await session.pop_item() for _ in range(4)] == items[::-1]


async def test_item_without_json_form_stores_nothing_of_its_batch(stage: Stage) -> None:
    session = stage.make("s-1")
    bad: Any = [message("a"), {"role": "user", "content": object()}]

    with pytest.raises((TypeError, InvalidValue)):
        await session.add_items(bad)

    assert await session.get_items() == []


async def test_concurrent_batches_stay_together_and_pops_get_each_item_once(stage: Stage) -> None:
    sessions = [stage.make("s-1") for _ in range(20)]
    await asyncio.gather(
        *(
            session.add_items(messages(*(f"{writer} {n}" for n in range(5))))
            for writer, session in enumerate(sessions)
        )
    )

    stored = texts(await sessions[0].get_items())
    assert len(stored) == 100
    for start in range(0, 100, 5):
        writer = stored[start].split(" ")[0]
        assert stored[start : start + 5] == [f"{writer} {n}" for n in range(5)]

    kept = await sessions[0].get_items(40)
    await sessions[0].clear_session()
    await sessions[0].add_items(kept)
    popped = await asyncio.gather(*(sessions[n % 20].pop_item() for n in range(50)))
    assert sorted(texts([item for item in popped if item])) == sorted(texts(kept))


@pytest.mark.parametrize("delays", [1, 3, 6, 12])
async def test_mutations_have_settled_when_a_cancellation_arrives(
    stage: Stage, delays: int
) -> None:
    session = stage.make("s-1")
    await session.add_items(messages("a", "b"))

    async def cancelled(mutation: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(mutation)
        for _ in range(delays):
            await asyncio.sleep(0)
        if not task.cancel():  # it ended before
            await task
            return
        with pytest.raises(asyncio.CancelledError):
            await task

    await cancelled(session.add_items(messages("c")))
    assert texts(await session.get_items()) == ["a", "b", "c"]
    await cancelled(session.pop_item())
    assert texts(await session.get_items()) == ["a", "b"]
    await cancelled(session.clear_session())
    assert await session.get_items() == []


async def test_every_method_accepts_the_wrapper(client: PostgresClient) -> None:
    session = PostgresSession("s-1", client=client, user_id="mira")
    wrapper = RunContextWrapper(None)

    await session.add_items(messages("a", "b"), wrapper=wrapper)
    assert await session.pop_item(wrapper=wrapper) == message("b")
    assert texts(await session.get_items(1, wrapper=wrapper)) == ["a"]
    await session.clear_session(wrapper=wrapper)
    for name in ("get_items", "add_items", "pop_item", "clear_session"):
        parameter = inspect.signature(getattr(session, name)).parameters["wrapper"]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
