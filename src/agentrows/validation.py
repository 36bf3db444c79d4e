"""Checks of arguments by name, before anything is sent to the database."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pgvector import Vector

from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from agentrows.gen.pgjson import JsonLike

    Model = TypeVar("Model", bound=BaseModel)

DIMENSIONS: Final = 768
LONGEST_ID: Final = 512
"""In bytes; a longer id does not fit PostgreSQL's index rows."""
LONGEST_INDEXED: Final = 2000
"""In bytes; an index row has at most about 2,700."""
LARGEST_TEXT: Final = 256 * 2**20
"""In bytes. PostgreSQL sends a row as one message of less than 1 GiB: three texts fit."""
LARGEST_BYTES: Final = 64 * 2**20
"""For rows that an export builds as one JSON text, in which bytes have twice this size."""
LARGEST_BATCH_BYTES: Final = 1_000_000_000
"""In bytes, as PostgreSQL receives them: a statement is one message too."""
ARRAY_ELEMENT_OVERHEAD: Final = 16
"""In bytes: the most that a value takes in an array besides its text."""
MAX_JSON_DEPTH: Final = 200
"""In levels; from 255 on pydantic refuses to read a value back."""
INT64: Final = range(-(2**63), 2**63)
KEY_SEPARATOR: Final = "\x1f"
"""Between the parts of an id that stores or adapters compose of several ones."""
NUL_ESCAPE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
LONGEST_RETENTION: Final = timedelta(days=365_000)
"""PostgreSQL can subtract this much from the current time without an overflow."""
START_OF_TIME: Final = datetime.min.replace(tzinfo=UTC)
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


class Unset(Enum):
    """The type of UNSET, the default of arguments for which None is a value."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        """Return the name under which the value is public."""
        return "UNSET"


UNSET: Final = Unset.UNSET


def is_set(value: object) -> bool:
    """Return whether an optional argument was passed; None counts as passed."""
    return value is not UNSET


def check_text(name: str, value: str) -> str:
    """Return text that PostgreSQL can store, of at most 256 MiB.

    Raises InvalidValue for NUL characters, lone surrogates and longer texts.
    """
    # Nearly every text is plain ASCII: this test takes a third of the time of those below.
    if type(value) is str and value.isascii() and "\0" not in value and len(value) <= LARGEST_TEXT:
        return value
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be text, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidValue(f"{name} contains a NUL character, which PostgreSQL cannot store")
    if encoded_length(name, value) > LARGEST_TEXT:
        raise InvalidValue(f"{name} must have at most {LARGEST_TEXT:,} bytes")
    return value


def check_id(name: str, value: str) -> str:
    """Return an id of 1 to 512 bytes; raise InvalidValue for any other value."""
    is_plain = type(value) is str and value.isascii() and "\0" not in value
    if is_plain and 0 < len(value) <= LONGEST_ID:
        return value
    size = encoded_length(name, check_text(name, value))
    if not 1 <= size <= LONGEST_ID:
        raise InvalidValue(f"{name} must have 1 to {LONGEST_ID} bytes, got {size}")
    return value


def check_key_part(name: str, value: str) -> str:
    """Return an id without U+001F, which separates the parts of stored ids."""
    if KEY_SEPARATOR in check_id(name, value):
        raise InvalidValue(f"{name} contains U+001F, which separates the parts of stored ids")
    return value


def check_optional_text(name: str, value: str | Unset | None) -> str | None:
    """Return the text to send: None for an argument that is UNSET or None."""
    return None if value is None or value is UNSET else check_text(name, value)


def check_optional_id(name: str, value: str | Unset | None) -> str | None:
    """Return the id to send: None for an argument that is UNSET or None."""
    return None if value is None or value is UNSET else check_id(name, value)


def check_texts(name: str, values: Iterable[str]) -> list[str]:
    """Return a list of texts; raise InvalidValue for any other value, such as one text."""
    return [check_text(f"{name}[{index}]", text) for index, text in _enumerate(name, values)]


def check_ids(name: str, values: Iterable[str]) -> list[str]:
    """Return a list of ids; raise InvalidValue for any other value, such as one id."""
    return [check_id(f"{name}[{index}]", each) for index, each in _enumerate(name, values)]


def check_bytes(name: str, value: bytes, *, most: int = LARGEST_TEXT) -> bytes:
    """Return bytes, at most `most` of them (256 MiB); raise InvalidValue for any other value."""
    if not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be bytes, not {type(value).__name__}")
    if len(value) > most:
        raise InvalidValue(f"{name} must have at most {most:,} bytes")
    return value


def check_limit(name: str, value: int | None) -> int | None:
    """Return a limit of at least 1, or None for all rows; raise InvalidValue for others."""
    if value is None:
        return None
    if not (_is_integer(value) and 1 <= value < INT64.stop):
        raise InvalidValue(f"{name} must be an integer of at least 1, or None for all rows")
    return value


def check_flag(name: str, value: bool) -> bool:  # noqa: FBT001  the value that is checked
    """Return True or False; raise InvalidValue for values that are merely truthy or falsy."""
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be True or False, not {type(value).__name__}")
    return value


def check_int64(name: str, value: int) -> int:
    """Return an integer of 64 bits; raise InvalidValue for any other value."""
    if not (_is_integer(value) and value in INT64):
        raise InvalidValue(f"{name} must be an integer of 64 bits")
    return value


def check_batch_size(name: str, value: int, most: int) -> int:
    """Return the number of rows in a batch; raise InvalidValue unless it is 1 to `most`."""
    if not 0 < check_int64(name, value) <= most:
        raise InvalidValue(f"{name} must be an integer of 1 to {most:,}")
    return value


def check_progress(name: str, function: object) -> None:
    """Raise InvalidValue for anything but a plain function or None."""
    if not (function is None or callable(function)):
        raise InvalidValue(f"{name} must be a function")
    if inspect.iscoroutinefunction(function):
        raise InvalidValue(f"{name} must be a plain function: its result is not awaited")


def check_number(name: str, value: float) -> float:
    """Return a number, which may be infinite; raise InvalidValue for any other value."""
    if not _is_number(value):
        raise InvalidValue(f"{name} must be a number in the range of a float")
    return value


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise InvalidValue for a value that is not among the choices."""
    if value not in choices:
        raise InvalidValue(f"{name} must be one of {', '.join(choices)}")


