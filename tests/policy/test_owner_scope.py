"""Every statement on users' rows binds `user_id`, and the check detects those that do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policy.checks.owner_scope import (
    LINKS,
    SHARED,
    Query,
    problems,
    read_queries,
    read_schema,
    unbound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCHEMA = read_schema(ROOT / "migrations")
QUERIES = [
    query for path in sorted((ROOT / "queries").glob("*.sql")) for query in read_queries(path)
]
OWNED = {table for table in SCHEMA.columns if SCHEMA.is_owned(table)}

# Statements of all users (""), and aliases that are not bound, in agreement with the SQL comments.
UNSCOPED = {
    "CopyMemories": {""},
    "CopyOwnMemories": {""},
    "CountMemoriesToCopy": {""},
    "CountOwnMemoriesToCopy": {""},
    "ListMemoriesToCopy": {""},
    "ListOwnMemoriesToCopy": {""},
    "CountExpiredSessions": {""},
    "CountIdleThreads": {""},
    "CountExpiredTaskEvents": {""},
    "CountEntriesOfTranscripts": {""},
    "ListHistoriesByAge": {""},
    "ListTranscriptsByAge": {""},
    "LockIdleTranscripts": {""},
    "PruneTranscripts": {""},
    "ErasePushConfigs": {"config"},
    "CountValuesOfExpiredSessions": {""},
    "EraseUser": {"access", "ambiguous", "other"},
    "FindSessionShares": {""},
    "IsTaskDeleted": {""},
    "ListAllAgentSessionsByActivity": {""},
    "ListAllAgentSessionsByCreation": {""},
    "ListAllAppSessions": {""},
    "ListIdleSessions": {""},
    "ListIdleThreads": {""},
    "ListPushConfigsAllUsers": {""},
    "ListTaskEventsAllUsers": {""},
    "LockExpiredSessions": {""},
    "LockTasksOfSession": {""},
    "LockTasksOfSessions": {""},
    "LockUnnamedValues": {"blob"},
    "PruneMemories": {""},
    "PruneOwnMemories": {""},
    "PruneRowsOfTasks": {""},
    "PruneSessions": {""},
    "PurgeSession": {"hidden", "other"},
    "PruneStoreItems": {""},
    "PruneTaskEvents": {""},
    "PurgeTask": {"config"},
    "ReadMemoryState": {""},
    "RecordShareAccess": {""},
    "UpsertPushConfig": {"other"},
    "UpsertPushNotification": {"other"},
    "PruneDeletedEvents": {""},
    "PruneDeletedPushNotifications": {""},
    "PruneDeletedCrewMemories": {""},
    "PruneDeletedFlowStates": {""},
    "PruneDeletedCheckpoints": {""},
    "PruneDeletedCheckpointWrites": {""},
    "CountDeletedRows": {""},
    "PruneEventsWithoutSession": {""},
    "CountEventsWithoutSession": {""},
    "PruneFeedback": {""},
    "PruneKeysOfFeedback": {""},
    "PruneTargetsOfFeedback": {""},
    "PruneFeedbackTargets": {""},
    "CountAbsentFeedbackTargets": {""},
    "CountTargetsOfOldFeedback": {""},
    "CountOldFeedback": {""},
    "PruneFeedbackKeys": {""},
    "CountOldFeedbackKeys": {""},
    "CountExpiredMemories": {""},
    "CountExpiredOwnMemories": {""},
    "CountExpiredStoreItems": {""},
    "CountVectorsOfExpiredStoreItems": {""},
    "ListSessionsOfEvents": {""},
    "ListTasksByAge": {""},
    "LockTasks": {""},
    "ListTasksInUse": {""},
    "PruneTasks": {""},
    "CountRowsOfTasks": {""},
    "CountOwnRowsOfTasks": {""},
    "ListPushNotificationsByAge": {""},
    "LockPushNotifications": {""},
    "PrunePushNotifications": {""},
    "ListPushConfigsByAge": {""},
    "PrunePushConfigs": {""},
    "ListCrewMemoriesByAge": {""},
    "ListFlowStatesByAge": {""},
    "FindOldestCheckpoint": {""},
    "FindOldestCrewMemory": {""},
    "FindOldestFeedback": {""},
    "FindOldestFeedbackKey": {""},
    "FindOldestFeedbackTarget": {""},
    "FindOldestFlowState": {""},
    "FindOldestSession": {""},
    "FindOldestTaskEvent": {""},
}


def name(query: Query) -> str:
    return query.name


@pytest.mark.parametrize("query", QUERIES, ids=name)
def test_statement_binds_the_user_or_gives_a_reason(query: Query) -> None:
    assert problems(query, SCHEMA) == [], (
        "compare these aliases with @user_id, or give a reason: `-- unscoped: reason`"
    )


def test_unscoped_statements_are_listed() -> None:
    assert {q.name: set(q.unscoped) for q in QUERIES if q.unscoped} == UNSCOPED, (
        "a query with `-- unscoped: reason` needs a review and an entry in UNSCOPED"
    )


def test_every_table_is_owned_or_listed_as_shared() -> None:
    assert set(SCHEMA.columns) - OWNED == SHARED, (
        "a table without a column user_id needs an entry in SHARED or LINKS of "
        "tests/policy/checks/owner_scope.py"
    )
    assert {"session", "event", "task", "memory", *LINKS} <= OWNED


# Conditions that restrict a statement to its user, as the queries write them.
CARRIERS = (
    r"(?:\w+\.)?user_id = (?:@user_id(?:::text)?|(?!excluded)\w+\.user_id)\b",
    r"\w+\.user_id = excluded\.user_id\b",
    r"min\(s\.user_id\) = @user_id(?:::text)?",
    r"count\(\*\) = 1\b",
    r"\(id, user_id\) IN \(SELECT session_id, user_id FROM input\)",
    r"s\.id = task\.session_id",
    r"task\.user_id IS NULL\b(?! THEN)",
    r"task\.id = config\.task_id",
    r"config\.task_id = excluded\.task_id",
    r"m\.id = hit\.id",
    r"memory\.id = locked\.id",
    r"id IN \(SELECT id FROM hit\)",
)
GIVERS = (
    r"(?<=\n    )@user_id(?:::text)?(?=[,\n])",
    r"(?<=\n        )@user_id(?:::text)?(?=[,\n])",
    r"(?<=\()@user_id(?=, @thread_id)",
    r"(?<=, )@user_id::text(?=, @config_id)",
)
"""Values that give a new row to the caller, as the queries write them."""


def mutants(query: Query) -> Iterator[tuple[str, str]]:
    """Yield a label and the SQL of each mutant: one condition dropped, weakened or negated."""
    for pattern in CARRIERS:
        for match in re.finditer(pattern, query.sql):
            text = match[0]
            side = text.split(" ")[0]
            if side.split(".")[0] in query.unscoped:
                continue
            for instead in ("true", f"({text} OR true)", f"NOT ({text})", f"({side} = {side})"):
                if " = " in text or " = " not in instead:
                    yield f"{text} → {instead}", _put(query.sql, match, instead)
    for pattern in GIVERS:
        for match in re.finditer(pattern, query.sql):
            yield f"{match[0]} → another", _put(query.sql, match, "@other::text")
    for match in re.finditer(r"ON CONFLICT \(id, user_id\) DO UPDATE", query.sql):
        yield "a wider key", _put(query.sql, match, "ON CONFLICT (id) DO UPDATE")


def _put(sql: str, match: re.Match[str], text: str) -> str:
    return f"{sql[: match.start()]}{text}{sql[match.end() :]}"


SCOPED = [
    query
    for query in QUERIES
    if "" not in query.unscoped
    and set(re.findall(r"(?:FROM|JOIN|INTO|UPDATE) (\w+)", query.sql)) & OWNED
]


@pytest.mark.parametrize("query", SCOPED, ids=name)
def test_statement_without_its_user_condition_is_reported(query: Query) -> None:
    mutated = dict(mutants(query))
    missed = [
        label
        for label, sql in mutated.items()
        if not {alias for alias, _ in unbound(sql, SCHEMA)} - set(query.unscoped)
    ]
    assert mutated, (
        f"no condition of {query.name} can be mutated: add the text that binds user_id to "
        "CARRIERS, or to GIVERS for the values of an INSERT"
    )
    assert missed == [], f"the check accepts these mutants of {query.name}"


def test_more_than_400_mutants_are_tried() -> None:
    assert sum(len(list(mutants(query))) for query in SCOPED) > 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM session",
        "SELECT * FROM public.session WHERE id = @id",
        "SELECT * FROM session WHERE user_id = @id",
        "SELECT * FROM session WHERE user_id = @user_id OR source = 'agent'",
        "SELECT * FROM session WHERE NOT user_id = @user_id",
        "SELECT * FROM session WHERE user_id <> @user_id",
        "SELECT * FROM session WHERE user_id >= @user_id",
        "SELECT * FROM session WHERE coalesce(user_id = @user_id, true)",
        "SELECT * FROM session WHERE (user_id = @user_id) IS NOT TRUE",
        "SELECT * FROM session WHERE CASE WHEN user_id = @user_id THEN true ELSE true END",
        "SELECT * FROM session WHERE user_id = (SELECT min(user_id) FROM event)",
        "SELECT * FROM session AS s, session AS t WHERE s.user_id = @user_id",
        "SELECT * FROM session AS s JOIN event AS e ON true WHERE s.user_id = @user_id",
        (
            "SELECT * FROM event AS e LEFT JOIN session AS s ON s.user_id = @user_id"
            " WHERE e.user_id = @user_id"
        ),
        "SELECT * FROM session WHERE id IN (SELECT id FROM session WHERE user_id = @user_id)",
        "SELECT (SELECT count(*) FROM event) FROM session WHERE user_id = @user_id",
        "SELECT * FROM session WHERE user_id = @user_id ORDER BY (SELECT max(data) FROM event)",
        "SELECT * FROM session WHERE user_id = @user_id UNION ALL SELECT * FROM session",
        "SELECT * FROM session WHERE user_id = @user_id LIMIT (SELECT count(*) FROM event)",
        "SELECT * FROM (SELECT * FROM session) AS s WHERE s.user_id = @user_id",
        "WITH everything AS (SELECT * FROM session) SELECT * FROM everything",
        "WITH session AS (SELECT 1) SELECT * FROM event",
        "WITH s AS (DELETE FROM session RETURNING id) SELECT count(*) FROM s",
        (
            "WITH RECURSIVE s AS (SELECT * FROM session WHERE user_id = @user_id UNION ALL"
            " SELECT e.* FROM session AS e JOIN s ON e.id = s.name) SELECT * FROM s"
        ),
        (
            "WITH RECURSIVE s AS (SELECT * FROM session UNION ALL SELECT e.* FROM session AS e"
            " JOIN s ON e.id = s.name WHERE e.user_id = @user_id) SELECT * FROM s"
        ),
        (
            "WITH RECURSIVE s AS (SELECT id, user_id FROM agent, session UNION ALL"
            " SELECT e.id, e.user_id FROM session AS e JOIN s ON e.user_id = s.user_id)"
            " SELECT * FROM s"
        ),
        (
            "WITH RECURSIVE s (id, user_id) AS (SELECT id, name FROM agent UNION ALL"
            " SELECT id, user_id FROM s) SELECT * FROM s JOIN event AS e ON e.user_id = s.user_id"
        ),
        # The owner of a row that the recursion found is a value, and proves nothing.
        (
            "WITH RECURSIVE s AS (SELECT user_id, id, parent_id FROM agentrows_history_entry"
            " WHERE user_id = @user_id AND id = @id UNION ALL SELECT e.user_id, e.id, e.parent_id"
            " FROM s JOIN agentrows_history_entry AS e ON e.user_id = s.user_id"
            " AND e.id = s.parent_id) SELECT * FROM s"
        ),
        (
            "WITH RECURSIVE s AS (SELECT id, parent_id FROM agentrows_history_entry"
            " WHERE user_id = @user_id AND id = @id UNION ALL SELECT e.id, e.parent_id FROM s"
            " LEFT JOIN agentrows_history_entry AS e ON e.id = s.parent_id"
            " AND e.user_id = @user_id) SELECT * FROM s"
        ),
        (
            "WITH RECURSIVE s AS (SELECT id FROM agentrows_history_entry WHERE user_id = @user_id"
            " UNION SELECT e.id FROM s JOIN agentrows_history_entry AS e ON e.parent_id = s.id"
            " WHERE e.user_id = @user_id) DELETE FROM agentrows_history_entry"
            " WHERE id IN (SELECT id FROM s)"
        ),
        (
            "WITH s AS (SELECT id AS user_id FROM agent) SELECT * FROM s JOIN event AS e"
            " ON e.user_id = s.user_id"
        ),
        "SELECT * FROM agent, LATERAL (SELECT * FROM session WHERE agent_id = agent.id) AS s",
        "SELECT * FROM task WHERE user_id = @user_id OR user_id IS NULL",
        (
            "SELECT * FROM task WHERE user_id IS NULL AND EXISTS"
            " (SELECT 1 FROM session AS s WHERE s.id = task.session_id AND s.user_id = @user_id)"
        ),
        (
            "SELECT * FROM task WHERE user_id IS NULL AND EXISTS (SELECT 1 FROM session AS s"
            " WHERE s.id = task.session_id AND s.deleted_at IS NULL"
            " HAVING count(*) = 1 AND min(s.user_id) = @user_id)"
        ),
        "SELECT * FROM push_notification WHERE task_id = @task_id",
        (
            "SELECT * FROM push_notification AS c WHERE EXISTS"
            " (SELECT 1 FROM task WHERE task.user_id = @user_id)"
        ),
        (
            "SELECT * FROM push_notification AS c WHERE EXISTS (SELECT 1 FROM task"
            " WHERE task.user_id = @user_id AND (task.id = c.task_id OR task.id = 'x'))"
        ),
        (
            "SELECT * FROM push_notification AS c WHERE NOT EXISTS"
            " (SELECT 1 FROM task WHERE task.user_id = @user_id AND task.id = c.task_id)"
        ),
        (
            "SELECT * FROM push_notification AS c WHERE c.id IN"
            " (SELECT id FROM task WHERE task.user_id = @user_id)"
        ),
        "UPDATE session SET name = 'x' WHERE id = @id",
        "UPDATE session SET user_id = @other WHERE user_id = @user_id",
        "UPDATE session SET name = e.data FROM event AS e WHERE session.user_id = @user_id",
        (
            "DELETE FROM event USING session WHERE event.session_id = session.id"
            " AND session.user_id = @user_id"
        ),
        "INSERT INTO session (id, user_id) VALUES (@id, @other)",
        "INSERT INTO session (id, user_id) VALUES (@id, @user_id), (@id, 'juno')",
        "INSERT INTO session (id) VALUES (@id)",
        "INSERT INTO session (id, user_id) SELECT id, user_id FROM session",
        "INSERT INTO push_notification (id, task_id, data) VALUES (@id, @task_id, @data)",
        (
            "INSERT INTO task (id, user_id) VALUES (@id, @user_id) ON CONFLICT (id) DO UPDATE"
            " SET data = 'x'"
        ),
        (
            "INSERT INTO session (id, user_id) VALUES (@id, @user_id) ON CONFLICT (id, user_id)"
            " DO UPDATE SET user_id = @other"
        ),
        (
            "INSERT INTO session (id, user_id) SELECT g.id, g.user_id FROM"
            " ROWS FROM (unnest(@user_id::text[]), unnest(@id::text[])) AS g (id, user_id)"
        ),
        (
            "INSERT INTO session (id, user_id) SELECT g.id, g.user_id FROM"
            " ROWS FROM (unnest(@ids::session[]), unnest(@user_id::text[])) AS g (id, user_id)"
        ),
        (
            "INSERT INTO session (id, user_id) SELECT g.id, g.user_id FROM"
            " ROWS FROM (unnest(@id::text[]), left(@user_id, 1)) AS g (id, user_id)"
        ),
        "MERGE INTO session USING event ON true WHEN MATCHED THEN DELETE",
        "COPY session TO '/tmp/x'",
        "TRUNCATE session",
        "LOCK TABLE session",
    ],
)
def test_unbound_statement_is_reported(sql: str) -> None:
    assert unbound(sql, SCHEMA)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM agent",
        "SELECT * FROM session AS s WHERE @user_id::text = s.user_id",
        "SELECT * FROM session WHERE (id, user_id) = (@id, @user_id)",
        "SELECT * FROM session WHERE sqlc.arg('user_id') = user_id AND id = @id",
        "WITH session AS (SELECT 1) SELECT * FROM session",
        (
            "INSERT INTO session (id, user_id) SELECT g.id, g.user_id FROM"
            " ROWS FROM (unnest(@id::text[]), unnest(@user_id::text[])) AS g (id, user_id)"
        ),
        (
            "SELECT * FROM event AS e JOIN session AS s ON s.user_id = e.user_id"
            " WHERE s.user_id = @user_id"
        ),
        "WITH RECURSIVE s AS (SELECT * FROM session WHERE user_id = @user_id) SELECT * FROM s",
        (
            "WITH RECURSIVE s AS (SELECT * FROM session WHERE user_id = @user_id UNION ALL"
            " SELECT e.* FROM session AS e JOIN s ON e.id = s.name WHERE e.user_id = @user_id)"
            " SELECT * FROM s JOIN event AS v ON v.user_id = @user_id AND v.session_id = s.id"
        ),
        (
            "WITH RECURSIVE s AS (SELECT id, parent_id FROM agentrows_history_entry"
            " WHERE user_id = @user_id AND id = @id UNION ALL SELECT e.id, e.parent_id FROM s"
            " JOIN agentrows_history_entry AS e ON e.id = s.parent_id WHERE e.user_id = @user_id),"
            " t AS (SELECT id FROM s UNION SELECT e.id FROM t JOIN agentrows_history_entry AS e"
            " ON e.parent_id = t.id WHERE e.user_id = @user_id) DELETE FROM agentrows_history_entry"
            " WHERE user_id = @user_id AND id IN (SELECT id FROM t)"
        ),
        (
            "DELETE FROM push_notification WHERE task_id IN"
            " (SELECT id FROM task WHERE user_id = @user_id)"
        ),
    ],
)
def test_bound_statement_is_accepted(sql: str) -> None:
    assert unbound(sql, SCHEMA) == []


def test_unused_reason_is_reported() -> None:
    scoped = "SELECT * FROM session WHERE user_id = @user_id"
    assert problems(Query("All", scoped, {"": "why"}), SCHEMA)
    assert problems(Query("Some", scoped, {"session": "why"}), SCHEMA)
    assert problems(Query("None", "SELECT * FROM session", {"other": "why"}), SCHEMA)
    assert not problems(Query("Fine", "SELECT * FROM session", {"session": "why"}), SCHEMA)


# The condition for the owner of a task is in four files, with the same text.

OWNER = re.compile(
    r"task\.user_id = (?:@|wanted\.)user_id\S*\s+OR \(\s*task\.user_id IS NULL.*?\)\s*\)\s*\)",
    re.DOTALL,
)


def compact(sql: str) -> str:
    return " ".join(re.sub(r"(?<=\()\s+|\s+(?=\))", "", sql).split())


def owner_rules(file: str) -> list[str]:
    sql = "".join(query.sql for query in read_queries(ROOT / "queries" / file))
    return [
        " ".join(re.sub(r"::text|(?<=\()\s+|\s+(?=\))", "", r).split()).replace("wanted.", "@")
        for r in OWNER.findall(sql)
    ]


def test_owner_of_a_task_has_one_rule_in_every_query() -> None:
    files = ("app_sessions.sql", "tasks.sql", "push_notifications.sql", "users.sql")
    rules = [rule for file in files for rule in owner_rules(file)]
    written = sum(query.sql.count("HAVING") for query in QUERIES)
    assert len(set(rules)) == 1, "the conditions for the owner of a task differ"
    # An upsert compares with the new row; a list has a branch for each half of the rule.
    assert len(rules) == written - 2
    owned, _, unowned = rules[0].partition(" OR ")
    (pages,) = (query.sql for query in QUERIES if query.name == "ListTasks")
    without_owner, _, session_of_user = unowned[1:-1].partition(" AND ")
    assert re.search(
        rf"WHERE task\.session_id = @session_id AND {re.escape(owned)} AND .*UNION ALL.*"
        rf"WHERE task\.session_id = @session_id AND {re.escape(without_owner)} AND "
        rf"task\.deleted_at IS NULL AND {re.escape(session_of_user)} AND ",
        compact(pages),
    )
    (upsert,) = (query.sql for query in QUERIES if query.name == "UpsertTask")
    assert compact(upsert).count(rules[0].replace("@user_id", "excluded.user_id")) == 1
