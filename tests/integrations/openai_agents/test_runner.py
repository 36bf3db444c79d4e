"""The SDK's Runner on sessions in PostgreSQL, with a model without a network."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from agents import (
    Agent,
    OpenAIResponsesCompactionSession,
    RunConfig,
    Runner,
    SessionSettings,
    function_tool,
    set_tracing_disabled,
)
from agents.extensions.memory import EncryptedSession

from agentrows import PostgresClient, Settings
from agentrows.openai_agents import PostgresSession, stored_agent_id
from integrations.openai_agents.models import (
    HAS_SNAPSHOTS,
    REPLACE,
    FakeModel,
    snapshot_of,
    text_of,
    user_texts,
)
from support.postgres import as_role

if TYPE_CHECKING:
    from agents import RunContextWrapper, Session, TResponseInputItem
    from agents.memory import SessionABC

set_tracing_disabled(True)
needs_snapshots = pytest.mark.skipif(
    not HAS_SNAPSHOTS, reason="this release of the SDK compacts complete histories only"
)
COMPACTED: Any = {"type": "compaction", "id": "cmp-1", "encrypted_content": "a summary"}


@function_tool
def look_up(value: str) -> str:
    """Look a value up."""
    return f"<{value}>"


def agent(model: FakeModel) -> Agent[None]:
    return Agent(name="helper", model=model, tools=[look_up])


async def say(
    session: Session, text: str, model: FakeModel | None = None, config: RunConfig | None = None
) -> str:
    result = await Runner.run(agent(model or FakeModel()), text, session=session, run_config=config)
    return str(result.final_output)


def session_of(
    client: PostgresClient, user_id: str = "mira", *, limit: int | None = None
) -> PostgresSession:
    settings = SessionSettings(limit=limit)
    return PostgresSession("s-1", client=client, user_id=user_id, session_settings=settings)


def encrypted(session: PostgresSession, *, ttl: int = 600) -> Session:
    """Return the SDK's encryption around a session."""
    inner = cast("SessionABC", session)
    return cast("Session", EncryptedSession("s-1", inner, encryption_key="a key", ttl=ttl))


def types_of(items: list[TResponseInputItem]) -> list[str]:
    parts = [cast("dict[str, Any]", item) for item in items]
    return [str(part.get("type") or part["role"]) for part in parts]


async def test_turns_and_tools_continue_after_a_restart(migrated: str) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client:
        session = session_of(client)
        assert await say(session, "one") == "one"
        assert await say(session, "call look_up two") == "tool: <two>"
    async with PostgresClient.open(migrated, migrations="off") as client:
        session = session_of(client)
        assert await say(session, "three") == "one | call look_up two | three"
        items = await session.get_items()
        assert types_of(items) == [
            *("user", "message", "user", "function_call", "function_call_output", "message"),
            *("user", "message"),
        ]
        assert await session.get_items(2) == items[-2:]
        model = FakeModel()
        config = RunConfig(session_settings=SessionSettings(limit=2))
        assert await say(session, "four", model, config=config) == "three | four"
        assert len(model.seen[0]) == 3


async def test_twenty_users_at_once_have_their_own_history(client: PostgresClient) -> None:
    async def talk(user_id: str) -> str:
        session = session_of(client, user_id)
        for number in range(2):
            await say(session, f"{user_id} {number}")
        return await say(session, f"{user_id} 2")

    users = [f"user-{number}" for number in range(20)]
    answers = await asyncio.gather(*(talk(user) for user in users))

    assert answers == [" | ".join(f"{user} {number}" for number in range(3)) for user in users]


async def test_run_continues_after_its_connections_were_terminated(migrated: str) -> None:
    admin = await asyncpg.connect(as_role(migrated, "postgres"))

    async def terminate(_call: int) -> None:
        await admin.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async with PostgresClient.open(migrated, migrations="off") as client:
        session = session_of(client)
        for number in range(3):
            model = FakeModel(before_answer=terminate)
            assert await say(session, f"call look_up {number}", model) == f"tool: <{number}>"
        items = await session.get_items()
    await admin.close()
    assert user_texts(items) == [f"call look_up {number}" for number in range(3)]
    assert (
        types_of(items)
        == [
            *("user", "function_call", "function_call_output", "message"),
        ]
        * 3
    )


async def test_failed_run_leaves_a_history_that_can_continue(client: PostgresClient) -> None:
    async def fail(_call: int) -> None:
        raise ConnectionError("no answer")

    session = session_of(client)
    await say(session, "one")
    with pytest.raises(ConnectionError):
        await say(session, "two", FakeModel(before_answer=fail))
    assert (await say(session, "three")).endswith("three")


