"""Rules for migrations, checked on PostgreSQL's own parse tree.

Each rule returns its problems as `file: message`; no problem is an empty list. A statement is the
tree as plain dictionaries, as pglast serialises it: "@" is a node's type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import pglast

if TYPE_CHECKING:
    from pathlib import Path

Node = dict[str, Any]

TRACKS: Final = ("core", "vector", "agentrows", "agentrows_vector", "rls", "rls_vector")
SHARED: Final = ("core", "vector")
"""The tracks that a Go controller has as well, with its numbers and tables."""
POLICIES: Final = ("rls", "rls_vector")
"""The tracks that contain only policies, on tables of other tracks."""
PREFIX: Final = "agentrows_"
NAME: Final = re.compile(r"([0-9]{6})_([a-z0-9_]+)\.(up|down)\.sql")
HEADER: Final = re.compile(r"-- no-transaction: \S")
TOP_LEVEL_FILES: Final = ("frozen.sum",)
INDEXES: Final = "memory_indexes"
"""A folder that is no track: indexes that an application builds on request."""
CATALOG: Final = "catalog"
"""A folder that is no track: the objects that each migration creates."""

REPEATABLE_ALTERATIONS: Final = {
    "AT_ColumnDefault",
    "AT_SetNotNull",
    "AT_DropNotNull",
    "AT_AlterColumnType",
    "AT_SetStatistics",
    "AT_SetStorage",
    "AT_EnableRowSecurity",
    "AT_DisableRowSecurity",
    "AT_ForceRowSecurity",
    "AT_NoForceRowSecurity",
    "AT_SetRelOptions",
    "AT_ResetRelOptions",
}
# Repeatable, or checked by another rule.
HARMLESS: Final = {
    "CommentStmt",
    "DeleteStmt",
    "InsertStmt",
    "ReindexStmt",
    "SelectStmt",
    "UpdateStmt",
    "VacuumStmt",
    "VariableSetStmt",
}
OF_TABLE: Final = ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY")
"""Objects with a name within their table."""
WHY_NOT: Final = {
    "DoStmt": "DO hides its statements from sqlc and from these rules",
    "TransactionStmt": "BEGIN, COMMIT and the like end the transaction of the run",
}
GUARDED_EXTENSION: Final = re.compile(
    r"BEGIN IF NOT EXISTS \(SELECT FROM pg_catalog\.pg_extension WHERE extname = '(\w+)'\) "
    r"THEN CREATE EXTENSION \1; END IF; END"
)
GUARDED_CREATE: Final = {
    "CreateStmt": "if_not_exists",
    "IndexStmt": "if_not_exists",
    "CreateExtensionStmt": "if_not_exists",
    "CreateSeqStmt": "if_not_exists",
    "CreateTableAsStmt": "if_not_exists",
    "ViewStmt": "replace",
    "CreateFunctionStmt": "replace",
    "CreateTrigStmt": "replace",
}
NEVER_IN_A_TRANSACTION: Final = {
    "CreatedbStmt",
    "DropdbStmt",
    "CreateTableSpaceStmt",
    "DropTableSpaceStmt",
    "AlterSystemStmt",
}


@dataclass(frozen=True, slots=True)
class File:
    """A migration file: its track, its label (`core/000001_initial.up.sql`), text and tree."""

    track: str
    label: str
    text: str
    statements: tuple[Node, ...]


Rule = Callable[[list[File]], list[str]]


def check(root: Path) -> list[str]:
    """Return every problem of the migrations in a directory; rules on trees need valid files."""
    return check_files(root) or check_statements(read(root))


def check_files(root: Path) -> list[str]:
    """Check names, pairs, numbers and bytes."""
    problems = [
        f"{path.name}: is not a track or frozen.sum"
        for path in sorted(root.iterdir())
        if path.name not in (*TRACKS, *TOP_LEVEL_FILES, CATALOG, INDEXES)
    ]
    for track in TRACKS:
        files = sorted((root / track).iterdir()) if (root / track).is_dir() else []
        problems += check_names(track, [path.name for path in files])
        for path in files:
            problems += check_bytes(f"{track}/{path.name}", path.read_bytes())
    return problems


def check_names(track: str, names: list[str]) -> list[str]:
    """Check names: six digits, a down file for each up file, contiguous from 1."""
    problems = [
        f"{track}/{name}: is not named NNNNNN_name.up.sql or NNNNNN_name.down.sql"
        for name in names
        if not NAME.fullmatch(name)
    ]
    ways: dict[str, set[str]] = {}
    for found in filter(None, map(NAME.fullmatch, names)):
        ways.setdefault(f"{found[1]}_{found[2]}", set()).add(found[3])
    for number, stem in enumerate(sorted(ways), start=1):
        lacking = sorted({"up", "down"} - ways[stem])
        problems += [f"{track}/{stem}: has no .{way}.sql" for way in lacking]
        if int(stem[:6]) != number:
            problems.append(f"{track}/{stem}: its number has to be {number:06}")
    return problems


def check_bytes(label: str, data: bytes) -> list[str]:
    """Check bytes: UTF-8 without a byte order mark, LF, and a reason on the first line."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [f"{label}: is not UTF-8"]
    problems: list[str] = []
    if text.startswith("\ufeff"):
        problems.append(f"{label}: starts with a byte order mark")
    if "\r" in text:
        problems.append(f"{label}: has CR in its line ends")
    if not text.endswith("\n"):
        problems.append(f"{label}: does not end with a line end")
    if not re.match(r"-- \S", text.removeprefix("\ufeff")):
        problems.append(f"{label}: the first line has to be a comment with the reason")
    return problems


