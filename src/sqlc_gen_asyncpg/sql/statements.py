"""The parser of statements: it reads the parts that determine types and skips the rest."""

from __future__ import annotations

from typing import Final

from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.dml import changes
from sqlc_gen_asyncpg.sql.expressions import Expressions
from sqlc_gen_asyncpg.sql.literals import type_name
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize
from sqlc_gen_asyncpg.sql.windows import window

__all__ = ["Statements", "parse"]

_NO_ALIAS: Final = frozenset({
    "from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit",
    "offset", "fetch", "for", "on", "using", "join", "left", "right", "inner", "full", "cross",
    "natural", "returning", "set", "values", "when", "as", "tablesample", "with",
})  # fmt: skip
_JOINS: Final = frozenset({"join", "left", "right", "inner", "full", "cross", "natural"})
# Binds tighter than every binary operator: reads a call or a literal alone.
_TIGHT: Final = 12


def parse(sql: str) -> nodes.Query:
    """Parse one statement, with or without semicolons at its end.

    Raises:
        SqlSyntaxError: the statement has a syntax that this parser does not support; with the
            position.

    """
    stream = Stream(tokenize(sql))
    try:
        return _statement(stream)
    except RecursionError as error:
        raise SqlSyntaxError("the statement is nested too deeply") from error
    except SqlSyntaxError as error:
        error.position = stream.here.start
        raise


def _statement(stream: Stream) -> nodes.Query:
    query = Statements(stream).query()
    while stream.take(";"):
        pass
    if stream.here.kind != "end":
        raise SqlSyntaxError(f"unexpected {stream.here.text}")
    return query


