"""Recall and latency of searching memories by their embeddings.

Vectors have 768 dimensions in clusters, as embeddings of texts: the sum of a direction that all
share (texts of one model are never opposite), the direction of one of 300 topics, and a part of its
own. Two texts of a topic have a cosine of about 0.8, two of different topics about 0.4. Questions
are drawn like the texts. Owners have 10, 1,000 and half of all rows, each over all topics; and a
quarter is *apart*: in topics of its own, while its questions are about the others, so that the
nearest vectors of the table all belong to other owners. So are a tenth and a fortieth, which are
smaller. A twentieth is in 30 topics, and a twentieth has every vector ten times; the questions of
these two are about any topic.

Recall is the part of the ten hits that are as near as the tenth row of an exact scan, or nearer: of
equal vectors any may be found.

The same vectors are then searched in agentrows_memory, with its index of 768 dimensions.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import numpy as np
from clients import agentrows_client
from harness import percentile
from pgvector import Vector
from pgvector.asyncpg import register_vector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conductor import Options
    from numpy.typing import NDArray
    from server import Server

    from agentrows import PostgresClient

    Vectors = NDArray[np.float32]

SIZES: Final = (10_000, 100_000)
DIMENSIONS: Final = 768
TOPICS: Final = 300
SHARED, TOPIC, OWN = 0.63, 0.63, 0.45
QUESTIONS: Final = 50
LIMIT: Final = 10
TIMES: Final = 3
"""The repetitions of each question, for the latency."""
INDEX: Final = "idx_memory_embedding_hnsw"
COLUMNS: Final = ("id", "agent_name", "user_id", "content", "embedding", "created_at")
AGENT: Final = "travel"
HALF, THOUSAND, TEN, APART = "half", "1,000", "10", "a quarter, apart"
CLUSTERS, TWINS = "a twentieth, 30 topics", "a twentieth, ten times each"
FORTIETH, TENTH = "a fortieth, apart", "a tenth, apart"
APART_TOPICS: Final = 150
OTHERS: Final = ((150, CLUSTERS), (180, TWINS), (210, FORTIETH), (225, TENTH), (285, "nobody"))
"""The first topic of each owner after the quarter; the rows of the half are in all topics."""
COPIES: Final = 10
ROUNDING: Final = 2e-6
"""The greatest difference between a cosine of the server and one of numpy."""
KAGENT_TABLE, OWN_TABLE = "memory", "agentrows_memory"
GOAL: Final = (0.95, 10.0)
EXACT: Final = (1.0, 10.0)
LARGE: Final = (HALF, APART, CLUSTERS, TWINS, FORTIETH, TENTH)
TARGETS: Final = dict.fromkeys((TEN, THOUSAND), EXACT) | dict.fromkeys(LARGE, GOAL)
"""By owner, in the largest table: recall, and the median time in ms."""
BUILD: Final = (
    "SET maintenance_work_mem = '2GB'",
    "SET max_parallel_maintenance_workers = 1",
    f"CREATE INDEX {INDEX} ON memory USING hnsw (embedding vector_cosine_ops)",
    "VACUUM ANALYZE memory",
    "CHECKPOINT",
)
MODEL: Final = "plane"
OWN_INDEX: Final = Path(__file__).parents[1] / "migrations" / "memory_indexes" / f"{DIMENSIONS}.sql"
COPY: Final = """
INSERT INTO agentrows_memory (
    id, model, user_id, agent_name, content, embedding, words, created_at, updated_at
)
SELECT id, $1, user_id, agent_name, content, embedding, to_tsvector('simple', content), now(), now()
FROM memory
"""


@dataclass(frozen=True, slots=True)
class Table:
    """The vectors of a table, their owners, and the questions of each owner."""

    vectors: Vectors
    owners: NDArray[np.str_]
    questions: dict[str, Vectors]


def measure(server: Server, options: Options) -> dict[str, Any]:
    """Return recall and latency for each size and owner."""
    sizes = [size for size in SIZES if size <= options.vectors] or [options.vectors]
    found: list[dict[str, Any]] = []
    for size in sizes:
        with server.database() as dsn:
            found += asyncio.run(run(dsn, make(size)))
    return {
        "kind": "searches",
        "title": f"search_agent_memory, limit {LIMIT}, {DIMENSIONS} dimensions",
        "limit": LIMIT,
        "targets": TARGETS,
        "rows": found,
    }


def make(size: int) -> Table:
    """Return a table of this many vectors, the same every time."""
    random = np.random.default_rng(768)
    shared = directions(random, 1)
    topics = directions(random, TOPICS)

    def draw(of: NDArray[np.int64]) -> Vectors:
        own = directions(random, len(of))
        return (SHARED * shared + TOPIC * topics[of] + OWN * own).astype(np.float32)

    of = random.integers(TOPICS, size=size)
    owners = np.full(size, APART, dtype="U40")
    for first, owner in OTHERS:
        owners[of >= first] = owner
    order = random.permutation(size)
    thousand = size // 2 + 1000
    owners[order[: size // 2]] = HALF
    owners[order[size // 2 : thousand]] = THOUSAND
    owners[order[thousand : thousand + 10]] = TEN
    anywhere = draw(random.integers(TOPICS, size=QUESTIONS))
    elsewhere = draw(random.integers(APART_TOPICS, TOPICS, size=QUESTIONS))
    vectors = draw(of)
    below = draw(random.integers(APART_TOPICS, size=QUESTIONS))
    twins = np.flatnonzero(owners == TWINS)
    vectors[twins] = vectors[twins[np.arange(len(twins)) // COPIES * COPIES]]
    questions = {
        **dict.fromkeys((TEN, THOUSAND, HALF, CLUSTERS, TWINS), anywhere),
        APART: elsewhere,
        FORTIETH: below,
        TENTH: below,
    }
    return Table(vectors, owners, questions)


def directions(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return vectors of length 1 in any direction."""
    found = random.standard_normal((count, DIMENSIONS))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


