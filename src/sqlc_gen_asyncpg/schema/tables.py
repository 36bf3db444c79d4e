"""The names of tables and columns while the schema's files are read, and their NOT NULL.

sqlc's request has the tables at the end of the files. A view is computed with the names that its
tables had when it was created, and PostgreSQL keeps its columns when these are renamed later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.sql import nodes

__all__ = ["Key", "PastNames", "TableHistory", "ViewDefinition"]

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ViewDefinition:
    """A view, or a table that CREATE TABLE AS fills, under its name at that time."""

    key: Key
    columns: tuple[str, ...]
    query: nodes.Query
    is_table: bool = False


@dataclass(frozen=True, slots=True)
class _Rename:
    old: Key
    new: Key


@dataclass(frozen=True, slots=True)
class _ColumnRename:
    table: Key
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class _ColumnAdded:
    table: Key
    name: str


@dataclass(frozen=True, slots=True)
class _Dropped:
    table: Key


_Change = _Rename | _ColumnRename | _ColumnAdded | _Dropped


@dataclass(frozen=True, slots=True)
class PastNames:
    """The names at one time that differ from those at the end.

    `tables` maps a name of that time to the one at the end, or to None if the table is gone.
    `columns` maps a table's last name to the former names of its columns, None before they existed.
    """

    tables: Mapping[Key, Key | None]
    columns: Mapping[Key, Mapping[str, str | None]]

    def last(self, key: Key) -> Key | None:
        """Return the last name of the table with this name."""
        return self.tables.get(key, key)

    def before(self, event: _Change) -> PastNames:
        """Return the names before an event, if these are the names after it."""
        if isinstance(event, _Rename):
            last = self.last(event.new)
            return PastNames({**self.tables, event.new: None, event.old: last}, self.columns)
        if isinstance(event, _Dropped):
            return PastNames({**self.tables, event.table: None}, self.columns)
        table = self.last(event.table)
        if table is None:
            return self
        names = dict(self.columns.get(table, {}))
        after = event.name if isinstance(event, _ColumnAdded) else event.new
        last_name = next((last for last, past in names.items() if past == after), after)
        names[last_name] = None if isinstance(event, _ColumnAdded) else event.old
        return PastNames(self.tables, {**self.columns, table: names})

    def apply(
        self, tables: Mapping[Key, Mapping[str, ValueType]]
    ) -> Mapping[Key, Mapping[str, ValueType]]:
        """Return the tables with the names of that time."""
        if not self.tables and not self.columns:
            return tables
        past = {key: table for key, table in tables.items() if key not in self.tables}
        past_keys = {last: key for key, last in self.tables.items() if last}
        for last, key in past_keys.items():
            if last in tables:
                past[key] = tables[last]
        for last, names in self.columns.items():
            key = past_keys.get(last, last)
            if key in past:
                former = ((names.get(name, name), value) for name, value in past[key].items())
                past[key] = {name: value for name, value in former if name is not None}
        return past


@dataclass(slots=True, eq=False)
class _Table:
    """The columns of a table, each with whether it is NOT NULL.

    The columns of a `filled` table, of CREATE TABLE AS, are not listed, and may be NULL.
    """

    columns: dict[str, bool] = field(default_factory=dict[str, bool])
    parents: list[_Table] = field(default_factory=list["_Table"])
    children: list[_Table] = field(default_factory=list["_Table"])
    filled: bool = False
    complete: bool = True

    def family(self) -> list[_Table]:
        """Return this table and those that inherit from it."""
        return [self, *(table for child in self.children for table in child.family())]


@dataclass(slots=True)
class TableHistory:
    """The tables by their current names, the views, and the changes of names in their order."""

    tables: dict[Key, _Table] = field(default_factory=dict[Key, _Table])
    events: list[_Change | ViewDefinition] = field(default_factory=list["_Change | ViewDefinition"])

    def create(
        self,
        key: Key,
        columns: Mapping[str, bool],
        parents: tuple[Key, ...] = (),
        *,
        complete: bool = True,
    ) -> None:
        """Add a table; a column is NOT NULL if it is in one of its parents."""
        table = _Table(complete=complete)
        for parent in (self.tables[name] for name in parents if name in self.tables):
            parent.children.append(table)
            table.parents.append(parent)
            table.complete = table.complete and parent.complete
            for name, required in parent.columns.items():
                table.columns[name] = table.columns.get(name, False) or required
        for name, required in columns.items():
            table.columns[name] = table.columns.get(name, False) or required
        self.tables[key] = table

    def attach(self, parent: Key, child: Key) -> None:
        """Let an existing table inherit from another."""
        if parent in self.tables and child in self.tables:
            self.tables[parent].children.append(self.tables[child])
            self.tables[child].parents.append(self.tables[parent])

    def create_view(self, view: ViewDefinition) -> None:
        """Add a view, or a table with the rows of a query."""
        self.events.append(view)
        if view.is_table:
            self.tables[view.key] = _Table(filled=True, complete=False)

    def drop(self, key: Key) -> None:
        """Remove a table or a view."""
        self.events.append(_Dropped(key))
        self.tables.pop(key, None)

    def drop_schema(self, schema: str) -> None:
        """Remove the tables and the views of a schema."""
        views = [key for key, _, _ in self.views()]
        for key in dict.fromkeys([*self.tables, *views]):
            if key[0] == schema:
                self.drop(key)

    def rename(self, old: Key, new: Key) -> None:
        """Rename a table or a view, or move it to another schema."""
        self.events.append(_Rename(old, new))
        if old in self.tables:
            self.tables[new] = self.tables.pop(old)

    def rename_column(self, key: Key, old: str, new: str) -> None:
        """Rename a column, of the tables that inherit it too."""
        family = self.tables[key].family() if key in self.tables else []
        names = [key, *(name for name, table in self.tables.items() if table in family[1:])]
        self.events += [_ColumnRename(name, old, new) for name in names]
        for table in family:
            table.columns = {
                new if name == old else name: required for name, required in table.columns.items()
            }

    def add_column(self, key: Key, name: str, *, required: bool, if_missing: bool) -> None:
        """Add a column to a table and to those that inherit from it."""
        table = self.tables.get(key)
        if if_missing and (table is None or not table.complete or name in table.columns):
            return
        family = table.family() if table else []
        keys = [key, *(other for other, one in self.tables.items() if one in family[1:])]
        self.events += [_ColumnAdded(other, name) for other in keys]
        for one in family:
            one.columns[name] = required or one.columns.get(name, False)

    def drop_column(self, key: Key, name: str) -> None:
        """Remove a column, of the tables that inherit it too."""
        for table in self.tables[key].family() if key in self.tables else []:
            table.columns.pop(name, None)

    def require(self, key: Key, name: str, *, required: bool) -> None:
        """Set or drop NOT NULL of a column, of the tables that inherit it too."""
        for table in self.tables[key].family() if key in self.tables else []:
            if name in table.columns or table.filled:
                table.columns[name] = required

    def may_be_null(self, key: Key, column: str) -> bool:
        """Whether a column may be NULL even if sqlc reports it as NOT NULL.

        sqlc gives a child's NOT NULL to its parent, and takes those of a query for CREATE TABLE AS.
        """
        table = self.tables.get(key)
        if table is None or not (table.filled or table.parents or table.children):
            return False
        return not table.columns.get(column, not table.filled)

    def views(self) -> list[tuple[Key, ViewDefinition, PastNames]]:
        """Return the views that exist, by their last definition, with the names at that time."""
        names = PastNames({}, {})
        last: dict[Key, tuple[ViewDefinition, PastNames]] = {}
        for event in reversed(self.events):
            if not isinstance(event, ViewDefinition):
                names = names.before(event)
                continue
            key = names.last(event.key)
            if key is not None:
                last.setdefault(key, (event, names))
        return [(key, *view) for key, view in reversed(last.items())]

    def replaces_views(self) -> bool:
        """Whether a view has two definitions."""
        definitions = [event for event in self.events if isinstance(event, ViewDefinition)]
        return len(definitions) > len({view.key for view in definitions})
