"""The rules for migrations: the files follow them, and each rule detects its violations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from policy.checks import migration_policy as policy

MIGRATIONS = Path(__file__).parents[2] / "migrations"

# Each ignored rule of squawk, and why.
SQUAWK_IGNORES = {
    "adding-not-nullable-field": "after a backfill, in the same transaction",
    "adding-serial-primary-key-field": "feedback has few rows, and its key is rebuilt at once",
    "ban-drop-column": "a down file takes back what its up file added",
    "ban-drop-constraint": "feedback_pkey is dropped to be made narrower",
    "ban-drop-default": "a down file takes back what its up file set",
    "ban-drop-table": "a down file takes back what its up file created",
    "constraint-missing-not-valid": "a primary key cannot be NOT VALID",
    "prefer-identity": "BIGSERIAL is what the Go controller created",
    "prefer-timestamp-tz": "session_share has TIMESTAMP in the Go controller",
    "require-concurrent-index-creation": "the whole run is one transaction",
    "require-concurrent-index-deletion": "the whole run is one transaction",
    "require-lock-timeout": "the runner sets it for every file",
    "require-statement-timeout": "how long a backfill may take is the operator's decision",
}


def problems(rule: policy.Rule, *files: tuple[str, str]) -> list[str]:
    """Return a rule's problems in files given as (track, SQL), labeled track/1, track/2, …."""
    return rule(
        [policy.parse(track, f"{track}/{n}", sql) for n, (track, sql) in enumerate(files, 1)]
    )


def test_migrations_follow_every_rule() -> None:
    assert policy.check(MIGRATIONS) == [], "each line names a file and the rule that it breaks"


@pytest.mark.parametrize("in_transaction", [True, False])
def test_squawk_reports_no_problem(in_transaction: bool) -> None:  # noqa: FBT001
    squawk = Path(sys.executable).parent / "squawk"
    files = [
        path
        for path in sorted(MIGRATIONS.glob("*/*.sql"))
        if in_transaction is not bool(policy.HEADER.match(path.read_text()))
    ]
    assert files
    done = subprocess.run(  # noqa: S603  our own tool and files
        [
            squawk,
            *["--assume-in-transaction"] * in_transaction,
            "--reporter=gcc",
            f"--exclude={','.join(SQUAWK_IGNORES)}",
            *files,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["0001_a.up.sql"], "is not named"),
        (["000001_a.up.sql.orig"], "is not named"),
        (["000001_A.up.sql"], "is not named"),
        (["README.md"], "is not named"),
        (["000001_a.up.sql"], "has no .down.sql"),
        (["000001_a.down.sql"], "has no .up.sql"),
        (["000002_a.up.sql", "000002_a.down.sql"], "its number has to be 000001"),
        (["000001_a.up.sql", "000001_b.down.sql"], "has no .down.sql"),
        (
            ["000001_a.up.sql", "000001_a.down.sql", "000001_b.up.sql", "000001_b.down.sql"],
            "its number has to be 000002",
        ),
    ],
)
def test_unpaired_or_misnumbered_file_is_reported(names: list[str], problem: str) -> None:
    assert any(problem in reported for reported in policy.check_names("core", names))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"-- Caf\xe9.\n", "is not UTF-8"),
        (b"\xef\xbb\xbf-- Why.\n", "byte order mark"),
        (b"-- Why.\r\n", "CR"),
        (b"-- Why.", "does not end with a line end"),
        (b"SELECT 1;\n", "the first line has to be a comment"),
        (b"--\n", "the first line has to be a comment"),
    ],
)
def test_file_that_is_not_plain_text_with_a_reason_is_reported(data: bytes, problem: str) -> None:
    assert any(problem in reported for reported in policy.check_bytes("core/1", data))


