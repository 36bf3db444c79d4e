"""Valid and hostile values for each kind of argument, and the expected results.

A kind is the annotation of a parameter, or of a field of a row in a batch. A kind without an entry
in `KINDS` fails the tests, so every new method is covered.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, cast

from hypothesis import strategies as st

from agentrows import (
    UNSET,
    FeedbackIssueType,
    HistoryEntry,
    ImportedCheckpoint,
    ImportedValue,
    ImportedWrite,
    NewChannelValue,
    NewCheckpointWrite,
    NewEvent,
    NewMemory,
    NewStoreItem,
    NewThreadWrite,
    NewTool,
    NewTranscriptEntry,
    StoreCondition,
    TaskPosition,
    TaskWrites,
    Vector,
)
from agentrows.gen import models as rows
from support.methods import METHODS, unchecked
from support.stores import DIMENSIONS, EARLY, event, towards

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

MEGABYTE: Final = 2**20
NAIVE: Final = datetime(2030, 1, 1)  # noqa: DTZ001  the point of it
NOTHING_OF_THE_KIND: Final[tuple[object, ...]] = (
    None,
    7,
    2**70,
    1.5,
    math.nan,
    True,
    b"bytes",
    "text",
    "a\0b",
    "\ud800",
    [],
    ["a", None],
    (1, 2),
    {},
    {"a": 1},
    {1: 2},
    {"id"},
    object(),
    UNSET,
    NAIVE,
    date(2030, 1, 1),
    timedelta(days=1),
    int,
    len,
    event("e-9"),
)
"""Values for every argument; those that do not match its annotation have to be refused."""
TEXTS: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "x" * 512,
    "x" * 513,
    "ü" * 256,
    "ü" * 257,
    "x" * MEGABYTE,
    "ü" * MEGABYTE,
    "\x1f\x7f\ufffe\uffff\U0010ffff",
    "e\u0301 \u202eright to left\u202c 🜁",
    "%_\\'\"; DROP TABLE agent; --\r\n\t",
    "NULL",
    '{"a": 1}',
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\u0000"}',
    "[" * 10_000 + "]" * 10_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    "AAEC",
    "factual",
    "NaN",
)
NUMBERS: Final = (
    *(0, 1, -1, -4, -5, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400),
    *(True, False, 1.0, 0.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, "1"),
)
MOMENTS: Final = (
    NAIVE,
    EARLY,
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-2))),
    datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=53, seconds=28))),
    datetime.min,  # noqa: DTZ901  the point of it
    datetime.max,  # noqa: DTZ901  the point of it
    "2030-01-01T00:00:00Z",
    1893456000,
)
VECTORS: Final = (
    towards(1, -0.5),
    Vector(towards(1, -0.5)),
    tuple(towards(0.1)),
    towards(math.nan),
    towards(math.inf),
    towards(-math.inf),
    towards(1e39),
    towards(10**400),
    towards(1e-45),
    [0.0] * DIMENSIONS,
    [0.5] * (DIMENSIONS - 1),
    [0.5] * (DIMENSIONS + 1),
    [0.5] * 16_001,
    [True] * DIMENSIONS,
    [*[0.5] * (DIMENSIONS - 1), "1"],
    [*[0.5] * (DIMENSIONS - 1), None],
    dict.fromkeys(range(DIMENSIONS), 1),
    set(range(1, DIMENSIONS + 1)),
    "1" * DIMENSIONS,
    b"1" * DIMENSIONS,
    Vector([0.5] * 3),
    Vector(towards(math.nan)),
    [[0.5]] * DIMENSIONS,
)


def nested(levels: int, *, of: Callable[[object], object]) -> object:
    value: object = 1
    for _ in range(levels):
        value = of(value)
    return value


def in_a_circle() -> dict[str, object]:
    value: dict[str, object] = {}
    value["self"] = [value, value]
    return value


NONE_IN_IT: Final[dict[str, object]] = {}
VALUES: Final[tuple[object, ...]] = (
    NONE_IN_IT,
    {"a": [1, 1.5, -0.0, True, None, "ü🜁", {"": NONE_IN_IT}]},
    {"a": "x" * MEGABYTE},
    {"a": 10**400},
    {"a": 10**5000},
    {"a": 1e308},
    {"a": math.nan},
    {"a": [-math.inf]},
    {"a": "\0"},
    {"\0": 1},
    {"a": "\ud800"},
    {"\ud800": 1},
    {"a": b"bytes"},
    {"a": {1}},
    {"a": (1, 2)},
    {"a": object()},
    {"a": EARLY},
    {1: 2},
    {None: 1},
    {True: 1},
    {1.5: 1},
    {(1, 2): 3},
    {"a": {"b": {3: 4}}},
    *(nested(levels, of=lambda each: {"a": each}) for levels in (199, 200, 201, 255, 500, 10_000)),
    {"a": nested(199, of=lambda each: [each])},
    {"a": nested(100_000, of=lambda each: [each])},
    in_a_circle(),
)
"""JSON, and values that Python's encoder accepts as JSON."""


