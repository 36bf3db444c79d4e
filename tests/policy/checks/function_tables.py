"""The generator's tables of functions, operators and casts, read again from a PostgreSQL server.

`python -m policy.checks.function_tables DSN` writes the tables from a server with pgvector;
`--check` compares them instead, and exits with 1 if they differ. The database gets the extension
`vector`, if it has not been created yet.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import asyncpg

DATA = Path(__file__).parents[3] / "src" / "sqlc_gen_asyncpg" / "infer" / "data"
MAJOR_VERSION = 18

# Types of values that the generator has no Python type for, and those of PostgreSQL's internals.
EXCLUDED_TYPES = """
    anycompatiblemultirange anycompatiblenonarray anycompatiblerange box cid circle cstring
    event_trigger fdw_handler gtsvector index_am_handler int2vector internal language_handler line
    lseg oidvector path pg_attribute pg_brin_bloom_summary pg_brin_minmax_multi_summary
    pg_ddl_command pg_dependencies pg_mcv_list pg_ndistinct pg_node_tree pg_snapshot pg_type point
    polygon refcursor table_am_handler tid trigger tsm_handler txid_snapshot xid8
""".split()  # noqa: SIM905  # a table of words
# The functions that implement operators, aggregates, index methods and the like.
IMPLEMENTATIONS = (
    "^(_pg_|binary_upgrade_|pg_stat_|hash(?!text)|bt(?!rim)|numeric_|interval_|float8_|record_"
    "|brin_|gin_|gist_|aclcontains|aclinsert|aclitemeq|aclremove|makeaclitem"
    "|int[248]_(avg$|mul_cash|sum$))"
    "|_(send|recv|in|out|cmp|eq|ne|lt|le|gt|ge|larger|smaller|hash|hash_extended)$"
    "|_(transfn|accum|accum_inv|combine)$"
)
# Functions that queries of applications do not call with named arguments.
WITHOUT_NAMES = "^(aclexplode|pg_|ts_)|_to_xml"

FUNCTIONS = """
WITH function AS (
    SELECT
        p.proname::text AS name,
        CASE p.prokind WHEN 'a' THEN 'a' WHEN 'w' THEN 'w' ELSE 'f' END
        || CASE WHEN p.proisstrict THEN 's' ELSE 'n' END
        || CASE WHEN p.proretset THEN 'r' ELSE '' END
        || CASE WHEN p.provariadic <> 0 THEN 'v' ELSE '' END
        || CASE WHEN p.pronargdefaults > 0 THEN p.pronargdefaults::text ELSE '' END AS flags,
        ARRAY(
            SELECT t.typname::text
            FROM unnest(p.proargtypes) WITH ORDINALITY AS a (oid, number)
            JOIN pg_type AS t ON t.oid = a.oid
            ORDER BY a.number
        ) AS types,
        r.typname::text AS result,
        ARRAY(
            SELECT a.name
            FROM unnest(p.proargnames) WITH ORDINALITY AS a (name, number)
            WHERE p.proargmodes IS NULL OR p.proargmodes[a.number] IN ('i', 'b', 'v')
            ORDER BY a.number
        ) AS names
    FROM pg_proc AS p
    JOIN pg_type AS r ON r.oid = p.prorettype
    WHERE p.prokind IN ('a', 'f', 'w')
)
SELECT name, flags, types, result, names
FROM function
WHERE name !~ $2 AND NOT EXISTS (
    SELECT FROM unnest(types || result) AS t (name) WHERE ltrim(t.name, '_') = ANY ($1::text[])
)
"""
OPERATORS = """
SELECT o.oprname::text AS name, coalesce(l.typname::text, '-') AS left,
    r.typname::text AS right, t.typname::text AS result
FROM pg_operator AS o
LEFT JOIN pg_type AS l ON l.oid = o.oprleft
JOIN pg_type AS r ON r.oid = o.oprright
JOIN pg_type AS t ON t.oid = o.oprresult
WHERE NOT ARRAY[ltrim(l.typname, '_'), ltrim(r.typname, '_'), ltrim(t.typname, '_')]
    && ($1::text[] || 'aclitem'::text)
"""
CASTS = """
SELECT s.typname::text AS source, t.typname::text AS target
FROM pg_cast AS c
JOIN pg_type AS s ON s.oid = c.castsource
JOIN pg_type AS t ON t.oid = c.casttarget
WHERE c.castcontext = 'i' AND s.oid <> t.oid AND NOT s.typname = ANY ($1::text[])
"""


async def read_tables(dsn: str) -> dict[str, list[str]]:
    """Return the lines of each table, as this server has them."""
    connection = await asyncpg.connect(dsn)
    try:
        version = connection.get_server_version().major
        if version != MAJOR_VERSION:
            raise SystemExit(f"the server must be PostgreSQL {MAJOR_VERSION}, not {version}")
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        functions = await connection.fetch(FUNCTIONS, EXCLUDED_TYPES, IMPLEMENTATIONS)
        operators = await connection.fetch(OPERATORS, EXCLUDED_TYPES)
        casts = await connection.fetch(CASTS, EXCLUDED_TYPES)
        named = await connection.fetch(
            FUNCTIONS, EXCLUDED_TYPES, f"{IMPLEMENTATIONS}|{WITHOUT_NAMES}"
        )
    finally:
        await connection.close()
    return {
        "functions.txt": sorted(
            f"{row['name']} {row['flags']} {','.join(row['types']) or '-'} {row['result']}"
            for row in functions
        ),
        "arguments.txt": sorted(
            f"{row['name']} {','.join(row['types'])} {','.join(row['names'])}"
            for row in named
            if row["names"] and row["types"]
        ),
        "operators.txt": sorted(" ".join(row.values()) for row in operators),
        "casts.txt": sorted(" ".join(row.values()) for row in casts),
    }


def differences(tables: dict[str, list[str]]) -> list[str]:
    """Return a line for each difference between the files and the tables of a server."""
    lines: list[str] = []
    for name, expected in tables.items():
        actual = (DATA / name).read_text("ascii").splitlines()
        lines += [f"{name}: not on the server: {line}" for line in sorted({*actual} - {*expected})]
        lines += [f"{name}: only on the server: {line}" for line in sorted({*expected} - {*actual})]
        if not lines and actual != expected:
            lines.append(f"{name}: the lines are in another order")
    return lines


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="function_tables", description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--check", action="store_true", help="compare the tables, write nothing")
    options = parser.parse_args(arguments)
    tables = asyncio.run(read_tables(options.dsn))
    if options.check:
        problems = differences(tables)
        sys.stdout.writelines(f"{problem}\n" for problem in problems)
        return 1 if problems else 0
    for name, lines in tables.items():
        (DATA / name).write_text("".join(f"{line}\n" for line in lines), "ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