def test_folder_that_is_no_track_is_reported(tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    assert policy.check_files(tmp_path) == ["extra: is not a track or frozen.sum"]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a (id int)",
        "CREATE INDEX i ON a (id)",
        "CREATE EXTENSION vector",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE mood AS ENUM ('a')",
        "DROP TABLE a",
        "DROP INDEX i",
        "ALTER TABLE a ADD COLUMN b int",
        "ALTER TABLE a DROP COLUMN b",
        "ALTER TABLE a DROP CONSTRAINT c",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (true)",
        "ALTER TABLE a DROP CONSTRAINT IF EXISTS d; ALTER TABLE a ADD CONSTRAINT c CHECK (true)",
        "ALTER TABLE b DROP CONSTRAINT IF EXISTS c; ALTER TABLE a ADD CONSTRAINT c CHECK (true)",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (true); ALTER TABLE a DROP CONSTRAINT IF EXISTS c",
        "ALTER TABLE a ATTACH PARTITION b DEFAULT",
        "CREATE POLICY p ON a USING (true)",
        "DROP POLICY p ON a",
        "DROP POLICY IF EXISTS p ON b; CREATE POLICY p ON a USING (true)",
        "DROP POLICY IF EXISTS q ON a; CREATE POLICY p ON a USING (true)",
        "CREATE POLICY p ON a USING (true); DROP POLICY IF EXISTS p ON a",
        "ALTER POLICY p ON a USING (true)",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE a RENAME COLUMN b TO c",
        "INSERT INTO a VALUES (1)",
        "WITH x AS (INSERT INTO a VALUES (1) RETURNING id) SELECT * FROM x",
        "UPDATE a SET b = b + 1",
        "TRUNCATE a",
        "DO $$ BEGIN END $$",
        "DO $$ BEGIN CREATE EXTENSION vector; END $$",
        (
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'a')"
            " THEN CREATE EXTENSION b; END IF; END $$"
        ),
        "COMMIT",
    ],
)
def test_statement_that_cannot_be_applied_twice_is_reported(sql: str) -> None:
    assert problems(policy.unguarded, ("core", sql))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE IF NOT EXISTS a (id int); COMMENT ON TABLE a IS 'x'",
        "ALTER TABLE a DROP CONSTRAINT IF EXISTS c; ALTER TABLE a ADD CONSTRAINT c CHECK (true)",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL, ALTER COLUMN b SET DEFAULT 1",
        "ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY",
        "DROP POLICY IF EXISTS p ON a; CREATE POLICY p ON a USING (true)",
        "UPDATE a SET b = 1 WHERE b IS NULL",
        "INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_repeatable_statement_is_accepted(sql: str) -> None:
    assert problems(policy.unguarded, ("core", sql)) == []


CORE = (
    "core",
    "CREATE TABLE IF NOT EXISTS task (id int); CREATE INDEX IF NOT EXISTS i ON task (id)",
)


@pytest.mark.parametrize("track", ["vector", "agentrows"])
@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE task ADD COLUMN IF NOT EXISTS b int",
        "ALTER TABLE task ADD COLUMN IF NOT EXISTS agentrows_b int NOT NULL",
        "ALTER TABLE task ADD COLUMN IF NOT EXISTS agentrows_b int, ALTER COLUMN id SET NOT NULL",
        "ALTER TABLE task DROP COLUMN IF EXISTS id",
        "ALTER TABLE task RENAME TO job",
        "CREATE INDEX IF NOT EXISTS mine ON task (id)",
        "CREATE UNIQUE INDEX IF NOT EXISTS agentrows_u ON task (id)",
        "DROP TABLE IF EXISTS task",
        "DROP INDEX IF EXISTS i",
        "TRUNCATE task",
        "UPDATE task SET id = 1 WHERE id = 2",
        "DELETE FROM task",
        "WITH x AS (DELETE FROM task RETURNING id) SELECT * FROM x",
        "CREATE TRIGGER t BEFORE INSERT ON task EXECUTE FUNCTION f()",
        "DROP TRIGGER IF EXISTS t ON task",
        "COMMENT ON INDEX i IS 'x'",
        "ALTER TABLE task SET (autovacuum_enabled = false)",
        "ALTER TABLE task SET (fillfactor = 80, autovacuum_enabled = false)",
        "CREATE TABLE IF NOT EXISTS mine (id int REFERENCES task (id))",
    ],
)
def test_statement_on_another_tracks_table_is_reported(track: str, sql: str) -> None:
    assert problems(policy.changes_of_other_tracks, CORE, (track, sql))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX IF NOT EXISTS agentrows_i ON task (id)",
        "ALTER TABLE task ADD COLUMN IF NOT EXISTS agentrows_b int",
        "ALTER TABLE task DROP COLUMN IF EXISTS agentrows_b",
        "COMMENT ON TABLE task IS 'x'",
        "COMMENT ON COLUMN task.id IS 'x'",
        "ALTER TABLE task SET (fillfactor = 80)",
        "ALTER TABLE task RESET (fillfactor)",
    ],
)
def test_only_agentrows_may_index_comment_and_extend_other_tables(sql: str) -> None:
    assert problems(policy.changes_of_other_tracks, CORE, ("agentrows", sql)) == []
    assert problems(policy.changes_of_other_tracks, CORE, ("vector", sql))


POLICY = "CREATE POLICY agentrows_p ON task USING (true)"


@pytest.mark.parametrize("track", policy.POLICIES)
@pytest.mark.parametrize(
    "sql",
    [
        POLICY,
        "DROP POLICY IF EXISTS agentrows_p ON task",
        "ALTER TABLE task ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE task NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
    ],
)
def test_only_policy_tracks_may_add_policies_to_other_tables(track: str, sql: str) -> None:
    assert problems(policy.changes_of_other_tracks, CORE, (track, sql)) == []
    for other in ("agentrows", "vector"):
        assert problems(policy.changes_of_other_tracks, CORE, (other, sql))


