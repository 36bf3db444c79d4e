"""The base class of the generated models."""

from pydantic import BaseModel


class Base(BaseModel, frozen=True):
    """A model whose rows have a label."""

    def label(self) -> str:
        """Return the name of the class and the fields."""
        return f"{type(self).__name__}: {self}"
