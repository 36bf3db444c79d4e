"""Properties with the parsed JSON of text columns."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Final

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

from agentrows import Event, InvalidValue, Memory
from agentrows.gen import models
from agentrows.validation import check_row

TEXT: Final = '{"parts": [{"text": "Zoë 🦊"}], "n": 12345678901234567890, "x": 0.1}'
SECRET: Final = '{"token": secret}'  # noqa: S105  it must not occur in a message


def new_event(data: str = TEXT) -> Event:
    return Event(
        id="e-1",
        user_id="mira",
        session_id=None,
        data=data,
        created_at=None,
        updated_at=None,
        deleted_at=None,
    )


def new_memory(metadata: str | None) -> Memory:
    return Memory.model_construct(id="m-1", metadata=metadata)


def test_value_is_parsed_once() -> None:
    event = new_event()
    assert event.parsed_data == json.loads(TEXT)
    assert event.parsed_data is event.parsed_data


@pytest.mark.parametrize("text", ["null", "0", '"text"', "[]", " {} "])
def test_any_json_is_parsed(text: str) -> None:
    assert new_event(text).parsed_data == json.loads(text)


def test_null_is_none() -> None:
    assert new_memory(None).parsed_metadata is None


@pytest.mark.parametrize(
    "text", ["", "x", "{", "NaN", '{"a": -Infinity}', "[" * 100_000, "9" * 5000, "\ufeff{}", SECRET]
)
def test_other_text_is_invalid_value_with_the_column_and_without_the_text(text: str) -> None:
    event = new_event(text)
    for _ in range(2):
        with pytest.raises(InvalidValue, match=r"event\.data is not JSON") as raised:
            _ = event.parsed_data
        assert raised.value.__cause__ is None
        assert "secret" not in str(raised.value)


def test_parsed_value_is_no_part_of_the_row() -> None:
    parsed, plain = new_event(), new_event()
    _ = parsed.parsed_data
    assert parsed == plain
    assert plain == parsed
    assert repr(parsed) == repr(plain)
    assert vars(parsed) == vars(plain)
    assert parsed.model_dump_json() == plain.model_dump_json()
    assert pickle.dumps(parsed) == pickle.dumps(plain)
    assert "parsed_data" not in Event.model_json_schema()["properties"]
    check_row("event", parsed, Event)


def test_copies_and_pickles_parse_for_themselves() -> None:
    event = new_event()
    value = event.parsed_data
    for other in (
        event.model_copy(),
        copy.copy(event),
        copy.deepcopy(event),
        pickle.loads(pickle.dumps(event)),  # noqa: S301
    ):
        assert other == event
        assert other.parsed_data == value
        assert other.parsed_data is not value


def test_changed_text_is_parsed_again() -> None:
    event = new_event()
    _ = event.parsed_data
    assert event.model_copy(update={"data": "[1]"}).parsed_data == [1]
    event.data = "[2]"
    assert event.parsed_data == [2]


def test_subclass_and_frozen_model_have_the_property() -> None:
    class Frozen(Event):
        model_config = ConfigDict(frozen=True)
        more: JsonValue = None

    frozen = Frozen(**new_event().model_dump())
    assert frozen.parsed_data is frozen.parsed_data


def test_every_text_of_json_has_a_property() -> None:
    rows = [model for model in vars(models).values() if isinstance(model, type)]
    found = {
        f"{model.__name__}.{name}"
        for model in rows
        if issubclass(model, BaseModel)
        for name in vars(model)
        if name.startswith("parsed_")
    }
    assert found == {
        "CrewAIFlowState.parsed_state_data",
        "CrewAIMemory.parsed_memory_data",
        "Event.parsed_data",
        "Memory.parsed_metadata",
        "MemoryHit.parsed_metadata",
        "PushNotification.parsed_data",
        "StoreHit.parsed_value",
        "StoreItem.parsed_value",
        "Task.parsed_data",
        "VersionedTask.parsed_data",
    }
