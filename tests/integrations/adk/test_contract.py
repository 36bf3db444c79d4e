"""The contract of ADK's session services: on ours, and on ADK's own as a check of the tests."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from google.adk.auth.auth_credential import AuthCredential, AuthCredentialTypes
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import (
    BaseSessionService,
    DatabaseSessionService,
    InMemorySessionService,
)
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.adk.version import __version__ as adk_version
from google.genai import types
from pydantic import ValidationError

from agentrows import PostgresClient
from agentrows.adk import SessionService
from integrations.adk.events import APP, USER, create, event, find, get, texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DIVERGENCES: Final = {
    ("database", "test_padded_id_is_stripped"): "it stores the blanks of an id",
    ("database", "test_same_event_twice_is_stored_once"): "the key of its event is violated",
    ("memory", "test_values_without_a_json_form_are_stored_as_text"): "it stores objects",
}
"""Behaviors in which a service of ADK differs from the contract, and the reason."""
OLDER_DIVERGENCES: Final = {
    ("memory", "test_padded_id_is_stripped"): "before 2.13 it strips the id of a new session alone",
}
"""The same for releases of ADK before 2.13."""
IS_OLDER: Final = tuple(map(int, adk_version.split(".")[:2])) < (2, 13)


@pytest.fixture(params=["agentrows", "memory", "database"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of service; its divergences are expected failures."""
    name: str = request.param
    test: str = request.function.__name__
    if (name, test) in DIVERGENCES:
        reason = DIVERGENCES[name, test]
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    if IS_OLDER and (name, test) in OLDER_DIVERGENCES:
        reason = OLDER_DIVERGENCES[name, test]
        request.applymarker(pytest.mark.xfail(reason=reason, strict=False))
    return name


@pytest.fixture
def dsn(request: pytest.FixtureRequest, kind: str) -> str:
    """The DSN of a migrated database, which only the service of agentrows needs."""
    return str(request.getfixturevalue("migrated")) if kind == "agentrows" else ""


@pytest.fixture
async def service(kind: str, dsn: str, tmp_path: Path) -> AsyncIterator[BaseSessionService]:
    if kind == "memory":
        yield InMemorySessionService()
    elif kind == "database":
        async with DatabaseSessionService(f"sqlite+aiosqlite:///{tmp_path}/adk.db") as database:
            yield database
    else:
        async with PostgresClient.open(dsn, migrations="off") as client:
            yield SessionService(client)


async def test_created_session_is_returned_by_get(service: BaseSessionService) -> None:
    created = await create(service, state={"a": 1, "user:b": 2, "app:c": 3})
    assert (created.id, created.app_name, created.user_id) == ("s-1", APP, USER)
    assert created.state == {"a": 1, "user:b": 2, "app:c": 3}
    assert created.events == []
    assert await get(service) == created


async def test_session_without_an_id_gets_one(service: BaseSessionService) -> None:
    one, other = await create(service, None), await create(service, None)
    assert one.id
    assert one.id != other.id
    assert await get(service, one.id) == one


async def test_missing_session_is_none(service: BaseSessionService) -> None:
    assert await find(service) is None
    await create(service)
    assert await find(service, "s-2") is None
    assert await find(service, app_name="other") is None


async def test_session_is_returned_to_its_user_alone(service: BaseSessionService) -> None:
    await create(service)
    assert await find(service, user_id="juno") is None
    await create(service, user_id="juno", state={"of": "juno"})
    assert (await get(service)).state == {}


async def test_padded_id_is_stripped(service: BaseSessionService) -> None:
    assert (await create(service, "  s-1  ")).id == "s-1"
    assert (await get(service, " s-1")).id == "s-1"
    with pytest.raises(AlreadyExistsError):
        await create(service, "s-1 ")
    assert (await create(service, "   ")).id.strip()
    await service.delete_session(app_name=APP, user_id=USER, session_id=" s-1 ")
    assert await find(service) is None


async def test_existing_id_is_refused(service: BaseSessionService) -> None:
    await create(service, state={"a": 1})
    with pytest.raises(AlreadyExistsError):
        await create(service, state={"a": 2})
    assert (await get(service)).state == {"a": 1}


async def test_list_has_the_sessions_of_the_user_without_events(
    service: BaseSessionService,
) -> None:
    for number in range(3):
        session = await create(service, f"s-{number}", state={"n": number, "app:a": 1})
        await service.append_event(session, event(delta={"user:u": number}))
    await create(service, "s-9", user_id="juno")
    listed = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert {session.id for session in listed} == {"s-0", "s-1", "s-2"}
    assert all(session.events == [] for session in listed)
    states = {session.id: session.state for session in listed}
    assert states["s-1"] == {"n": 1, "app:a": 1, "user:u": 2}
    assert (await service.list_sessions(app_name=APP, user_id="nobody")).sessions == []
    assert (await service.list_sessions(app_name="other", user_id=USER)).sessions == []


