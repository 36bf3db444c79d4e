"""Types of the application, which the overrides of this case name."""

from decimal import Decimal
from typing import NewType

Amount = NewType("Amount", Decimal)
Email = NewType("Email", str)
