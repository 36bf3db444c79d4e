"""What can be read off a query's text without a grammar.

The text is never rendered anew. It is masked (literals and comments blanked, at equal length), so
that words can be searched for, and flattened (what stands in parentheses blanked), so that only the
outermost statement's words are found. Whatever is not surely so is answered with no. A parser would
know more, but importing one costs more time than all the rest of a run.
"""

from __future__ import annotations

import re
from typing import Final

from sqlc_gen_asyncpg.errors import Refused

__all__ = [
    "TRUSTED_FUNCTIONS",
    "always_one_row",
    "flatten",
    "has_outer_join",
    "mask",
    "result_items",
    "rewrite_slices",
    "scalars_in_any",
]

_LITERAL: Final = re.compile(
    r"""
      (?P<string> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
                | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<comment> --[^\r\n]* )
    | (?P<block> /\* )
    """,
    re.VERBOSE | re.DOTALL,
)

# Functions that return one value per call, of the type that sqlc takes for theirs.
TRUSTED_FUNCTIONS: Final = frozenset({
    "array_length", "array_position", "bool_and", "bool_or", "btrim", "cardinality", "char_length",
    "clock_timestamp", "concat", "concat_ws", "count", "current_database", "current_setting",
    "current_user", "encode", "every", "exists", "format", "gen_random_uuid", "hashtext",
    "hashtextextended", "initcap", "left", "length", "lower", "lpad", "ltrim", "md5", "now",
    "octet_length", "position", "quote_ident", "quote_literal", "rank", "dense_rank", "repeat",
    "replace", "reverse", "right", "row_number", "rpad", "rtrim", "set_config", "split_part",
    "starts_with", "statement_timestamp", "strpos", "substr", "to_char", "to_hex",
    "transaction_timestamp", "translate", "trim", "txid_current", "upper", "uuidv4", "uuidv7",
    "version", "pg_advisory_xact_lock", "pg_try_advisory_lock", "pg_try_advisory_xact_lock",
    "pg_advisory_unlock", "pg_backend_pid",
})  # fmt: skip
_SYNTAX: Final = frozenset({
    "all", "and", "any", "array", "as", "between", "case", "cast", "coalesce", "distinct", "else",
    "end", "exists", "filter", "from", "greatest", "in", "is", "least", "like", "not", "null",
    "nullif", "or", "over", "partition", "row", "select", "some", "then", "when", "where", "with",
})  # fmt: skip
_AGGREGATES: Final = (
    "array_agg|avg|bit_and|bit_or|bool_and|bool_or|count|every|json_agg|json_object_agg|jsonb_agg|"
    "jsonb_object_agg|max|min|stddev|string_agg|sum|variance"
)
_ENDS_LIST: Final = frozenset({
    "FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT",
    "OFFSET", "FETCH", "FOR",
})  # fmt: skip
_MAY_CUT: Final = frozenset({
    "GROUP", "HAVING", "UNION", "INTERSECT", "EXCEPT", "LIMIT", "OFFSET", "FETCH",
})  # fmt: skip


def mask(sql: str) -> str:
    """Blank the text: literals to zeros, quoted names to q, comments to blanks, at equal length."""
    out: list[str] = []
    position = 0
    while match := _LITERAL.search(sql, position):
        out.append(sql[position : match.start()])
        position = _end_of_block(sql, match.end()) if match["block"] else match.end()
        filler = "0" if match["string"] else "q" if match["quoted"] else " "
        out.append(filler * (position - match.start()))
    return "".join(out) + sql[position:]


