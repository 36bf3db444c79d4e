"""Store items: JSON documents of users by namespace and key, the long-term memory of agents.

A namespace is text: labels with one dot between them, such as `users.mira`; the empty text is the
root. Methods with embeddings need the track agentrows_vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, get_args

from agentrows.gen import store_items as queries
from agentrows.gen import store_vectors as vector_queries
from agentrows.stores._isolation import choose_isolation
from agentrows.stores._items import (
    Metric,
    StoreCondition,
    VectorRows,
    check_conditions,
    check_embeddings,
    check_items,
    check_keys,
    check_max_depth,
    check_namespace,
    check_offset,
    check_space,
    match_patterns,
)
from agentrows.stores._requirements import STORE_ITEMS, STORE_VECTORS, VECTORS, require
from agentrows.stores._retention import BATCH_SIZE, Batch, run_all_batches
from agentrows.stores._table_retention import expired_store_items
from agentrows.stores._vectors import check_vector
from agentrows.validation import (
    check_choice,
    check_flag,
    check_id,
    check_limit,
    check_optional_text,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import NewStoreItem, StoreHit, StoreItem
    from agentrows.gen.pgvectors import VectorLike

__all__ = ["ItemStore", "StoreCondition"]


@dataclass(frozen=True)
class ItemStore:
    """Store of JSON documents by namespace and key, with vectors for similarity search."""

    db: Executor

    async def store_items(
        self,
        items: Iterable[NewStoreItem],
        *,
        user_id: str,
        embeddings: Iterable[Sequence[VectorLike]] | None = None,
        space: str | None = None,
        delete: Iterable[tuple[str, str]] = (),
    ) -> int:
        """Store items of a user, all of them or none, and return their number.

        An item with the same namespace and key is replaced, keeps its creation time, and its time
        to live starts again. `embeddings` has a list of vectors for each item, in the same order:
        the vectors of the item in `space`, of any number of dimensions. They replace all stored
        vectors of the item, also those of other spaces. Without `embeddings` the stored vectors are
        not returned any more. `delete` has the namespaces and keys of items to delete in the same
        transaction.

        Raises:
            ConfigError: `embeddings` are passed and the settings disable vectors.
            InvalidValue: two items have the same key, a value is not a JSON object, or user,
                namespace and key have more than 2,400 bytes together.
            SchemaBehind: this needs migration 21 of the track agentrows; `embeddings` need
                migration 4 of the track agentrows_vector.

        """
        require(self.db, STORE_ITEMS)
        if embeddings is not None:
            require(self.db, VECTORS)
            require(self.db, STORE_VECTORS)
        new = _check_new_items(items, user_id, embeddings, space)
        namespaces, names = check_keys("delete", delete)
        if not names:
            return await new.store(self.db.repeatable)

        async def replace(db: Executor) -> int:
            stored = await new.store(db.repeatable)
            await _delete(db, user_id, namespaces, names)
            return stored

        return await self.db.repeat(replace, isolation=choose_isolation(self.db))

    async def list_store_items(
        self, keys: Iterable[tuple[str, str]], *, user_id: str, with_expired: bool = False
    ) -> list[StoreItem]:
        """Return the items of a user with these keys, in any order; each key at most once.

        A key is a pair of a namespace and a key. Absent items are left out, and expired ones
        without `with_expired`.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        check_flag("with_expired", with_expired)
        namespaces, names = check_keys("keys", keys)
        check_id("user_id", user_id)
        if not names:
            return []
        return await queries.list_store_items(
            self.db.repeatable,
            user_id=user_id,
            namespace=namespaces,
            key=names,
            with_expired=with_expired,
        )

    async def find_store_item(
        self, key: str, *, user_id: str, namespace: str = "", with_expired: bool = False
    ) -> StoreItem | None:
        """Return the item of a user with this key in a namespace, or None.

        An expired item is None without `with_expired`.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        return await queries.find_store_item(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            namespace=check_namespace("namespace", namespace),
            key=check_text("key", key),
            with_expired=check_flag("with_expired", with_expired),
        )

    async def search_store_items(
        self,
        *,
        user_id: str,
        namespace: str = "",
        conditions: Iterable[StoreCondition] = (),
        limit: int | None = None,
        offset: int = 0,
        with_expired: bool = False,
    ) -> list[StoreItem]:
        """Return the items of a user under a namespace that meet every condition.

        The last stored item is first. `namespace` matches whole labels: `users` finds `users` and
        `users.mira`, and not `users-old`. At most `limit` rows, or all with None, after the first
        `offset` rows. A comparison reads NUL and lone surrogates in a stored value as U+FFFD.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        return await queries.search_store_items(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            namespace=check_namespace("namespace", namespace),
            conditions=check_conditions(conditions),
            limit=check_limit("limit", limit),
            first_row=check_offset(offset),
            with_expired=check_flag("with_expired", with_expired),
        )

    async def search_store_vectors(
        self,
        embedding: VectorLike,
        *,
        user_id: str,
        space: str,
        namespace: str = "",
        metric: Metric = "cosine",
        conditions: Iterable[StoreCondition] = (),
        limit: int | None = None,
        offset: int = 0,
        with_expired: bool = False,
    ) -> list[StoreHit]:
        """Return the items of a user whose vectors are nearest to an embedding, best first.

        Every vector under the namespace and in the space is compared. An item counts with its best
        vector. `score` is the cosine similarity, the negative Euclidean distance (`l2`) or the
        inner product. Vectors with another number of dimensions than `embedding` are ignored. The
        other arguments are those of `search_store_items`.

        Raises:
            ConfigError: the settings disable vectors.
            SchemaBehind: this needs migration 4 of the track agentrows_vector.

        """
        require(self.db, STORE_ITEMS)
        require(self.db, VECTORS)
        require(self.db, STORE_VECTORS)
        check_choice("metric", metric, get_args(Metric))
        return await vector_queries.search_store_vectors(
            self.db.repeatable,
            embedding=check_vector("embedding", embedding),
            user_id=check_id("user_id", user_id),
            space=check_space(space),
            namespace=check_namespace("namespace", namespace),
            metric=metric,
            conditions=check_conditions(conditions),
            limit=check_limit("limit", limit),
            first_row=check_offset(offset),
            with_expired=check_flag("with_expired", with_expired),
        )

    async def list_store_namespaces(
        self,
        *,
        user_id: str,
        prefixes: Iterable[str] = (),
        suffixes: Iterable[str] = (),
        max_depth: int | None = None,
        limit: int | None = None,
        offset: int = 0,
        with_expired: bool = False,
    ) -> list[str]:
        """Return the namespaces of a user's items, in the order of their labels.

        Only namespaces that begin with every prefix and end with every suffix; the label `*` in
        these matches any one label. `max_depth` cuts deeper namespaces to that number of labels.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        namespace, patterns = match_patterns(prefixes, suffixes)
        return await queries.list_store_namespaces(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            namespace=namespace,
            patterns=patterns,
            max_depth=check_max_depth(max_depth),
            limit=check_limit("limit", limit),
            first_row=check_offset(offset),
            with_expired=check_flag("with_expired", with_expired),
        )

    async def refresh_store_items(self, keys: Iterable[tuple[str, str]], *, user_id: str) -> int:
        """Start the time to live of items again; return the number of items that have one.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        namespaces, names = check_keys("keys", keys)
        check_id("user_id", user_id)
        if not names:
            return 0
        return await queries.refresh_store_items(
            self.db.repeatable, user_id=user_id, namespace=namespaces, key=names
        )

    async def delete_store_items(self, keys: Iterable[tuple[str, str]], *, user_id: str) -> int:
        """Delete items of a user and their vectors; return the number of items that existed.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        namespaces, names = check_keys("keys", keys)
        check_id("user_id", user_id)
        if not names:
            return 0

        return await self.db.repeat(
            lambda db: _delete(db, user_id, namespaces, names), isolation=choose_isolation(self.db)
        )

    async def prune_expired_store_items(self) -> int:
        """Delete all users' expired items and their vectors; return the number of items.

        Each transaction deletes up to 1,000 items. Items that another transaction has locked are
        skipped. `prune` does the same for other tables.

        Raises:
            SchemaBehind: this needs migration 21 of the track agentrows.

        """
        require(self.db, STORE_ITEMS)
        batch = Batch(timedelta(0))
        removed = await run_all_batches(self.db, expired_store_items, batch, goal=BATCH_SIZE)
        return removed.rows["agentrows_store_item"]


class _NewItems(NamedTuple):
    """Checked items of a user, and their vectors; None leaves the table of vectors as it is."""

    user_id: str
    items: Sequence[NewStoreItem]
    vectors: VectorRows | None
    space: str

    async def store(self, db: DBTX) -> int:
        """Store the items in one statement, and return their number."""
        if not self.items:
            return 0
        if self.vectors is None:
            return await queries.upsert_store_items(db, user_id=self.user_id, items=self.items)
        stored = await vector_queries.upsert_store_items_with_vectors(
            db,
            user_id=self.user_id,
            namespace=[item.namespace for item in self.items],
            key=[item.key for item in self.items],
            value=[item.value for item in self.items],
            ttl_s=[item.ttl_s for item in self.items],
            vector_item=self.vectors.items,
            vector_ordinal=self.vectors.ordinals,
            vector_embedding=self.vectors.vectors,
            space=self.space,
        )
        return stored.stored


def _check_new_items(
    items: Iterable[NewStoreItem],
    user_id: str,
    embeddings: Iterable[Sequence[VectorLike]] | None,
    space: str | None,
) -> _NewItems:
    """Return checked items with their vectors."""
    batch = check_items(items, check_id("user_id", user_id))
    if embeddings is None:
        check_optional_text("space", space)
        return _NewItems(user_id, batch, None, "")
    return _NewItems(user_id, batch, check_embeddings(embeddings, batch), check_space(space))


async def _delete(
    db: Executor, user_id: str, namespaces: Sequence[str], names: Sequence[str]
) -> int:
    """Delete items and then their vectors, and return the number of items."""
    deleted = await queries.delete_store_items(
        db.repeatable, user_id=user_id, namespace=namespaces, key=names
    )
    if deleted.has_vectors:
        await vector_queries.delete_store_vectors(
            db.repeatable, user_id=user_id, namespace=namespaces, key=names
        )
    return deleted.deleted