def read(root: Path) -> list[File]:
    """Parse every file, in the order of tracks and numbers."""
    return [
        parse(track, f"{track}/{path.name}", path.read_text(encoding="utf-8"))
        for track in TRACKS
        if (root / track).is_dir()
        for path in sorted((root / track).iterdir())
    ]


def parse(track: str, label: str, text: str) -> File:
    """Parse one file."""
    tree: tuple[Any, ...] = pglast.parse_sql(text)
    return File(track, label, text, tuple(raw.stmt(skip_none=True) for raw in tree))


def check_statements(files: list[File]) -> list[str]:
    """Check every rule on trees."""
    return [problem for rule in RULES for problem in rule(files)]


def unguarded(files: list[File]) -> list[str]:
    """Find statements that would fail, or have another effect, when they are applied twice."""
    return [
        f"{file.label}: {problem}"
        for file in files
        for at, statement in enumerate(file.statements)
        for problem in _unguarded(statement, file.statements[:at])
    ]


def _unguarded(statement: Node, before: tuple[Node, ...]) -> Iterator[str]:
    yield from _unguarded_rows(statement)
    kind = statement["@"]
    if kind in GUARDED_CREATE:
        if not statement.get(GUARDED_CREATE[kind]):
            yield f"{kind} without IF NOT EXISTS or OR REPLACE"
    elif kind == "DropStmt":
        if not statement["missing_ok"]:
            yield "DROP without IF EXISTS"
    elif kind == "CreatePolicyStmt":
        if not any(map(partial(_drops_policy, statement), before)):
            yield f"CREATE POLICY {statement['policy_name']} without a DROP POLICY before it"
    elif kind == "AlterTableStmt":
        for command in statement["cmds"]:
            yield from _unguarded_alteration(statement, command, before)
    elif kind not in HARMLESS and not _is_guarded_extension(statement):
        yield WHY_NOT.get(kind, f"{kind} may not be repeatable: no rule here covers it")


def _is_guarded_extension(statement: Node) -> bool:
    """Whether a DO block only creates an extension if it is missing."""
    if statement["@"] != "DoStmt":
        return False
    (body,) = (each["arg"]["sval"] for each in statement["args"] if each["defname"] == "as")
    return GUARDED_EXTENSION.fullmatch(" ".join(body.split())) is not None


def _drops_policy(made: Node, statement: Node) -> bool:
    wanted = [made["table"]["relname"], made["policy_name"]]
    return (
        statement["@"] == "DropStmt"
        and statement["removeType"]["name"] == "OBJECT_POLICY"
        and wanted in map(_names, statement["objects"])
    )


def _unguarded_rows(statement: Node) -> Iterator[str]:
    for node in walk(statement):
        if node["@"] == "InsertStmt" and "onConflictClause" not in node:
            yield "INSERT without ON CONFLICT"
        if node["@"] == "UpdateStmt" and "whereClause" not in node:
            yield "UPDATE without WHERE finds its rows again the second time"


