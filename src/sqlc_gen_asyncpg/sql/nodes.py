"""The syntax tree of a statement, as far as its types depend on it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Array",
    "Body",
    "Call",
    "CallStatement",
    "Case",
    "Cast",
    "Const",
    "Cte",
    "Derived",
    "Dml",
    "Expr",
    "FixedType",
    "Functions",
    "In",
    "Index",
    "Item",
    "Join",
    "Member",
    "Op",
    "Param",
    "Quantified",
    "Query",
    "Ref",
    "Row",
    "Select",
    "SetOp",
    "Source",
    "Subquery",
    "Table",
    "Test",
    "Values",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a column; the last part may be `*`."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; a quoted one has the type `unknown`, and NULL the type `null`."""

    type: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    """`$number`."""

    number: int


@dataclass(frozen=True, slots=True)
class Cast:
    """`expr::type`."""

    expr: Expr
    type: str
    dims: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function.

    `over` is the name of its window: empty for an unnamed window, None without OVER. `names` are
    the names of its arguments (`days => 1`), and `extra` the expressions of ORDER BY, FILTER and
    OVER. With `variadic` the last argument is an array. `schema` is empty if it is not given.
    """

    name: str
    args: tuple[Expr, ...]
    filtered: bool = False
    over: str | None = None
    extra: tuple[Expr, ...] = ()
    variadic: bool = False
    names: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Op:
    """An operator; AND, OR and NOT too."""

    op: str
    left: Expr | None
    right: Expr


@dataclass(frozen=True, slots=True)
class Quantified:
    """`left op ANY (right)`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class In:
    """`left IN (…)`."""

    left: Expr
    items: tuple[Expr, ...]
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """CASE; `subject` and the conditions matter only to parameters."""

    subject: Expr | None
    conditions: tuple[Expr, ...]
    results: tuple[Expr, ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Subquery:
    """A subquery."""

    kind: Literal["one", "exists", "array"]
    query: Query


@dataclass(frozen=True, slots=True)
class Array:
    """`ARRAY[…]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """`ROW(…)` or `(a, b)`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """`x IS NULL` and the like: true or false; `negated` with NOT."""

    kind: str
    exprs: tuple[Expr, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """`(composite).name`."""

    expr: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`expr[…]`; a slice has the dimensions of the array."""

    expr: Expr
    subscripts: tuple[Expr, ...]
    slice: bool


@dataclass(frozen=True, slots=True)
class FixedType:
    """An expression of a fixed type, as JSON_EXISTS."""

    type: str
    exprs: tuple[Expr, ...]
    nullable: bool


Expr: TypeAlias = (
    Ref
    | Const
    | Param
    | Cast
    | Call
    | Op
    | Quantified
    | In
    | Case
    | Subquery
    | Array
    | Row
    | Test
    | Member
    | Index
    | FixedType
)


@dataclass(frozen=True, slots=True)
class Item:
    """An expression of a SELECT list; `start` is its offset in the text."""

    expr: Expr
    alias: str = ""
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a FROM clause; `sample` are the numbers of TABLESAMPLE with their types."""

    parts: tuple[str, ...]
    alias: str = ""
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[Expr, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A subquery of a FROM clause."""

    query: Query
    alias: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions in a FROM clause; `defined` are the columns of `AS t(name type)`."""

    calls: tuple[Expr, ...]
    alias: str = ""
    columns: tuple[str, ...] = ()
    defined: tuple[tuple[str, str, int], ...] = ()
    ordinality: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """Two sources; `kind` is inner, left, right or full."""

    kind: str
    left: Source
    right: Source
    using: tuple[str, ...] = ()
    on: Expr | None = None
    natural: bool = False
    alias: str = ""


Source: TypeAlias = Table | Derived | Functions | Join


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT; `groups` is true with a GROUP BY, `sets` if that has grouping sets.

    `others` are the expressions of DISTINCT ON, GROUP BY and WINDOW. `frame_may_exclude_row` are
    the names of the windows with a frame that may exclude the current row.
    """

    items: tuple[Item, ...]
    sources: tuple[Source, ...]
    conditions: tuple[Expr, ...] = ()
    groups: bool = False
    sets: bool = False
    having: bool = False
    others: tuple[Expr, ...] = ()
    frame_may_exclude_row: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """VALUES."""

    rows: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True, slots=True)
class SetOp:
    """UNION, INTERSECT or EXCEPT."""

    op: str
    left: Query
    right: Query


@dataclass(frozen=True, slots=True)
class Dml:
    """INSERT, UPDATE or DELETE.

    `may_skip_row`: ON CONFLICT may neither insert nor update a row.
    """

    kind: str
    target: Table
    columns: tuple[str, ...] = ()
    source: Query | None = None
    sets: tuple[tuple[Expr, Expr], ...] = ()
    sources: tuple[Source, ...] = ()
    conditions: tuple[Expr, ...] = ()
    returning: tuple[Item, ...] = ()
    conflict: bool = False
    may_skip_row: bool = False


@dataclass(frozen=True, slots=True)
class CallStatement:
    """CALL of a procedure."""

    call: Expr


Body: TypeAlias = Select | Values | SetOp | Dml | CallStatement


@dataclass(frozen=True, slots=True)
class Cte:
    """One WITH query."""

    name: str
    columns: tuple[str, ...]
    query: Query
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, or a subquery."""

    ctes: tuple[Cte, ...]
    body: Body
    order: tuple[Expr, ...] = ()
    limits: tuple[Expr, ...] = ()


_FIELD_NAMES: Final[dict[type, tuple[str, ...] | None]] = {}
_LEAVES: Final = frozenset({str, bool, int, type(None)})


def walk(part: object, *, queries: bool = False) -> Iterator[object]:
    """Yield a node and its descendants; with `queries`, those inside of subqueries too."""
    if isinstance(part, tuple):
        for item in cast("tuple[object, ...]", part):
            yield from walk(item, queries=queries)
        return
    names = _field_names(type(part))
    if names is not None and (queries or not isinstance(part, Query)):
        yield part
        for name in names:
            value = getattr(part, name)
            if type(value) not in _LEAVES:
                yield from walk(value, queries=queries)


def _field_names(kind: type) -> tuple[str, ...] | None:
    """Return the names of the fields of a node's class, None for another class."""
    if kind not in _FIELD_NAMES:
        names = tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None
        _FIELD_NAMES[kind] = names
    return _FIELD_NAMES[kind]
