"""Codecs of each connection: JSON as Python values, vectors as `pgvector.Vector`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import asyncpg
from pgvector.asyncpg import register_vector

from agentrows.errors import UnreadableRow, stale_types
from agentrows.validation import encode_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    Types: TypeAlias = tuple[Sequence[Mapping[str, object]], object]
    IntrospectOne: TypeAlias = Callable[[str, str], Awaitable[Mapping[str, object]]]
    Introspect: TypeAlias = Callable[[Iterable[int], float | None], Awaitable[Types]]

__all__ = ["PooledConnection", "Target", "encode_json", "register_codecs", "register_json"]

Target = Literal["any", "writer", "reader"]
# Private methods of the driver, which its stubs lack.
ONE_TYPE: Final = "_introspect_type"
TYPES: Final = "_introspect_types"
MAX_JSON_DEPTH: Final = 250
"""Levels of JSON in a stored value; pydantic accepts at most 254 in a model."""
NOT_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^][{}"]+', re.DOTALL)
"""The parts of JSON text between its brackets."""
VECTOR_TYPES: Final = frozenset({"vector", "halfvec", "sparsevec"})


class PooledConnection(asyncpg.Connection):
    """A connection that raises StaleTypes if pgvector was dropped and created again.

    A codec is registered for the OID of a type, and the new types have other OIDs, for which the
    driver would silently use text. It queries the server for each OID that is new to the
    connection, so a vector type among these rows has no codec.
    """

    target: Target = "any"
    """The kind of server that the DSN requires."""
    vector_oids: frozenset[object] = frozenset()
    """The OIDs of the vector types with codecs."""

    async def _introspect_type(self, typename: str, schema: str) -> Mapping[str, object]:
        """Return the server's description of a type for which a codec is registered."""
        introspect = cast("IntrospectOne", getattr(super(), ONE_TYPE))
        description = await introspect(typename, schema)
        if typename in VECTOR_TYPES:
            self.vector_oids |= {description["oid"]}
        return description

    async def _introspect_types(
        self,
        typeoids: Iterable[int],
        timeout: float | None,  # noqa: ASYNC109  the driver's signature
    ) -> Types:
        """Return the server's descriptions of types; raise StaleTypes for a new vector type."""
        introspect = cast("Introspect", getattr(super(), TYPES))
        descriptions = await introspect(typeoids, timeout)
        if self.vector_oids:
            for row in descriptions[0]:
                if row["name"] in VECTOR_TYPES and row["oid"] not in self.vector_oids:
                    raise stale_types(f"{row['name']} has another OID")
        return descriptions


def decode_json(text: str) -> object:
    """Return the value of JSON text; raise UnreadableRow for JSON that no model can contain."""
    if (
        len(text) > MAX_JSON_DEPTH
        and text.count("[") + text.count("{") > MAX_JSON_DEPTH
        and _levels(text) > MAX_JSON_DEPTH
    ):
        raise UnreadableRow(f"JSON has more than {MAX_JSON_DEPTH} levels")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        problem = "JSON has a number with too many digits, or is not valid"
    # Outside of the handler, so that the error of `json`, which contains the text, is no context.
    raise UnreadableRow(problem)


def _levels(text: str) -> int:
    """Return the depth of nesting of JSON text."""
    deepest = level = 0
    for bracket in NOT_BRACKETS.sub("", text):
        level += 1 if bracket in "[{" else -1
        deepest = max(deepest, level)
    return deepest


async def register_json(connection: asyncpg.Connection) -> None:
    """Send and receive json and jsonb as Python values; None is SQL NULL, also in a batch."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=encode_json, decoder=decode_json
        )


async def register_codecs(connection: asyncpg.Connection, *, vector_schema: str | None) -> None:
    """Register the codecs on a connection; `vector_schema` is the schema of pgvector, if any."""
    await register_json(connection)
    if vector_schema is not None:
        await register_vector(connection, schema=vector_schema)