def _unguarded_alteration(
    statement: Node, command: Node, before: tuple[Node, ...]
) -> Iterator[str]:
    kind = command["subtype"]["name"]
    table = statement["relation"]["relname"]
    if kind in ("AT_AddColumn", "AT_DropColumn", "AT_DropConstraint"):
        if not command["missing_ok"]:
            yield f"{kind} on {table} without IF (NOT) EXISTS"
    elif kind == "AT_AddConstraint":
        name = command["def_"].get("conname")
        if ("AT_DropConstraint", table, name) not in set(_alterations(before)):
            yield f"ADD CONSTRAINT {name} on {table} without a DROP CONSTRAINT before it"
    elif kind not in REPEATABLE_ALTERATIONS:
        yield f"{kind} on {table} may not be repeatable: no rule here covers it"


def _alterations(statements: tuple[Node, ...]) -> Iterator[tuple[str, str, str | None]]:
    for statement in statements:
        for command in statement.get("cmds", ()) if statement["@"] == "AlterTableStmt" else ():
            yield (
                command["subtype"]["name"],
                statement["relation"]["relname"],
                command.get("name"),
            )


def changes_of_other_tracks(files: list[File]) -> list[str]:
    """Find statements on another track's table.

    `agentrows` may index, comment, add columns of its own and set the fill factor; the tracks of
    policies may add and enable policies.
    """
    owners = _owners(files)
    problems: list[str] = []
    for file in files:
        for statement in file.statements:
            for table in _touched(statement):
                owner = owners.get(table, file.track)
                if owner != file.track and not _is_allowed_on_other_tracks(file, statement):
                    problems.append(f"{file.label}: {statement['@']} on {table} of {owner}")
            for table in _referenced(statement):
                owner = owners.get(table, file.track)
                if owner != file.track:
                    problems.append(f"{file.label}: a foreign key into {table} of {owner}")
    return problems


def _owners(files: list[File]) -> dict[str, str]:
    """Return the track of each table, index and view."""
    owners: dict[str, str] = {}
    for file in files:
        for statement in file.statements:
            if statement["@"] == "CreateStmt":
                owners.setdefault(statement["relation"]["relname"], file.track)
            elif statement["@"] == "IndexStmt":
                owners.setdefault(statement.get("idxname", ""), file.track)
            elif statement["@"] == "ViewStmt":
                owners.setdefault(statement["view"]["relname"], file.track)
    return owners


def _touched(statement: Node) -> list[str]:
    """Return the tables and indexes that a statement changes, without those that it only reads."""
    kind = statement["@"]
    if kind == "DropStmt":
        of_table = statement["removeType"]["name"] in OF_TABLE
        return [names[-2 if of_table else -1] for names in map(_names, statement["objects"])]
    if kind == "CommentStmt":
        names = _names(statement["object"])
        inner = ("OBJECT_COLUMN", "OBJECT_TRIGGER", "OBJECT_TABCONSTRAINT")
        return [names[-2 if statement["objtype"]["name"] in inner else -1]]
    if kind == "CreatePolicyStmt":
        return [statement["table"]["relname"]]
    if kind == "TruncateStmt":
        return [relation["relname"] for relation in statement["relations"]]
    changing = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
    touched = [n["relation"]["relname"] for n in walk(statement) if n["@"] in changing]
    if kind not in changing and isinstance(statement.get("relation"), dict):
        touched.append(statement["relation"]["relname"])
    return touched


def _referenced(statement: Node) -> list[str]:
    return [n["pktable"]["relname"] for n in walk(statement) if "pktable" in n]


def _is_allowed_on_other_tracks(file: File, statement: Node) -> bool:
    """Whether the statement does not affect a Go controller, or is about policies."""
    if file.track in POLICIES:
        return _is_of_policies(statement)
    if file.track in SHARED:
        return False
    if statement["@"] == "IndexStmt":
        return statement.get("idxname", "").startswith(PREFIX) and not statement.get("unique")
    if statement["@"] == "CommentStmt":
        return statement["objtype"]["name"] in ("OBJECT_COLUMN", "OBJECT_TABLE")
    if statement["@"] == "AlterTableStmt":
        return all(_is_own_column(each) or _is_fillfactor(each) for each in statement["cmds"])
    return False


def _is_of_policies(statement: Node) -> bool:
    kind = statement["@"]
    if kind == "CreatePolicyStmt":
        return bool(statement["permissive"]) and statement["policy_name"].startswith(PREFIX)
    if kind == "DropStmt":
        dropped = [_names(each)[-1] for each in statement["objects"]]
        is_policy = statement["removeType"]["name"] == "OBJECT_POLICY"
        return is_policy and all(name.startswith(PREFIX) for name in dropped)
    return kind == "AlterTableStmt" and all(
        command["subtype"]["name"].endswith("RowSecurity") for command in statement["cmds"]
    )


