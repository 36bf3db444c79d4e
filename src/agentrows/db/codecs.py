"""What every connection carries: json and jsonb as Python values, vectors as pgvector's Vector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pgvector.asyncpg import register_vector

if TYPE_CHECKING:
    import asyncpg


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
    """Set the codecs on a new connection; `vector_schema` is where pgvector lives, if anywhere."""
    await register_json(connection)
    if vector_schema is not None:
        await register_vector(connection, schema=vector_schema)
