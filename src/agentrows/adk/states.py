"""States of ADK: keys with the prefixes app:, user: and temp:, and the state of stored events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from google.adk.sessions.state import State
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.adk.events.event import Event

    from agentrows import AppSession

logger = logging.getLogger("agentrows")


class StateParts(NamedTuple):
    """The parts of a state that are stored, with keys without a prefix."""

    session: dict[str, Any]
    user: dict[str, Any]
    app: dict[str, Any]


def split_state(state: Mapping[str, Any] | None) -> StateParts:
    """Return the parts of a state as JSON values, without the keys that begin with temp:.

    A value without a JSON form, such as a function, becomes its repr, and a warning is logged.
    """
    parts = StateParts({}, {}, {})
    for key, value in _to_json(state or {}).items():
        if key.startswith(State.APP_PREFIX):
            parts.app[key.removeprefix(State.APP_PREFIX)] = value
        elif key.startswith(State.USER_PREFIX):
            parts.user[key.removeprefix(State.USER_PREFIX)] = value
        elif not key.startswith(State.TEMP_PREFIX):
            parts.session[key] = value
    return parts


def merge_state(row: AppSession) -> dict[str, Any]:
    """Return the state of a session as ADK reads it: all parts, with prefixes."""
    session, app, user = (
        cast("dict[str, Any]", part) for part in (row.state, row.app_state, row.user_state)
    )
    return {
        **session,
        **{f"{State.APP_PREFIX}{key}": value for key, value in app.items()},
        **{f"{State.USER_PREFIX}{key}": value for key, value in user.items()},
    }


def select_temporary(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a state that last for one invocation and are not stored."""
    return {key: value for key, value in state.items() if key.startswith(State.TEMP_PREFIX)}


def fold_events(events: Iterable[Event]) -> dict[str, Any]:
    """Return the state of a session that the events of another program have set."""
    state: dict[str, Any] = {}
    for event in events:
        state |= split_state(event.actions.state_delta).session
    return state


def find_unwritable(state: Mapping[str, Any]) -> str | None:
    """Return the first key with a value that has no JSON text; None if all have one."""
    for key, value in state.items():
        try:
            to_json({key: value}, serialize_unknown=True)
        except (PydanticSerializationError, UnicodeEncodeError):
            return key
    return None


def _to_json(state: Mapping[str, Any]) -> dict[str, Any]:
    values = {k: v for k, v in state.items() if not k.startswith(State.TEMP_PREFIX)}
    try:
        return cast("dict[str, Any]", to_jsonable_python(values))
    except PydanticSerializationError:
        logger.warning("a value of the state has no JSON form, so that its repr is stored")
        return cast("dict[str, Any]", to_jsonable_python(values, serialize_unknown=True))
