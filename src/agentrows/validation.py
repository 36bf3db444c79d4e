"""Arguments checked by name before anything is sent, and where a page begins."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from pgvector import Vector

from agentrows.db.codecs import encode_json
from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel, JsonValue

    Model = TypeVar("Model", bound=BaseModel)

DIMENSIONS: Final = 768
LONGEST_ID: Final = 512
"""In bytes; a longer one does not fit PostgreSQL's index rows."""
LONGEST_INDEXED: Final = 2000
"""In bytes; an index row holds about 2,700."""
LARGEST_TEXT: Final = 256 * 2**20
"""In bytes. PostgreSQL takes and sends a row as one message, of less than 1 GiB: three such fit."""
LARGEST_BATCH: Final = 1_000_000_000
"""In bytes, as PostgreSQL receives it: a statement is one message too."""
OF_ELEMENT: Final = 16
OF_VECTOR: Final = 4 * DIMENSIONS + 16
"""In bytes: what a value has in an array beside its text, and a vector in all; at most."""
DEEPEST: Final = 200
"""Levels of JSON; from 255 on pydantic refuses to read a value back."""
INT64: Final = range(-(2**63), 2**63)
NORMS: Final = (1e-18, 1e18)
"""pgvector adds up squares in float32: outside of this a similarity is not a number."""
NUL_ESCAPE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
START_OF_TIME: Final = datetime.min.replace(tzinfo=UTC)
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


