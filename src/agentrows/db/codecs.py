"""Codecs of each connection: json and jsonb as Python values, vectors as pgvector's Vector."""

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
# Private methods of the driver, which its stubs do not have.
ONE_TYPE: Final = "_introspect_type"
TYPES: Final = "_introspect_types"
DEEPEST: Final = 250
"""Levels of JSON; pydantic refuses more than 254 in a model."""
BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^][{}"]+', re.DOTALL)
"""The parts of JSON text that are no brackets."""
VECTOR_TYPES: Final = frozenset({"vector", "halfvec", "sparsevec"})


class PooledConnection(asyncpg.Connection):
    """A connection that notices when pgvector was dropped and created again.

    A codec belongs to the number (OID) of a type, and the new types have other numbers. For them
    the driver would use text without an error. It asks the server about each number that is new
    to the connection, so a type of pgvector among the answers has no codec here.
    """

    target: Target = "any"
    """The kind of server that the DSN asks for."""
    vector_oids: frozenset[object] = frozenset()
    """The numbers of pgvector's types that have codecs."""

    async def _introspect_type(self, typename: str, schema: str) -> Mapping[str, object]:
        """Return the server's description of a type that gets a codec."""
        introspect = cast("IntrospectOne", getattr(super(), ONE_TYPE))
        found = await introspect(typename, schema)
        if typename in VECTOR_TYPES:
            self.vector_oids |= {found["oid"]}
        return found

    async def _introspect_types(
        self,
        typeoids: Iterable[int],
        timeout: float | None,  # noqa: ASYNC109  the driver's signature
    ) -> Types:
        """Return the server's description of types; raise StaleTypes for types of pgvector."""
        introspect = cast("Introspect", getattr(super(), TYPES))
        found = await introspect(typeoids, timeout)
        if self.vector_oids:
            for each in found[0]:
                if each["name"] in VECTOR_TYPES and each["oid"] not in self.vector_oids:
                    raise stale_types(f"{each['name']} has another OID")
        return found


def decode_json(text: str) -> object:
    """Return the value of JSON text; raise UnreadableRow for what no model can hold."""
    if (
        len(text) > DEEPEST
        and text.count("[") + text.count("{") > DEEPEST
        and _levels(text) > DEEPEST
    ):
        raise UnreadableRow(f"JSON has more than {DEEPEST} levels")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        problem = "JSON has a number with too many digits, or is not valid"
    # Outside of the handler, because the error of json contains the text.
    raise UnreadableRow(problem)


def _levels(text: str) -> int:
    """Return how deep JSON text is nested."""
    deepest = level = 0
    for bracket in BRACKETS.sub("", text):
        level += 1 if bracket in "[{" else -1
        deepest = max(deepest, level)
    return deepest


async def register_json(connection: asyncpg.Connection) -> None:
    """Send and receive json and jsonb as Python values; None is SQL NULL, also inside a batch."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=encode_json, decoder=decode_json
        )


async def register_codecs(connection: asyncpg.Connection, *, vector_schema: str | None) -> None:
    """Set the codecs on a new connection; `vector_schema` is where pgvector lives, if anywhere."""
    await register_json(connection)
    if vector_schema is not None:
        await register_vector(connection, schema=vector_schema)
