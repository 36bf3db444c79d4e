"""A proof, on its parse tree, that a statement cannot read or change rows of another user.

A table is *owned* if its rows have an owner: by a column `user_id`, or by the key of an owned row
(a push notification config by its task). Each reference of an owned table must be *bound*: only
rows of the caller can pass, because its user column equals the parameter `user_id`, or because its
key equals that of a bound row. Syntax that the rules do not cover binds nothing.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from policy.checks.migration_policy import parse, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from policy.checks.migration_policy import Node

    Tags = frozenset[str]

USER: Final = "user"
USER_COLUMN: Final = "user_id"
SHARED: Final = frozenset({"agent", "agentrows_app_state", "tool", "toolserver"})
"""Tables without an owner: every user sees all of their rows."""
LINKS: Final = {"push_notification": ("task_id", "task")}
"""Tables owned through the key of another table: the column, and that table."""
SESSION_OF: Final = {"task": "session_id"}
"""Tables whose rows may lack an owner, and then belong to the only user of this session id."""
NO_TAGS: Final[Tags] = frozenset()
SCALARS: Final = "array of scalars"
"""The tag of an array with elements of one column each."""
SCALAR_TYPES: Final = frozenset({"text", "int8", "timestamptz", "vector"})


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of every table, and the keys that are one column."""

    columns: Mapping[str, frozenset[str]]
    keys: Mapping[str, str]

    def is_owned(self, table: str) -> bool:
        """Whether the rows of a table have an owner."""
        return table in LINKS or USER_COLUMN in self.columns.get(table, ())


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a file: its SQL, and its unscoped references with their reasons."""

    name: str
    sql: str
    unscoped: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """Facts from the conditions of one level."""

    bound: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    """Bound references to a row with a key that is unique over all users."""
    ownerless: frozenset[str] = frozenset()
    params: frozenset[tuple[str, str]] = frozenset()
    """Parameters that equal the key of a bound row: the name, and the tag."""

    def __or__(self, other: State) -> State:
        return State(
            self.bound | other.bound,
            self.only | other.only,
            self.ownerless | other.ownerless,
            self.params | other.params,
        )

    def __and__(self, other: State) -> State:
        return State(
            self.bound & other.bound,
            self.only & other.only,
            self.ownerless & other.ownerless,
            self.params & other.params,
        )


@dataclass(slots=True)
class Level:
    """One SELECT, INSERT, UPDATE or DELETE: its relations by alias, and its outer level.

    A relation is the name of a table, or the tags of the columns of a subquery.
    """

    parent: Level | None
    ctes: dict[str, dict[str, Tags]]
    relations: dict[str, str | dict[str, Tags]] = field(
        default_factory=dict[str, "str | dict[str, Tags]"]
    )
    conditions: list[Node] = field(default_factory=list["Node"])
    implied: State = field(default_factory=State)
    state: State = field(default_factory=State)
    exports: list[tuple[Level, str, str, Tags]] = field(
        default_factory=list["tuple[Level, str, str, Tags]"]
    )
    """Columns of outer levels that equal a column of this one: level, alias, column, tags."""


class Analysis:
    """Reads one statement, and collects the references that are not bound."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.problems: list[tuple[str, str]] = []
        self.visited: set[int] = set()
        self._quiet = 0

    def check(self, statement: Node) -> list[tuple[str, str]]:
        """Return (alias, problem) for each reference of an owned table that is not bound."""
        self.statement(statement, {}, None)
        self.problems += [
            (node["relname"], "stands where these rules do not look")
            for node in walk(statement)
            if node["@"] == "RangeVar"
            and self.schema.is_owned(node["relname"])
            and id(node) not in self.visited
            and not self._names_a_cte(statement, node)
        ]
        return self.problems

    @staticmethod
    def _names_a_cte(statement: Node, node: Node) -> bool:
        names = {each["ctename"] for each in walk(statement) if each["@"] == "CommonTableExpr"}
        return node["relname"] in names

    # Statements, from the outside in.

    def statement(
        self, node: Node, ctes: dict[str, dict[str, Tags]], parent: Level | None
    ) -> list[tuple[str, Tags]]:
        """Check a statement, and return the names and tags of its result columns."""
        clause = node.get("withClause", {})
        for cte in clause.get("ctes", ()):
            names = [each["sval"] for each in cte.get("aliascolnames", ())]
            inner = ctes
            if clause.get("recursive"):
                own = self._recursive_columns(cte["ctequery"], names, ctes, parent)
                inner = {**ctes, cte["ctename"]: own}
            found = self.statement(cte["ctequery"], inner, parent)
            ctes = {**ctes, cte["ctename"]: _named(found, names)}
        kind = node["@"]
        if kind == "SelectStmt":
            return self._select(node, ctes, parent)
        if kind == "InsertStmt":
            return self._insert(node, ctes, parent)
        if kind in ("UpdateStmt", "DeleteStmt"):
            return self._change(node, ctes, parent)
        self._say(kind, "is not understood")
        return []

    def _recursive_columns(
        self,
        query: Node,
        names: list[str],
        ctes: dict[str, dict[str, Tags]],
        parent: Level | None,
    ) -> dict[str, Tags]:
        """Return the columns of a query that reads its own result, without facts about them.

        Each arm of the query therefore has to bind its tables by itself.
        """
        if query["@"] != "SelectStmt" or query["op"]["name"] == "SETOP_NONE":
            return {}
        self._quiet += 1
        found = self.statement(query["larg"], ctes, parent)
        self._quiet -= 1
        return dict.fromkeys(_named(found, names), NO_TAGS)

    def _select(
        self, node: Node, ctes: dict[str, dict[str, Tags]], parent: Level | None
    ) -> list[tuple[str, Tags]]:
        if node["op"]["name"] != "SETOP_NONE":
            left, right = (self.statement(node[arm], ctes, parent) for arm in ("larg", "rarg"))
            return [(name, tags & other) for (name, tags), (_, other) in zip(left, right)]  # noqa: B905
        level = Level(parent, ctes)
        if "valuesLists" in node:
            rows = [[self.tags(value, level) for value in row] for row in node["valuesLists"]]
            self._sublinks(node, level)
            return [
                ("", functools.reduce(frozenset[str].intersection, column))
                for column in zip(*rows, strict=True)
            ]
        for item in node.get("fromClause", ()):
            self._from(item, level)
        level.conditions += _conjuncts(node.get("whereClause"))
        level.implied = self._only_row(node, level)
        self._settle(level, node)
        return self._outputs(node.get("targetList", ()), level)

    def _insert(
        self, node: Node, ctes: dict[str, dict[str, Tags]], parent: Level | None
    ) -> list[tuple[str, Tags]]:
        table, alias = node["relation"]["relname"], _alias(node["relation"])
        values = self.statement(node["selectStmt"], ctes, parent)
        columns = [column["name"] for column in node.get("cols", ())]
        given = {column: tags for column, (_, tags) in zip(columns, values)}  # noqa: B905
        self._visit(node["relation"])
        if self.schema.is_owned(table) and not self._owns(table, given):
            self._say(alias, f"INSERT INTO {table} does not give the row to the caller")
        level = Level(parent, ctes, {alias: table})
        conflict = node.get("onConflictClause")
        if conflict and conflict["action"]["name"] == "ONCONFLICT_UPDATE":
            level.relations["excluded"] = given
            level.conditions += _conjuncts(conflict.get("whereClause"))
            for element in conflict["infer"].get("indexElems", ()):
                level.conditions.append(_equal(alias, "excluded", element["name"]))
            self._settle(level, conflict)
            self._keeps_owner(conflict["targetList"], alias, level)
        else:
            level.state = State(bound=frozenset({alias}))
        return self._outputs(node.get("returningClause", {}).get("exprs", ()), level)

    def _change(
        self, node: Node, ctes: dict[str, dict[str, Tags]], parent: Level | None
    ) -> list[tuple[str, Tags]]:
        level = Level(parent, ctes)
        self._table(node["relation"], level, is_target=True)
        for item in (*node.get("fromClause", ()), *node.get("usingClause", ())):
            self._from(item, level)
        level.conditions += _conjuncts(node.get("whereClause"))
        self._settle(level, node)
        if node["@"] == "UpdateStmt":
            self._keeps_owner(node["targetList"], _alias(node["relation"]), level)
        return self._outputs(node.get("returningClause", {}).get("exprs", ()), level)

    def _keeps_owner(self, targets: Iterable[Node], alias: str, level: Level) -> None:
        table = str(level.relations[alias])
        owner = LINKS[table][0] if table in LINKS else USER_COLUMN
        for target in targets:
            if target["name"] == owner and self.schema.is_owned(table):
                given = {owner: self.tags(target["val"], level)}
                if not self._owns(table, given):
                    self._say(alias, f"SET {owner} gives the row away")

    def _owns(self, table: str, given: Mapping[str, Tags]) -> bool:
        """Whether a row with these values is the caller's."""
        if table in LINKS:
            column, linked = LINKS[table]
            return f"key:{linked}" in given.get(column, NO_TAGS)
        return USER in given.get(USER_COLUMN, NO_TAGS)

    # FROM.

    def _from(self, item: Node, level: Level) -> None:
        kind = item["@"]
        if kind == "RangeVar":
            self._table(item, level)
        elif kind == "RangeSubselect":
            found = self.statement(item["subquery"], level.ctes, level.parent)
            names = [each["sval"] for each in item["alias"].get("colnames", ())]
            level.relations[item["alias"]["aliasname"]] = _named(found, names)
        elif kind == "JoinExpr":
            self._from(item["larg"], level)
            self._from(item["rarg"], level)
            if item["jointype"]["name"] == "JOIN_INNER":  # an outer join keeps rows that fail
                level.conditions += _conjuncts(item.get("quals"))
        elif kind == "RangeFunction" and "alias" in item:
            level.relations[item["alias"]["aliasname"]] = self._unnested(item, level)

    def _unnested(self, item: Node, level: Level) -> dict[str, Tags]:
        """Return the columns of unnest(…) in FROM if each argument is an array of one column."""
        calls = [each[0] for each in item["functions"]]
        if any(not _is_unnest(call) for call in calls):
            return {}
        found = [self.tags(call["args"][0], level) for call in calls]
        if any(SCALARS not in tags for tags in found):
            return {}
        names = [each["sval"] for each in item["alias"].get("colnames", ())]
        return {name: tags - {SCALARS} for name, tags in zip(names, found)}  # noqa: B905

    def _table(self, item: Node, level: Level, *, is_target: bool = False) -> None:
        name = item["relname"]
        if name in level.ctes and not is_target and "schemaname" not in item:
            level.relations[_alias(item)] = level.ctes[name]
        else:
            self._visit(item)
            level.relations[_alias(item)] = name

    def _visit(self, item: Node) -> None:
        if not self._quiet:
            self.visited.add(id(item))

    # Conditions.

    def _settle(self, level: Level, node: Node) -> None:
        """Read the conditions, report unbound references, and check every subquery."""
        level.state = self._solve(level, level.conditions, level.implied)
        for alias, relation in level.relations.items():
            is_owned = isinstance(relation, str) and self.schema.is_owned(relation)
            if is_owned and alias not in level.state.bound:
                self._say(alias, f"{relation} is not bound to the caller")
        self._sublinks(node, level)

    def _sublinks(self, node: Node, level: Level) -> None:
        for sublink in _own_sublinks(node):
            self.statement(sublink["subselect"], level.ctes, level)

    def _solve(self, level: Level, conditions: list[Node], known: State) -> State:
        """Return the facts that follow if all of these conditions are true."""
        while True:
            before = level.state = known
            for condition in conditions:
                known = known | self._says(level, condition, known)
                level.state = known
            if known == before:
                return known

    def _says(self, level: Level, node: Node, known: State) -> State:
        """Return the facts that follow if one condition is true."""
        kind = node["@"]
        if kind == "BoolExpr" and node["boolop"]["name"] == "OR_EXPR":
            return self._either(level, node["args"], known)
        if kind == "CaseExpr" and _is_its_condition(node):
            return self._solve(level, _conjuncts(node["args"][0]["expr"]), known)
        if kind == "NullTest" and node["nulltesttype"]["name"] == "IS_NULL":
            at = self._resolve(node["arg"], level)
            if at and at[0] is level and at[2] == USER_COLUMN:
                return State(ownerless=frozenset({at[1]}))
        pairs: list[tuple[Node | Tags, Node | Tags]] = []
        if _is_plain(node, "=") and "lexpr" in node:
            pairs = list(zip(_fields(node["lexpr"]), _fields(node["rexpr"])))  # noqa: B905
        elif kind == "SubLink" and node["subLinkType"]["name"] == "ANY_SUBLINK":
            if "operName" not in node:
                found = self._quietly(node["subselect"], level)
                pairs = list(zip(_fields(node["testexpr"]), (tags for _, tags in found)))  # noqa: B905
        elif kind == "SubLink" and node["subLinkType"]["name"] == "EXISTS_SUBLINK":
            return self._exists(level, node["subselect"])
        state = State()
        for one, other in pairs:
            state = state | self._equal(level, one, other) | self._equal(level, other, one)
        return state

    def _either(self, level: Level, arms: Iterable[Node], known: State) -> State:
        """Return the facts that follow from each arm of an OR."""
        exports = len(level.exports)
        states = [self._solve(level, _conjuncts(arm), known) for arm in arms]
        level.state = known
        del level.exports[exports:]  # one arm may be true without the other
        return functools.reduce(State.__and__, states)

    def _equal(self, level: Level, one: Node | Tags, other: Node | Tags) -> State:
        """Return the facts about `one` that follow from its equality with `other`."""
        if isinstance(one, frozenset):
            return State()
        tags = other if isinstance(other, frozenset) else self.tags(other, level)
        name = _parameter(one)
        if name:
            keys = {tag for tag in tags if tag.startswith("key:")}
            return State(params=frozenset((name, tag) for tag in keys))
        at = self._resolve(one, level)
        if at is None:
            return State()
        if at[0] is not level:
            level.exports.append((*at, tags))
            return State()
        return self._column_equals(level, at[1], at[2], tags)

    def _column_equals(self, level: Level, alias: str, column: str, tags: Tags) -> State:
        table = level.relations[alias]
        if not isinstance(table, str) or not self.schema.is_owned(table):
            return State()
        is_users = column == USER_COLUMN and USER in tags
        is_row = column == self.schema.keys.get(table) and f"key:{table}" in tags
        link, linked = LINKS.get(table, ("", ""))
        is_linked = column == link and f"key:{linked}" in tags
        is_only = (
            SESSION_OF.get(table) == column
            and "only:session" in tags
            and alias in level.state.ownerless
        )
        if is_users or is_row or is_linked or is_only:
            return State(bound=frozenset({alias}))
        return State()

    def _exists(self, level: Level, subselect: Node) -> State:
        """Return the facts about outer columns that follow from an existing row of the subquery."""
        self._quiet += 1
        inner = Level(level, level.ctes)
        if "withClause" not in subselect and subselect["op"]["name"] == "SETOP_NONE":
            for item in subselect.get("fromClause", ()):
                self._from(item, inner)
            inner.conditions += _conjuncts(subselect.get("whereClause"))
            inner.implied = self._only_row(subselect, inner)
            inner.state = self._solve(inner, inner.conditions, inner.implied)
        inner.exports.clear()
        self._solve(inner, inner.conditions, inner.state)  # again, now with these facts
        self._quiet -= 1
        state = State(params=inner.state.params)
        for outer, alias, column, tags in inner.exports:
            if outer is level:
                state = state | self._column_equals(level, alias, column, tags)
            else:
                level.exports.append((outer, alias, column, tags))
        return state

    def _only_row(self, node: Node, level: Level) -> State:
        """HAVING count(*) = 1 AND min(user_id) = the caller: the only row is the caller's.

        The row is the only one of its session id if WHERE compares only the id.
        """
        if "groupClause" in node or "havingClause" not in node or len(level.relations) != 1:
            return State()
        (alias,) = level.relations
        conditions = _conjuncts(node["havingClause"])
        is_one = any(_is_count_of_one(each) for each in conditions)
        is_users = any(self._is_least_user(each, level) for each in conditions)
        if not (is_one and is_users):
            return State()
        by_id = len(level.conditions) == 1 and level.relations[alias] == "session"
        at = None
        if by_id and _is_plain(level.conditions[0], "="):
            at = self._resolve(level.conditions[0].get("lexpr", {}), level)
        by_id = at is not None and at[0] is level and at[2] == "id"
        return State(bound=frozenset({alias}), only=frozenset({alias} if by_id else ()))

    def _is_least_user(self, node: Node, level: Level) -> bool:
        if not _is_plain(node, "="):
            return False
        call = node["lexpr"]
        if call["@"] != "FuncCall" or call["funcname"][-1]["sval"] != "min":
            return False
        at = self._resolve(call["args"][0], level)
        return (
            at is not None
            and at[0] is level
            and at[2] == USER_COLUMN
            and USER in self.tags(node["rexpr"], level)
        )

    def _quietly(self, subselect: Node, level: Level) -> list[tuple[str, Tags]]:
        self._quiet += 1
        found = self.statement(subselect, level.ctes, level)
        self._quiet -= 1
        return found

    # Values.

    def tags(self, node: Node, level: Level) -> Tags:
        """Return the tags of an expression: the caller, or the key of one of the caller's rows."""
        name = _parameter(node)
        if name:
            of_state = frozenset(tag for param, tag in _params(level) if param == name)
            own = frozenset({USER} if name == USER_COLUMN else ())
            return of_state | own | frozenset({SCALARS} if _is_scalar_array(node) else ())
        kind = node["@"]
        if kind == "TypeCast":
            return self.tags(node["arg"], level)
        if _is_unnest(node):
            return self.tags(node["args"][0], level) - {SCALARS}
        if kind == "SubLink" and node["subLinkType"]["name"] == "EXPR_SUBLINK":
            found = self._quietly(node["subselect"], level)
            return found[0][1] if len(found) == 1 else NO_TAGS
        at = self._resolve(node, level)
        return self._column(*at) if at else NO_TAGS

    def _column(self, level: Level, alias: str, column: str) -> Tags:
        relation = level.relations[alias]
        if isinstance(relation, dict):
            return relation.get(column, NO_TAGS)
        if alias not in level.state.bound:
            return NO_TAGS
        found: set[str] = set()
        if column == USER_COLUMN:
            found.add(USER)
        if column == self.schema.keys.get(relation):
            found.add(f"key:{relation}")
        if relation in LINKS and column == LINKS[relation][0]:
            found.add(f"key:{LINKS[relation][1]}")
        if alias in level.state.only and column == "id":
            found.add(f"only:{relation}")
        return frozenset(found)

    def _resolve(self, node: Node, level: Level | None) -> tuple[Level, str, str] | None:
        """Return the level, the alias and the column of a name."""
        if node.get("@") != "ColumnRef" or node["fields"][-1]["@"] != "String":
            return None
        *qualifier, column = (each["sval"] for each in node["fields"])
        while level is not None:
            if qualifier and qualifier[-1] in level.relations:
                return level, qualifier[-1], column
            holders = [
                alias
                for alias, relation in level.relations.items()
                if alias != "excluded" and column in self._names(relation)
            ]
            if not qualifier and holders:
                return (level, holders[0], column) if len(holders) == 1 else None
            level = level.parent
        return None

    def _names(self, relation: str | dict[str, Tags]) -> Iterable[str]:
        return relation if isinstance(relation, dict) else self.schema.columns.get(relation, ())

    def _outputs(self, targets: Iterable[Node], level: Level) -> list[tuple[str, Tags]]:
        found: list[tuple[str, Tags]] = []
        for target in targets:
            value = target["val"]
            if value["@"] == "ColumnRef" and value["fields"][-1]["@"] == "A_Star":
                wanted = [each["sval"] for each in value["fields"][:-1]] or list(level.relations)
                found += [
                    (column, self._column(level, alias, column))
                    for alias in wanted
                    for column in self._names(level.relations[alias])
                ]
            else:
                name = target.get("name") or _column_name(value)
                found.append((name, self.tags(value, level)))
        return found

    def _say(self, alias: str, problem: str) -> None:
        if not self._quiet:
            self.problems.append((alias, problem))