@dataclass(frozen=True, slots=True, repr=False)
class Kind:
    """The values of an annotation: valid ones, hostile ones, and a function for more."""

    fits: Callable[[object], bool]
    corpus: tuple[object, ...]
    more: st.SearchStrategy[object]


def whole(model: type[BaseModel], **fields: object) -> object:
    """A row that pydantic has not validated, with every field."""
    named: dict[str, object] = dict.fromkeys(model.model_fields, "x")
    return unchecked(model, **named | {"created_at": EARLY, "updated_at": EARLY} | fields)


def after(model: type[BaseModel], *texts: str, number: bool = False) -> tuple[object, ...]:
    """Invalid rows for `after`: one lacks fields, the others have invalid keys and times."""
    good: dict[str, object] = {"created_at": EARLY, "updated_at": EARLY}
    if number:
        good["id"] = 1
    return (
        unchecked(model, id="x"),
        whole(rows.MemoryHit),
        *(
            whole(model, **good | {name: bad})
            for name in texts
            for bad in ("\0", "\ud800", None, 7)
        ),
        *(whole(model, **good | {"id": bad}) for bad in (2**63, "1", True, None) if number),
        *(
            whole(model, **good | {"created_at": bad, "updated_at": bad})
            for bad in (None, *MOMENTS)
        ),
    )


def row_kind(model: type[BaseModel], *texts: str, number: bool = False) -> Kind:
    def fits(value: object) -> bool:
        return value is None or isinstance(value, model)

    return Kind(fits, after(model, *texts, number=number), MORE_OF_ANYTHING)


def batch_kind(model: type[BaseModel], *corpus: object) -> Kind:
    return Kind(
        lambda value: isinstance(value, Iterable) and all(isinstance(row, model) for row in value),  # pyright: ignore[reportUnknownVariableType]
        ((), [], [None], ["text"], [{"id": "x"}], "text", 5, [unchecked(model)], *corpus),
        MORE_OF_ANYTHING,
    )


def optional(kind: Kind) -> Kind:
    """The same kind, which also accepts None, and UNSET for an argument that is not passed."""
    return Kind(
        lambda value: value is None or value is UNSET or kind.fits(value), kind.corpus, kind.more
    )


def choice(*words: str) -> Kind:
    return Kind(
        lambda value: value is None or (isinstance(value, str) and value in words),
        (*words, *(word.upper() for word in words), "", "\0", "x" * MEGABYTE),
        MORE_TEXT,
    )


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


MORE_TEXT: Final = st.text(st.characters(), max_size=600)
MORE_JSON: Final[st.SearchStrategy[object]] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), MORE_TEXT, st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.dictionaries(st.one_of(MORE_TEXT, st.integers(), st.none()), inner, max_size=4),
    ),
    max_leaves=12,
)
MORE_MOMENTS: Final = st.datetimes(
    timezones=st.one_of(
        st.none(),
        st.just(UTC),
        st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    )
)
MORE_OF_ANYTHING: Final = st.one_of(MORE_JSON, MORE_MOMENTS, st.sampled_from(NOTHING_OF_THE_KIND))
MORE_VECTORS: Final = st.lists(
    st.one_of(st.floats(width=32), st.floats(), st.integers()), min_size=1, max_size=4
).flatmap(lambda some: st.sampled_from([towards(*some), some]))