def _is_own_column(command: Node) -> bool:
    if command["subtype"]["name"] == "AT_DropColumn":
        return str(command["name"]).startswith(PREFIX)
    if command["subtype"]["name"] != "AT_AddColumn":
        return False
    column = command["def_"]
    return column["colname"].startswith(PREFIX) and not column.get("constraints")


def _is_fillfactor(command: Node) -> bool:
    """Whether only the fill factor changes, which no query can observe."""
    if command["subtype"]["name"] not in ("AT_SetRelOptions", "AT_ResetRelOptions"):
        return False
    return all(option["defname"] == "fillfactor" for option in command["def_"])


def qualified_names(files: list[File]) -> list[str]:
    """Find names with a schema: a track in another schema would not use its own tables."""
    return [
        f"{file.label}: remove the schema from {name}"
        for file in files
        for statement in file.statements
        for name in _qualified(statement)
    ]


def _qualified(statement: Node) -> Iterator[str]:
    for node in walk(statement):
        if "schemaname" in node:
            yield f"{node['schemaname']}.{node['relname']}"
        # The grammar itself writes pg_catalog for types and functions with a keyword of their own.
        names = _names(node.get("funcname", node.get("names", ())))
        if len(names) > 1 and names[0] != "pg_catalog" and node["@"] in ("FuncCall", "TypeName"):
            yield ".".join(names)
    if statement["@"] == "DropStmt":
        plain = 2 if statement["removeType"]["name"] in OF_TABLE else 1
        yield from (".".join(n) for n in map(_names, statement["objects"]) if len(n) > plain)
    if statement["@"] == "CommentStmt":
        names = _names(statement["object"])
        if len(names) > (2 if statement["objtype"]["name"] == "OBJECT_COLUMN" else 1):
            yield ".".join(names)


def lasting_settings(files: list[File]) -> list[str]:
    """Find settings: they outlive their file, SET LOCAL too, because the run is one transaction."""
    return [
        f"{file.label}: SET or set_config would apply to the next file too"
        for file in files
        for statement in file.statements
        for node in walk(statement)
        if node["@"] == "VariableSetStmt"
        or (node["@"] == "FuncCall" and _names(node["funcname"])[-1] == "set_config")
    ]


def outside_transactions(files: list[File]) -> list[str]:
    """Check that a nontransactional statement is alone, below the header, in no shared track."""
    problems: list[str] = []
    for file in files:
        needs = any(map(_needs_no_transaction, file.statements))
        header = HEADER.match(file.text) is not None
        if needs and not header:
            problems.append(f"{file.label}: lacks the first line `-- no-transaction: <reason>`")
        if header and not needs:
            problems.append(
                f"{file.label}: can run in a transaction: remove the line no-transaction"
            )
        if needs and len(file.statements) > 1:
            problems.append(f"{file.label}: the statement must be alone in its file")
        if (needs or header) and file.track in SHARED:
            problems.append(f"{file.label}: the track {file.track} runs in one transaction")
    return problems


def _needs_no_transaction(statement: Node) -> bool:
    kind = statement["@"]
    return (
        kind in NEVER_IN_A_TRANSACTION
        or (kind == "VacuumStmt" and statement["is_vacuumcmd"])
        or any(node.get("concurrent") for node in walk(statement) if node["@"] in _CONCURRENT)
        or (
            kind == "ReindexStmt"
            and any(option["defname"] == "concurrently" for option in statement.get("params", ()))
        )
    )


_CONCURRENT: Final = ("IndexStmt", "DropStmt", "PartitionCmd")

RULES: Final[tuple[Rule, ...]] = (
    unguarded,
    changes_of_other_tracks,
    qualified_names,
    lasting_settings,
    outside_transactions,
)


def walk(value: Any) -> Iterator[Node]:  # noqa: ANN401  any node of pglast
    """Yield every node of a tree, the root first."""
    if isinstance(value, dict):
        node = cast("Node", value)
        if "@" in node:
            yield node
        for inner in node.values():
            yield from walk(inner)
    elif isinstance(value, tuple):
        for item in cast("Iterable[Any]", value):
            yield from walk(item)


def _names(value: Any) -> list[str]:  # noqa: ANN401  a node, or a tuple of them
    """Return the strings of a dotted name, from any kind of node."""
    return [str(node["sval"]) for node in walk(value) if node["@"] == "String"]
