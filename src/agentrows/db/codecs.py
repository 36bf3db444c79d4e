"""What every connection carries: json and jsonb as Python values, vectors as pgvector's Vector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pgvector.asyncpg import register_vector

from agentrows.errors import ConfigError

if TYPE_CHECKING:
    import asyncpg

NO_PGVECTOR: Final = (
    "the extension pgvector is not installed in this database; run `agentrows migrate up`, "
    "or switch vectors off with AGENTROWS_VECTOR_ENABLED=false"
)


def encode_json(value: object) -> str:
    """Return compact JSON text; NaN and infinities, which JSON lacks, raise ValueError."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


async def register_json(connection: asyncpg.Connection) -> None:
    """Send and receive json and jsonb as Python values; None is SQL NULL, also inside a batch."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=encode_json, decoder=json.loads
        )


async def register_codecs(connection: asyncpg.Connection, *, vector_schema: str | None) -> None:
    """Set the codecs on a new connection; `vector_schema` is None where vectors are off.

    Raises ConfigError if the schema has no type `vector`.
    """
    await register_json(connection)
    if vector_schema is None:
        return
    try:
        await register_vector(connection, schema=vector_schema)
    except ValueError as error:
        raise ConfigError(NO_PGVECTOR) from error