TEXT: Final = Kind(lambda value: isinstance(value, str), TEXTS, MORE_TEXT)
INTEGER: Final = Kind(is_integer, NUMBERS, st.one_of(st.integers(), st.integers(-(2**63), 2**63)))
NUMBER: Final = Kind(is_number, NUMBERS, st.one_of(st.floats(), st.integers()))
FLAG: Final = Kind(lambda value: isinstance(value, bool), (0, 1, "yes", ""), st.booleans())
MOMENT: Final = Kind(lambda value: isinstance(value, datetime), MOMENTS, MORE_MOMENTS)
VECTOR: Final = Kind(lambda value: isinstance(value, list | tuple | Vector), VECTORS, MORE_VECTORS)
OBJECT: Final = Kind(
    lambda value: isinstance(value, dict),
    VALUES,
    st.dictionaries(MORE_TEXT, MORE_JSON, max_size=4),
)
JSON: Final = Kind(
    lambda value: value is None or isinstance(value, dict | list | str | int | float),
    (*VALUES, *TEXTS, *NUMBERS),
    MORE_JSON,
)
BYTES: Final = Kind(
    lambda value: isinstance(value, bytes),
    (b"", b"\0\xff", b"x" * MEGABYTE, bytearray(b"x"), memoryview(b"x"), "text"),
    st.binary(max_size=600),
)
IDS: Final = Kind(
    lambda value: (
        isinstance(value, Iterable)
        and not isinstance(value, str | bytes)
        and all(isinstance(each, str) for each in cast("Iterable[object]", value))
    ),
    ((), ["a"], ["a", "a"], ["a", "\0"], ["\ud800"], ["x" * 513], [7], [None], "text", b"bytes"),
    st.lists(MORE_TEXT, max_size=3),
)
PAIRS: Final = Kind(
    lambda value: (
        isinstance(value, Iterable)
        and not isinstance(value, str | bytes)
        and all(
            isinstance(each, tuple)
            and len(cast("tuple[object, ...]", each)) == 2
            and all(isinstance(part, str) for part in cast("tuple[object, ...]", each))
            for each in cast("Iterable[object]", value)
        )
    ),
    ((), [("a", "b")], [("", "\0")], [("\ud800", "b")], [("a",)], [("a", 7)], ["ab"], "ab", [None]),
    st.lists(st.tuples(MORE_TEXT, MORE_TEXT), max_size=3),
)
MAPPING: Final = Kind(
    lambda value: (
        isinstance(value, dict)
        and all(
            isinstance(part, str)
            for item in cast("dict[object, object]", value).items()
            for part in item
        )
    ),
    ({}, {"a": "1"}, {"c": "\0"}, {"\ud800": "1"}, {"c": 7}, {7: "1"}, {"c": None}),
    st.dictionaries(MORE_TEXT, MORE_TEXT, max_size=3),
)
SPANS: Final = (timedelta.min, timedelta.max, timedelta(0), timedelta(days=365_001), timedelta(1))
GOOD_MEMORY: Final[dict[str, Any]] = {"agent_name": "travel", "user_id": "mira", "content": ""}
WRITE: Final[dict[str, Any]] = {"channel": "answer", "value_type": "json", "value": "AAEC"}

