"""The SQL that gives three roles their rights: to migrate, to read and write rows, to read rows.

The statement is `grants.sql` beside this module, with one JSON literal for the names. Characters
that could end the literal, or the body around it, are escaped in the JSON; the server quotes the
names itself, with format('%I').
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
"""PostgreSQL truncates names to this number of bytes."""
RESERVED_NAMES: Final = ("public", "none")
"""In place of a role, PUBLIC is every role and NONE is no role, also if they are quoted."""


def grants(
    tracks: Sequence[Track], *, owner: str, service: str, reader: str, schema: str = "public"
) -> str:
    """Return SQL that creates three roles and sets their rights in the schemas of the tracks.

    `owner` migrates; `service` selects, inserts, updates and deletes rows; `reader` selects rows.
    Both can only read the tracking tables. `schema` is the schema of tracks that have none. The
    rights apply to every table of the owner there and, by default privileges, to later ones. The
    SQL sets no password. It raises an error on the server if `service` or `reader` has more rights
    in another way.

    Raises:
        InvalidValue: a name is not possible in PostgreSQL, or two roles have the same name.

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
        raise InvalidValue(f"{argument} must be a name without control characters")
    if len(name.encode()) > LONGEST_NAME:
        raise InvalidValue(f"{argument} is longer than {LONGEST_NAME} bytes: {name!r}")
    if argument != "schema" and name in RESERVED_NAMES:
        raise InvalidValue(f"{argument} cannot be {name!r}, which is not a role")
    if name.startswith("pg_"):
        raise InvalidValue(f"{argument} cannot begin with pg_, which PostgreSQL reserves: {name!r}")


def _literal(names: object) -> str:
    """Return JSON in ASCII, without a character that ends a literal or a dollar-quoted body."""
    text = json.dumps(names)
    return text.replace("'", r"\u0027").replace("$", r"\u0024")
