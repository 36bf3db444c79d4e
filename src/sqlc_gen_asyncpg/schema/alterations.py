"""Definitions and changes of tables and views: their names and columns, and NOT NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.schema.tables import ViewDefinition
from sqlc_gen_asyncpg.sql.statements import Statements
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import Token

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.schema.tables import Key, TableHistory

__all__ = ["alter_table", "create_relation", "split_elements", "table_key"]

_DEFAULT_SCHEMA: Final = "public"
_CONSTRAINTS: Final = frozenset({"constraint", "primary", "unique", "check", "foreign", "exclude"})


def table_key(parts: tuple[str, ...]) -> Key:
    """Return a table's schema and name."""
    *schemas, name = parts
    return schemas[-1] if schemas else _DEFAULT_SCHEMA, name


def create_relation(stream: Stream, history: TableHistory) -> None:
    """Read a table or a view after CREATE."""
    for word in ("global", "local", "temp", "temporary", "unlogged", "foreign", "recursive"):
        stream.take(word)
    stream.take("materialized")
    is_table = stream.take("table")
    if not is_table:
        stream.take("recursive")
        stream.expect("view")
    keeps_existing = stream.take("if", "not", "exists")
    key = table_key(stream.dotted())
    if keeps_existing and key in history.tables:
        return
    if is_table and _create_table(stream, history, key):
        return
    columns = stream.names() if stream.at("(") else ()
    while not stream.take("as"):
        stream.next()
    history.create_view(ViewDefinition(key, columns, Statements(stream).query(), is_table))


def _create_table(stream: Stream, history: TableHistory, key: Key) -> bool:
    """Read a table with columns; return whether it is one, and not CREATE TABLE AS."""
    if stream.take("partition", "of"):
        history.create(key, {}, (table_key(stream.dotted()),))
        return True
    start = stream.position
    if not stream.at("("):
        return stream.at("of")
    elements = split_elements(stream)
    if stream.at_any("as", "using", "with", "tablespace", "on") and _fills(stream):
        stream.position = start
        return False
    columns: dict[str, bool] = {}
    complete = True
    for tokens in elements:
        if tokens[0].kind == "word" and tokens[0].text == "like":
            complete = False
        elif tokens[0].kind == "word" and tokens[0].text in _CONSTRAINTS:
            columns.update(dict.fromkeys(_required_by(tokens), True))
        else:
            columns[tokens[0].text] = columns.get(tokens[0].text, False) or _is_required(tokens)
    parents: list[Key] = []
    if stream.take("inherits"):
        stream.expect("(")
        while not parents or stream.take(","):
            parents.append(table_key(stream.dotted()))
    history.create(key, columns, tuple(parents), complete=complete)
    return True


def _fills(stream: Stream) -> bool:
    """Whether AS and a query follow."""
    following = stream.tokens[stream.position :]
    return any(token.kind == "word" and token.text == "as" for token in following)


def split_elements(stream: Stream) -> list[list[Token]]:
    """Read `( … )` and return the tokens between its commas."""
    stream.expect("(")
    elements: list[list[Token]] = [[]]
    depth = 0
    while depth or not stream.at(")"):
        token = stream.next()
        if token.kind == "op":
            depth += (token.text in {"(", "["}) - (token.text in {")", "]"})
        if token.kind == "op" and token.text == "," and not depth:
            elements.append([])
        else:
            elements[-1].append(token)
    stream.expect(")")
    return [tokens for tokens in elements if tokens]


def _is_required(tokens: list[Token]) -> bool:
    """Whether the definition of a column makes it NOT NULL."""
    stream = Stream([*tokens, Token("end", "")])
    while stream.here.kind != "end":
        if stream.at("("):
            stream.skip_parentheses()
        elif stream.at("not", "null") or stream.at("primary", "key") or stream.at("as", "identity"):
            return True
        else:
            stream.next()
    return False


def _required_by(tokens: list[Token]) -> tuple[str, ...]:
    """Return the columns that a table's constraint makes NOT NULL."""
    stream = Stream([*tokens, Token("end", "")])
    if stream.take("constraint"):
        stream.name()
    if stream.take("not", "null"):
        return (stream.name(),)
    return stream.names() if stream.take("primary", "key") and stream.at("(") else ()


def alter_table(stream: Stream, history: TableHistory) -> None:
    """Read ALTER TABLE or ALTER VIEW after these words."""
    if stream.take("if"):
        stream.expect("exists")
    stream.take("only")
    key = table_key(stream.dotted())
    stream.take("*")
    if stream.take("rename", "to"):
        history.rename(key, (key[0], stream.name()))
    elif stream.take("set", "schema"):
        history.rename(key, (stream.name(), key[1]))
    elif stream.take("rename"):
        if not stream.take("constraint"):
            stream.take("column")
            old = stream.name()
            stream.expect("to")
            history.rename_column(key, old, stream.name())
    else:
        for tokens in _actions(stream):
            _alter(Stream([*tokens, Token("end", "")]), tokens, history, key)


def _actions(stream: Stream) -> list[list[Token]]:
    tokens = stream.tokens[stream.position : -1]
    return split_elements(Stream([Token("op", "("), *tokens, Token("op", ")"), Token("end", "")]))


def _alter(stream: Stream, tokens: list[Token], history: TableHistory, key: Key) -> None:
    action = stream.next().text
    is_constraint = stream.here.kind == "word" and stream.here.text in _CONSTRAINTS
    if action == "add" and is_constraint:
        for name in _required_by(tokens[1:]):
            history.require(key, name, required=True)
    elif action == "add":
        stream.take("column")
        if_missing = stream.take("if", "not", "exists")
        name = stream.name()
        history.add_column(key, name, required=_is_required(tokens), if_missing=if_missing)
    elif action == "drop" and not is_constraint:
        stream.take("column")
        stream.take("if", "exists")
        history.drop_column(key, stream.name())
    elif action == "alter":
        stream.take("column")
        name = stream.name()
        if stream.at("set", "not") or stream.at("drop", "not"):
            history.require(key, name, required=stream.at("set"))
    elif action in {"inherit", "attach"}:
        stream.take("partition")
        parent, child = (key, table_key(stream.dotted()))[:: 1 if action == "attach" else -1]
        history.attach(parent, child)
