"""ADK's memory service: contract tests on ours and on ADK's service in memory, and a runner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.memory import BaseMemoryService, InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.models import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import Session
from google.adk.tools.load_memory_tool import load_memory_tool
from google.genai import types

from agentrows import ConfigError, InvalidValue, PostgresClient, Settings
from agentrows.adk import MemoryService, SessionService, create_memory_service
from integrations.adk.events import event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from google.adk.models.llm_request import LlmRequest

OWN: Final = Settings(
    memory_table="agentrows", memory_model="plane", memory_check=False, migrations="off"
)


@pytest.fixture
async def own(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client with the table agentrows_memory."""
    async with PostgresClient.open(migrated, settings=OWN) as client:
        yield client


@pytest.fixture(params=["ours", "in memory"])
def service(request: pytest.FixtureRequest, own: PostgresClient) -> BaseMemoryService:
    return MemoryService(own) if request.param == "ours" else InMemoryMemoryService()


def session(
    *texts: str, id_: str = "s-1", app_name: str = "my_app", user_id: str = "mira"
) -> Session:
    events = [event(text, id=f"{id_}-{n}") for n, text in enumerate(texts)]
    return Session(id=id_, app_name=app_name, user_id=user_id, events=events)


async def find(
    service: BaseMemoryService, query: str, *, app_name: str = "my_app", user_id: str = "mira"
) -> list[str]:
    found = await service.search_memory(app_name=app_name, user_id=user_id, query=query)
    return [part.text or "" for entry in found.memories for part in entry.content.parts or ()]


async def test_memory_with_any_word_of_the_query_is_found(service: BaseMemoryService) -> None:
    await service.add_session_to_memory(
        session("I like the night train.", "Window seats, please.", "Booking ZRH-0815 is mine.")
    )

    assert await find(service, "which TRAIN to take") == ["I like the night train."]
    assert await find(service, "window") == ["Window seats, please."]
    assert await find(service, "ZRH-0815") == ["Booking ZRH-0815 is mine."]
    for query in ("bicycle", "", "  ", "?", '"'):
        assert await find(service, query) == []


async def test_memory_is_returned_with_its_author_and_time(service: BaseMemoryService) -> None:
    await service.add_session_to_memory(
        Session(
            id="s-1",
            app_name="my_app",
            user_id="mira",
            events=[event("tea", author="agent", timestamp=1_700_000_000.0)],
        )
    )

    found = await service.search_memory(app_name="my_app", user_id="mira", query="tea")
    [entry] = found.memories
    assert (entry.author, entry.content.role) == ("agent", "user")
    assert (entry.timestamp or "").startswith("2023-11-1")


async def test_session_added_twice_is_stored_once_and_grows(service: BaseMemoryService) -> None:
    await service.add_session_to_memory(session("green tea"))
    await service.add_session_to_memory(session("green tea", "black tea"))
    await asyncio.gather(
        *(service.add_session_to_memory(session("green tea", "black tea")) for _ in range(4))
    )

    assert sorted(await find(service, "tea")) == ["black tea", "green tea"]


async def test_users_applications_and_sessions_are_kept_apart(service: BaseMemoryService) -> None:
    for app_name in ("my_app", "my-app"):
        for user_id in ("mira", "juno"):
            text = f"tea of {user_id} in {app_name}"
            await service.add_session_to_memory(session(text, app_name=app_name, user_id=user_id))
    await service.add_session_to_memory(session("more tea", id_="s-2"))

    for app_name in ("my_app", "my-app"):
        assert await find(service, "tea", app_name=app_name, user_id="juno") == [
            f"tea of juno in {app_name}"
        ]
    assert sorted(await find(service, "tea")) == ["more tea", "tea of mira in my_app"]
    assert await find(service, "tea", app_name="my app") == []
    assert await find(service, "tea", user_id="kim") == []


async def test_added_events_are_found_once_and_events_without_text_never(
    service: BaseMemoryService,
) -> None:
    call = types.Part(function_call=types.FunctionCall(name="tea", args={"kind": "tea"}))
    silent = [
        event("", id="e-2"),
        event(id="e-3", content=None),
        event(id="e-4", content=types.Content(role="model", parts=[call])),
    ]
    for _ in range(2):
        await service.add_events_to_memory(
            app_name="my_app",
            user_id="mira",
            events=[event("mint tea", id="e-1"), *silent],
            session_id="s-1",
        )

    assert await find(service, "tea") == ["mint tea"]


async def test_deleted_memory_is_not_found(service: BaseMemoryService) -> None:
    if not hasattr(service, "delete_memory"):
        pytest.xfail("this release of ADK has no deletion in memory")
    await service.add_session_to_memory(session("green tea", "black tea"))
    found = await service.search_memory(app_name="my_app", user_id="mira", query="green")
    [entry] = found.memories

    await service.delete_memory(app_name="my_app", user_id="juno", memory_id=entry.id)
    assert len(await find(service, "tea")) == 2
    await service.delete_memory(app_name="my_app", user_id="mira", memory_id=entry.id)
    await service.delete_memory(app_name="my_app", user_id="mira", memory_id="none")
    assert await find(service, "tea") == ["black tea"]


async def test_at_most_ten_memories_are_returned(service: BaseMemoryService) -> None:
    await service.add_session_to_memory(session(*(f"tea number {n}" for n in range(30))))

    assert len(await find(service, "tea")) == 10
    assert (await find(service, "tea 17"))[0] == "tea number 17"