class Statements:
    """A parser of statements."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.expressions = Expressions(stream, self.query)

    def query(self) -> nodes.Query:
        """Read a statement with its CTEs."""
        ctes = self._ctes()
        body = self._set_operation(0)
        order: tuple[nodes.Expr, ...] = ()
        limits: list[nodes.Expr] = []
        stream = self.stream
        while True:
            if stream.take("order", "by"):
                order = tuple(self.expressions.order())
            elif stream.take("limit"):
                if not stream.take("all"):
                    limits.append(self.expressions.expression())
            elif stream.take("offset"):
                limits.append(self.expressions.expression())
                _ = stream.take("row") or stream.take("rows")
            elif stream.take("fetch"):
                stream.next()
                if not stream.at_any("row", "rows"):
                    limits.append(self.expressions.expression(_TIGHT))
                while stream.at_any("row", "rows", "only", "with", "ties"):
                    stream.next()
            elif stream.at("for") and stream.ahead().text in {"update", "share", "no", "key"}:
                self._skip_row_lock()
            else:
                break
        return nodes.Query(ctes, body, order, tuple(limits))

    def _skip_row_lock(self) -> None:
        stream = self.stream
        stream.next()
        while stream.at_any("update", "share", "no", "key", "nowait", "skip", "locked"):
            stream.next()
            if stream.take("of"):
                stream.dotted()
                while stream.take(","):
                    stream.dotted()

    def _ctes(self) -> tuple[nodes.Cte, ...]:
        stream = self.stream
        if not stream.take("with"):
            return ()
        recursive = stream.take("recursive")
        ctes: list[nodes.Cte] = []
        while not ctes or stream.take(","):
            name = stream.name()
            columns = stream.names() if stream.at("(") else ()
            stream.expect("as")
            stream.take("not")
            stream.take("materialized")
            stream.expect("(")
            ctes.append(nodes.Cte(name, columns, self.query(), recursive))
            stream.expect(")")
            if stream.at_any("search", "cycle"):
                raise SqlSyntaxError("SEARCH and CYCLE are not supported")
        return tuple(ctes)

    def _set_operation(self, least: int) -> nodes.Body:
        left = self._operand()
        stream = self.stream
        while stream.at_any("union", "except", "intersect"):
            power = 2 if stream.at("intersect") else 1
            if power <= least:
                break
            op = stream.next().text
            _ = stream.take("all") or stream.take("distinct")
            right = self._set_operation(power)
            left = nodes.SetOp(op, nodes.Query((), left), nodes.Query((), right))
        return left

    def _operand(self) -> nodes.Body:
        stream = self.stream
        if stream.take("("):
            inner = self.query()
            stream.expect(")")
            if inner.ctes or inner.order or inner.limits:
                return nodes.Select((nodes.Item(nodes.Ref(("*",))),), (nodes.Derived(inner),))
            return inner.body
        if stream.take("select"):
            return self._select()
        if stream.take("values"):
            return self._values()
        return changes(self)

    def _values(self) -> nodes.Values:
        stream = self.stream
        rows: list[tuple[nodes.Expr, ...]] = []
        while not rows or stream.take(","):
            stream.expect("(")
            rows.append(self.expressions.several())
        return nodes.Values(tuple(rows))

    def _select(self) -> nodes.Select:
        stream = self.stream
        conditions: list[nodes.Expr] = []
        others: list[nodes.Expr] = []
        frame_may_exclude_row: list[str] = []
        if stream.take("distinct"):
            if stream.take("on"):
                stream.expect("(")
                others += self.expressions.several()
        else:
            stream.take("all")
        items = self.items()
        sources = self.sources() if stream.take("from") else ()
        if stream.take("where"):
            conditions.append(self.expressions.expression())
        groups = sets = False
        if stream.take("group", "by"):
            groups, sets = self._groups(others)
        having = stream.take("having")
        if having:
            conditions.append(self.expressions.expression())
        if stream.take("window"):
            frame_may_exclude_row += self._window(others)
            while stream.take(","):
                frame_may_exclude_row += self._window(others)
        return nodes.Select(
            items,
            sources,
            tuple(conditions),
            groups,
            sets,
            having,
            tuple(others),
            tuple(frame_may_exclude_row),
        )

    def _window(self, others: list[nodes.Expr]) -> list[str]:
        """Read a window; return its name if its frame may exclude the current row."""
        name = self.stream.name()
        self.stream.expect("as")
        exprs, may_exclude_row = window(self.expressions)
        others += exprs
        return [name] if may_exclude_row else []

    def _groups(self, others: list[nodes.Expr]) -> tuple[bool, bool]:
        """Read GROUP BY; return whether there are groups, and whether there are grouping sets."""
        stream = self.stream
        _ = stream.take("distinct") or stream.take("all")
        sets = False
        first = True
        while first or stream.take(","):
            first = False
            if stream.take("grouping", "sets"):
                stream.skip_parentheses()
                sets = True
            elif (stream.at("rollup") or stream.at("cube")) and stream.ahead().text == "(":
                stream.next()
                stream.skip_parentheses()
                sets = True
            elif stream.at("(", ")"):
                stream.position += 2
                sets = True
            else:
                others.append(self.expressions.expression())
        return True, sets

    def items(self) -> tuple[nodes.Item, ...]:
        """Read the expressions of a SELECT list or of RETURNING."""
        stream = self.stream
        items: list[nodes.Item] = []
        if stream.at("from"):
            return ()
        while not items or stream.take(","):
            start = stream.here.start
            expr = self.expressions.expression()
            alias = ""
            if stream.take("as") or (
                stream.here.kind in {"word", "quoted"} and not self._at_clause()
            ):
                alias = stream.name()
            items.append(nodes.Item(expr, alias, start))
        return tuple(items)

    def _at_clause(self) -> bool:
        token = self.stream.here
        return token.kind == "word" and token.text in _NO_ALIAS

    def sources(self) -> tuple[nodes.Source, ...]:
        """Read a FROM clause."""
        sources = [self.source()]
        while self.stream.take(","):
            sources.append(self.source())
        return tuple(sources)

    def source(self) -> nodes.Source:
        """Read a table with its joins."""
        left = self._relation()
        stream = self.stream
        while stream.at_any(*_JOINS):
            natural = stream.take("natural")
            kind = "inner"
            if stream.at_any("left", "right", "full"):
                kind = stream.next().text
                stream.take("outer")
            else:
                _ = stream.take("cross") or stream.take("inner")
            stream.expect("join")
            right = self._relation_or_join()
            using: tuple[str, ...] = ()
            on = None
            alias = ""
            if stream.take("on"):
                on = self.expressions.expression()
            elif stream.take("using"):
                using = stream.names()
                alias = stream.name() if stream.take("as") else ""
            left = nodes.Join(kind, left, right, using, on, natural, alias)
        return left

    def _relation_or_join(self) -> nodes.Source:
        """Read the right side of a join.

        In `a JOIN b JOIN c ON … ON …` the right side of the first join is the second one.
        """
        start = self.stream.position
        right = self._relation()
        if self.stream.at_any("on", "using") or not self.stream.at_any(*_JOINS):
            return right
        after = self.stream.position
        try:
            self.stream.position = start
            nested = self.source()
            if self.stream.at_any("on", "using"):
                return nested
        except SqlSyntaxError:
            pass
        self.stream.position = after
        return right

    def _relation(self) -> nodes.Source:
        stream = self.stream
        stream.take("only")
        lateral = stream.take("lateral")
        if stream.at("(") and not lateral and not self._at_subquery():
            stream.next()
            source = self.source()
            stream.expect(")")
            return source
        if stream.take("("):
            query = self.query()
            stream.expect(")")
            return nodes.Derived(query, *self._alias())
        if stream.take("rows", "from"):
            return self._functions(self._calls())
        start = stream.position
        parts = stream.dotted()
        if stream.at("("):
            stream.position = start
            return self._functions((self.expressions.expression(_TIGHT),))
        stream.take("*")
        alias, columns = self._alias()
        return nodes.Table(parts, alias, columns, self._sample())

    def _sample(self) -> tuple[tuple[nodes.Expr, str], ...]:
        stream = self.stream
        numbers: list[tuple[nodes.Expr, str]] = []
        if stream.take("tablesample"):
            stream.dotted()
            stream.expect("(")
            numbers += [(number, "float4") for number in self.expressions.several()]
            if stream.take("repeatable"):
                stream.expect("(")
                numbers += [(number, "float8") for number in self.expressions.several()]
        return tuple(numbers)

    def _at_subquery(self) -> bool:
        offset = 0
        while self.stream.ahead(offset).text == "(":
            offset += 1
        return self.stream.ahead(offset).text in {"select", "with", "values"}

    def _calls(self) -> tuple[nodes.Expr, ...]:
        stream = self.stream
        stream.expect("(")
        calls: list[nodes.Expr] = []
        while not calls or stream.take(","):
            calls.append(self.expressions.expression(_TIGHT))
        stream.expect(")")
        return tuple(calls)

    def _functions(self, calls: tuple[nodes.Expr, ...]) -> nodes.Functions:
        """Read the alias and the columns of functions in a FROM clause."""
        stream = self.stream
        ordinality = stream.take("with", "ordinality")
        alias = ""
        if stream.take("as") and stream.at("("):
            return nodes.Functions(calls, "", (), self._column_definitions(), ordinality)
        if stream.here.kind in {"word", "quoted"} and not self._at_clause():
            alias = stream.name()
        columns: tuple[str, ...] = ()
        if stream.at("("):
            start = stream.position
            try:
                columns = stream.names()
            except SqlSyntaxError:
                stream.position = start
                return nodes.Functions(calls, alias, (), self._column_definitions(), ordinality)
        return nodes.Functions(calls, alias, columns, (), ordinality)

    def _column_definitions(self) -> tuple[tuple[str, str, int], ...]:
        stream = self.stream
        stream.expect("(")
        columns: list[tuple[str, str, int]] = []
        while not columns or stream.take(","):
            columns.append((stream.name(), *type_name(stream)))
        stream.expect(")")
        return tuple(columns)

    def _alias(self) -> tuple[str, tuple[str, ...]]:
        stream = self.stream
        alias = ""
        if stream.take("as") or (stream.here.kind in {"word", "quoted"} and not self._at_clause()):
            alias = stream.name()
        return alias, stream.names() if alias and stream.at("(") else ()