# The grammar.


def _params(level: Level | None) -> Iterator[tuple[str, str]]:
    while level is not None:
        yield from level.state.params
        level = level.parent


def _named(columns: list[tuple[str, Tags]], names: list[str]) -> dict[str, Tags]:
    """Return the columns by name, without names that occur twice."""
    found: dict[str, Tags] = {}
    for place, (own_name, tags) in enumerate(columns):
        name = names[place] if place < len(names) else own_name
        found[name] = found[name] & tags if name in found else tags
    return found


def _alias(item: Node) -> str:
    return str(item["alias"]["aliasname"] if "alias" in item else item["relname"])


def _equal(one: str, other: str, column: str) -> Node:
    def ref(relation: str) -> Node:
        fields = ({"@": "String", "sval": relation}, {"@": "String", "sval": column})
        return {"@": "ColumnRef", "fields": fields}

    return {
        "@": "A_Expr",
        "kind": {"name": "AEXPR_OP"},
        "name": ({"@": "String", "sval": "="},),
        "lexpr": ref(one),
        "rexpr": ref(other),
    }


def _conjuncts(node: Node | None) -> list[Node]:
    if node is None:
        return []
    if node["@"] == "BoolExpr" and node["boolop"]["name"] == "AND_EXPR":
        return [each for arg in node["args"] for each in _conjuncts(arg)]
    return [node]


