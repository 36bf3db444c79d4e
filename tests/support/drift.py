"""Changes of the objects of a migrated database, and the repair of them by the printed cures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows.migrate.cures import UP, force_command, parse_column
from agentrows.migrate.differences import read_differences
from agentrows.migrate.expected_objects import load_catalog
from agentrows.migrate.ledger import TableNames
from agentrows.migrate.missing_objects import Applied
from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import asyncpg

    from agentrows.migrate import Difference, Track
    from agentrows.migrate.expected_objects import ExpectedObject
    from agentrows.migrate.track import Migration

OTHER_TYPES: Final = {
    "bigint": ("numeric", "{}::numeric"),
    "boolean": ("text", "{}::text"),
    "bytea": ("text", "encode({}, 'hex')"),
    "double precision": ("real", "{}::real"),
    "json": ("jsonb", "{}::jsonb"),
    "jsonb": ("json", "{}::json"),
    "text": ("character varying(99)", "{}"),
    "text[]": ("character varying(99)[]", "{}"),
    "timestamp with time zone": ("timestamp(3) with time zone", "{}"),
    "timestamp without time zone": ("timestamp with time zone", "{}"),
    "tsvector": ("text", "{}::text"),
    "uuid": ("text", "{}::text"),
    "vector": ("vector(3)", "{}"),
    "vector(768)": ("vector(1536)", "{}"),
}
"""Another type for each type of the tracks, and the conversion."""
OTHER_DEFAULTS: Final = {
    "bigint": "77",
    "boolean": "NULL::boolean",
    "bytea": "'\\x77'",
    "double precision": "77",
    "json": "'77'",
    "jsonb": "'77'",
    "text": "'seventy-seven'",
    "text[]": "'{seventy-seven}'",
    "tsvector": "'seventy-seven'",
    "uuid": "'77777777-7777-7777-7777-777777777777'",
    "vector": "'[77]'",
    "vector(768)": "array_fill(77, ARRAY[768])::vector",
}


def applied_tracks(tracks: Sequence[Track], schema: str = "public") -> list[Applied]:
    """Each track at its newest version."""
    return [
        Applied(known, TableNames(schema, known.track.table), known.newest)
        for known in load_all(tracks)
    ]


def expected_objects(applied: Sequence[Applied]) -> list[ExpectedObject]:
    """Every object of the tracks."""
    return [
        expected
        for each in applied
        for expected in load_catalog(each.known.track.name).expected_at(each.version).values()
    ]


def alterations(expected: ExpectedObject, others: Sequence[ExpectedObject]) -> Iterator[str]:
    """SQL that drops an object, and SQL that changes it in each of its properties."""
    key, definition = expected.key, expected.definition
    table, name = key.table, key.name
    if key.kind == "table":
        yield f"DROP TABLE {table} CASCADE"
        yield f"{drop_references(table)}; ALTER TABLE {table} SET UNLOGGED"
    elif key.kind == "column":
        yield f"ALTER TABLE {table} DROP COLUMN {name} CASCADE"
        yield from column_alterations(expected, others)
    elif key.kind == "constraint":
        yield f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name} CASCADE"
        yield f"ALTER TABLE {table} RENAME CONSTRAINT {name} TO renamed_{table[-25:]}_{name[-25:]}"
        other = {
            "PRIMARY": f"UNIQUE ({definition.partition('(')[2]}",
            "UNIQUE": definition.replace("UNIQUE", "UNIQUE NULLS NOT DISTINCT"),
            "FOREIGN": definition.replace("CASCADE", "RESTRICT"),
        }[definition.split()[0]]
        yield (
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name} CASCADE;"
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {other}"
        )
    elif key.kind == "index":
        yield f"DROP INDEX {name}"
        yield f"ALTER INDEX {name} RENAME TO renamed_{table[-25:]}_{name[-25:]}"
        options = {"btree": "fillfactor = 77", "gin": "fastupdate = off", "hnsw": "m = 7"}
        method = definition.removeprefix("UNIQUE ").split()[0]
        yield f"ALTER INDEX {name} SET ({options[method]})"
        yield f"DROP INDEX {name}; CREATE INDEX {name} ON {table} ((1)) WHERE 1 = 2"
        oid = f"'{name}'::regclass"
        yield f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = {oid}"  # noqa: S608
    elif key.kind == "setting":
        yield f"ALTER TABLE {table} RESET ({name})"
        yield f"ALTER TABLE {table} SET ({name} = 77)"
    elif key.kind == "policy":
        yield f"DROP POLICY {name} ON {table}"
        yield f"ALTER POLICY {name} ON {table} USING (true)"
        yield f"ALTER POLICY {name} ON {table} RENAME TO renamed_{table[-25:]}_{name[-25:]}"
        yield f"ALTER POLICY {name} ON {table} TO pg_monitor"
        yield f"ALTER POLICY {name} ON {table} WITH CHECK (true)"
        yield (
            f"DROP POLICY {name} ON {table};"
            f"CREATE POLICY {name} ON {table} AS RESTRICTIVE {definition.partition(' ')[2]}"
        )
    else:
        change = "DISABLE" if name == "enabled" else "NO FORCE"
        yield f"ALTER TABLE {table} {change} ROW LEVEL SECURITY"


def column_alterations(expected: ExpectedObject, others: Sequence[ExpectedObject]) -> Iterator[str]:
    """SQL that changes the type, the collation, NOT NULL and the default of a column.

    A change to another definition that is accepted as well is left out.
    """
    key, definition, accepted = expected.key, expected.definition, expected.accepted
    column, alter = parse_column(definition), f"ALTER TABLE {key.table} ALTER COLUMN {key.name}"
    drops = "".join(drop_dependents(key.table, others))
    other, conversion = OTHER_TYPES[column.type]
    default = f"{alter} DROP DEFAULT;" * ((column.default or "").startswith("DEFAULT"))
    if column.default and "IDENTITY" in column.default:
        default = f"{alter} DROP IDENTITY;"
        yield f"{alter} SET GENERATED ALWAYS"
    yield f"{drops}{default}{alter} TYPE {other} USING {conversion.format(key.name)}"
    if column.type == "text":
        yield f'{drops}{alter} TYPE text COLLATE "POSIX"'
    if default and definition.removesuffix(f" {column.default}") not in accepted:
        yield default
    yield from default_alterations(column.type, alter, default)
    primary = f"ALTER TABLE {key.table} DROP CONSTRAINT {key.table}_pkey CASCADE;"
    identity = default if "IDENTITY" in default else ""
    if column.is_not_null:
        yield f"{primary}{identity}{alter} DROP NOT NULL"
    else:
        yield f"{alter} SET NOT NULL"


def drop_dependents(table: str, others: Sequence[ExpectedObject]) -> Iterator[str]:
    """SQL that drops the objects because of which the type of a column cannot be changed."""
    for each in others:
        if each.key.kind == "index" and each.key.table == table:
            yield f"DROP INDEX IF EXISTS {each.key.name};"
        if each.key.kind == "policy" and table in (each.key.table, *each.definition.split()):
            yield f"DROP POLICY IF EXISTS {each.key.name} ON {each.key.table};"
    yield f"{drop_references(table)};"
    if table == "session_share_access":
        yield f"{drop_references('session_share')};"


def default_alterations(type_: str, alter: str, dropped: str) -> Iterator[str]:
    """SQL that sets another default."""
    if type_.startswith("timestamp"):
        yield f"{alter} SET DEFAULT 'epoch'"
    else:
        yield f"{dropped * ('IDENTITY' in dropped)}{alter} SET DEFAULT {OTHER_DEFAULTS[type_]}"


def drop_references(table: str) -> str:
    """SQL that drops the foreign keys to a table."""
    if table != "session_share":
        return "SELECT 1"
    return (
        "ALTER TABLE session_share_access DROP CONSTRAINT IF EXISTS"
        " session_share_access_share_id_fkey"
    )


async def find_differences(db: asyncpg.Connection, applied: Sequence[Applied]) -> list[Difference]:
    """The differences of all tracks, in their order."""
    found = await read_differences(db, applied)
    return [each for track in applied for each in found[track.known.track.name].found]


async def repair(db: asyncpg.Connection, applied: Sequence[Applied]) -> None:
    """Execute the cures of all differences in the open transaction, `up` as the files it runs."""
    found = await read_differences(db, applied)
    for track in applied:
        for cure in dict.fromkeys(each.cure for each in found[track.known.track.name].found):
            if cure in (forced := force_cures(track)):
                await execute_files(db, track.migrations[forced.index(cure) :])
            elif cure != UP:
                statements = cure.removesuffix(f", then {UP}")
                await db.execute(statements.replace("CONCURRENTLY ", ""))
    found = await read_differences(db, applied)
    for track in applied:
        differences = found[track.known.track.name]
        for each in differences.found:
            if each.is_invalid and each.is_rebuilt:  # a run drops it first
                await db.execute(f"DROP INDEX {each.name}")
        await execute_files(
            db, [each for each in track.migrations if each.version in differences.rebuilt]
        )


async def execute_files(db: asyncpg.Connection, migrations: Sequence[Migration]) -> None:
    for migration in migrations:
        if not migration.up.is_blank:
            await db.execute(migration.up.sql.replace("CONCURRENTLY ", ""))


def force_cures(track: Applied) -> list[str]:
    """The cures that set a track to a lower version, by version."""
    return [force_command(track.known.track.name, each.version) for each in track.migrations]
