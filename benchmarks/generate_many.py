"""Time and memory of the generator for 1,000 tables and 5,000 queries.

    python benchmarks/generate_many.py [tables]

The request is created here in the format of sqlc; reading, building and writing are timed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Final

from sqlc_gen_asyncpg.__main__ import generate

TYPES: Final = ("text", "int8", "timestamptz", "jsonb", "numeric", "uuid")
Node = dict[str, object]


def column(name: str, kind: str, table: str, *, not_null: bool) -> Node:
    """Return a column of a table or of a result."""
    return {
        "name": name,
        "type": {"schema": "", "name": kind},
        "not_null": not_null,
        "table": {"schema": "", "name": table},
        "original_name": name,
    }


def query(
    name: str, text: str, table: str, params: list[Node], columns: list[Node] | None = None
) -> Node:
    """Return a query in its table's own file; its name begins with the command."""
    cmd, _, title = name.partition(" ")
    return {
        "name": title,
        "cmd": cmd,
        "text": text,
        "comments": [],
        "filename": f"{table}.sql",
        "params": params,
        "columns": columns or [],
    }


def queries(table: str, number: int, columns: list[Node]) -> list[Node]:
    """Return five queries on one table."""
    names = ", ".join(str(each["name"]) for each in columns)
    key: Node = {"number": 1, "column": columns[0]}
    other: Node = {"number": 2, "column": columns[1]}
    total: Node = {"name": "total", "type": {"name": "bigint"}, "not_null": True}
    low: Node = {"name": "low", "type": {"name": "text"}, "not_null": True}
    where = f"FROM {table} WHERE c0 = $1"
    rows = f"SELECT {names} FROM {table} ORDER BY c1"
    change = f"UPDATE {table} SET c1 = $2 WHERE c0 = $1"
    return [
        query(f":one Get{number}", f"SELECT {names} {where}", table, [key], columns),
        query(f":many List{number}", rows, table, [], columns),
        query(f":one Count{number}", f"SELECT count(*) AS total {where}", table, [key], [total]),
        query(f":many Low{number}", f"SELECT lower(c6) AS low {where}", table, [key], [low]),
        query(f":execrows Set{number}", change, table, [key, other]),
    ]


def request(tables: int) -> bytes:
    """Return a request of this many tables, with 12 columns and five queries each."""
    found: list[Node] = []
    asked: list[Node] = []
    for number in range(tables):
        name = f"thing{number}_rows"
        columns = [
            column(f"c{i}", TYPES[i % len(TYPES)], name, not_null=i % 3 == 0) for i in range(12)
        ]
        found.append({"rel": {"name": name}, "columns": columns})
        asked += queries(name, number, columns)
    schema = {"name": "public", "tables": found, "enums": [], "composite_types": []}
    return json.dumps(
        {
            "sqlc_version": "v1.31.1",
            "settings": {"engine": "postgresql", "schema": []},
            "catalog": {"default_schema": "public", "schemas": [schema]},
            "queries": asked,
            "plugin_options": "eyJwYWNrYWdlIjoiZ2VuIn0=",
        }
    ).encode()


def main() -> None:
    """Print the figures."""
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    raw = request(tables)
    before = time.perf_counter()
    response = generate(raw)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{tables:,} tables, {tables * 5:,} queries: {seconds:.1f} s, {peak:.0f} MB at most, "
        f"{len(response) / 1e6:.1f} MB written\n"
    )


if __name__ == "__main__":
    main()
