"""Where sqlc's static inference cannot be trusted, and what to write instead.

Without a database sqlc takes `1 - (a <=> b)` for an int, `date_trunc` for an interval and `sum` for
never NULL. A wrong type would only show when the query runs, so these are refused here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.build.slices import TRUSTED_FUNCTIONS, flatten
from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.protocol import Column

__all__ = ["check_expression"]

# NULL where there are no rows, or by their nature.
_NULLABLE: Final = frozenset({
    "array_agg", "avg", "bit_and", "bit_or", "bool_and", "bool_or", "every", "first_value",
    "json_agg", "jsonb_agg", "lag", "last_value", "lead", "max", "min", "nth_value", "nullif",
    "percentile_cont", "percentile_disc", "stddev", "string_agg", "sum", "variance",
})  # fmt: skip
_CAST: Final = re.compile(
    r"""
    (?: \$?[\w.]+ )? (?: \s*\(_*\) )?                             # a name, a call or (…)
    (?: \s* FILTER \s* \(_*\) )? (?: \s* OVER \s* (?:\(_*\)|\w+) )?
    (?: \s* :: \s* [\w. ]+ (?:\(_*\))? (?:\[_*\])* )+ $           # cast, at least once
    | CAST \s* \(_*\) $
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ALIAS: Final = re.compile(r"\s+AS\s+\w+$", re.IGNORECASE)
_OPERATOR: Final = re.compile(r"[-+*/%^|#&~@]|<=>|<->")
_NUMBER: Final = re.compile(r"[-+]?[\d.]+$")


def check_expression(column: Column, item: str, *, marked: bool) -> None:
    """Refuse a result's expression whose type or nullability sqlc guesses wrongly."""
    expression = _ALIAS.sub("", item)
    flat = flatten(expression)
    call = re.match(r"(\w+)\s*\(", flat)
    function = call[1].lower() if call else ""
    if not _CAST.match(flat):
        if column.is_call and function and function not in TRUSTED_FUNCTIONS:
            raise Refused(f"the type of {function}(…) is not sure; cast it: {function}(…)::text")
        if function == "nullif":
            raise Refused('the type of NULLIF is not sure; cast it: NULLIF(…)::text AS "name?"')
        if column.type.name != "bool" and not column.is_call and not _NUMBER.match(flat):
            _check_operators(flat)
    inner = re.match(r"CAST\s*\(\s*(\w+)\s*\(", expression, re.IGNORECASE)
    if not marked and (inner[1].lower() if inner else function) in _NULLABLE:
        name = inner[1].lower() if inner else function
        alias = column.name or name
        raise Refused(
            f'{name}(…) may be NULL; say it: AS "{alias}?", or AS "{alias}!" if it never is'
        )


def _check_operators(flat: str) -> None:
    if _OPERATOR.search(flat):
        raise Refused("the type of an expression is not sure; cast all of it: (…)::float8")
