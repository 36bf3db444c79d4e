"""Types of the application, which the options of this case name."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """A document's head."""

    title: str
    at: dt.datetime
