"""Name resolution: the columns in scope, and those that an outer join may leave NULL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.functions import by_any_name
from sqlc_gen_asyncpg.infer.values import RowShape, ValueType

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlc_gen_asyncpg.infer.values import Candidate
    from sqlc_gen_asyncpg.sql import nodes

__all__ = ["Relation", "Schema", "Scope"]

_SYSTEM: Final = {
    "ctid": ValueType("tid", nullable=False),
    "tableoid": ValueType("oid", nullable=False),
    "xmax": ValueType("xid", nullable=False),
    "xmin": ValueType("xid", nullable=False),
}


@dataclass(slots=True)
class Relation:
    """A table or subquery under its alias; `table` is the key of a table of the catalog.

    `row_type` is the composite type that a function returns.
    """

    alias: str
    columns: dict[str, ValueType]
    table: tuple[str, str] | None = None
    nulled: bool = False
    row_type: str = ""

    def column(self, name: str) -> ValueType | None:
        """Return the type of a column, or None without one."""
        info = self.columns.get(name) or (_SYSTEM.get(name) if self.table else None)
        return info.with_nullable(nullable=True) if info and self.nulled else info

    def row(self) -> ValueType | None:
        """Return the whole row as a value, which is NULL where an outer join found no match."""
        if not self.columns:
            return None
        if self.row_type:
            return ValueType(self.row_type)
        shape = RowShape(tuple(self.columns.items()), self.table)
        return ValueType("record", nullable=self.nulled, row=shape)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables by schema and name, and the functions and types that the schema defines.

    `domains` maps a domain to its base type and `enums` an enum to its values. The domains in
    `required` are NOT NULL. The views in `renamed` have a list of column names, which sqlc does not
    read. `own_casts` is true if the schema defines operators or casts.
    """

    default: str
    tables: Mapping[tuple[str, str], Mapping[str, ValueType]]
    functions: Mapping[str, tuple[Candidate, ...]] = field(
        default_factory=dict[str, "tuple[Candidate, ...]"]
    )
    domains: Mapping[str, str] = field(default_factory=dict[str, str])
    composites: Mapping[str, Mapping[str, ValueType]] = field(
        default_factory=dict[str, "Mapping[str, ValueType]"]
    )
    renamed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    enums: Mapping[str, Collection[str]] = field(default_factory=dict[str, "Collection[str]"])
    required: Collection[str] = ()
    own_casts: bool = False

    def requires(self, info: ValueType) -> bool:
        """Whether no value of this type is NULL."""
        return info.type in self.required and not info.dims

    def functions_for(self, call: nodes.Call) -> tuple[str, tuple[Candidate, ...]]:
        """Return the name of PostgreSQL's functions for a call, and the schema's own functions.

        The name is empty if the call names a schema with functions of this name. A name without a
        schema that is neither PostgreSQL's nor in the default schema is found in any schema.
        """
        if call.schema and call.schema != "pg_catalog":
            prefix = "" if call.schema == self.default else f"{call.schema}."
            own = self.functions.get(prefix + call.name, ())
            return ("" if own else call.name), own
        own = self.functions.get(call.name, ())
        if call.schema:
            return call.name, ()
        if not own and not by_any_name(call.name):
            suffix = f".{call.name}"
            own = next((each for key, each in self.functions.items() if key.endswith(suffix)), ())
        return call.name, own

    def table(
        self, parts: tuple[str, ...]
    ) -> tuple[tuple[str, str], Mapping[str, ValueType]] | None:
        """Return the key and the columns of a table, or None without one."""
        *schemas, name = parts
        key = (schemas[-1] if schemas else self.default, name)
        return (key, self.tables[key]) if key in self.tables else None


@dataclass(slots=True)
class Scope:
    """The relations of one FROM clause; `parent` is the scope of the outer statement."""

    parent: Scope | None = None
    relations: list[Relation] = field(default_factory=list[Relation])
    merged: dict[str, ValueType] = field(default_factory=dict[str, ValueType])
    ctes: dict[str, dict[str, ValueType]] = field(default_factory=dict[str, dict[str, ValueType]])
    all_null: bool = False

    def cte(self, name: str) -> dict[str, ValueType] | None:
        """Return the columns of a WITH query, or None without one."""
        if name in self.ctes:
            return self.ctes[name]
        return self.parent.cte(name) if self.parent else None

    def relation(self, alias: str) -> Relation | None:
        """Return the relation with this alias, in this scope or an outer one."""
        for relation in self.relations:
            if relation.alias == alias:
                return relation
        return self.parent.relation(alias) if self.parent else None

    def column(self, parts: tuple[str, ...]) -> ValueType | None:
        """Return the type of a column by its name, which may be qualified.

        The alias of a relation is its whole row, unless a column has this name.
        """
        info = self._column(parts)
        if info is None and len(parts) == 1 and (relation := self.relation(parts[0])):
            row = relation.row()
            return row and row.with_nullable(nullable=row.nullable or self.all_null)
        return info

    def _column(self, parts: tuple[str, ...]) -> ValueType | None:
        name = parts[-1]
        if len(parts) > 1:
            relation = self.relation(parts[-2])
            info = relation.column(name) if relation else None
        else:
            info = self._unqualified(name)
        return info.with_nullable(nullable=True) if info and self.all_null else info

    def _unqualified(self, name: str) -> ValueType | None:
        if name in self.merged:
            return self.merged[name]
        matches = [each for each in (one.column(name) for one in self.relations) if each]
        if matches:
            return matches[0] if len(matches) == 1 else ValueType("")  # an ambiguous name
        return self.parent._column((name,)) if self.parent else None  # noqa: SLF001

    def star(self, alias: str = "") -> dict[str, ValueType] | None:
        """Return the columns of `*` or `alias.*`; None if they cannot be determined."""
        columns: dict[str, ValueType] = {}
        if not alias:
            columns.update(self.merged)
        for relation in self.relations:
            if alias and relation.alias != alias:
                continue
            if not relation.columns:
                return None
            for name in relation.columns:
                info = relation.column(name)
                if info and name not in columns:
                    columns[name] = info
        return columns or None
