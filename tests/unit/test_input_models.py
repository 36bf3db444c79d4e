"""Constructors of the `New…` and `Imported…` models raise InvalidValue, as methods do."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError

import agentrows
from agentrows import InvalidValue, NewEvent
from agentrows.input_model import InputModel

MODELS: Final[list[type[BaseModel]]] = [
    model
    for name in agentrows.__all__
    if name.startswith(("New", "Imported"))
    and isinstance(model := getattr(agentrows, name), type)
    and issubclass(model, BaseModel)
]
FIELDS: Final = {
    f"{model.__name__}.{field}": model for model in MODELS for field in model.model_fields
}
SECRET: Final = "a secret content"  # noqa: S105  it must not occur in a message
EVENT: Final = NewEvent(id="e-1", user_id="mira", data="{}")


def construct(model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    return model(**values)


def test_every_model_of_arguments_has_the_base() -> None:
    assert len(MODELS) >= 10
    assert all(issubclass(model, InputModel) for model in MODELS)


@pytest.mark.parametrize("name", FIELDS)
def test_wrong_value_of_a_field_is_invalid_value_with_its_name(name: str) -> None:
    with pytest.raises(InvalidValue, match=rf"\b{re.escape(name)}( must |: )"):
        construct(FIELDS[name], {name.partition(".")[2]: object()})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_missing_and_unknown_fields_are_named(model: type[BaseModel]) -> None:
    with pytest.raises(InvalidValue) as raised:
        construct(model, {"unknown": 1})
    expected = [
        f"{model.__name__}.{name} is missing"
        for name, field in model.model_fields.items()
        if field.is_required()
    ]
    assert str(raised.value) == "; ".join([*expected, f"{model.__name__}.unknown is not a field"])


def test_neither_error_contains_the_value() -> None:
    with pytest.raises(InvalidValue) as raised:
        construct(NewEvent, {"id": "e-1", "user_id": "mira", "data": SECRET.encode() + b"\xff"})
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value.__cause__, ValidationError)
    assert SECRET not in f"{raised.value} {raised.value.__cause__}"


def test_model_validate_raises_an_error_with_the_position_of_each_problem() -> None:
    with pytest.raises(ValidationError) as raised:
        NewEvent.model_validate({"id": 1, "user_id": "mira", "more": 1})
    assert [each["loc"] for each in raised.value.errors()] == [("id",), ("data",), ("more",)]
    with pytest.raises(ValidationError, match="data"):
        NewEvent.model_validate_json('{"id": "e-1", "user_id": "mira"}')


def test_model_is_a_field_of_a_model_of_a_web_framework() -> None:
    class Body(BaseModel):
        events: list[NewEvent]

    assert Body.model_validate({"events": [EVENT.model_dump()]}).events == [EVENT]
    with pytest.raises(ValidationError) as raised:
        Body.model_validate({"events": [{"id": "e-1"}]})
    assert raised.value.errors()[0]["loc"] == ("events", 0, "user_id")


def test_copy_and_pickle_of_a_model_are_equal_to_it() -> None:
    assert copy.deepcopy(EVENT) == pickle.loads(pickle.dumps(EVENT)) == EVENT.model_copy() == EVENT  # noqa: S301
