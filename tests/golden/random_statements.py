# ruff: noqa: S608  # the statements are made of constants
"""Random statements on two tables: joins, CTEs, windows, set operations and DML with RETURNING."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ["COLUMNS", "TABLES", "RandomStatements"]

TABLES: Final = """
CREATE TABLE a (id int NOT NULL, n int, x text, tags int[] NOT NULL, at timestamptz NOT NULL);
CREATE TABLE b (id int NOT NULL, a_id int, v numeric, y text NOT NULL, more int[]);
INSERT INTO a VALUES
    (1, 1, 'a,b', '{1,2}', 'infinity'), (2, NULL, NULL, '{}', '2026-01-01'),
    (3, 3, '', '{3}', '2026-01-02'), (4, NULL, 'c', '{1}', '2026-01-03');
INSERT INTO b VALUES
    (1, 1, 1.5, 'a', '{1}'), (2, NULL, NULL, '', NULL), (3, 9, 0, 'c', '{}'),
    (5, 2, NULL, 'a', '{2}');
"""
# Columns by table: type, and whether the column may be NULL.
COLUMNS: Final = {
    "a": {
        "id": ("int", False), "n": ("int", True), "x": ("text", True), "tags": ("int[]", False),
        "at": ("timestamptz", False),
    },
    "b": {
        "id": ("int", False), "a_id": ("int", True), "v": ("numeric", True), "y": ("text", False),
        "more": ("int[]", True),
    },
}  # fmt: skip
# Expressions by type; each `{type}` is another expression, `{query:types}` a subquery.
EXPRESSIONS: Final = {
    "int": (
        "0", "2", "length({text})", "{int} + {int}", "coalesce({int}, {int})", "abs({int})",
        "nullif({int}, {int})", "CASE WHEN {bool} THEN {int} END", "cardinality({int[]})",
        "CASE WHEN {bool} THEN {int} ELSE {int} END", "greatest({int}, {int})", "NULL::int",
        "array_length({int[]}, 1)", "({int[]})[1]", "({query:int} LIMIT 1)",
        "(SELECT max(m.id) FROM b AS m)", "(SELECT count(*)::int FROM a AS m WHERE m.id > 2)",
        "extract(epoch FROM {timestamptz})::numeric::int",
    ),
    "text": (
        "'p'", "'p'\n    'q'", "upper({text})", "{text} || {text}", "concat({text}, {int})",
        "to_char({timestamptz}, 'YYYY')", "({int})::text", "coalesce({text}, 'z')", "NULL::text",
        "CASE WHEN {bool} THEN {text} END", "array_to_string({int[]}, ',')",
        "substring({text} FROM 1)", "({query:text} LIMIT 1)", "({timestamptz})::time::text",
        "to_char({numeric}, '9')", "nullif({text}, {text})",
    ),
    "int[]": (
        "'{{1}}'::int[]", "array_append({int[]}, {int})", "array_prepend({int}, {int[]})",
        "array_replace({int[]}, 1, {int})", "ARRAY[{int}, {int}]", "{int[]} || {int}",
        "{int[]} || {int[]}", "array_remove({int[]}, {int})", "ARRAY({query:int})",
        "coalesce({int[]}, '{{}}')", "array_fill({int}, ARRAY[2])", "('{{1,NULL}}'::text)::int[]",
    ),
    "bool": (
        "{int} = {int}", "{text} LIKE {text}", "{int} IN ({int}, {int})", "{int} IN ({query:int})",
        "({int}, {text}) IN ({query:int,text})",
        "({int}, {int}) IN (SELECT max(m.id), max(m.id) FROM b AS m)",
        "{int} = ANY ({int[]})", "{int} <> ALL ({int[]})", "{int} IS NULL", "{bool} AND {bool}",
        "{bool} OR {bool}", "NOT ({bool})", "EXISTS ({query:int})", "{int} IS DISTINCT FROM {int}",
        "{int} IN (({query:int} LIMIT 1), {int})", "{timestamptz} > now()", "true", "true",
    ),
    "numeric": ("1.5", "{numeric} + {int}", "round({numeric}, 1)", "coalesce({numeric}, 0.5)"),
    "timestamptz": (
        "now()", "'infinity'::timestamptz", "'2026-01-01'::timestamptz",
        "coalesce({timestamptz}, now())", "CASE WHEN {bool} THEN {timestamptz} END",
    ),
}  # fmt: skip
AGGREGATES: Final = {
    "int": ("max({int})", "min({int})", "count({int})::int", "any_value({int})"),
    "text": ("string_agg({text}, ',')", "max({text})"),
    "int[]": ("array_agg({int})", "array_agg({int}) FILTER (WHERE {bool})"),
    "bool": ("bool_and({bool})", "bool_or({bool})"),
    "numeric": ("avg({int})", "sum({numeric})"),
    "timestamptz": ("max({timestamptz})",),
}  # fmt: skip
WINDOWS: Final = {
    "int": (
        "lag({int}) OVER (ORDER BY {int})", "lead({int}, 1, {int}) OVER (ORDER BY {int})",
        "first_value({int}) OVER (ORDER BY {int})", "ntile(2) OVER (ORDER BY {int})",
        "max({int}) OVER (PARTITION BY {int})",
        "max({int}) OVER (ORDER BY {int} ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)",
    ),
    "text": ("last_value({text}) OVER (ORDER BY {int})",),
    "int[]": ("array_agg({int}) OVER (ORDER BY {int})",),
}  # fmt: skip
KINDS: Final = tuple(EXPRESSIONS)
MOST_DEPTH: Final = 3


@dataclass(slots=True)
class RandomStatements:
    """A generator of statements; one seed always returns the same ones."""

    random: Random
    aliases: int = 0
    ctes: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])

    def statement(self) -> str:
        """Return a SELECT or a statement that writes and returns rows."""
        self.aliases, self.ctes = 0, {}
        kinds = self.random.choices(KINDS, k=self.random.randint(1, 4))
        start = self._with() if self.random.random() < 0.4 else ""
        make = self.random.choice([self._select, self._select, self._set_operation, self._dml])
        return start + make(kinds, 0)

    def _with(self) -> str:
        parts: list[str] = []
        recursive = self.random.random() < 0.5
        for name in ("w", "z")[: self.random.randint(1, 2)]:
            kinds = self.random.choices(KINDS, k=self.random.randint(2, 5))
            body = self._recursive(name, kinds) if recursive else self._select(kinds, 1)
            if recursive:
                kinds = ["int", *kinds]
            names = ", ".join(f"c{i}" for i in range(len(kinds)))
            parts.append(f"{name} ({names}) AS ({body})")
            self.ctes[name] = kinds
        return f"WITH {'RECURSIVE ' * recursive}{', '.join(parts)} "

    def _recursive(self, name: str, kinds: list[str]) -> str:
        """Return a recursion of five rounds at most; columns of one type change their places."""
        first = ", ".join(["0", *(self._expression(kind, [], 2) for kind in kinds)])
        scope = [(f"{name}.c{i}", kind) for i, kind in enumerate(kinds, start=1)]
        cells: list[str] = []
        for kind in kinds:
            known = [column for column, other in scope if other == kind]
            changed = self._expression(kind, scope, 2)
            cells.append(self.random.choice(known) if self.random.random() < 0.8 else changed)
        return (
            f"SELECT {first} UNION ALL SELECT {name}.c0 + 1, {', '.join(cells)} FROM {name} "
            f"WHERE {name}.c0 < 5"
        )

    def _select(self, kinds: list[str], depth: int) -> str:
        source, scope = self._source(depth)
        where = f" WHERE {self._expression('bool', scope, depth + 1)}"
        where = where if self.random.random() < 0.4 else ""
        grouped = self.random.random() < 0.25
        group = ""
        if grouped and self.random.random() < 0.6:
            group = f" GROUP BY {self.random.choice(scope)[0]}"
        windows = not grouped and self.random.random() < 0.3
        forms = AGGREGATES if grouped else WINDOWS if windows else {}
        items = [
            self._fill(self.random.choice(forms[kind]), scope, depth + 1)
            if kind in forms
            else self._expression(kind, scope, depth)
            for kind in kinds
        ]
        named = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
        return f"SELECT {named} FROM {source}{where}{group}"

    def _set_operation(self, kinds: list[str], depth: int) -> str:
        word = self.random.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
        return f"{self._select(kinds, depth + 1)} {word} {self._select(kinds, depth + 1)}"

    def _dml(self, kinds: list[str], _depth: int) -> str:
        table = self.random.choice(list(COLUMNS))
        scope = [(f"{table}.{name}", kind) for name, (kind, _) in COLUMNS[table].items()]
        cells = [kind for kind, _ in COLUMNS[table].values()]
        word = self.random.choice(["insert", "values", "update", "delete"])
        source, others = self._source(2)
        if word == "insert":
            start = f"INSERT INTO {table} {self._select(cells, 2)}"
        elif word == "values":
            values = ", ".join(self._expression(kind, [], 2) for kind in cells)
            start = f"INSERT INTO {table} VALUES ({values})"
        elif word == "update":
            column, (kind, _) = self.random.choice(list(COLUMNS[table].items()))
            value = self._expression(kind, [*scope, *others], 2)
            start = f"UPDATE {table} SET {column} = {value} FROM {source}"
            scope = [*scope, *others]
        else:
            start = f"DELETE FROM {table} USING {source} WHERE {table}.id < 3"
            scope = [*scope, *others]
        items = [self._expression(kind, scope, 2) for kind in kinds]
        return f"{start} RETURNING {', '.join(items)}"

    def _source(self, depth: int) -> tuple[str, list[tuple[str, str]]]:
        """Return a FROM clause and its columns, each with its type."""
        source, scope = self._relation(depth)
        for _ in range(self.random.choice([0, 0, 1, 2]) if depth < MOST_DEPTH else 0):
            right, columns = self._relation(depth + 1)
            word = self.random.choice(
                ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"]
            )
            ints = [[name for name, kind in each if kind == "int"] for each in (scope, columns)]
            if word != "CROSS JOIN" and all(ints):
                on = f" ON {self.random.choice(ints[0])} = {self.random.choice(ints[1])}"
            else:
                word, on = "CROSS JOIN", ""
            source, scope = f"{source} {word} {right}{on}", [*scope, *columns]
        return source, scope

    def _relation(self, depth: int) -> tuple[str, list[tuple[str, str]]]:
        self.aliases += 1
        alias = f"t{self.aliases}"
        choice = self.random.random()
        if self.ctes and choice < 0.5:
            name = self.random.choice(list(self.ctes))
            columns = [(f"{alias}.c{i}", kind) for i, kind in enumerate(self.ctes[name])]
            return f"{name} AS {alias}", columns
        if choice < 0.2 and depth < MOST_DEPTH:
            kinds = self.random.choices(KINDS, k=2)
            make = self.random.choice([self._select, self._set_operation])
            columns = [(f"{alias}.c{i}", kind) for i, kind in enumerate(kinds)]
            return f"({make(kinds, depth + 1)}) AS {alias}", columns
        if choice < 0.3:
            items = self._expression("int[]", [], 2)
            return f"unnest({items}) AS {alias} (c)", [(f"{alias}.c", "int")]
        table = self.random.choice(list(COLUMNS))
        columns = [(f"{alias}.{name}", kind) for name, (kind, _) in COLUMNS[table].items()]
        return f"{table} AS {alias}", columns

    def _expression(self, kind: str, scope: list[tuple[str, str]], depth: int) -> str:
        columns = [name for name, other in scope if other == kind]
        if columns and self.random.random() < 0.3 + depth * 0.2:
            return self.random.choice(columns)
        forms = EXPRESSIONS[kind]
        if depth >= MOST_DEPTH:
            forms = tuple(each for each in forms if "{int" not in each and "{" not in each[:60])
        return self._fill(self.random.choice(forms or ("NULL::" + kind,)), scope, depth)

    def _fill(self, form: str, scope: list[tuple[str, str]], depth: int) -> str:
        """Replace each `{type}` of a form by an expression of the type."""
        text = form.replace("{{", "\0").replace("}}", "\1")
        while "{" in text:
            start, rest = text.split("{", 1)
            types, rest = rest.split("}", 1)
            if types.startswith("query:"):
                part = self._select(types.removeprefix("query:").split(","), depth + 1)
            else:
                part = self._expression(types, scope, depth + 1)
                part = part if part.isalnum() else f"({part})"
            text = start + part.replace("{", "\0").replace("}", "\1") + rest
        return text.replace("\0", "{").replace("\1", "}")