async def run(dsn: str, table: Table) -> list[dict[str, Any]]:
    """Store the vectors, build the index, and search as each owner."""
    connection = await asyncpg.connect(dsn)
    try:
        await register_vector(connection)
        await connection.execute(f"DROP INDEX {INDEX}")
        await connection.copy_records_to_table("memory", records=records(table), columns=COLUMNS)
        for statement in BUILD:
            await connection.execute(statement)
    finally:
        await connection.close()
    found = await search_all(dsn, table)
    await fill_own(dsn)
    own = await search_all(dsn, table, model=MODEL)
    return [{"table": KAGENT_TABLE, **row} for row in found] + [
        {"table": OWN_TABLE, **row} for row in own
    ]


async def fill_own(dsn: str) -> None:
    """Copy the vectors to agentrows_memory, and build its index."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(COPY, MODEL, timeout=None)
        for statement in (*BUILD[:2], OWN_INDEX.read_text()):
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE agentrows_memory")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def search_all(dsn: str, table: Table, *, model: str | None = None) -> list[dict[str, Any]]:
    """Search as each owner, in kagent's table or as a model in agentrows_memory."""
    async with agentrows_client(dsn, size=1, memory_model=model) as client:
        return [
            await search(client, table, owner, touch=touch)
            for touch in (False, True)
            for owner in table.questions
        ]


def records(table: Table) -> Iterable[tuple[object, ...]]:
    """Return the rows to store."""
    now = datetime.now(UTC)
    for number, (vector, owner) in enumerate(zip(table.vectors, table.owners, strict=True)):
        yield f"m-{number}", AGENT, str(owner), "It rained.", Vector(vector), now


async def search(
    client: PostgresClient, table: Table, owner: str, *, touch: bool
) -> dict[str, Any]:
    """Ask an owner's questions; return recall and latency."""
    mine = np.flatnonzero(table.owners == owner)
    times: list[float] = []
    recalls: list[float] = []
    counts: list[int] = []
    for question in table.questions[owner]:
        for _ in range(TIMES):
            start = time.perf_counter()
            hits = await client.search_agent_memory(
                agent_name=AGENT,
                user_id=owner,
                embedding=Vector(question),
                limit=LIMIT,
                touch=touch,
            )
            times.append(time.perf_counter() - start)
        least, count = tenth(table.vectors[mine], question)
        recalls.append(sum(hit.score >= least - ROUNDING for hit in hits) / count)
        counts.append(len(hits))
    times.sort()
    return {
        "vectors": len(table.vectors),
        "owner": owner,
        "owned": len(mine),
        "touch": touch,
        "recall": sum(recalls) / len(recalls),
        "fewest": min(counts),
        "p50_ms": percentile(times, 50) * 1000,
        "p99_ms": percentile(times, 99) * 1000,
    }


def tenth(vectors: Vectors, question: Vectors) -> tuple[float, int]:
    """Return the cosine of the last of the nearest vectors, and how many these are."""
    cosines = vectors @ question / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question)
    nearest = np.sort(cosines)[-LIMIT:]
    return float(nearest[0]), len(nearest)