async def test_list_is_ordered_by_last_update(service: BaseSessionService) -> None:
    now = time.time()
    for id_, delay in (("b", 30.0), ("a", 10.0), ("c", 20.0)):
        session = await create(service, id_)
        await service.append_event(session, event(timestamp=now + delay))
    listed = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert [session.id for session in listed] == ["a", "c", "b"]


async def test_list_of_all_users_is_ordered_by_last_update_and_user(
    service: BaseSessionService,
) -> None:
    now = time.time()
    for user, delay in (("juno", 20.0), ("mira", 10.0), ("abel", 20.0)):
        session = await create(service, user_id=user, state={"user:of": user})
        await service.append_event(session, event(timestamp=now + delay))
    listed = (await service.list_sessions(app_name=APP)).sessions
    assert [session.user_id for session in listed] == ["mira", "abel", "juno"]
    assert [session.state["user:of"] for session in listed] == ["mira", "abel", "juno"]


async def test_app_state_is_shared_by_users(service: BaseSessionService) -> None:
    session = await create(service, state={"app:a": 1})
    await service.append_event(session, event(delta={"app:b": 2}))
    other = await create(service, user_id="juno")
    assert other.state == {"app:a": 1, "app:b": 2}
    assert (await create(service, app_name="other")).state == {}


async def test_user_state_is_shared_by_sessions_of_the_user_alone(
    service: BaseSessionService,
) -> None:
    session = await create(service, state={"user:a": 1})
    await service.append_event(session, event(delta={"user:b": 2}))
    assert (await create(service, "s-2")).state == {"user:a": 1, "user:b": 2}
    assert (await create(service, user_id="juno")).state == {}
    assert (await create(service, app_name="other")).state == {}


async def test_session_state_is_not_shared(service: BaseSessionService) -> None:
    session = await create(service, state={"a": 1})
    await service.append_event(session, event(delta={"b": 2}))
    assert (await create(service, "s-2")).state == {}
    assert (await get(service)).state == {"a": 1, "b": 2}


@pytest.mark.parametrize("prefix", ["", "app:", "user:"])
async def test_dict_of_a_delta_replaces_the_stored_dict(
    service: BaseSessionService, prefix: str
) -> None:
    key = f"{prefix}profile"
    session = await create(service, state={key: {"name": "Mira", "city": "Oslo"}})
    await service.append_event(session, event(delta={key: {"name": "M."}}))
    assert session.state == (await get(service)).state == {key: {"name": "M."}}


@pytest.mark.parametrize("prefix", ["", "app:", "user:"])
async def test_none_is_a_value_of_the_state(service: BaseSessionService, prefix: str) -> None:
    key = f"{prefix}a"
    session = await create(service, state={key: 1})
    await service.append_event(session, event(delta={key: None}))
    assert (await get(service)).state == {key: None}


async def test_boolean_survives_other_deltas(service: BaseSessionService) -> None:
    session = await create(service, state={"done": False, "user:ok": True})
    await service.append_event(session, event(delta={"other": 0}))
    state = (await get(service)).state
    assert (state["done"], state["user:ok"], state["other"]) == (False, True, 0)
    assert (type(state["done"]), type(state["other"])) == (bool, int)


async def test_temporary_state_lasts_for_the_invocation_alone(
    service: BaseSessionService,
) -> None:
    session = await create(service, state={"temp:first": 1, "kept": 1})
    assert "temp:first" not in (await get(service)).state
    appended = await service.append_event(session, event(delta={"temp:a": 1, "b": 2}))
    assert session.state["temp:a"] == 1
    assert appended.actions.state_delta == {"b": 2}
    stored = await get(service)
    assert stored.state == {"kept": 1, "b": 2}
    assert stored.events[0].actions.state_delta == {"b": 2}


async def test_partial_event_is_not_stored(service: BaseSessionService) -> None:
    session = await create(service)
    partial = event(partial=True, delta={"a": 1})
    assert await service.append_event(session, partial) is partial
    assert session.events == (await get(service)).events == []
    assert (await get(service)).state == {}