class Unset(Enum):
    """The type of UNSET: an argument that was left out, so that the stored value stays."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        """Return the name under which the value is public."""
        return "UNSET"


UNSET: Final = Unset.UNSET
VectorLike: TypeAlias = "Vector | Sequence[float]"
Place: TypeAlias = tuple[datetime | None, str]
"""Where a page begins: the time (None is the oldest) and the id of the row before it."""
OLDEST: Final[Place] = (None, "")
NEWEST: Final[Place] = (END_OF_TIME, "")


def page_after(time: datetime | None, id: str) -> Place:
    """Return where a page begins behind a row; infinity comes from the driver without a zone."""
    if time is None:
        return None, id
    if getattr(time, "tzinfo", UTC) is None:
        time = time.replace(tzinfo=UTC)
    return check_aware("after", time), id


def given(value: object) -> bool:
    """Whether an optional argument was passed at all; None counts as passed."""
    return value is not UNSET


def check_text(name: str, value: str) -> str:
    """Return text that PostgreSQL can hold; raise InvalidValue for NUL and lone surrogates."""
    if type(value) is str and value.isascii() and "\0" not in value and len(value) <= LARGEST_TEXT:
        return value  # nearly every text, and so in a third of the time
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be text, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidValue(f"{name} holds a NUL character, which PostgreSQL cannot store")
    if _size(name, value) > LARGEST_TEXT:
        raise InvalidValue(f"{name} must have at most {LARGEST_TEXT:,} bytes")
    return value


def check_id(name: str, value: str) -> str:
    """Return an id of 1 to 512 bytes; raise InvalidValue for another."""
    plain = type(value) is str and value.isascii() and "\0" not in value
    if plain and 0 < len(value) <= LONGEST_ID:
        return value
    size = _size(name, check_text(name, value))
    if not 1 <= size <= LONGEST_ID:
        raise InvalidValue(f"{name} must have 1 to {LONGEST_ID} bytes, this has {size}")
    return value


def check_optional_text(name: str, value: str | Unset | None) -> str | None:
    """Return the text to send: None for an argument that is absent or None."""
    return None if value is None or value is UNSET else check_text(name, value)


def check_optional_id(name: str, value: str | Unset | None) -> str | None:
    """Return the id to send: None for an argument that is absent or None."""
    return None if value is None or value is UNSET else check_id(name, value)


def check_limit(name: str, value: int | None) -> int | None:
    """Return a limit of at least 1, or None for all; raise InvalidValue for another."""
    if value is None:
        return None
    if not (_is_integer(value) and 1 <= value < INT64.stop):
        raise InvalidValue(f"{name} must be a whole number of at least 1, or None for all")
    return value


def check_flag(name: str, value: bool) -> bool:  # noqa: FBT001  what is checked
    """Return True or False; raise InvalidValue for what only counts as one."""
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be True or False")
    return value


def check_int64(name: str, value: int) -> int:
    """Return an integer of 64 bits; raise InvalidValue for another."""
    if not (_is_integer(value) and value in INT64):
        raise InvalidValue(f"{name} must be an integer of 64 bits")
    return value


def check_number(name: str, value: float) -> float:
    """Return a number, which may be infinite; raise InvalidValue for anything else."""
    if not _is_integer(value) and not isinstance(value, float):
        raise InvalidValue(f"{name} must be a number")
    return value


def check_aware(name: str, value: datetime) -> datetime:
    """Return a moment in UTC; raise InvalidValue for one without time zone: it would be a guess."""
    if not _is_aware(value):
        raise InvalidValue(f"{name} must be a datetime with a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidValue(f"{name} is beyond the years 1 to 9999 in UTC") from error


def check_moment(name: str, value: datetime) -> datetime:
    """Return a moment to store, in UTC; the first and last there are would become infinity."""
    moment = check_aware(name, value)
    if moment in (START_OF_TIME, END_OF_TIME):
        raise InvalidValue(f"{name} must not be the first or the last moment there is")
    return moment


def check_optional_moment(name: str, value: datetime | Unset | None) -> datetime | None:
    """Return the moment to send: None for an argument that is absent or None."""
    return None if value is None or value is UNSET else check_moment(name, value)


def check_indexed_text(name: str, value: str | Unset | None) -> str | None:
    """Return the text of an indexed column: None for absent or None, at most 2,000 bytes."""
    text = check_optional_text(name, value)
    if text is not None and _size(name, text) > LONGEST_INDEXED:
        raise InvalidValue(f"{name} must have at most {LONGEST_INDEXED} bytes")
    return text


def check_json(name: str, value: JsonValue) -> str:
    """Return compact JSON text; raise InvalidValue for what JSON cannot say."""
    try:
        text = encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} cannot be written as JSON: {error}") from error
    _check_levels(name, value)
    return check_text(name, text)


def check_json_object(name: str, value: dict[str, JsonValue]) -> str:
    """Return compact JSON text of an object; raise InvalidValue for anything else."""
    if not isinstance(value, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a JSON object, not {type(value).__name__}")
    return check_json(name, value)


def check_jsonb_object(name: str, value: dict[str, JsonValue]) -> None:
    """Raise InvalidValue for what is no JSON object, or holds NUL, which jsonb cannot."""
    if NUL_ESCAPE.search(check_json_object(name, value)):
        raise InvalidValue(f"{name} holds a NUL character, which PostgreSQL cannot store")


def check_embedding(name: str, value: VectorLike) -> Vector:
    """Return a (768,) float32 vector that has a direction; raise InvalidValue for another."""
    try:
        vector = value if isinstance(value, Vector) else Vector(_floats(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(f"{name} must be a sequence of numbers") from error
    if vector.dimensions() != DIMENSIONS:
        raise InvalidValue(f"{name} must have {DIMENSIONS} numbers, this has {vector.dimensions()}")
    norm = math.hypot(*vector.to_list())
    if not NORMS[0] < norm < NORMS[1]:
        raise InvalidValue(
            f"{name} must be finite and not zero, for a cosine to exist (its norm is {norm:g})"
        )
    return vector


def check_row(name: str, value: object, model: type[BaseModel]) -> None:
    """Raise InvalidValue for what is no whole row of this model."""
    if type(value) is not model and not isinstance(value, model):
        raise InvalidValue(f"{name} must be a {model.__name__}, not {type(value).__name__}")
    if len(vars(value)) < len(model.model_fields):
        absent = next(field for field in model.model_fields if field not in vars(value))
        raise InvalidValue(f"{name}.{absent} is missing")


def check_after(value: BaseModel | None, model: type[BaseModel], *texts: str) -> None:
    """Raise InvalidValue unless a page begins at its front, or after a row with these texts."""
    if value is None:
        return
    check_row("after", value, model)
    for name in texts:
        check_text(f"after.{name}", getattr(value, name))


def check_batch(name: str, values: Iterable[Model], model: type[Model]) -> tuple[Model, ...]:
    """Return the rows of a batch; raise InvalidValue for others, and for more than 1 GB of them."""
    try:
        rows = iter(values)
    except TypeError as error:
        raise InvalidValue(
            f"{name} must be an iterable of {model.__name__}, not {type(values).__name__}"
        ) from error
    batch = tuple(rows)
    whole = len(model.model_fields)
    for place, row in enumerate(batch):
        if type(row) is not model or len(vars(row)) != whole:
            check_row(f"{name}[{place}]", row, model)
    if sum(map(_at_most, batch)) > LARGEST_BATCH:
        size = sum(_sent(name, row) for row in batch)
        if size > LARGEST_BATCH:
            raise InvalidValue(
                f"{name} has {size:,} bytes, a batch at most {LARGEST_BATCH:,}: store it in parts"
            )
    return batch


def _floats(value: Sequence[float]) -> list[float]:
    if isinstance(value, str | bytes | bytearray | dict | set | frozenset) or any(
        isinstance(number, str | bytes | bool) for number in value
    ):
        raise TypeError("this is not a sequence of numbers")
    return [float(number) for number in value]


def _size(name: str, text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{name} holds a lone surrogate, which is not text") from error


def _sent(name: str, row: BaseModel) -> int:
    """Return the bytes of a row's values as the parts of arrays."""
    size = 0
    for value in vars(row).values():
        if isinstance(value, str):
            size += OF_ELEMENT + _size(name, value)
        else:
            size += OF_VECTOR if isinstance(value, Vector) else OF_ELEMENT
    return size


def _at_most(row: BaseModel) -> int:
    """Return what `_sent` cannot exceed, at a glance: a character has at most four bytes."""
    size = 0
    for value in vars(row).values():
        size += 4 * len(value) + OF_ELEMENT if type(value) is str else OF_VECTOR
    return size


def _check_levels(name: str, value: JsonValue) -> None:
    """Raise InvalidValue for JSON too deep, and for what would come back as something else."""
    level: list[object] = [[value]]
    for _ in range(DEEPEST + 2):
        level = [
            part
            for each in level
            for part in _parts(name, each)
            if isinstance(part, dict | list | tuple)
        ]
        if not level:
            return
    raise InvalidValue(f"{name} is JSON nested more than {DEEPEST} deep")


def _parts(name: str, value: object) -> Iterable[object]:
    """Return the values in a value."""
    if isinstance(value, tuple):
        raise InvalidValue(f"{name} holds a tuple, which JSON has not: use a list")
    if isinstance(value, list):
        return cast("list[object]", value)
    parts = cast("dict[object, object]", value)
    for key in parts:
        if not isinstance(key, str):
            raise InvalidValue(f"{name} holds a key that is no text, which JSON has not")
    return parts.values()


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_aware(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise InvalidValue for a value that is none of the choices."""
    if value not in choices:
        raise InvalidValue(f"{name} must be one of {', '.join(choices)}")
