"""Embeddings of items and queries, with the configuration of a store's index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from langgraph.store.base import (
    IndexConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)

from agentrows.errors import InvalidValue
from agentrows.langgraph.coalesce import CallMerger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    Embedding: TypeAlias = Sequence[float]
    Index: TypeAlias = Literal[False] | Sequence[str] | None

__all__ = ["DistanceType", "StoreIndexConfig", "TextIndex"]

DistanceType = Literal["cosine", "l2", "inner_product"]
WHOLE_VALUE: Final = "$"
MOST_REQUESTS: Final = 100
"""Calls of the embedding function at a time."""
MOST_DIMENSIONS: Final = 16_000


class StoreIndexConfig(IndexConfig, total=False):
    """The configuration of the index, with two settings of this store.

    `distance_type` is cosine (the default), l2 or inner_product. `space` names the embedding space:
    vectors of different spaces are never compared. The default is the `provider:model` of `embed`,
    if it is text, and `dims`. Set it when two models with equal dimensions share a database.
    """

    distance_type: DistanceType
    space: str


class TextIndex:
    """Embeds the texts of items, and those of queries.

    The texts of concurrent calls are embedded in one call of the embedding function.

    Raises:
        InvalidValue: a setting is missing or wrong.

    """

    def __init__(self, config: StoreIndexConfig) -> None:
        dims = config.get("dims")
        if not isinstance(dims, int) or isinstance(dims, bool) or not 1 <= dims <= MOST_DIMENSIONS:
            raise InvalidValue(f"index.dims must be an integer from 1 to {MOST_DIMENSIONS:,}")
        self.metric: DistanceType = config.get("distance_type") or "cosine"
        if self.metric not in get_args(DistanceType):
            raise InvalidValue(
                f"index.distance_type must be one of {', '.join(get_args(DistanceType))}"
            )
        embed = config.get("embed")
        if embed is None:
            raise InvalidValue("index.embed must be embeddings, a function or provider:model")
        self.space = config.get("space") or (
            f"{embed}/{dims}" if isinstance(embed, str) else str(dims)
        )
        self._dims = dims
        self._embeddings = ensure_embeddings(embed)
        self._fields = list(config.get("fields") or [WHOLE_VALUE])
        self._texts: CallMerger[None, str, Embedding] = CallMerger(
            self._embed, most_runs=MOST_REQUESTS, size_of=len
        )

    async def embed_items(
        self, items: Sequence[tuple[Mapping[str, Any], Index]]
    ) -> list[list[Embedding]]:
        """Return the vectors of each item, given as its value and the `index` of its put."""
        texts = [self._texts_of(value, index) for value, index in items]
        vectors = iter(await self._texts.submit(None, [text for part in texts for text in part]))
        return [[next(vectors) for _ in part] for part in texts]

    async def embed_query(self, query: str) -> Embedding:
        """Return the vector of a query."""
        return self._check(await self._embeddings.aembed_query(query))

    def _texts_of(self, value: Mapping[str, Any], index: Index) -> list[str]:
        """Return the texts of a value that are embedded, each once."""
        if index is False:
            return []
        texts: list[str] = []
        for path in self._fields if index is None else index:
            tokens = path if path == WHOLE_VALUE else tokenize_path(path)
            texts += get_text_at_path(value, tokens)
        return list(dict.fromkeys(texts))

    async def _embed(self, _key: None, texts: list[str]) -> list[Embedding]:
        unique = list(dict.fromkeys(texts))
        vectors = await self._embeddings.aembed_documents(unique)
        if len(vectors) != len(unique):
            raise InvalidValue(
                f"index.embed must return a vector for each of {len(unique)} texts, got "
                f"{len(vectors)}"
            )
        by_text = {text: self._check(vector) for text, vector in zip(unique, vectors, strict=True)}
        return [by_text[text] for text in texts]

    def _check(self, vector: Embedding) -> Embedding:
        if len(vector) != self._dims:
            raise InvalidValue(
                f"index.dims is {self._dims}, but index.embed returned a vector with "
                f"{len(vector)} numbers"
            )
        return vector
