"""Types of the application, which the options of this case name."""

import datetime as dt
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Prefs(BaseModel):
    """A document, as strict as pydantic can be."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=True)

    theme: str = Field(alias="colour-theme")
    since: dt.datetime | None = None
    key: UUID | None = None


class Change(BaseModel):
    """One item of an array of documents."""

    at: dt.date
    what: str


Limits: TypeAlias = dict[str, int]


@dataclass(frozen=True)
class Money:
    """An amount, which pydantic could also build, and a converter does."""

    cents: int


def money_from_db(value: int) -> Money:
    """Return the amount of a column."""
    return Money(value)


def money_to_db(value: Money) -> int:
    """Return what the column holds."""
    return value.cents


def unlock(value: str) -> str:
    """Return the text that was locked."""
    return value[::-1]


def lock(value: str) -> str:
    """Return the text, locked."""
    return value[::-1]


class PreferencesOfOneAccount(Prefs):
    """A longer name, for which a line may be too short."""