def _fields(node: Node) -> list[Node]:
    return list(node["args"]) if node["@"] == "RowExpr" else [node]


def _is_unnest(node: Node) -> bool:
    """Whether a call unnests one array."""
    is_call = node["@"] == "FuncCall" and node["funcname"][-1]["sval"] == "unnest"
    return is_call and len(node["args"]) == 1


def _is_scalar_array(parameter: Node) -> bool:
    """Whether `@name::type[]`, which is the operator @ to the parser, has plain elements."""
    cast_to: Node = parameter.get("rexpr", {}).get("typeName", {})
    return "arrayBounds" in cast_to and cast_to["names"][-1]["sval"] in SCALAR_TYPES


def _is_plain(node: Node, operator: str) -> bool:
    if node["@"] != "A_Expr" or node["kind"]["name"] != "AEXPR_OP":
        return False
    return [each["sval"] for each in node["name"]] == [operator]


def _is_count_of_one(node: Node) -> bool:
    return (
        _is_plain(node, "=")
        and node["lexpr"].get("funcname", ({},))[-1].get("sval") == "count"
        and node["lexpr"].get("agg_star") is True
        and "agg_filter" not in node["lexpr"]
        and node["rexpr"].get("val", {}).get("ival") == 1
    )


def _is_its_condition(node: Node) -> bool:
    """CASE WHEN condition THEN true ELSE false END."""
    otherwise = node.get("defresult", {"val": {"boolval": False}})
    return (
        len(node["args"]) == 1
        and "arg" not in node
        and node["args"][0]["result"].get("val", {}).get("boolval") is True
        and otherwise.get("val", {}).get("boolval", False) is False
    )


