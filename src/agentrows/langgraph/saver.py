"""`AgentRowsSaver`: checkpoints of LangGraph on a client or a transaction."""

from __future__ import annotations

import asyncio
import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from agentrows import PostgresClient
from agentrows.bridge import CallRunner, OpenedAdapter
from agentrows.errors import InvalidValue
from agentrows.langgraph import calls
from agentrows.langgraph.calls import CheckpointPage
from agentrows.langgraph.history import ChannelHistories
from agentrows.langgraph.prune import keep_latest
from agentrows.langgraph.rows import (
    LARGE,
    CheckpointKey,
    NewCheckpoint,
    config_of,
    configurable,
    decode_tuple,
    encode_writes,
    estimate_size,
    next_version,
    stored_size,
)
from agentrows.langgraph.users import UserResolver
from agentrows.langgraph.write_calls import WriteCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from typing import Self

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        DeltaChannelHistory,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from agentrows import Settings, Stores
    from agentrows.langgraph.users import User

__all__ = ["AgentRowsSaver"]

T = TypeVar("T")

STRATEGIES: Final = ("keep_latest", "delete")


class AgentRowsSaver(BaseCheckpointSaver[str]):
    """Saves the checkpoints of LangGraph on a `PostgresClient`, for each user separately.

    ::

        async with PostgresClient.open("postgresql://…") as client:
            saver = AgentRowsSaver(client, user=lambda config: config["metadata"]["user"])
            graph = builder.compile(checkpointer=saver)

    `user` is the id of the user that owns the threads, or a function of the config. There is no
    default user, and the id is never read from a config by itself, because the clients of a
    LangGraph server send it. `delete_thread`, `delete_for_runs`, `copy_thread` and `prune` have no
    config: with a function, call them on `saver.for_user("mira")`.

    The methods work in any event loop and thread; the statements run in the event loop of the
    client. At most as many calls run at a time as the pool has connections; the others wait without
    a time limit. The writes of parallel tasks of a user are stored in one statement and one commit.
    With a `Transaction` as `client` the checkpoints are stored when it commits. With
    `row_security` each call is restricted to the rows of its user by PostgreSQL
    (`client.as_user`), at the cost of three more round trips.

    The newest checkpoint of a thread is the last one that the server stored, whatever the clocks of
    its clients. Values above 256 kB are serialized in a thread.

    Raises:
        InvalidValue: an argument has another type, or `row_security` is set for a transaction.

    """

    def __init__(
        self,
        client: Stores,
        *,
        user: User[RunnableConfig],
        serde: SerializerProtocol | None = None,
        row_security: bool = False,
    ) -> None:
        super().__init__(serde=serde)
        self._calls = CallRunner(client, row_security=row_security)
        self._writes = WriteCalls(self._calls)
        self._users: UserResolver[RunnableConfig] = UserResolver(user)

    @classmethod
    def open(
        cls,
        dsn: str | None = None,
        *,
        user: User[RunnableConfig],
        serde: SerializerProtocol | None = None,
        row_security: bool = False,
        settings: Settings | None = None,
    ) -> OpenedAdapter[Self]:
        """Open a client for a block, and return the saver on it.

        `async with` opens the client in the running event loop, `with` in an event loop in a thread
        of its own, for programs without one. The DSN and the settings are those of
        `PostgresClient.open`.

        ::

            with AgentRowsSaver.open("postgresql://…", user="mira") as saver:
                graph = builder.compile(checkpointer=saver)

        Raises:
            InvalidValue: `user` is neither an id nor a function.

        """
        UserResolver(user)
        return OpenedAdapter(
            lambda: PostgresClient.connect(dsn, settings=settings),
            lambda client: cls(client, user=user, serde=serde, row_security=row_security),
        )

    def for_user(self, user: str) -> Self:
        """Return a copy of this saver for one user."""
        clone = copy.copy(self)
        clone._users = UserResolver(user)  # noqa: SLF001  a copy of this object
        return clone

    async def setup(self) -> None:
        """Check that the schema has the tables of this saver; `agentrows migrate up` creates them.

        Raises:
            SchemaBehind: the database lacks a migration.

        """
        key = CheckpointKey("setup", "", "setup")
        await self._calls.run("setup", calls.find_checkpoint("setup", key))

    def get_next_version(self, current: str | int | None, channel: None) -> str:  # noqa: ARG002
        """Return the version of a channel that follows another, or the first one."""
        return next_version(current)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint of a config with its writes, the newest without a checkpoint_id."""
        user = self._users.resolve(config)
        row = self._calls.run_sync(user, calls.find_checkpoint(user, CheckpointKey.of(config)))
        return None if row is None else decode_tuple(self.serde, row)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint of a config with its writes, the newest without a checkpoint_id."""
        user = self._users.resolve(config)
        row = await self._calls.run(user, calls.find_checkpoint(user, CheckpointKey.of(config)))
        if row is None:
            return None
        return await _run_sized(stored_size([row]), lambda: decode_tuple(self.serde, row))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  the name of the base class
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Return checkpoints with their writes, newest first.

        Without a config those of all threads of the user, without a checkpoint_ns those of all
        namespaces. `filter` is a JSON object that their metadata must contain; it needs PostgreSQL
        16 or later.
        """
        user = self._resolve("list", config)
        page = CheckpointPage.first(config, metadata=filter, before=before, limit=limit)
        while page is not None:
            rows = self._calls.run_sync(user, page.read(user))
            yield from (decode_tuple(self.serde, row) for row in rows)
            page = page.next(rows)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  the name of the base class
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Return checkpoints with their writes, newest first, as `list` does."""
        user = self._resolve("alist", config)
        page = CheckpointPage.first(config, metadata=filter, before=before, limit=limit)
        while page is not None:
            rows = await self._calls.run(user, page.read(user))
            for row in rows:
                yield await _run_sized(stored_size([row]), partial(decode_tuple, self.serde, row))
            page = page.next(rows)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint as a child of the one that the config names; return its config."""
        user, key = self._users.resolve(config), CheckpointKey.of(config)
        new = NewCheckpoint.encode(self.serde, config, checkpoint, metadata, new_versions)
        call = calls.store_checkpoint(user, key, new, checkpoint, self.serde)
        self._calls.run_sync(user, call)
        return config_of(configurable(config)["thread_id"], key.checkpoint_ns, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint as a child of the one that the config names; return its config."""
        user, key = self._users.resolve(config), CheckpointKey.of(config)
        values = checkpoint["channel_values"]
        changed = [values[channel] for channel in new_versions if channel in values]
        new = await _run_sized(
            estimate_size(changed),
            lambda: NewCheckpoint.encode(self.serde, config, checkpoint, metadata, new_versions),
        )
        await self._writes.store_checkpoint(
            user,
            (key.thread_id, key.checkpoint_ns),
            partial(calls.store_checkpoint, user, key, new, checkpoint, self.serde),
        )
        return config_of(configurable(config)["thread_id"], key.checkpoint_ns, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task to the checkpoint of the config."""
        user, key = self._users.resolve(config), CheckpointKey.of(config)
        rows = encode_writes(self.serde, writes)
        self._writes.store_sync(user, key.task_writes(rows, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task to the checkpoint of the config."""
        user, key = self._users.resolve(config), CheckpointKey.of(config)
        rows = await _run_sized(estimate_size(writes), lambda: encode_writes(self.serde, writes))
        await self._writes.store(user, key.task_writes(rows, task_id, task_path))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the writes of channels along the ancestors of a checkpoint, and their seeds."""
        user = self._users.resolve(config)
        key: CheckpointKey | None = CheckpointKey.of(config)
        histories = ChannelHistories(self.serde, channels)
        while key is not None and histories.open_channels:
            call = calls.list_ancestors(user, key, histories.open_channels)
            rows = self._calls.run_sync(user, call)
            histories.add(rows)
            key = calls.next_ancestors(key, rows)
        return histories.result()

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the writes of channels along the ancestors of a checkpoint, and their seeds."""
        user = self._users.resolve(config)
        key: CheckpointKey | None = CheckpointKey.of(config)
        histories = ChannelHistories(self.serde, channels)
        while key is not None and histories.open_channels:
            call = calls.list_ancestors(user, key, histories.open_channels)
            rows = await self._calls.run(user, call)
            await _run_sized(stored_size(rows), partial(histories.add, rows))
            key = calls.next_ancestors(key, rows)
        return histories.result()

    def delete_thread(self, thread_id: str) -> None:
        """Delete the checkpoints of a thread of the user."""
        user = self._users.resolve_fixed("delete_thread")
        self._calls.run_sync(user, calls.delete_threads(user, [thread_id]))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the checkpoints of a thread of the user."""
        user = self._users.resolve_fixed("adelete_thread")
        await self._calls.run(user, calls.delete_threads(user, [thread_id]))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of the user that these runs stored.

        A delta channel of a thread that continues loses the writes of these runs.
        """
        user = self._users.resolve_fixed("delete_for_runs")
        self._calls.run_sync(user, calls.delete_runs(user, run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of the user that these runs stored, as `delete_for_runs` does."""
        user = self._users.resolve_fixed("adelete_for_runs")
        await self._calls.run(user, calls.delete_runs(user, run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy the checkpoints of a thread to another thread of the user."""
        user = self._users.resolve_fixed("copy_thread")
        self._calls.run_sync(user, calls.copy_thread(user, source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy the checkpoints of a thread to another thread of the user."""
        user = self._users.resolve_fixed("acopy_thread")
        await self._calls.run(user, calls.copy_thread(user, source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the older checkpoints of threads of the user, or with `delete` all of them.

        `keep_latest` keeps the newest checkpoint of each namespace, and the ancestors that its
        delta channels need. It deletes the namespaces of subgraph calls that ended. Checkpoints
        that are stored meanwhile stay.

        Raises:
            TypeError: `thread_ids` is a text.
            InvalidValue: there is no such strategy.

        """
        user = self._users.resolve_fixed("prune")
        for call in self._prune_calls(user, thread_ids, strategy):
            self._calls.run_sync(user, call)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the older checkpoints of threads of the user, as `prune` does."""
        user = self._users.resolve_fixed("aprune")
        for call in self._prune_calls(user, thread_ids, strategy):
            await self._calls.run(user, call)

    def _prune_calls(
        self, user: str, thread_ids: Sequence[str], strategy: str
    ) -> Sequence[calls.Call[object]]:
        """Return a call for each thread, so that each is pruned in a transaction of its own."""
        if isinstance(thread_ids, str):
            raise TypeError("thread_ids must be a sequence of ids, not a str")
        if strategy not in STRATEGIES:
            raise InvalidValue(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        if strategy == "delete":
            return [calls.delete_threads(user, thread_ids)] if thread_ids else []
        return [
            keep_latest(user, str(thread_id), self.serde) for thread_id in dict.fromkeys(thread_ids)
        ]

    def _resolve(self, method: str, config: RunnableConfig | None) -> str:
        if config is None:
            return self._users.resolve_fixed(method)
        return self._users.resolve(config)


async def _run_sized(size: int, function: Callable[[], T]) -> T:
    """Return the result of a function on `size` bytes, which runs in a thread if they are many."""
    return await asyncio.to_thread(function) if size > LARGE else function()