KINDS: Final[dict[str, Kind]] = {
    "str": TEXT,
    "str | None": optional(TEXT),
    "str | Unset": Kind(lambda value: value is UNSET or TEXT.fits(value), TEXTS, MORE_TEXT),
    "str | Unset | None": optional(TEXT),
    "int": INTEGER,
    "int | None": optional(INTEGER),
    "float": NUMBER,
    "float | None": optional(NUMBER),
    "bool": FLAG,
    "bool | Unset": Kind(lambda value: value is UNSET or FLAG.fits(value), FLAG.corpus, FLAG.more),
    "datetime": MOMENT,
    "datetime | None": optional(MOMENT),
    "datetime | Unset | None": optional(MOMENT),
    "timedelta": Kind(lambda value: isinstance(value, timedelta), SPANS, st.timedeltas()),
    "timedelta | None": Kind(
        lambda value: value is None or value is UNSET or isinstance(value, timedelta),
        SPANS,
        st.timedeltas(),
    ),
    "Iterable[PruneTable] | None": optional(IDS),
    "VectorLike": VECTOR,
    "VectorLike | None": optional(VECTOR),
    "VectorLike | Unset | None": optional(VECTOR),
    "JsonLike | Unset": Kind(
        lambda value: value is UNSET or JSON.fits(value), JSON.corpus, JSON.more
    ),
    "Mapping[str, JsonLike]": OBJECT,
    "Mapping[str, JsonLike] | None": optional(OBJECT),
    "Mapping[str, JsonLike] | str | Unset | None": Kind(
        lambda value: value is None or value is UNSET or isinstance(value, dict | str),
        (*VALUES, *TEXTS),
        st.one_of(OBJECT.more, MORE_TEXT),
    ),
    "NewState | None": optional(OBJECT),
    "bytes": BYTES,
    "bytes | None": optional(BYTES),
    "Mapping[str, str]": MAPPING,
    "Mapping[str, str] | None": optional(MAPPING),
    "Iterable[str]": IDS,
    "Iterable[str] | None": optional(IDS),
    "Sequence[str]": IDS,
    "Sequence[str] | None": optional(IDS),
    "Iterable[tuple[str, str]]": PAIRS,
    "Metric": choice("cosine", "l2", "inner_product"),
    "Event | str | None": row_kind(rows.Event, "id"),
    "Thread | str | None": row_kind(rows.Thread),
    "VersionedTask | TaskPosition | str | None": Kind(
        lambda value: value is None or isinstance(value, rows.VersionedTask | TaskPosition),
        after(rows.VersionedTask),
        MORE_OF_ANYTHING,
    ),
    "Iterable[NewChannelValue]": batch_kind(NewChannelValue),
    "Iterable[NewThreadWrite]": batch_kind(NewThreadWrite),
    "Iterable[NewTranscriptEntry]": batch_kind(NewTranscriptEntry),
    "Iterable[HistoryEntry]": batch_kind(HistoryEntry),
    "Iterable[NewStoreItem]": batch_kind(NewStoreItem),
    "Iterable[TaskWrites]": Kind(
        lambda value: (
            isinstance(value, Iterable)
            and all(isinstance(each, TaskWrites) for each in cast("Iterable[object]", value))
        ),
        (
            (),
            [TaskWrites("t-1", "", "c-1", "w-1", "", [])] * 2,
            [TaskWrites(cast("str", 7), "", "c-1", "w-1", "", [])],
            [TaskWrites("t-1", "", "c-1", "a\0b", "", [])],
            [TaskWrites("t-1", "", "c-1", "w-1", "", cast("list[NewThreadWrite]", [None]))],
            [("t-1", "", "c-1", "w-1", "")],
            [None],
            "text",
        ),
        MORE_OF_ANYTHING,
    ),
    "Iterable[StoreCondition]": Kind(
        lambda value: (
            isinstance(value, Iterable)
            and all(isinstance(each, StoreCondition) for each in cast("Iterable[object]", value))
        ),
        ((), [None], ["text"], "text", [{"path": "a"}]),
        MORE_OF_ANYTHING,
    ),
    "Iterable[ImportedCheckpoint]": batch_kind(ImportedCheckpoint),
    "Iterable[ImportedValue]": batch_kind(ImportedValue),
    "Iterable[ImportedWrite]": batch_kind(ImportedWrite),
    "Iterable[Sequence[VectorLike]] | None": optional(
        Kind(
            lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes),
            ((), [["1"]], [[[1.0]]], [7], [[7]], [[[math.nan]]], "text"),
            MORE_OF_ANYTHING,
        )
    ),
    "Order": choice("activity", "created", "oldest_first", "newest_first"),
    "OnDuplicate": choice("raise", "skip", "repeat"),
    "FeedbackIssueType | str | None": choice(*(issue.value for issue in FeedbackIssueType)),
    "FeedbackIssueType | str | Unset | None": optional(
        choice(*(issue.value for issue in FeedbackIssueType))
    ),
    "Agent | str | None": row_kind(rows.Agent, "id"),
    "AppSession | str | None": row_kind(rows.AppSession, "id", "user_id"),
    "Session | str | None": row_kind(rows.Session, "id"),
    "SessionShare | str | None": row_kind(rows.SessionShare, number=True),
    "Event | datetime | str | None": Kind(
        lambda value: value is None or isinstance(value, rows.Event | datetime),
        (*after(rows.Event, "id"), *MOMENTS),
        MORE_MOMENTS,
    ),
    "Task | str | None": row_kind(rows.Task, "id"),
    "PushNotification | str | None": row_kind(rows.PushNotification, "id"),
    "Feedback | str | None": row_kind(rows.Feedback, number=True),
    "Tool | str | None": row_kind(rows.Tool, "id"),
    "ToolServer | str | None": row_kind(rows.ToolServer, "name", "group_kind"),
    "Memory | str | None": row_kind(rows.Memory, "id"),
    "Iterable[NewEvent]": batch_kind(
        NewEvent, [event("e-1"), event("e-1")], [event("e-1"), event("e-2", data="a\0b")]
    ),
    "Iterable[NewTool]": batch_kind(
        NewTool,
        [NewTool(id="route"), NewTool(id="route")],
        [NewTool(id="a"), unchecked(NewTool, id="b", description="\ud800")],
    ),
    "Iterable[NewMemory]": batch_kind(
        NewMemory,
        [NewMemory(id="m-1", **GOOD_MEMORY), NewMemory(id="m-1", **GOOD_MEMORY)],
        [NewMemory(id="m-1", **GOOD_MEMORY), unchecked(NewMemory, id="", **GOOD_MEMORY)],
    ),
    "Iterable[NewCheckpointWrite]": batch_kind(
        NewCheckpointWrite,
        [NewCheckpointWrite(idx=0, **WRITE), NewCheckpointWrite(idx=0, **WRITE)],
        [NewCheckpointWrite(idx=0, **WRITE), NewCheckpointWrite(idx=-5, **WRITE)],
    ),
}
BATCHES: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "store_events": (
        "events",
        "NewEvent",
        {"id": "str", "user_id": "str", "session_id": "str | None", "data": "str"},
    ),
    "refresh_tools_for_server": (
        "tools",
        "NewTool",
        {"id": "str", "description": "str | None"},
    ),
    "save_history": (
        "entries",
        "HistoryEntry",
        {"id": "str", "parent_id": "str | None", "kind": "str", "data": "str"},
    ),
    "append_transcript": ("entries", "NewTranscriptEntry", {"id": "str", "data": "str"}),
    "store_checkpoint_writes": (
        "writes",
        "NewCheckpointWrite",
        {"idx": "int", "channel": "str", "value_type": "str", "value": "str"},
    ),
    "store_agent_memories": (
        "memories",
        "NewMemory",
        {
            "id": "str",
            "agent_name": "str",
            "user_id": "str",
            "content": "str",
            "embedding": "VectorLike | Unset | None",
            "metadata": "str | None",
            "expires_at": "datetime | Unset | None",
        },
    ),
}
"""The batch of a method: its argument, the model of its rows, and the kind of each field."""


