"""Writes the SQL that gives three roles what they need: to migrate, to read and write, to read.

The statement is `grants.sql` beside this module, the same for everybody but for one JSON literal
with the names. All characters that could end the literal, or the body around it, are escaped in
the JSON; the server quotes the names itself, with format('%I').
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate.track import Track

STATEMENT: Final = Path(__file__).with_suffix(".sql")
PLACE: Final = "{names}"
LONGEST_NAME: Final = 63
"""PostgreSQL cuts a longer one, in bytes."""
NOBODYS_NAMES: Final = ("public", "none")
"""Where a role may stand these mean everybody and nobody, also when they are quoted."""


def grants(
    tracks: Sequence[Track], *, owner: str, service: str, reader: str, schema: str = "public"
) -> str:
    """Return SQL that makes three roles and sets what they may do in the schemas of the tracks.

    `owner` migrates; `service` selects, inserts, updates and deletes rows; `reader` selects. Of the
    tracking tables both only read. `schema` is that of tracks which name none. It holds for every
    table that the owner has there, and by default privileges for those to come. It creates no
    password, and is an error for a service or reader that could do more by another way.

    Raises InvalidValue for a name that PostgreSQL would not take as it is, and for one given twice.
    """
    roles = {"owner": owner, "service": service, "reader": reader}
    for argument, name in {**roles, "schema": schema}.items():
        _check(argument, name)
    if len(set(roles.values())) < len(roles):
        raise InvalidValue("owner, service and reader must be three roles")
    places = [(track.schema or schema, track.table) for track in tracks]
    names = {
        **roles,
        "schemas": list(dict.fromkeys([schema, *(place for place, _ in places)])),
        "tracking": [
            [place, name] for place, table in places for name in (table, f"{table}_history")
        ],
    }
    return STATEMENT.read_text(encoding="utf-8").replace(PLACE, _literal(names))


def _check(argument: str, name: str) -> None:
    if not name or "\0" in name or not name.isprintable():
        raise InvalidValue(f"{argument} must be a name, without control characters")
    if len(name.encode()) > LONGEST_NAME:
        raise InvalidValue(f"{argument} is longer than {LONGEST_NAME} bytes: {name!r}")
    if argument != "schema" and name in NOBODYS_NAMES:
        raise InvalidValue(f"{argument} cannot be {name!r}, which is no role")
    if name.startswith("pg_"):
        raise InvalidValue(f"{argument} cannot begin with pg_, which is PostgreSQL's own: {name!r}")


def _literal(names: object) -> str:
    """Return JSON in ASCII, without a character that ends a literal or a dollar-quoted body."""
    text = json.dumps(names)
    return text.replace("'", r"\u0027").replace("$", r"\u0024")
