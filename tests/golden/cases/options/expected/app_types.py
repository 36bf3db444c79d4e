"""Types of the application, which the overrides of this case name."""

from decimal import Decimal
from typing import NewType

from pydantic import BaseModel

Amount = NewType("Amount", Decimal)
Email = NewType("Email", str)


class Input(BaseModel):
    """The base of the models of parameters."""