def check_aware(name: str, value: datetime) -> datetime:
    """Return a datetime in UTC.

    Raises InvalidValue for a datetime without a time zone, because any zone would be a guess.
    """
    if not _is_aware(value):
        raise InvalidValue(f"{name} must be a datetime with a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidValue(f"{name} must be within the years 1 to 9999 in UTC") from error


def check_moment(name: str, value: datetime) -> datetime:
    """Return a datetime to store, in UTC; raise InvalidValue for any other value."""
    moment = check_aware(name, value)
    # The driver sends the smallest and the largest datetime as -infinity and infinity.
    if moment in (START_OF_TIME, END_OF_TIME):
        raise InvalidValue(f"{name} must not be datetime.min or datetime.max")
    return moment


def check_optional_moment(name: str, value: datetime | Unset | None) -> datetime | None:
    """Return the datetime to send: None for an argument that is UNSET or None."""
    return None if value is None or value is UNSET else check_moment(name, value)


def check_retention(name: str, value: timedelta) -> timedelta:
    """Return a retention, which may be negative; raise InvalidValue for any other value."""
    if not isinstance(value, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a timedelta")
    if value > LONGEST_RETENTION:
        raise InvalidValue(f"{name} must be at most {LONGEST_RETENTION.days:,} days")
    return value


def check_indexed_text(name: str, value: str | Unset | None) -> str | None:
    """Return the text of an indexed column, of at most 2,000 bytes: None for UNSET or None."""
    text = check_optional_text(name, value)
    if text is not None and encoded_length(name, text) > LONGEST_INDEXED:
        raise InvalidValue(f"{name} must have at most {LONGEST_INDEXED} bytes")
    return text


def encode_json(value: object) -> str:
    """Return compact JSON text, as the codecs send it.

    Raises ValueError for NaN and infinities, which JSON lacks.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def check_json(name: str, value: JsonLike) -> str:
    """Return compact JSON text; raise InvalidValue for a value without a JSON form."""
    try:
        text = encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} cannot be written as JSON: {error}") from error
    _check_json_parts(name, value)
    return check_text(name, text)


def check_json_object(name: str, value: Mapping[str, JsonLike]) -> str:
    """Return compact JSON text of an object; raise InvalidValue for any other value."""
    if not isinstance(value, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a JSON object, not {type(value).__name__}")
    return check_json(name, value)


def check_jsonb_object(name: str, value: Mapping[str, JsonLike]) -> None:
    """Raise InvalidValue unless a value is a JSON object without NUL, which jsonb lacks."""
    if NUL_ESCAPE.search(check_json_object(name, value)):
        raise InvalidValue(f"{name} contains a NUL character, which PostgreSQL cannot store")


def check_row(name: str, value: object, model: type[BaseModel]) -> None:
    """Raise InvalidValue unless a value is a row of this model with all of its fields."""
    if type(value) is not model and not isinstance(value, model):
        raise InvalidValue(f"{name} must be a {model.__name__}, not {type(value).__name__}")
    if len(vars(value)) < len(model.model_fields):
        missing = next(field for field in model.model_fields if field not in vars(value))
        raise InvalidValue(f"{name}.{missing} is missing")


def check_batch(name: str, values: Iterable[Model], model: type[Model]) -> tuple[Model, ...]:
    """Return the rows of a batch.

    Raises InvalidValue for other values, and for more than 1 GB of rows.
    """
    try:
        rows = iter(values)
    except TypeError as error:
        raise InvalidValue(
            f"{name} must be an iterable of {model.__name__}, not {type(values).__name__}"
        ) from error
    batch = tuple(rows)
    field_count = len(model.model_fields)
    for index, row in enumerate(batch):
        # The test of check_row, without the cost of a call and of a formatted name for each row.
        if type(row) is not model or len(vars(row)) != field_count:
            check_row(f"{name}[{index}]", row, model)
    if sum(map(_size_upper_bound, batch)) > LARGEST_BATCH_BYTES:
        size = sum(_encoded_size(name, row) for row in batch)
        if size > LARGEST_BATCH_BYTES:
            raise InvalidValue(
                f"{name} must have at most {LARGEST_BATCH_BYTES:,} bytes in all, got {size:,}: "
                "store it in several batches"
            )
    return batch


def _enumerate(name: str, values: Iterable[str]) -> Iterable[tuple[int, str]]:
    if isinstance(values, str):
        raise InvalidValue(f"{name} must be an iterable of texts, not one text")
    try:
        return enumerate(values)
    except TypeError as error:
        raise InvalidValue(
            f"{name} must be an iterable of texts, not {type(values).__name__}"
        ) from error


def encoded_length(name: str, text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{name} contains a lone surrogate, which is not text") from error


def _encoded_size(name: str, row: BaseModel) -> int:
    """Return the number of bytes of a row's values as elements of arrays."""
    return sum(
        encoded_length(name, value) + ARRAY_ELEMENT_OVERHEAD
        if isinstance(value, str)
        else _other_size(value)
        for value in vars(row).values()
    )


def _size_upper_bound(row: BaseModel) -> int:
    """Return a size that `_encoded_size` cannot exceed, without encoding any text."""
    # A character has at most four bytes in UTF-8.
    return sum(
        4 * len(value) + ARRAY_ELEMENT_OVERHEAD if isinstance(value, str) else _other_size(value)
        for value in vars(row).values()
    )


def _other_size(value: object) -> int:
    """Return the bytes of a value other than text, such as a vector of float32, in an array."""
    count = 4 * value.dimensions() if isinstance(value, Vector) else 0
    if isinstance(value, bytes):
        count = len(value)
    elif isinstance(value, list):  # an embedding that was assigned, which is not validated
        count = 4 * len(cast("list[object]", value))
    return count + ARRAY_ELEMENT_OVERHEAD


def _check_json_parts(name: str, value: JsonLike) -> None:
    """Raise InvalidValue for JSON nested too deep, and for parts that JSON would change."""
    level: list[object] = [[value]]
    for _ in range(MAX_JSON_DEPTH + 2):
        level = [
            part
            for container in level
            for part in _json_parts(name, container)
            if isinstance(part, dict | list | tuple)
        ]
        if not level:
            return
    raise InvalidValue(f"{name} must have at most {MAX_JSON_DEPTH} levels of JSON")


def _json_parts(name: str, container: object) -> Iterable[object]:
    """Return the values in a list or a dict; raise InvalidValue for tuples and other keys."""
    if isinstance(container, tuple):
        raise InvalidValue(f"{name} contains a tuple, but JSON has no tuples: use a list")
    if isinstance(container, list):
        return cast("list[object]", container)
    parts = cast("dict[object, object]", container)
    for key in parts:
        if not isinstance(key, str):
            raise InvalidValue(f"{name} has the key {key!r}, but JSON object keys must be strings")
    return parts.values()


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**1023
    return isinstance(value, float)


def _is_aware(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None
