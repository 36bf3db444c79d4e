"""Times of the tables that kagent does not have: NOT NULL in the schema, never None in a row."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg
from pydantic import BaseModel

from agentrows.gen import models

TIMES: Final = """
    SELECT format('%s.%s', relname, attname) AS name, attnotnull AS is_set
    FROM pg_attribute
    INNER JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
    WHERE relname LIKE 'agentrows\\_%' AND relname NOT LIKE '%schema\\_migrations%'
        AND relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped
        AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
    ORDER BY name
"""
# NULL has a meaning in these columns.
NEVER_EXPIRES: Final = {"agentrows_memory.expires_at", "agentrows_store_item.expires_at"}
# Rows of tables in which other writers may leave the time NULL, and rows of batches.
OPTIONAL: Final = {
    *("Agent", "Checkpoint", "CheckpointWrite", "CrewAIFlowState", "CrewAIMemory", "Event"),
    *("Feedback", "ImportedCheckpoint", "ImportedWrite", "LastOfBatch", "Memory", "MemoryHit"),
    *("PushNotification", "Session", "Task", "ThreadCheckpoint", "Tool", "ToolServer"),
}


async def test_time_of_a_table_of_this_project_is_not_null(migrated: str) -> None:
    db = await asyncpg.connect(migrated)
    try:
        rows = await db.fetch(TIMES)
    finally:
        await db.close()

    assert len(rows) >= 9
    nullable = {row["name"] for row in rows if not row["is_set"]}
    assert nullable == NEVER_EXPIRES, (
        "set NOT NULL in a new migration: CHECK (… IS NOT NULL) NOT VALID, the backfill in "
        "batches, VALIDATE CONSTRAINT, SET NOT NULL, and drop the check"
    )


def test_only_rows_of_tables_of_other_writers_have_times_that_may_be_none() -> None:
    rows = [model for model in vars(models).values() if isinstance(model, type)]
    found = {
        model.__name__
        for model in rows
        if issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
        if name in {"created_at", "updated_at"} and field.annotation is not datetime
    }

    assert found == OPTIONAL, "a row of a table agentrows_… has times that are never None"
