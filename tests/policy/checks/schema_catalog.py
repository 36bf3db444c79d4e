"""The catalog of the objects that each migration creates, from databases that are migrated.

`PYTHONPATH=tests python -m policy.checks.schema_catalog` writes migrations/catalog. Each file is
executed on an empty database and on those of three baselines of kagent, and the down files on the
first one. The first database has the definitions; where another one differs, its definition is
accepted too.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.embedded import load_get_server
from agentrows.migrate import builtin_tracks
from agentrows.migrate.expected_objects import FOLDER, KINDS, ObjectKey
from agentrows.migrate.schema_objects import read_objects
from agentrows.migrate.track import load_all, migrations_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate.track import LoadedTrack, Migration

    Objects = dict[ObjectKey, str]
    States = dict[tuple[str, int], Objects]
    """The objects of a database at each track and version."""
    Accepted = dict[ObjectKey, tuple[str | None, ...]]

SUPPORT: Final = Path(__file__).parents[2] / "support"
BASELINES: Final = ("orm_kagent_0_7.sql", "orm_kagent_0_8.sql", "files_kagent_0_9.sql")
TOO_NARROW: Final = {ObjectKey("column", "lg_checkpoint_write", "write_idx")}
"""Columns of which another definition is not accepted: kagent's integer has no room for the hash
of a task, so no write can be stored."""
TABLES: Final = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
HEAD: Final = (
    "# The objects of the track {track}, by the migration that creates or changes them.\n"
    "# Written by `make catalog` from the migrations: do not edit.\n"
)


def main() -> None:
    """Write the catalog."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        postgres = load_get_server()(Path(folder) / "data", cleanup_mode="delete")
        try:
            texts = asyncio.run(write_texts(str(postgres.get_uri())))
        finally:
            postgres.cleanup()
    target = migrations_root() / FOLDER
    target.mkdir(exist_ok=True)
    for track, text in texts.items():
        (target / f"{track}.txt").write_text(text)


async def write_texts(dsn: str) -> dict[str, str]:
    """Return the text of the catalog of each track; every database has the name of its baseline."""
    loaded = load_all(builtin_tracks(row_security=True))
    ups = [await observe(dsn, loaded, baseline) for baseline in ("", *BASELINES)]
    downs = await observe(dsn, loaded, "", is_down=True)
    return {
        known.track.name: HEAD.format(track=known.track.name)
        + "".join(write_sections(known, ups[0], [*ups[1:], downs]))
        for known in loaded
    }


async def observe(
    dsn: str, loaded: Sequence[LoadedTrack], baseline: str, *, is_down: bool = False
) -> States:
    """Execute every file on a database, and return its objects after each; then drop them all."""
    db = await asyncpg.connect(dsn)
    try:
        await db.execute((SUPPORT / baseline).read_text() if baseline else "SELECT 1")
        states: States = {}
        for known in loaded:
            states[known.track.name, 0] = await snapshot(db)
            for migration in known.migrations:
                await execute(db, migration.up.sql)
                states[known.track.name, migration.version] = await snapshot(db)
        return await observe_downs(db, loaded) if is_down else states
    finally:
        await db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await db.close()


async def observe_downs(db: asyncpg.Connection, loaded: Sequence[LoadedTrack]) -> States:
    """Execute every down file, newest first, and return the objects after each."""
    states: States = {}
    for known in reversed(loaded):
        for migration in reversed(known.migrations):
            states[known.track.name, migration.version] = await snapshot(db)
            await execute(db, migration.down.sql)
        states[known.track.name, 0] = await snapshot(db)
    return states


async def execute(db: asyncpg.Connection, sql: str) -> None:
    """Execute a file, which may have no statement."""
    if any(line and not line.startswith("--") for line in sql.split("\n")):
        await db.execute(sql)


async def snapshot(db: asyncpg.Connection) -> Objects:
    """Return the definition of every object of the schema public."""
    tables = [str(row[0]) for row in await db.fetch(TABLES)]
    objects = await read_objects(db, ["public"], tables)
    return {key: stored.definition for key, stored in objects["public"].items()}


def write_sections(known: LoadedTrack, fresh: States, others: Sequence[States]) -> list[str]:
    """Return a section for each migration: the lines of the objects that differ from before."""
    sections: list[str] = []
    track, ours = known.track.name, set[ObjectKey]()
    before: Accepted = {}
    for migration in known.migrations:
        old, new = fresh[track, migration.version - 1], fresh[track, migration.version]
        ours |= {key for key in new if new[key] != old.get(key)}
        now = {
            key: accept(key, [each[track, migration.version] for each in (fresh, *others)])
            for key in ours & new.keys()
        }
        sections.append(write_section(migration, before, now))
        before = now
    return sections


def accept(key: ObjectKey, states: Sequence[Objects]) -> tuple[str | None, ...]:
    """Return the definition in the first state, then those of the others that differ."""
    if key in TOO_NARROW:
        states = states[:1]
    return tuple(dict.fromkeys(state.get(key) for state in states))


def write_section(migration: Migration, before: Accepted, now: Accepted) -> str:
    """Return the lines of one migration under its name."""
    lines = [migration.name]
    for key in sorted({*before, *now}, key=lambda key: (key.table, KINDS.index(key.kind), key)):
        if key not in now:
            lines.append(f"- {key}")
        elif now[key] != before.get(key):
            lines += [
                f"{'~' if number else '+'} {key}{': ' * (definition is not None)}{definition or ''}"
                for number, definition in enumerate(now[key])
            ]
    return "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
