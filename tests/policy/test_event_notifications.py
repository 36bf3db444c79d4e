"""Every statement that stores events can notify the tails of their sessions, with one payload."""

from __future__ import annotations

import re
from pathlib import Path

from policy.checks.owner_scope import read_queries

ROOT = Path(__file__).parents[2]
QUERIES = [
    query for path in sorted((ROOT / "queries").glob("*.sql")) for query in read_queries(path)
]
DIGEST = re.compile(r"encode\(sha256\(.*?'hex'\)", re.DOTALL)


def digests(sql: str) -> list[str]:
    """Return the digests in a statement, without aliases and indentation."""
    found = [re.sub(r"\w+\.(user_id)", r"\1", digest) for digest in DIGEST.findall(sql)]
    return [" ".join(digest.split()) for digest in found]


def test_every_statement_that_stores_events_can_notify() -> None:
    storing = [query for query in QUERIES if re.search(r"INSERT INTO event\b", query.sql)]
    assert {query.name for query in storing} >= {"InsertEvents", "AppendItems", "AppendAppEvent"}
    silent = [
        query.name
        for query in storing
        if "@notify::boolean" not in query.sql or "pg_notify(" not in query.sql
    ]
    assert silent == [], "a tail would find the events of these statements at its next check only"


def test_digest_of_a_session_has_one_text_in_every_statement() -> None:
    written = {
        re.sub(r"\w+\.(session_id|id) \)::text", "session )::text", text)
        for query in QUERIES
        for text in digests(query.sql)
        if "'event'" in text
    }
    assert len(written) == 1, written
