"""The searches of agentrows_memory by the numbers of dimensions that can have an index."""

from __future__ import annotations

from typing import Final

from agentrows.gen import memory_searches as queries

INDEXED_SEARCHES: Final = {
    384: (queries.search_own_memories384, queries.search_and_touch_own_memories384),
    768: (queries.search_own_memories768, queries.search_and_touch_own_memories768),
    1024: (queries.search_own_memories1024, queries.search_and_touch_own_memories1024),
    1536: (queries.search_own_memories1536, queries.search_and_touch_own_memories1536),
    3072: (queries.search_own_memories3072, queries.search_and_touch_own_memories3072),
}
"""By number of dimensions: the search without and with a count of the access."""