async def test_bytes_are_returned_unchanged(service: BaseSessionService) -> None:
    session = await create(service)
    blob = types.Blob(data=bytes(range(256)), mime_type="application/octet-stream")
    content = types.Content(role="user", parts=[types.Part(inline_data=blob)])
    await service.append_event(session, event(content=content))
    (stored,) = (await get(service)).events
    assert stored.content == content


async def test_complete_event_is_returned_equal(service: BaseSessionService) -> None:
    session = await create(service)
    whole = Event(
        invocation_id="i-1",
        author="agent",
        branch="root.child",
        content=types.Content(
            role="model",
            parts=[
                types.Part(text="Grüße 🌍 \u0007", thought=True),
                types.Part(
                    function_call=types.FunctionCall(id="f-1", name="add", args={"a": [1, None]})
                ),
                types.Part(
                    function_response=types.FunctionResponse(
                        id="f-1", name="add", response={"sum": 1.5}
                    )
                ),
            ],
        ),
        actions=EventActions(
            state_delta={"a": {"b": [1, 2.5, "x", None, True]}},
            artifact_delta={"file": 3},
            transfer_to_agent="other",
            escalate=True,
            skip_summarization=False,
        ),
        long_running_tool_ids={"f-1"},
        grounding_metadata=types.GroundingMetadata(web_search_queries=["q"]),
        usage_metadata=types.GenerateContentResponseUsageMetadata(total_token_count=7),
        custom_metadata={"k": ["v"]},
        error_code="E",
        error_message="bad",
        turn_complete=True,
        interrupted=False,
    )
    await service.append_event(session, whole)
    assert await get(service) == session
    assert (await get(service)).events == [whole]


async def test_tool_confirmations_are_returned_equal(service: BaseSessionService) -> None:
    session = await create(service)
    confirmation = ToolConfirmation(hint="Delete?", confirmed=False, payload={"id": 1})
    actions = EventActions(requested_tool_confirmations={"f-1": confirmation})
    await service.append_event(session, event(actions=actions))
    (stored,) = (await get(service)).events
    assert stored.actions.requested_tool_confirmations == {"f-1": confirmation}


async def test_last_update_is_the_time_of_the_event(service: BaseSessionService) -> None:
    session = await create(service)
    at = 1_700_000_000.123456
    await service.append_event(session, event(timestamp=at))
    assert session.last_update_time == pytest.approx(at, abs=1e-6)
    assert (await get(service)).last_update_time == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["1", "2", "3", "4", "5"]),
        ({"num_recent_events": 3}, ["3", "4", "5"]),
        ({"num_recent_events": 50}, ["1", "2", "3", "4", "5"]),
        ({"num_recent_events": 0}, []),
        ({"after_timestamp": 4.0}, ["4", "5"]),
        ({"after_timestamp": 9.0}, []),
        ({"num_recent_events": 3, "after_timestamp": 4.0}, ["4", "5"]),
        ({"num_recent_events": 1, "after_timestamp": 2.0}, ["5"]),
    ],
)
async def test_config_limits_the_events_and_not_the_state(
    service: BaseSessionService, config: dict[str, Any], expected: list[str]
) -> None:
    session = await create(service)
    for number in range(1, 6):
        delta = {f"n{number}": number}
        await service.append_event(
            session, event(str(number), timestamp=float(number), delta=delta)
        )
    stored = await get(service, config=GetSessionConfig(**config))
    assert texts(stored) == expected
    assert stored.state == {f"n{number}": number for number in range(1, 6)}


def test_negative_number_of_events_is_refused() -> None:
    with pytest.raises(ValidationError):
        GetSessionConfig(num_recent_events=-1)