def _parameter(node: Node) -> str | None:
    """The name of a parameter: `@name`, `sqlc.arg('name')`, `sqlc.narg('name')`, with a cast."""
    if node.get("@") == "A_Expr" and _is_plain(node, "@") and "lexpr" not in node:
        inner = node["rexpr"]
        while inner["@"] == "TypeCast":
            inner = inner["arg"]
        return str(inner["fields"][-1]["sval"]) if inner["@"] == "ColumnRef" else None
    if node.get("@") == "FuncCall" and node["funcname"][0]["sval"] == "sqlc":
        return str(node["args"][0]["val"]["sval"])
    return None


def _column_name(value: Node) -> str:
    while value["@"] == "TypeCast":
        value = value["arg"]
    return str(value["fields"][-1]["sval"]) if value["@"] == "ColumnRef" else ""


def _own_sublinks(node: Any) -> Iterator[Node]:  # noqa: ANN401  any node of pglast
    """Yield the subqueries in a statement's own expressions: not those of CTEs, FROM or INSERT."""
    if isinstance(node, tuple):
        for each in cast("Iterable[Any]", node):
            yield from _own_sublinks(each)
    elif isinstance(node, dict):
        tree = cast("Node", node)
        if tree.get("@") == "SubLink":
            yield tree
            yield from _own_sublinks(tree.get("testexpr"))
            return
        for name, inner in tree.items():
            if name not in ("withClause", "subquery", "selectStmt", "onConflictClause"):
                yield from _own_sublinks(inner)


