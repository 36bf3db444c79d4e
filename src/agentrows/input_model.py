"""The base class of the `New…` and `Imported…` models, the rows of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["InputModel"]


class InputModel(BaseModel):
    """A model whose constructor raises InvalidValue, as methods do for their arguments.

    `model_validate` and its siblings raise pydantic's ValidationError, with the position of each
    problem, as web frameworks require. Neither error contains the values.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    def __init__(self, /, **values: object) -> None:
        """Validate the values of the fields.

        Raises:
            InvalidValue: a value does not fit its field; the message names each such field.

        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            name = type(self).__name__
            message = "; ".join(dict.fromkeys(_describe(name, each) for each in problems))
            raise InvalidValue(message) from error

    # Without this mark of BaseModel's own constructor, model_validate calls this one, and the
    # positions of the problems are lost.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]


def _describe(model: str, problem: ErrorDetails) -> str:
    field = f"{model}.{problem['loc'][0]}" if problem["loc"] else model
    if problem["type"] == "missing":
        return f"{field} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{field} is not a field"
    text = problem["msg"].removeprefix("Value error, ")
    if text.startswith("Input should "):
        return f"{field} must {text.removeprefix('Input should ')}"
    return f"{field}: {text[:1].lower()}{text[1:]}"