@dataclass(frozen=True, slots=True)
class Case:
    """One argument of a method, or one field of the row in its batch."""

    method: str
    argument: str
    field: str | None
    kind: Kind

    def arguments(self, value: object) -> dict[str, object]:
        """Valid arguments, with this value for the tested one."""
        good = next(methods[self.method] for methods in METHODS.values() if self.method in methods)
        if self.field is None:
            return {**good, self.argument: value}
        row = cast("list[BaseModel]", good[self.argument])[0]
        hostile = unchecked(type(row), **{**vars(row), self.field: value})
        return {**good, self.argument: [hostile]}

    @property
    def name(self) -> str:
        """The pattern that the message of an error has to match."""
        return self.argument if self.field is None else f"{self.argument}[0].{self.field}"


FUNCTIONS: Final = ("embed", "on_progress")
"""Arguments that are called: a value that can be called may raise an error of its own."""


def cases(stores: type, *methods: str) -> list[Case]:
    """Every argument of these methods, from their signatures; a batch's fields as well."""
    found: list[Case] = []
    for method in methods:
        for name, parameter in inspect.signature(getattr(stores, method)).parameters.items():
            if name not in ("self", *FUNCTIONS):
                found.append(Case(method, name, None, KINDS[str(parameter.annotation)]))
        if method in BATCHES:
            argument, model, fields = BATCHES[method]
            assert set(getattr(rows, model).model_fields) == set(fields), f"{model} has others"
            found += [Case(method, argument, name, KINDS[kind]) for name, kind in fields.items()]
    return found


def public_methods(stores: Iterable[type]) -> list[str]:
    """The public coroutines and streams of these classes."""
    return sorted(
        {
            name
            for each in stores
            for name, function in vars(each).items()
            if not name.startswith("_")
            and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
        }
    )
