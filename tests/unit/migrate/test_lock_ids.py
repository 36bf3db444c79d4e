"""The lock ids, against golang-migrate's own."""

from __future__ import annotations

from agentrows.migrate.ledger import TableNames
from agentrows.migrate.lock import lock_id, lock_ids


def test_the_ids_are_those_of_golang_migrate() -> None:
    assert lock_id("database_name") == 1764327054
    assert lock_id("schema_name_1", "database_name") == 2453313553


def test_lock_ids_cover_both_spellings_of_the_database() -> None:
    names_per_track = [
        TableNames("public", "schema_migrations"),
        TableNames("public", "vector_schema_migrations"),
    ]
    ids = lock_ids("app", names_per_track)
    assert len(set(ids)) == 4
    assert list(ids) == sorted(ids), "two runners take them in one order"
    assert lock_id("public", "schema_migrations", "app") in ids
    assert lock_id("public", "schema_migrations", "/app") in ids