async def test_times_are_exact_in_a_repeated_local_hour(
    service: BaseSessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At this time the clocks of Oslo were set back from 3 to 2 o'clock."""
    monkeypatch.setenv("TZ", "Europe/Oslo")
    time.tzset()
    try:
        change = 1_698_541_200.0
        session = await create(service)
        for offset in (-1800.0, -1.0, 0.0, 1800.0, 5400.0):
            await service.append_event(session, event(timestamp=change + offset))
        stored = await get(service)
        assert [each.timestamp - change for each in stored.events] == [-1800, -1, 0, 1800, 5400]
        assert stored.last_update_time == change + 5400
        late = await get(service, config=GetSessionConfig(after_timestamp=change))
        assert len(late.events) == 3
    finally:
        monkeypatch.undo()
        os.environ.pop("TZ", None)
        time.tzset()


async def user_state(service: BaseSessionService, **more: str) -> dict[str, Any]:
    return await service.get_user_state(**{"app_name": APP, "user_id": USER, **more})


async def test_user_state_is_empty_at_first(service: BaseSessionService) -> None:
    assert await user_state(service) == {}
    await create(service)
    assert await user_state(service) == {}


async def test_user_state_has_keys_without_prefix(service: BaseSessionService) -> None:
    await create(service, state={"user:a": 1, "b": 2, "app:c": 3})
    assert await user_state(service) == {"a": 1}


async def test_user_state_has_the_latest_values_of_appended_events(
    service: BaseSessionService,
) -> None:
    session = await create(service, state={"user:a": 1})
    for number in (2, 3):
        await service.append_event(session, event(delta={"user:a": number, f"user:n{number}": 1}))
    assert await user_state(service) == {"a": 3, "n2": 1, "n3": 1}


async def test_user_state_is_not_that_of_another_user_or_app(service: BaseSessionService) -> None:
    await create(service, state={"user:a": 1})
    assert await user_state(service, user_id="juno") == {}
    assert await user_state(service, app_name="other") == {}


async def test_user_state_outlives_its_session(service: BaseSessionService) -> None:
    await create(service, state={"user:a": 1, "app:b": 2, "c": 3})
    await service.delete_session(app_name=APP, user_id=USER, session_id="s-1")
    assert await user_state(service) == {"a": 1}
    assert (await create(service, "s-2")).state == {"user:a": 1, "app:b": 2}


async def test_deleted_session_is_gone_and_its_id_is_free(service: BaseSessionService) -> None:
    session = await create(service, state={"a": 1})
    await service.append_event(session, event("old"))
    for _ in range(2):
        await service.delete_session(app_name=APP, user_id=USER, session_id="s-1")
        assert await find(service) is None
    assert (await service.list_sessions(app_name=APP, user_id=USER)).sessions == []
    await service.append_event(await create(service), event("new"))
    assert texts(await get(service)) == ["new"]
    assert (await get(service)).state == {}


async def test_delete_needs_the_user_and_the_app(service: BaseSessionService) -> None:
    await create(service)
    await service.delete_session(app_name=APP, user_id="juno", session_id="s-1")
    await service.delete_session(app_name="other", user_id=USER, session_id="s-1")
    assert (await get(service)).id == "s-1"


async def test_append_to_a_deleted_session_raises_session_not_found(
    service: BaseSessionService,
) -> None:
    session = await create(service)
    await service.delete_session(app_name=APP, user_id=USER, session_id="s-1")
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, event())
    assert await find(service) is None


async def test_events_keep_their_order(service: BaseSessionService) -> None:
    session = await create(service)
    now = time.time()
    for number in range(20):
        await service.append_event(session, event(str(number), timestamp=now + number / 1000))
    assert texts(await get(service)) == [str(number) for number in range(20)]


async def test_same_session_object_appends_again_and_again(service: BaseSessionService) -> None:
    session = await create(service)
    for number in range(5):
        await service.append_event(session, event(str(number), timestamp=1000.0))
    assert len((await get(service)).events) == len(session.events) == 5
    copied = session.model_copy(deep=True)
    await service.append_event(copied, event("of the copy"))
    assert len((await get(service)).events) == 6


async def test_same_event_twice_is_stored_once(service: BaseSessionService) -> None:
    session = await create(service)
    once = event(delta={"a": 1})
    await service.append_event(session, once)
    await service.append_event(session, once)
    assert len((await get(service)).events) == len(session.events) == 1


async def test_returned_session_is_not_the_stored_one(service: BaseSessionService) -> None:
    await create(service, state={"a": {"b": 1}})
    session = await get(service)
    session.state["a"]["b"] = 2
    session.events.append(event("never appended"))
    stored = await get(service)
    assert (stored.state, stored.events) == ({"a": {"b": 1}}, [])


async def test_values_without_a_json_form_are_stored_as_text(service: BaseSessionService) -> None:
    def function() -> None:
        """A value that JSON lacks."""

    session = await create(service, state={"user:f": function})
    await service.append_event(session, event(delta={"g": function, "n": 1}))
    stored = await get(service)
    assert "function" in stored.state["g"]
    assert "function" in stored.state["user:f"]
    assert (stored.state["n"], len(stored.events)) == (1, 1)


async def test_credential_of_an_event_is_returned_equal(service: BaseSessionService) -> None:
    session = await create(service)
    credential = AuthCredential(auth_type=AuthCredentialTypes.API_KEY, api_key="k")
    delta = {"temp:credential": credential, "user:credential": credential}
    await service.append_event(session, event(delta=delta))
    assert "temp:credential" in session.state
    stored = (await user_state(service))["credential"]
    assert AuthCredential.model_validate(stored) == credential
