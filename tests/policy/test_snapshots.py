"""No statement locks rows and reads other tables in one snapshot, unless it was reviewed.

The snapshot of a statement is older than the locks that it waits for. It does not contain rows of
other tables that were committed in between: deleting a parent leaves these rows behind. Locks
belong in a statement of their own, before the one that reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from policy.checks import memory_searches
from policy.checks.migration_policy import parse, walk
from policy.checks.owner_scope import Query, read_queries

if TYPE_CHECKING:
    from policy.checks.migration_policy import Node

ROOT = Path(__file__).parents[2]
QUERIES = [
    query for path in sorted((ROOT / "queries").glob("*.sql")) for query in read_queries(path)
]
REVIEWED: Final = {
    "AppendAppEvent": "compares the version in an update, which reads the newest row",
    "CopyThread": "replaces the locked rows, and deletes nothing",
    "CreateHistory": "inserts a history beside the locked entries; a taken id stops it",
    "DeleteIdleThreads": "its checkpoints are locked by LockIdleThreads, run before it",
    "DeleteRuns": "its checkpoints are locked by LockCheckpointsOfRuns, run before it",
    "DeleteThreads": "its checkpoints are locked by LockCheckpointsOfThreads, run before it",
    "InsertEvents": "writes the locked session and new events, and deletes nothing",
    "InsertNewEvents": "writes the locked session and new events, and deletes nothing",
    "InsertSessionShare": "inserts a share of the locked session",
    "LockExpiredSessions": "returns keys; PruneSessions reads all again in a new snapshot",
    "LockHistoryEntries": "returns ids; DeleteUnusedHistoryEntries reads all again",
    "LockIdleHistoryEntries": "returns ids; PruneHistories reads all again in a new snapshot",
    "LockUnnamedValues": "returns keys; DeleteUnnamedValues reads all again in a new snapshot",
    "PruneThread": "its checkpoints are locked by LockCheckpoints, run before it",
    "PruneFeedbackTargets": "a target and its feedback are stored by one statement",
    "PruneHistories": "reads entries that an earlier statement locked, and the age again",
    "RecordShareAccess": "inserts a use of the locked share, which has a foreign key to it",
    **{
        f"SearchAndTouchOwnMemories{dimensions}": "reads the catalog beside the locked rows"
        for dimensions in memory_searches.ALL
    },
    "StoreThreadStep": "writes new rows beside the locked ones, and deletes nothing",
    "UpdateHistory": "compares the revision in an update, which reads the newest row",
    "UpsertPushNotification": "inserts a config of the locked task; a taken id is a conflict",
}
"""Reviewed statements, with the reason."""
AFTER_LOCKS: Final = {"EraseUser", "PruneSessions", "PruneTasks", "PurgeSession", "PurgeTask"}
"""Statements that remove a session or a task, run after statements that lock them."""


def tables_beside_locks(query: Query) -> set[str]:
    """Return the tables that a locking statement uses beside the tables that it locks."""
    (statement,) = parse("queries", query.name, query.sql).statements
    names = {node["ctename"] for node in walk(statement) if node["@"] == "CommonTableExpr"}
    in_clauses = {
        id(table)
        for node in walk(statement)
        for clause in node.get("lockingClause", ())
        for table in clause.get("lockedRels", ())
    }
    ranges = [
        node for node in walk(statement) if node["@"] == "RangeVar" and id(node) not in in_clauses
    ]
    used = {node["relname"] for node in ranges} - names
    locked: set[str] = set()
    for select in walk(statement):
        if select["@"] != "SelectStmt":
            continue
        for clause in select.get("lockingClause", ()):
            ranges = [node for node in walk(select["fromClause"]) if node["@"] == "RangeVar"]
            aliases = {node["relname"] for node in clause.get("lockedRels", ())}
            locked |= {
                node["relname"]
                for node in ranges
                if not aliases or {node["relname"], _alias(node)} & aliases
            }
    return used - locked if locked else set()


def _alias(node: Node) -> str | None:
    return node["alias"]["aliasname"] if "alias" in node else None


def test_statements_that_lock_and_read_other_tables_are_reviewed() -> None:
    assert {query.name for query in QUERIES if tables_beside_locks(query)} == REVIEWED.keys(), (
        "lock the rows in a statement of their own, or add the query with a reason to REVIEWED"
    )


def test_statements_that_remove_a_parent_are_reviewed() -> None:
    removing = {
        query.name
        for query in QUERIES
        for node in walk(parse("queries", query.name, query.sql).statements)
        if node["@"] == "DeleteStmt" and node["relation"]["relname"] in {"session", "task"}
    }

    assert removing == AFTER_LOCKS, (
        "lock the sessions or tasks in an earlier statement, then add the query to AFTER_LOCKS"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "WITH old AS (SELECT FROM session FOR UPDATE) DELETE FROM event USING old",
        "DELETE FROM event WHERE session_id IN (SELECT id FROM session FOR SHARE SKIP LOCKED)",
        "SELECT s.id FROM session AS s JOIN event AS e ON true FOR UPDATE OF s",
    ],
)
def test_statement_that_locks_and_reads_another_table_is_detected(sql: str) -> None:
    assert tables_beside_locks(Query("Example", sql, {})) == {"event"}
