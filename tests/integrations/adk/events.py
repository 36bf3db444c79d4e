"""Events and sessions of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

if TYPE_CHECKING:
    from google.adk.sessions import BaseSessionService, Session
    from google.adk.sessions.base_session_service import GetSessionConfig

APP: Final = "my_app"
USER: Final = "mira"


def event(text: str = "Hello.", *, delta: dict[str, Any] | None = None, **fields: Any) -> Event:  # noqa: ANN401
    """An event of a user with a text, and the state that it sets."""
    values: dict[str, Any] = {
        "author": "user",
        "content": types.Content(role="user", parts=[types.Part(text=text)]),
        "actions": EventActions(state_delta=delta or {}),
        **fields,
    }
    return Event(**values)


def texts(session: Session | None) -> list[str]:
    """The texts of the events of a session."""
    assert session is not None
    return [
        part.text or ""
        for each in session.events
        for part in (each.content.parts if each.content else None) or ()
    ]


async def create(
    service: BaseSessionService,
    session_id: str | None = "s-1",
    *,
    app_name: str = APP,
    user_id: str = USER,
    state: dict[str, Any] | None = None,
) -> Session:
    return await service.create_session(
        app_name=app_name, user_id=user_id, session_id=session_id, state=state
    )


async def get(
    service: BaseSessionService,
    session_id: str = "s-1",
    *,
    app_name: str = APP,
    user_id: str = USER,
    config: GetSessionConfig | None = None,
) -> Session:
    session = await service.get_session(
        app_name=app_name, user_id=user_id, session_id=session_id, config=config
    )
    assert session is not None
    return session


async def find(
    service: BaseSessionService,
    session_id: str = "s-1",
    *,
    app_name: str = APP,
    user_id: str = USER,
) -> Session | None:
    return await service.get_session(app_name=app_name, user_id=user_id, session_id=session_id)
