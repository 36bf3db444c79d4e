"""The strategy `keep_latest` of `prune`: which checkpoints of a thread stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentrows.langgraph.calls import list_ancestors, next_ancestors
from agentrows.langgraph.history import stored_channels
from agentrows.langgraph.rows import FIRST_WITH_SENDS, CheckpointKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langgraph.checkpoint.base import CheckpointMetadata
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from agentrows import Stores, ThreadHead
    from agentrows.langgraph.calls import Call

ROOT = ""
"""The namespace of the root graph."""


def keep_latest(user_id: str, thread_id: str, serde: SerializerProtocol) -> Call[None]:
    """Return the call that deletes the checkpoints of a thread which no newest one needs.

    The ids that may be deleted are those of the first statement, so checkpoints that are stored
    meanwhile stay, and the store spares their ancestors.
    """

    async def call(stores: Stores) -> None:
        heads = await stores.list_thread_heads(thread_id, user_id=user_id)
        kept = {
            head.checkpoint_ns: await _list_needed(stores, user_id, thread_id, head, serde)
            for head in heads
        }
        for checkpoint_ns in ended_calls(heads, kept):
            kept[checkpoint_ns] = []
        await stores.prune_thread(
            thread_id,
            user_id=user_id,
            pruned=[
                (head.checkpoint_ns, checkpoint_id)
                for head in heads
                for checkpoint_id in head.checkpoint_ids
            ],
            kept=[(checkpoint_ns, one) for checkpoint_ns, ids in kept.items() for one in ids],
        )

    return call


async def _list_needed(
    stores: Stores, user_id: str, thread_id: str, head: ThreadHead, serde: SerializerProtocol
) -> list[str]:
    """Return the id of a newest checkpoint, and those of the ancestors that it needs.

    A checkpoint of an older version needs its parent for its sends. A delta channel needs the path
    to its newest stored value.
    """
    needed = [head.checkpoint_id]
    if head.parent_checkpoint_id is None:
        return needed
    if head.version < FIRST_WITH_SENDS and head.parent_has_sends:
        needed.append(head.parent_checkpoint_id)
    metadata: CheckpointMetadata = json.loads(head.metadata)
    delta_channels = set(metadata.get("counters_since_delta_snapshot") or {})
    waiting = delta_channels - stored_channels(serde, head, head.channels)
    key: CheckpointKey | None = CheckpointKey(thread_id, head.checkpoint_ns, head.checkpoint_id)
    while key is not None and waiting:
        rows = await list_ancestors(user_id, key, sorted(waiting))(stores)
        for row in rows:
            if waiting:
                needed.append(row.checkpoint_id)
            waiting -= stored_channels(serde, row, row.value_channels)
        key = next_ancestors(key, rows)
    return needed


def ended_calls(heads: Sequence[ThreadHead], kept: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the namespaces of subgraph calls that ended.

    The last part of such a namespace is `name:id of the call`. The call has ended when the root
    graph has a newer checkpoint than the one from which it was made, and that one is not kept.
    """
    stored = {id_ for head in heads if head.checkpoint_ns == ROOT for id_ in head.checkpoint_ids}
    found: list[str] = []
    for head in heads:
        metadata: CheckpointMetadata = json.loads(head.metadata)
        start = (metadata.get("parents") or {}).get(ROOT)
        is_call = ":" in head.checkpoint_ns.rpartition("|")[2]
        if is_call and start in stored and start not in kept[ROOT]:
            found.append(head.checkpoint_ns)
    return found
