"""Types of the application, which the options of the generator name."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, Field


class Wishes(BaseModel):
    """The wishes of a guest; the column contains them as JSON."""

    floor: int | None = None
    arrival: dt.time | None = None
    extras: list[str] = Field(default_factory=list[str])
