"""The output of `--json`: one JSON document on stdout, with the fields of a result as its keys.

A key is never renamed or removed, and its type never changes; new keys may be added.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import typer
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Collection

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "Checkup": ("is_healthy",),
    "ImportReport": ("is_complete",),
    "MemoryCopyReport": ("is_complete",),
    "PruneReport": ("total",),
    "Status": ("is_current",),
    "TrackCheckup": ("is_healthy",),
    "TrackStatus": ("is_ahead",),
}
"""The properties that are keys too, by the name of the class."""


def print_json(value: object) -> None:
    """Print a result as JSON."""
    typer.echo(json.dumps(to_json(value), indent=2))


def to_json(value: object) -> JsonValue:  # noqa: PLR0911  one return per kind of value
    """Return a result as values of JSON.

    A dataclass, a model and a named tuple become an object, a time becomes text in ISO 8601. Raises
    TypeError for a value of another type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {str(key): to_json(each) for key, each in entries.items()}
    names = _names(value)
    if names is not None:
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, set | frozenset):
        return [to_json(each) for each in sorted(cast("Collection[str]", value))]
    if isinstance(value, list | tuple):
        return [to_json(each) for each in cast("Sequence[object]", value)]
    raise TypeError(f"{type(value).__name__} is not a value of JSON")


def _names(value: object) -> list[str] | None:
    """Return the names of the fields and properties of an object; None for another value."""
    fields: list[str] | tuple[str, ...] | None = getattr(value, "_fields", None)  # a named tuple
    if isinstance(value, BaseModel):
        fields = [*type(value).model_fields]
    elif dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
    return None if fields is None else [*PROPERTIES.get(type(value).__name__, ()), *fields]
