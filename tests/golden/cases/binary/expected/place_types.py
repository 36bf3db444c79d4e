"""Types of the application, which the options of this case name."""

from pydantic import BaseModel


class Facts(BaseModel):
    """What is known of a place."""

    name: str
    height: float | None = None
