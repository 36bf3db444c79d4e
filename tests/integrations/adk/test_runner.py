"""ADK's runner on the session service: turns, tools, restarts, users, lost connections."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import asyncpg
import pytest
from google.adk.agents.run_config import RunConfig
from google.adk.errors import StaleSessionError
from google.adk.sessions import InMemorySessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from agentrows import PostgresClient, Settings
from agentrows.adk import SessionService
from integrations.adk.events import event, get
from integrations.adk.models import APP, make_runner, say

if TYPE_CHECKING:
    from google.adk.sessions import BaseSessionService, Session

KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def shape(session: Session) -> list[tuple[str, object]]:
    """The authors and parts of the events, without ids and times."""
    return [
        (
            each.author,
            [
                part.text
                or (part.function_call and part.function_call.args)
                or (part.function_response and part.function_response.response)
                for part in (each.content.parts if each.content else None) or ()
            ],
        )
        for each in session.events
    ]


async def three_turns(service: BaseSessionService) -> Session:
    runner = make_runner(service)
    for number in (1, 2, 3):
        assert await say(runner, f"turn {number}") == f"noted {number}"
    return await get(service, app_name=APP)


async def test_turns_with_tools_store_what_the_service_in_memory_stores(
    ours: SessionService,
) -> None:
    stored, expected = await three_turns(ours), await three_turns(InMemorySessionService())
    assert shape(stored) == shape(expected)
    assert len(stored.events) == 12
    assert stored.state == expected.state
    assert stored.state == {
        "count": 3,
        "last": "turn 3",
        "user:notes": ["turn 1", "turn 2", "turn 3"],
        "app:by-mira": 3,
    }


async def test_session_goes_on_after_the_client_was_closed_and_opened_again(
    migrated: str,
) -> None:
    for number in (1, 2, 3):
        async with PostgresClient.open(migrated, migrations="off") as client:
            seen: list[int] = []

            async def count(contents: int, seen: list[int] = seen) -> None:
                seen.append(contents)

            runner = make_runner(SessionService(client), before=count)
            assert await say(runner, f"turn {number}") == f"noted {number}"
            assert seen == [4 * (number - 1) + 1, 4 * (number - 1) + 3]


async def test_two_users_with_one_session_id_have_two_sessions(ours: SessionService) -> None:
    runner = make_runner(ours)
    for user, times in (("mira", 2), ("juno", 1)):
        for number in range(times):
            assert await say(runner, f"{user} {number}", user_id=user) == f"noted {number + 1}"
    mira, juno = [await get(ours, app_name=APP, user_id=user) for user in ("mira", "juno")]
    assert (mira.state["count"], juno.state["count"]) == (2, 1)
    assert juno.state["user:notes"] == ["juno 0"]
    assert "mira" not in repr(juno.events)
    assert juno.state["app:by-mira"] == 2


async def test_twenty_users_at_once_get_their_own_answers(ours: SessionService) -> None:
    runner = make_runner(ours)

    async def talk(user: str) -> None:
        for number in range(3):
            assert await say(runner, f"{user} {number}", user_id=user) == f"noted {number + 1}"

    await asyncio.gather(*(talk(f"u-{number}") for number in range(20)))
    listed = (await ours.list_sessions(app_name=APP)).sessions
    assert len(listed) == 20
    for session in listed:
        user = session.user_id
        assert session.state["user:notes"] == [f"{user} {number}" for number in range(3)]
        assert all(session.state[f"app:by-u-{number}"] == 3 for number in range(20))


async def test_killed_connections_in_a_run_lose_and_repeat_nothing(
    ours: SessionService, superuser: str
) -> None:
    killer = await asyncpg.connect(superuser)

    async def kill(_: int) -> None:
        await killer.execute(KILL)

    runner = make_runner(ours, before=kill)
    for number in (1, 2, 3):
        assert await say(runner, f"turn {number}") == f"noted {number}"
    await killer.close()
    stored = await get(ours, app_name=APP)
    assert shape(stored) == shape(await three_turns(InMemorySessionService()))


async def test_connections_killed_all_the_time_lose_and_repeat_no_event(
    migrated: str, superuser: str
) -> None:
    """Each append ends stored exactly once, also if the reply to it was lost."""
    killer = await asyncpg.connect(superuser)
    progress = asyncio.Event()

    async def kill() -> None:
        while True:  # once an event was stored, so that a slow machine is not stopped for good
            await progress.wait()
            progress.clear()
            await killer.execute(KILL)

    async with PostgresClient.open(migrated, migrations="off") as client:
        service = SessionService(client)
        sessions = [
            await service.create_session(app_name=APP, user_id=f"u-{number}", session_id="s")
            for number in range(4)
        ]
        killing = asyncio.create_task(kill())

        async def write(session: Session) -> None:
            for number in range(60):
                await service.append_event(session, event(str(number), delta={"n": number}))
                progress.set()

        await asyncio.gather(*(write(session) for session in sessions))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        for session in sessions:
            stored = await get(service, "s", app_name=APP, user_id=session.user_id)
            assert [each.id for each in stored.events] == [each.id for each in session.events]
            assert len(stored.events) == 60
            assert stored.state["n"] == 59
    await killer.close()


async def test_run_config_limits_the_events_that_the_model_gets(ours: SessionService) -> None:
    seen: list[int] = []

    async def count(contents: int) -> None:
        seen.append(contents)

    runner = make_runner(ours, before=count)
    for number in range(3):
        await say(runner, f"turn {number}")
    seen.clear()
    config = RunConfig(get_session_config=GetSessionConfig(num_recent_events=4))
    message = types.Content(role="user", parts=[types.Part(text="last")])
    async for _ in runner.run_async(
        user_id="mira", session_id="s-1", new_message=message, run_config=config
    ):
        pass
    assert seen == [5, 7]
    assert len((await get(ours, app_name=APP)).events) == 16


async def test_run_beside_another_writer_raises_stale_session_error(
    ours: SessionService,
) -> None:
    async def interfere(contents: int) -> None:
        if contents == 1:
            await ours.append_event(await get(ours, app_name=APP), event("from elsewhere"))

    with pytest.raises(StaleSessionError):
        await say(make_runner(ours, before=interfere), "turn 1")
    assert await say(make_runner(ours), "turn 2") == "noted 1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_synchronous_run_works_with_a_service_of_a_dsn(migrated: str) -> None:
    """`Runner.run` has an event loop of its own, in another thread, for each call."""
    service = SessionService.from_dsn(migrated, settings=Settings(migrations="off"))
    runner = make_runner(service)
    message = types.Content(role="user", parts=[types.Part(text="turn")])
    for _ in range(2):
        events = list(runner.run(user_id="mira", session_id="s-1", new_message=message))
        assert len(events) == 3

    async def read() -> int:
        return len((await get(service, app_name=APP)).events)

    assert asyncio.run(read()) == 8
    gc.collect()  # a client cannot be closed after its loop