# Files.

UNSCOPED: Final = re.compile(r"(?m)^-- unscoped(?: (\w+))?: (\S.*)$")


def read_queries(path: Path) -> list[Query]:
    """Return the queries of a file."""
    found: list[Query] = []
    for text in re.split(r"(?m)^-- name: ", path.read_text(encoding="utf-8"))[1:]:
        heading, _, rest = text.partition("\n")
        reasons = dict(UNSCOPED.findall(rest))
        sql = "".join(line for line in rest.splitlines(keepends=True) if not line.startswith("--"))
        found.append(Query(heading.split()[0], sql, reasons))
    return found


def unbound(sql: str, schema: Schema) -> list[tuple[str, str]]:
    """Return the references that are not bound, as (alias, problem)."""
    (statement,) = parse("queries", "a query", sql).statements
    return Analysis(schema).check(statement)


def problems(query: Query, schema: Schema) -> list[str]:
    """Return the problems of a query: unbound references, and unused reasons."""
    references = unbound(query.sql, schema)
    if "" in query.unscoped:
        return [] if references else [f"{query.name}: remove `unscoped`: every reference is bound"]
    excused = set(query.unscoped)
    unused = excused - {alias for alias, _ in references}
    return [
        *(f"{query.name}: {alias}: {why}" for alias, why in references if alias not in excused),
        *(f"{query.name}: remove `unscoped {alias}`: it is bound" for alias in unused),
    ]


def read_schema(migrations: Path) -> Schema:
    """Return the tables of the up files, with their columns and keys."""
    columns: dict[str, set[str]] = {}
    keys: dict[str, str] = {}
    for path in sorted(migrations.glob("*/*.up.sql")):
        for statement in parse("any", path.name, path.read_text(encoding="utf-8")).statements:
            if statement["@"] == "CreateStmt":
                table = statement["relation"]["relname"]
                for element in statement["tableElts"]:
                    if element["@"] == "ColumnDef":
                        columns.setdefault(table, set()).add(element["colname"])
                        kinds = [c["contype"]["name"] for c in element.get("constraints", ())]
                        if "CONSTR_PRIMARY" in kinds:
                            keys[table] = element["colname"]
            elif statement["@"] == "AlterTableStmt":
                table = statement["relation"]["relname"]
                for command in statement["cmds"]:
                    if command["subtype"]["name"] == "AT_AddColumn":
                        columns.setdefault(table, set()).add(command["def_"]["colname"])
    return Schema({table: frozenset(names) for table, names in columns.items()}, keys)