def _end_of_block(sql: str, position: int) -> int:
    """Where a block comment ends; they nest."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)


def flatten(masked: str) -> str:
    """Return a masked text with everything inside parentheses or brackets as underscores."""
    out: list[str] = []
    depth = 0
    for char in masked:
        depth -= char in ")]"
        out.append("_" if depth > 0 else char)
        depth += char in "(["
    return "".join(out)


def _words(flat: str) -> list[tuple[str, int, int]]:
    """Return the words of a flat text in capitals, with where they begin and end."""
    return [(m[0].upper(), m.start(), m.end()) for m in re.finditer(r"\w+", flat)]


def _statement(words: list[tuple[str, int, int]]) -> int:
    """Which word begins the outermost statement, behind its CTEs; -1 if none does."""
    for index, (word, _, _) in enumerate(words):
        if word in {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES"}:
            return index
    return -1


def result_items(sql: str) -> list[str]:
    """Return the masked expressions of the result, aliases included; none if not found."""
    masked = mask(sql)
    flat = flatten(masked)
    words = _words(flat)
    start = _statement(words)
    if start < 0:
        return []
    if words[start][0] == "SELECT":
        return _select_items(masked, flat, words[start:])
    for word, _, end in words[start:]:
        if word == "RETURNING":
            return _split(masked, flat, end, len(masked))
    return []


def _select_items(masked: str, flat: str, words: list[tuple[str, int, int]]) -> list[str]:
    begin, end = words[0][2], len(masked)
    if quantifier := re.compile(r"\s+(ALL\b|DISTINCT\b(\s+ON\s*\(_*\))?)", re.IGNORECASE).match(
        flat, begin
    ):
        begin = quantifier.end()
    previous = ""
    for word, word_start, _ in words[1:]:
        if word in _ENDS_LIST and word_start > begin and previous not in {"DISTINCT", "WITHIN"}:
            end = word_start
            break
        previous = word
    return _split(masked, flat, begin, end)


def _split(masked: str, flat: str, begin: int, end: int) -> list[str]:
    items: list[str] = []
    start = begin
    for position in range(begin, end):
        if flat[position] == ",":
            items.append(masked[start:position].strip())
            start = position + 1
    return [*items, masked[start:end].strip().rstrip(";").strip()]


def always_one_row(sql: str) -> bool:
    """Whether the statement surely returns a row, whatever the tables hold."""
    masked = mask(sql)
    words = _words(flatten(masked))
    start = _statement(words)
    if start < 0:
        return False
    names = [word for word, _, _ in words[start:]]
    if names[0] == "INSERT":
        return _insert_returns(names)
    if names[0] != "SELECT" or _MAY_CUT.intersection(names):
        return False
    items = " , ".join(result_items(sql))
    if "FROM" in names:
        return _has_aggregate(items)
    return "WHERE" not in names and _calls(items) <= TRUSTED_FUNCTIONS


def _insert_returns(names: list[str]) -> bool:
    if "VALUES" not in names or "SELECT" in names:
        return False
    if "CONFLICT" not in names:
        return True
    action = names[names.index("CONFLICT") :]
    return "UPDATE" in action and "WHERE" not in action[action.index("UPDATE") :]


def _calls(expression: str) -> set[str]:
    """Return the names of what looks like a function call."""
    return {name.lower() for name in re.findall(r"(\w+)\s*\(", expression)} - _SYNTAX


def _has_aggregate(items: str) -> bool:
    """Whether an aggregate stands outside of a subquery and without OVER."""
    flat_subqueries = _blank_subqueries(items)
    if re.search(
        r"\b(unnest|generate_\w+|\w+_(each|elements|to_table)\w*)\s*\(", items, re.IGNORECASE
    ):
        return False
    for match in re.finditer(rf"\b({_AGGREGATES})\s*\(", flat_subqueries, re.IGNORECASE):
        rest = flatten(flat_subqueries[match.end() - 1 :])
        if not re.match(r"\(_*\)\s*(FILTER\s*\(_*\)\s*)?OVER\b", rest, re.IGNORECASE):
            return True
    return False


def _blank_subqueries(masked: str) -> str:
    out = list(masked)
    for match in re.finditer(r"\(\s*(SELECT|WITH)\b", masked, re.IGNORECASE):
        inner = re.match(r"\(_*", flatten(masked[match.start() :]))
        if inner:
            for position in range(match.start() + 1, match.start() + inner.end()):
                out[position] = "_"
    return "".join(out)


def has_outer_join(sql: str) -> bool:
    """Whether there is an outer join anywhere in it."""
    return bool(re.search(r"\b(LEFT|RIGHT|FULL)\s+(OUTER\s+)?JOIN\b", mask(sql), re.IGNORECASE))


def scalars_in_any(sql: str, arrays: set[int]) -> list[int]:
    """Parameters used as `ANY($n)` or `ALL($n)` that are not arrays."""
    found = re.findall(r"\b(?:ANY|ALL|SOME)\s*\(\s*\$(\d+)\s*\)", mask(sql), re.IGNORECASE)
    return sorted({int(each) for each in found} - arrays)


def rewrite_slices(sql: str, slices: set[int]) -> str:
    """`x IN ($n)` as `x = ANY($n)`, and `NOT IN` as `<> ALL`, for these parameters."""
    if not slices:
        return sql
    masked = mask(sql)
    out: list[str] = []
    position = 0
    for match in re.finditer(r"\b(NOT\s+)?IN\s*\(\s*\$(\d+)\s*\)", masked, re.IGNORECASE):
        if int(match[2]) in slices:
            operator = "<> ALL" if match[1] else "= ANY"
            out += [sql[position : match.start()], f"{operator}(${match[2]})"]
            position = match.end()
    rewritten = "".join(out) + sql[position:]
    for number in sorted(slices):
        uses = re.findall(rf"\${number}\b", mask(rewritten))
        arrays = re.findall(rf"(?:= ANY|<> ALL)\(\${number}\)", mask(rewritten))
        if len(uses) != len(arrays):
            raise Refused("sqlc.slice must stand alone in IN (sqlc.slice(…)) or NOT IN (…)")
    return rewritten