async def test_explicit_memories_are_stored_and_replaced_by_their_ids(own: PostgresClient) -> None:
    service = MemoryService(own)

    async def add(user_id: str, text: str, **fields: Any) -> None:  # noqa: ANN401
        entry = MemoryEntry(content=types.Content(parts=[types.Part(text=text)]), **fields)
        await service.add_memory(
            app_name="my_app", user_id=user_id, memories=[entry], custom_metadata={"a": 1, "b": 1}
        )

    await add("mira", "likes tea", id="drink", custom_metadata={"b": 2})
    await add("juno", "likes milk tea", id="drink")
    await add("mira", "likes green tea", id="drink", custom_metadata={"b": 3})
    found = await service.search_memory(app_name="my_app", user_id="mira", query="tea")
    [entry] = found.memories
    assert entry.custom_metadata == {"a": 1, "b": 3}
    await add("mira", "likes black tea", id=entry.id)
    assert await find(service, "tea") == ["likes black tea"]
    assert await find(service, "tea", user_id="juno") == ["likes milk tea"]
    with pytest.raises(InvalidValue, match=r"memories\[0\].content has no text"):
        await add("mira", " ")


@pytest.mark.parametrize("is_async", [False, True])
async def test_embedding_function_adds_the_memories_near_to_the_query(
    own: PostgresClient, *, is_async: bool
) -> None:
    seen: list[str] = []

    def embed(texts: list[str]) -> list[list[float]]:
        seen.extend(texts)
        return [[1.0, 0.1] if "rail" in text or "train" in text else [0.1, 1.0] for text in texts]

    async def embed_later(texts: list[str]) -> list[list[float]]:
        return embed(texts)

    service = MemoryService(own, embed=embed_later if is_async else embed, limit=2)
    await service.add_session_to_memory(session("I go by rail.", "Tea, please.", "No meat."))

    assert (await find(service, "a train"))[0] == "I go by rail."
    assert (await find(service, "tea"))[0] == "Tea, please."
    assert len(await find(service, "tea")) == 2
    assert seen[:3] == ["I go by rail.", "Tea, please.", "No meat."]
    with pytest.raises(InvalidValue, match="embed must return a vector for each of 1 texts"):
        await MemoryService(own, embed=lambda _: []).add_session_to_memory(session("tea"))
    with pytest.raises(InvalidValue, match="embed must be a function"):
        MemoryService(own, embed="model")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def test_table_of_kagent_is_refused_before_anything_is_stored(
    client: PostgresClient,
) -> None:
    service = MemoryService(client)
    with pytest.raises(ConfigError, match="AGENTROWS_MEMORY_TABLE=agentrows"):
        await service.add_session_to_memory(session("tea"))
    with pytest.raises(ConfigError, match="AGENTROWS_MEMORY_TABLE=agentrows"):
        await find(service, "tea")
    assert await client.list_agent_memories(agent_name="my_app", user_id="mira") == []


async def test_memories_of_other_programs_are_found_as_text(own: PostgresClient) -> None:
    await own.store_agent_memory(agent_name="my_app", user_id="mira", content="likes tea")
    await own.store_agent_memory(
        agent_name="my_app", user_id="mira", content="no tea", metadata={"role": 7, "timestamp": []}
    )

    assert sorted(await find(MemoryService(own), "tea")) == ["likes tea", "no tea"]


async def test_large_session_is_stored_in_batches(own: PostgresClient) -> None:
    service = MemoryService(own)
    await service.add_session_to_memory(session(*(f"tea {n}" for n in range(501))))

    assert await own.count_agent_memories(agent_name="my_app", user_id="mira") == 501


class RememberingModel(BaseLlm):
    """Calls `load_memory` with the user's message, then repeats the memories that it got."""

    model: str = "remembering"

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: FBT001, FBT002, ARG002  the signature of ADK
    ) -> AsyncGenerator[LlmResponse, None]:
        last = (llm_request.contents[-1].parts or [])[-1]
        if last.function_response is not None:
            part = types.Part(text=f"remembered: {last.function_response.response}")
        else:
            part = types.Part(
                function_call=types.FunctionCall(
                    name="load_memory", args={"query": last.text or ""}
                )
            )
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


async def test_runner_loads_memories_of_an_earlier_session(own: PostgresClient) -> None:
    memories, sessions = MemoryService(own), SessionService(own)
    agent = LlmAgent(name="agent", model=RememberingModel(), tools=[load_memory_tool])
    runner = Runner(
        app=App(name="my_app", root_agent=agent),
        session_service=sessions,
        memory_service=memories,
        auto_create_session=True,
    )

    async def say(text: str, session_id: str, user_id: str = "mira") -> str:
        message = types.Content(role="user", parts=[types.Part(text=text)])
        events = [
            each
            async for each in runner.run_async(
                user_id=user_id, session_id=session_id, new_message=message
            )
        ]
        return " ".join(
            part.text or "" for part in (events[-1].content or types.Content()).parts or ()
        )

    await say("I always want a window seat", "s-1")
    stored = await sessions.get_session(app_name="my_app", user_id="mira", session_id="s-1")
    assert stored is not None
    await memories.add_session_to_memory(stored)

    assert "I always want a window seat" in await say("which seat", "s-2")
    assert "window" not in await say("which seat", "s-3", user_id="juno")


async def test_service_of_a_uri_opens_its_client_with_the_settings_of_the_environment(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "verify")
    monkeypatch.setenv("AGENTROWS_MEMORY_TABLE", "agentrows")
    monkeypatch.setenv("AGENTROWS_MEMORY_MODEL", "words")
    uri = migrated.replace("postgresql://", "agentrows://", 1)
    async with create_memory_service(uri, agents_dir="/agents") as service:
        await service.add_session_to_memory(session("green tea"))
        assert await find(service, "tea") == ["green tea"]
    with pytest.raises(ConfigError, match="no option embed"):
        create_memory_service("agentrows://", embed=None)
