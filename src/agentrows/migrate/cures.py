"""The commands and statements that repair an object. They are printed, and no run executes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentrows.migrate.expected_objects import ObjectKey

UP: Final = "agentrows migrate up"
_COLUMN: Final = re.compile(
    r"(?P<type>.+?)(?: COLLATE (?P<collation>\S+))?(?P<not_null> NOT NULL)?"
    r"(?: (?P<default>(?:DEFAULT|GENERATED) .+))?"
)
_BASE_TYPES: Final = {
    r"^(?:integer|smallint)$": "bigint",
    r"^character varying(?:\(\d+\))?": "text",
    r"^jsonb$": "json",
    r"^timestamp(?:\(\d\))? ": "timestamp ",
}
_INTEGERS: Final = ("smallint", "integer", "bigint")
SERIAL: Final = "DEFAULT SERIAL"


@dataclass(frozen=True, slots=True)
class Column:
    """The parts of the definition of a column."""

    type: str
    collation: str | None
    is_not_null: bool
    default: str | None
    """`DEFAULT …`, `GENERATED … AS IDENTITY` or `DEFAULT SERIAL`; None without one."""

    @property
    def full_type(self) -> str:
        """The type and its collation."""
        return f"{self.type} COLLATE {self.collation}" if self.collation else self.type

    @property
    def base_type(self) -> str:
        """The type, or one that the statements of the library read and write in the same way."""
        name = self.type
        for pattern, base in _BASE_TYPES.items():
            name = re.sub(pattern, base, name)
        return name

    @property
    def assigns_ids(self) -> bool:
        """Whether the server assigns the values."""
        return self.default is not None and self.default.endswith(("SERIAL", "AS IDENTITY"))


def parse_column(definition: str) -> Column:
    """Return the parts of a column's definition in the catalog."""
    match = _COLUMN.fullmatch(definition)
    if match is None:  # pragma: no cover  the pattern matches every text
        raise ValueError(definition)
    return Column(
        match["type"], match["collation"], match["not_null"] is not None, match["default"]
    )


def is_narrower(definition: str, expected: str) -> bool:
    """Return whether a column has a smaller integer type than the expected definition."""
    types = [parse_column(text).type for text in (definition, expected)]
    if not set(types) <= set(_INTEGERS):
        return False
    return _INTEGERS.index(types[0]) < _INTEGERS.index(types[1])


def force_command(track: str, version: int) -> str:
    """Return the commands that run the files from a version on again."""
    return f"agentrows migrate force {version - 1} --track {track}, then {UP}"


def repair_statement(key: ObjectKey, expected: str, actual: str | None, *, other: str) -> str:
    """Return the statements that give an object its definition.

    `other` is the name of an object of the table with this definition; empty if there is none.
    """
    table, name = key.table, key.name
    if key.kind == "column":
        return _repair_column(table, name, parse_column(expected), actual)
    if other:
        is_index = key.kind == "index"
        rename = f"INDEX {other} RENAME" if is_index else f"TABLE {table} RENAME CONSTRAINT {other}"
        return f"ALTER {rename} TO {name}"
    if key.kind == "constraint":
        drop = "" if actual is None else f"DROP CONSTRAINT {name}, "
        return f"ALTER TABLE {table} {drop}ADD CONSTRAINT {name} {expected}"
    if key.kind == "index":
        return _repair_index(table, name, expected, actual)
    if key.kind == "setting":
        return f"ALTER TABLE {table} SET ({name} = {expected})"
    return f"ALTER TABLE {table} SET LOGGED"  # a table that is UNLOGGED


def _repair_index(table: str, name: str, expected: str, actual: str | None) -> str:
    unique = "UNIQUE " if expected.startswith("UNIQUE ") else ""
    method = expected.removeprefix("UNIQUE ")
    create = f"CREATE {unique}INDEX CONCURRENTLY {name} ON {table} USING {method}"
    return create if actual is None else f"{drop_index(name)}; {create}"


def drop_index(name: str) -> str:
    """Return the statement that drops an index without blocking writers."""
    return f"DROP INDEX CONCURRENTLY {name}"


def drop_policy(key: ObjectKey) -> str:
    """Return the statement that drops a policy."""
    return f"DROP POLICY {key.name} ON {key.table}"


def _repair_column(table: str, name: str, expected: Column, actual: str | None) -> str:
    sequence = f"{table}_{name}_seq"
    default = expected.default
    before, after = "", ""
    if default == SERIAL:
        before = f"CREATE SEQUENCE IF NOT EXISTS {sequence}; "
        after = f"; ALTER SEQUENCE {sequence} OWNED BY {table}.{name}"
        default = f"DEFAULT nextval('{sequence}')"
    if actual is None:
        parts = [expected.full_type, *["NOT NULL"] * expected.is_not_null, default or ""]
        column = " ".join(part for part in (name, *parts) if part)
        return f"{before}ALTER TABLE {table} ADD COLUMN {column}{after}"
    current = parse_column(actual)
    changes: list[str] = []
    if current.full_type != expected.full_type:
        # A default of the old type cannot always be cast.
        changes += ["DROP DEFAULT"] * (current.default or "").startswith("DEFAULT")
        changes.append(f"TYPE {expected.full_type} USING {name}::{expected.type}")
        current = replace(current, default=None)
    if current.default != expected.default:
        changes += _repair_default(current, default)
    if current.is_not_null != expected.is_not_null:
        changes.append(f"{'SET' if expected.is_not_null else 'DROP'} NOT NULL")
    is_serial = current.default != expected.default and expected.default == SERIAL
    listed = ", ".join(f"ALTER COLUMN {name} {change}" for change in changes)
    return f"{before * is_serial}ALTER TABLE {table} {listed}{after * is_serial}"


def _repair_default(current: Column, default: str | None) -> list[str]:
    drops: list[str] = []
    if current.default and current.default.endswith("AS IDENTITY"):
        drops = ["DROP IDENTITY"]
    elif current.default and current.default.startswith("GENERATED"):
        drops = ["DROP EXPRESSION"]
    elif current.default and (default is None or default.startswith("GENERATED")):
        drops = ["DROP DEFAULT"]
    if default is None:
        return drops
    return [*drops, f"ADD {default}" if default.startswith("GENERATED") else f"SET {default}"]