@pytest.mark.parametrize("track", policy.POLICIES)
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE POLICY p ON task USING (true)",
        "CREATE POLICY agentrows_p ON task AS RESTRICTIVE USING (true)",
        "DROP POLICY IF EXISTS p ON task",
        "ALTER TABLE task ENABLE ROW LEVEL SECURITY, ADD COLUMN IF NOT EXISTS agentrows_b int",
        "ALTER TABLE task ADD COLUMN IF NOT EXISTS agentrows_b int",
        "CREATE INDEX IF NOT EXISTS agentrows_i ON task (id)",
        "DROP TABLE IF EXISTS task",
        "DELETE FROM task",
        "COMMENT ON TABLE task IS 'x'",
    ],
)
def test_policy_tracks_may_only_add_policies_to_other_tables(track: str, sql: str) -> None:
    assert problems(policy.changes_of_other_tracks, CORE, (track, sql))


@pytest.mark.parametrize(
    "sql", ["CREATE POLICY p ON public.a USING (true)", "DROP POLICY IF EXISTS p ON public.a"]
)
def test_policy_on_a_qualified_name_is_reported(sql: str) -> None:
    assert problems(policy.qualified_names, ("rls", sql))


def test_track_may_drop_its_index_on_another_tracks_table() -> None:
    ours = ("agentrows", "CREATE INDEX IF NOT EXISTS agentrows_i ON task (id)")
    assert not problems(
        policy.changes_of_other_tracks,
        CORE,
        ours,
        ("agentrows", "DROP INDEX IF EXISTS agentrows_i"),
    )
    assert problems(
        policy.changes_of_other_tracks, CORE, ours, ("core", "DROP INDEX IF EXISTS agentrows_i")
    )


def test_core_may_not_change_tables_of_agentrows() -> None:
    ours = ("agentrows", "CREATE TABLE IF NOT EXISTS mine (id int)")
    assert problems(
        policy.changes_of_other_tracks, ours, ("core", "CREATE INDEX IF NOT EXISTS i ON mine (id)")
    )


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE IF NOT EXISTS public.a (id int)",
        "UPDATE public.a SET b = 1 WHERE b IS NULL",
        "DROP TABLE IF EXISTS public.a",
        "COMMENT ON TABLE public.a IS 'x'",
        "COMMENT ON COLUMN public.a.b IS 'x'",
        "CREATE TABLE IF NOT EXISTS a (v public.vector(3))",
        "SELECT public.f()",
    ],
)
def test_qualified_name_is_reported(sql: str) -> None:
    assert problems(policy.qualified_names, ("core", sql))


def test_unqualified_names_are_accepted() -> None:
    sql = "CREATE TABLE IF NOT EXISTS a (i bigint DEFAULT extract(year FROM now())); SELECT a.i"
    assert problems(policy.qualified_names, ("core", sql)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SET search_path = x",
        "SET LOCAL lock_timeout = 0",
        "RESET ALL",
        "SELECT pg_catalog.set_config('search_path', '', false)",
    ],
)
def test_setting_that_outlives_its_file_is_reported(sql: str) -> None:
    assert problems(policy.lasting_settings, ("core", sql))


@pytest.mark.parametrize(
    ("track", "sql", "problem"),
    [
        ("agentrows", "CREATE INDEX CONCURRENTLY i ON a (id)", "lacks the first line"),
        ("agentrows", "-- no-transaction: \nVACUUM a", "lacks the first line"),
        ("agentrows", "-- no-transaction: why\nSELECT 1", "can run in a transaction"),
        ("agentrows", "-- no-transaction: why\nVACUUM a; SELECT 1", "must be alone"),
        ("core", "-- no-transaction: why\nVACUUM a", "runs in one transaction"),
        ("vector", "-- no-transaction: why\nREINDEX INDEX CONCURRENTLY i", "one transaction"),
        ("agentrows", "DROP INDEX CONCURRENTLY i", "lacks the first line"),
        ("agentrows", "ALTER TABLE a DETACH PARTITION b CONCURRENTLY", "lacks the first line"),
        ("agentrows", "CREATE DATABASE d", "lacks the first line"),
    ],
)
def test_nontransactional_statement_needs_a_reason_and_its_own_file(
    track: str, sql: str, problem: str
) -> None:
    assert any(
        problem in reported for reported in problems(policy.outside_transactions, (track, sql))
    )


def test_concurrent_index_of_agentrows_is_accepted() -> None:
    sql = (
        "-- no-transaction: writers go on\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_i ON a (id)"
    )
    files = [policy.parse("agentrows", "agentrows/1", sql)]
    assert policy.check_statements(files) == []
