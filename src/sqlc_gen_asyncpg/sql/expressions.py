"""The parser of expressions, by the operator precedence of PostgreSQL's grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.literals import number, string, type_name
from sqlc_gen_asyncpg.sql.special_forms import special_form
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError
from sqlc_gen_asyncpg.sql.windows import over

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.stream import Stream

__all__ = ["Expressions"]

_BINARY: Final = {
    "or": 1, "and": 2, "<": 5, ">": 5, "=": 5, "<=": 5, ">=": 5, "<>": 5, "!=": 5,
    "+": 8, "-": 8, "*": 9, "/": 9, "%": 9, "^": 10,
}  # fmt: skip
_NOT, _IS, _LIKE, _OTHER, _AT, _UNARY = 3, 4, 6, 7, 11, 13
_NO_OPERATOR: Final = frozenset({"(", ")", "[", "]", ",", ".", ";", ":", ":=", "=>", "::", ".."})
_VALUES: Final = {
    "current_date": "date",
    "current_time": "timetz",
    "current_timestamp": "timestamptz",
    "localtime": "time",
    "localtimestamp": "timestamp",
    "current_user": "name",
    "session_user": "name",
    "user": "name",
    "current_role": "name",
    "current_catalog": "name",
    "current_schema": "name",
}
# Keywords that are no functions, although parentheses may follow.
_RESERVED: Final = frozenset({
    "select", "from", "where", "group", "having", "window", "union", "intersect", "except", "order",
    "limit", "offset", "fetch", "for", "when", "then", "else", "end", "and", "or", "not", "is",
    "in", "like", "ilike", "similar", "between", "as", "on", "using", "join", "left", "right",
    "inner", "full", "cross", "natural", "returning", "set", "into", "asc", "desc",
    "nulls", "collate", "with", "over", "filter",
})  # fmt: skip
_LITERAL_TYPES: Final = frozenset({
    "date", "time", "timestamp", "timestamptz", "interval", "json", "jsonb", "uuid", "inet", "text",
    "numeric", "point", "bytea", "float8", "int4", "bool", "boolean",
})  # fmt: skip


class Expressions:
    """A parser of expressions; `read_query` reads a subquery."""

    __slots__ = ("_read_query", "stream")

    def __init__(self, stream: Stream, read_query: Callable[[], nodes.Query]) -> None:
        self.stream = stream
        self._read_query = read_query

    def subquery(self) -> nodes.Query:
        """Read a subquery."""
        return self._read_query()

    def expression(self, least: int = 0) -> Expr:
        """Read an expression with operators of this precedence or a higher one."""
        left = self._unary()
        while True:
            operation = self._infix(left, least)
            if operation is None:
                return left
            left = operation

    def several(self, end: str = ")") -> tuple[Expr, ...]:
        """Read expressions up to and including `end`."""
        exprs: list[Expr] = []
        while not self.stream.take(end):
            if exprs:
                self.stream.expect(",")
            exprs.append(self.expression())
        return tuple(exprs)

    def _unary(self) -> Expr:
        stream = self.stream
        token = stream.here
        if stream.take("not"):
            return nodes.Op("not", None, self.expression(_NOT))
        if token.kind == "op" and token.text not in _NO_OPERATOR | {"*"}:
            stream.next()
            tight = _UNARY if token.text in {"+", "-"} else _OTHER
            return nodes.Op(token.text, None, self.expression(tight))
        return self._postfix(self._primary())

    def _postfix(self, expr: Expr) -> Expr:
        stream = self.stream
        while True:
            if stream.take("::"):
                expr = nodes.Cast(expr, *type_name(stream))
            elif stream.take("["):
                expr = self.subscript(expr)
            elif stream.at(".") and not isinstance(expr, nodes.Ref):
                stream.next()
                expr = nodes.Member(expr, "*" if stream.take("*") else stream.name())
            else:
                return expr

    def subscript(self, expr: Expr) -> Expr:
        """Read an index or a slice after its opening bracket."""
        stream = self.stream
        subscripts: list[Expr] = []
        is_slice = False
        while not stream.take("]"):
            if stream.take(":"):
                is_slice = True
            else:
                subscripts.append(self.expression())
        return nodes.Index(expr, tuple(subscripts), is_slice)

    def _infix(self, left: Expr, least: int) -> Expr | None:
        stream = self.stream
        token = stream.here
        if token.kind == "word":
            return self._word_infix(left, token.text, least)
        if token.kind != "op" or token.text in _NO_OPERATOR:
            return None
        power = _BINARY.get(token.text, _OTHER)
        if power < least:
            return None
        stream.next()
        return self._right_operand(left, token.text, power)

    def _right_operand(self, left: Expr, op: str, power: int) -> Expr:
        stream = self.stream
        for word in ("any", "all", "some"):
            if stream.at(word, "("):
                stream.position += 2
                query = self._closed_subquery()
                if query:
                    return nodes.In(left, (), query)
                right = self.expression()
                stream.expect(")")
                return nodes.Quantified(op, left, right)
        return nodes.Op("<>" if op == "!=" else op, left, self.expression(power + 1))

    def _word_infix(  # noqa: PLR0911  # one per word
        self, left: Expr, word: str, least: int
    ) -> Expr | None:
        stream = self.stream
        if word in {"and", "or"} and _BINARY[word] >= least:
            stream.next()
            return nodes.Op(word, left, self.expression(_BINARY[word] + 1))
        if word in {"is", "isnull", "notnull"} and least <= _IS:
            return self._is(left)
        if word == "collate":
            stream.next()
            stream.dotted()
            return left
        if word == "at" and least <= _AT and stream.ahead().text in {"time", "local"}:
            return self._at_zone(left)
        if word == "operator" and stream.ahead().text == "(" and least <= _OTHER:
            stream.position += 2
            while stream.ahead().text == ".":
                stream.position += 2
            op = stream.next().text
            stream.expect(")")
            return self._right_operand(left, op, _OTHER)
        if word == "overlaps" and least <= _OTHER:
            stream.next()
            right = self.expression(_OTHER)
            rows = [each.items for each in (left, right) if isinstance(each, nodes.Row)]
            return nodes.Call("overlaps", tuple(item for row in rows for item in row))
        if least <= _LIKE:
            return self._like(left)
        return None

    def _at_zone(self, left: Expr) -> Expr:
        stream = self.stream
        stream.next()
        if stream.take("local"):
            return nodes.Call("timezone", (left,))
        stream.expect("time")
        stream.expect("zone")
        return nodes.Call("timezone", (self.expression(_AT + 1), left))

    def _is(self, left: Expr) -> Expr:
        stream = self.stream
        operator = stream.next().text
        if operator != "is":
            return nodes.Test("null", (left,), operator == "notnull")
        negated = stream.take("not")
        if stream.take("distinct"):
            stream.expect("from")
            return nodes.Test("distinct", (left, self.expression(_IS + 1)))
        kind = stream.next().text
        if kind in {"nfc", "nfd", "nfkc", "nfkd"}:
            kind = stream.next().text
        while stream.at_any(
            "json", "normalized", "object", "array", "scalar", "value", "unique", "keys", "with"
        ):
            stream.next()
        return nodes.Test(kind, (left,), negated)

    def _like(self, left: Expr) -> Expr | None:
        stream = self.stream
        start = stream.position
        stream.take("not")
        if stream.take("in"):
            return self._in(left)
        if stream.take("between"):
            stream.take("symmetric")
            low = nodes.Op(">=", left, self.expression(_OTHER))
            stream.expect("and")
            return nodes.Op("and", low, nodes.Op("<=", left, self.expression(_OTHER)))
        similar = stream.take("similar")
        if similar:
            stream.expect("to")
        if similar or stream.take("like") or stream.take("ilike"):
            operation = self._right_operand(left, "~~", _LIKE)
            if stream.take("escape"):
                self.expression(_OTHER)
            return operation
        stream.position = start
        return None

    def _in(self, left: Expr) -> Expr:
        self.stream.expect("(")
        query = self._closed_subquery()
        return nodes.In(left, (), query) if query else nodes.In(left, self.several())

    def _closed_subquery(self) -> nodes.Query | None:
        """Read a subquery and `)`; None before another expression, as in `(SELECT 1), 2)`."""
        stream = self.stream
        start, nested = stream.position, stream.at("(")
        if not self._at_query():
            return None
        try:
            query = self.subquery()
            stream.expect(")")
        except SqlSyntaxError:
            if not nested:
                raise
            stream.position = start
            return None
        return query

    def _at_query(self) -> bool:
        offset = 0
        while self.stream.ahead(offset).text == "(" and self.stream.ahead(offset).kind == "op":
            offset += 1
        token = self.stream.ahead(offset)
        if token.kind == "word" and token.text == "values":  # also a column's name
            return self.stream.ahead(offset + 1).text == "("
        return token.kind == "word" and token.text in {"select", "with"}

    def _primary(self) -> Expr:  # noqa: PLR0911  # one per kind of token
        stream = self.stream
        token = stream.here
        if token.kind == "string":
            stream.next()
            return string(token.text)
        if token.kind == "number":
            stream.next()
            return number(token.text)
        if token.kind == "param":
            stream.next()
            return nodes.Param(int(token.text[1:]))
        if token.kind == "op" and token.text == "(":
            inner = self._parentheses()
            if isinstance(inner, nodes.Ref) and stream.take("."):
                return nodes.Member(inner, "*" if stream.take("*") else stream.name())
            return inner
        if token.kind == "word" and token.text in _RESERVED and stream.ahead().text != "(":
            raise SqlSyntaxError(f"{token.text} does not begin an expression")
        if token.kind == "word":
            return self._word(token.text)
        return self._reference()

    def _parentheses(self) -> Expr:
        stream = self.stream
        stream.next()
        query = self._closed_subquery()
        if query:
            return nodes.Subquery("one", query)
        items = self.several()
        return items[0] if len(items) == 1 else nodes.Row(items)

    def _word(self, word: str) -> Expr:
        stream = self.stream
        if word in {"true", "false", "null"}:
            stream.next()
            return nodes.Const("null" if word == "null" else "bool", word)
        if word in _VALUES and stream.ahead().text != ".":
            stream.next()
            if stream.at("("):
                stream.skip_parentheses()
            return nodes.Cast(nodes.Const("unknown"), _VALUES[word], 0)
        if word in _LITERAL_TYPES | {"double", "bit"}:
            literal = self._typed_literal()
            if literal:
                return literal
        return special_form(self, word) or self._reference()

    def _typed_literal(self) -> Expr | None:
        """Read `interval '1 day'`."""
        stream = self.stream
        start = stream.position
        try:
            name, dims = type_name(stream)
        except SqlSyntaxError:
            stream.position = start
            return None
        if stream.here.kind != "string":
            stream.position = start
            return None
        stream.next()
        while name == "interval" and stream.at_any(
            "year", "month", "day", "hour", "minute", "second", "to"
        ):
            stream.next()
        return nodes.Cast(nodes.Const("unknown"), name, dims)

    def _reference(self) -> Expr:
        stream = self.stream
        if stream.take("*"):
            return nodes.Ref(("*",))
        parts = stream.dotted()
        if stream.take("("):
            return self.call(*parts[-1:-3:-1])
        return nodes.Ref(parts)

    def call(self, name: str, schema: str = "") -> Expr:
        """Read a call after its opening parenthesis."""
        stream = self.stream
        args: list[Expr] = []
        extra: list[Expr] = []
        names: list[str] = []
        variadic = False
        if not stream.take("*"):
            stream.take("distinct")
            stream.take("all")
            while not stream.at(")") and not stream.at("order", "by"):
                if args:
                    stream.expect(",")
                variadic = stream.take("variadic") or variadic
                names.append(self._argument_name())
                args.append(self.expression())
            if stream.take("order", "by"):
                extra += self.order()
        stream.expect(")")
        if stream.take("within", "group"):
            stream.expect("(")
            stream.expect("order")
            stream.expect("by")
            args += self.order()
            stream.expect(")")
        filtered = stream.take("filter")
        if filtered:
            stream.expect("(")
            stream.expect("where")
            extra.append(nodes.Test("true", (self.expression(),)))
            stream.expect(")")
        if stream.take("ignore", "nulls"):
            pass
        window, window_exprs = over(self)
        extra += window_exprs
        argument_names = tuple(names) if any(names) else ()
        items = tuple(extra)
        return nodes.Call(
            name, tuple(args), filtered, window, items, variadic, argument_names, schema
        )

    def _argument_name(self) -> str:
        """Read the name of an argument (`days => 1`); empty without one."""
        if self.stream.ahead().text not in {"=>", ":="}:
            return ""
        name = self.stream.name()
        self.stream.next()
        return name

    def order(self) -> list[Expr]:
        """Read the expressions after ORDER BY."""
        stream = self.stream
        exprs: list[Expr] = []
        while not exprs or stream.take(","):
            exprs.append(self.expression())
            if stream.take("using"):
                stream.next()
            if not stream.take("asc"):
                stream.take("desc")
            if stream.take("nulls"):
                stream.next()
        return exprs