def test_run_sync_uses_a_session_that_opens_its_own_client(migrated: str) -> None:
    session = PostgresSession.from_dsn(
        "s-1", migrated, user_id="mira", settings=Settings(migrations="off")
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # run_sync uses the event loop of the thread
    try:
        for text, answer in (("one", "one"), ("two", "one | two")):
            result = Runner.run_sync(agent(FakeModel()), text, session=session)
            assert result.final_output == answer
        loop.run_until_complete(session.close())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def test_encrypted_session_stores_no_plain_text(client: PostgresClient) -> None:
    assert await say(encrypted(session_of(client)), "one") == "one"
    assert await say(encrypted(session_of(client)), "call look_up two") == "tool: <two>"
    assert await say(encrypted(session_of(client)), "three") == "one | call look_up two | three"
    stored = await client.list_events_for_session("s-1", user_id="mira")
    assert len(stored) == 8
    assert all("__enc__" in event.data and "look_up" not in event.data for event in stored)
    popped = await encrypted(session_of(client)).pop_item()
    assert popped is not None
    assert text_of(popped) == "one | call look_up two | three"
    await encrypted(session_of(client)).clear_session()
    assert await session_of(client).get_items() == []


class Compactions:
    """A client of the compaction API without a network."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.responses = self

    async def compact(self, *, model: str, input: Any) -> SimpleNamespace:  # noqa: A002, ANN401
        """Return a summary; the parameters are those of the API."""
        assert model
        self.inputs.append(input)
        return SimpleNamespace(output=[COMPACTED], usage=None)


def compacting(session: Session, client: Compactions) -> OpenAIResponsesCompactionSession:
    return OpenAIResponsesCompactionSession(
        "s-1",
        session,
        client=cast("Any", client),
        compaction_mode="input",
        should_trigger_compaction=lambda context: len(context["session_items"]) >= 6,
    )


@needs_snapshots
async def test_history_with_a_limit_is_compacted_at_its_end(client: PostgresClient) -> None:
    inner = session_of(client, limit=6)
    await inner.add_items([{"role": "user", "content": f"old {n}"} for n in range(20)])
    compactions = Compactions()
    session = compacting(inner, compactions)

    await say(session, "one")

    assert len(compactions.inputs) == 1
    items = await inner.get_items(100)
    assert items[-1] == COMPACTED
    assert user_texts(items) == [f"old {n}" for n in range(14)]
    assert user_texts(compactions.inputs[0]) == [*(f"old {n}" for n in range(14, 20)), "one"]


async def test_complete_history_is_compacted_also_by_hand_and_encrypted(
    client: PostgresClient,
) -> None:
    inner = session_of(client)
    compactions = Compactions()
    session = compacting(inner, compactions)
    for text in ("one", "two", "three"):
        await say(session, text)
    assert await inner.get_items() == [COMPACTED]
    assert (await say(session, "four")).endswith("four")
    await session.run_compaction({"force": True})
    assert await inner.get_items() == [COMPACTED]

    hidden = encrypted(session_of(client, "juno"))
    session = compacting(hidden, compactions)
    for text in ("one", "two", "three"):
        await say(session, text)
    assert await hidden.get_items() == [COMPACTED]
    assert len(await client.list_events_for_session("s-1", user_id="juno")) == 1


@needs_snapshots
async def test_expired_items_of_encrypted_history_are_removed_by_compaction(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("cryptography.fernet.time.time", lambda: clock[0])
    monkeypatch.setattr("agents.extensions.memory.encrypt_session.time.time", lambda: clock[0])
    inner = session_of(client)
    hidden = encrypted(inner, ttl=10)
    await hidden.add_items([{"role": "user", "content": f"expired {n}"} for n in range(9)])
    clock[0] += 11
    session = compacting(hidden, Compactions())
    for text in ("one", "two", "three"):
        await say(session, text)

    assert await hidden.get_items() == [COMPACTED]
    assert len(await inner.get_items()) == 1


async def test_snapshot_replaces_only_an_unchanged_end(client: PostgresClient) -> None:
    class Reversed(PostgresSession):
        async def get_items(
            self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
        ) -> list[TResponseInputItem]:
            return (await super().get_items(limit, wrapper=wrapper))[::-1]

    session = session_of(client)
    await session.add_items([{"role": "user", "content": text} for text in "abcd"])
    snapshot = await snapshot_of(session, 2)
    complete = await snapshot_of(session, 4)
    assert snapshot is not None
    assert complete is not None
    assert user_texts(snapshot.items) == ["c", "d"]
    assert (snapshot.complete, complete.complete) == (False, True)
    await session.add_items([{"role": "user", "content": "e"}])
    assert not await snapshot.replace_suffix(0, [COMPACTED])
    assert not await complete.replace_suffix(4, [COMPACTED])
    assert user_texts(await session.get_items()) == [*"abcde"]
    overriding = Reversed("s-1", client=client, user_id="mira")
    assert await snapshot_of(overriding, 2) is None
    assert not await getattr(overriding, REPLACE)([])
    await client.append_items("s-1", user_id="mira", agent_id=stored_agent_id(), items=["no JSON"])
    assert await snapshot_of(session, 2) is None
