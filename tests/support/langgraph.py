"""A database of langgraph-checkpoint-postgres, made by plain SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TABLES: Final = (
    Path(__file__).parents[2] / "queries" / "foreign" / "langgraph_postgres.sql"
).read_text()
SETUP: Final = f"{TABLES}; INSERT INTO checkpoint_migrations SELECT generate_series(0, 9);"
VERSION: Final = "lpad({}::text, 32, '0') || '.5'"


def thread_sql(
    name: str, *, checkpoints: int = 3, metadata: str = "{}", namespace: str = "", first: int = 1
) -> str:
    """SQL that stores a thread, with bytes that no serializer reads.

    Each checkpoint has an inline number, a blob of its own, one blob that never changes, an empty
    channel, a value without a version and a mark (`snapshot`) with a blob; then two writes.
    """
    own, constant = VERSION.format("n"), VERSION.format("1")
    numbers = f"generate_series({first}, {first + checkpoints - 1}) AS n"
    place = f"'{name}', '{namespace}'"
    return f"""
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
        checkpoint, metadata)
    SELECT {place}, 'c-' || lpad(n::text, 6, '0'),
        CASE WHEN n > 1 THEN 'c-' || lpad((n - 1)::text, 6, '0') END,
        jsonb_build_object('v', 4, 'id', 'c-' || lpad(n::text, 6, '0'),
            'ts', '2025-03-01T10:00:00.000000+00:00'::timestamptz + n * interval '1 second',
            'channel_values', jsonb_build_object('count', n, 'snapshot', true, 'loose', 'é'),
            'channel_versions', jsonb_build_object('count', {own}, 'items', {own},
                'constant', {constant}, 'gone', {constant}, 'snapshot', {own}),
            'versions_seen', '{{}}'::jsonb),
        '{metadata}'::jsonb || jsonb_build_object('step', n, 'run_id', 'run-1')
    FROM {numbers};
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT {place}, channel, {own}, 'msgpack', decode(md5(channel || n), 'hex') || '\\x00ff'::bytea
    FROM {numbers}, unnest('{{items,snapshot}}'::text[]) AS channel
    UNION ALL
    SELECT {place}, 'constant', {constant}, 'msgpack+aes', convert_to(repeat('x', 100000), 'UTF8')
    UNION ALL
    SELECT {place}, 'gone', {constant}, 'empty', NULL
    ON CONFLICT DO NOTHING;
    INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx,
        channel, type, blob)
    SELECT {place}, 'c-' || lpad(n::text, 6, '0'), 'task-' || n, '~p, ' || n, idx,
        CASE WHEN idx < 0 THEN '__interrupt__' ELSE 'items' END, 'msgpack',
        decode(md5(n || '-' || idx), 'hex')
    FROM {numbers}, unnest('{{-3,0}}'::integer[]) AS idx;
    """  # noqa: S608
