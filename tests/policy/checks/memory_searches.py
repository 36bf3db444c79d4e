"""The statements for each indexed number of dimensions, written from those for 384.

`python tests/policy/checks/memory_searches.py` writes them again. The texts for 384 dimensions are
written by hand: `migrations/memory_indexes/384.sql`, and SearchOwnMemories384 in
`queries/memory_searches.sql`. The expression of the index and of the search has to be the same,
because PostgreSQL compares them to choose the index.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
QUERIES: Final = ROOT / "queries" / "memory_searches.sql"
INDEXES: Final = ROOT / "migrations" / "memory_indexes"
FIRST: Final = 384
ALL: Final = (384, 768, 1024, 1536, 3072)
OWNER: Final = 64
"""The numbers of an owner after the embedding. An index of half vectors has at most 4,000."""
TOUCHED: Final = """,
locked AS MATERIALIZED (
    SELECT id FROM agentrows_memory
    WHERE id = ANY (SELECT id FROM hit) AND model = @model AND user_id = @user_id
    ORDER BY id
    FOR NO KEY UPDATE
),
touched AS (
    UPDATE agentrows_memory AS counted
    SET access_count = counted.access_count + 1
    FROM locked
    WHERE counted.id = locked.id AND counted.model = @model AND counted.user_id = @user_id
    RETURNING counted.id, counted.access_count
)
SELECT
"""


def text_for(dimensions: int, text: str) -> str:
    """Return the file of an index, or the search, for a number of dimensions from that for 384."""
    whole = f"halfvec({FIRST + OWNER})"
    return text.replace(whole, f"halfvec({dimensions + OWNER})").replace(
        str(FIRST), str(dimensions)
    )


def touching(sql: str) -> str:
    """Return the statement that also counts the access, from the search."""
    sql = sql.replace("\nSELECT\n    m.id,", f"{TOUCHED.rstrip()}\n    m.id,")
    sql = sql.replace("\n)\n,", "\n),")
    sql = sql.replace("m.access_count AS", "touched.access_count AS")
    join = "FROM hit\n"
    return sql.replace(join, f"{join}JOIN touched ON touched.id = hit.id\n")


def queries(text: str) -> str:
    """Return the whole file of the searches, from its head and its first query."""
    head, mark, rest = text.partition("-- name: ")
    first = rest.split("\n-- name: ")[0].rstrip("\n")
    comment, sql = first.split("\nWITH ", 1)
    searches: list[str] = []
    for dimensions in ALL:
        own = comment.replace(str(FIRST), str(dimensions))
        search = f"WITH {text_for(dimensions, sql)}"
        name = f"SearchAndTouchOwnMemories{dimensions}"
        note = (
            f"-- Return the rows of SearchOwnMemories{dimensions} and increment the access count "
            "of each.\n-- py: row MemoryHit"
        )
        searches += [f"{mark}{own}\n{search}", f"{mark}{name} :many\n{note}\n{touching(search)}"]
    return head + "\n\n".join(searches) + "\n"


def main() -> None:
    """Write the files."""
    QUERIES.write_text(queries(QUERIES.read_text()))
    text = (INDEXES / f"{FIRST}.sql").read_text()
    for dimensions in ALL:
        (INDEXES / f"{dimensions}.sql").write_text(text_for(dimensions, text))


if __name__ == "__main__":
    main()
