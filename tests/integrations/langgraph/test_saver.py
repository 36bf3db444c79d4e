"""The methods of AgentRowsSaver: users, values, metadata, order and event loops."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, TASKS

from agentrows import ConfigError, InvalidValue, PostgresClient, SchemaBehind, Settings, migrate
from agentrows.langgraph import AgentRowsSaver, checkpointer
from agentrows.migrate import Migrator
from integrations.langgraph.graphs import key, thread
from support.older_schemas import tracks_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig

ODD: Final = {"nul": "a\0b", "nan": math.nan, "inf": -math.inf, "surrogate": "a\ud800b"}
AT_ONE: Final[RunnableConfig] = thread("t-1", checkpoint_ns="", checkpoint_id="c-1")
METHODS: Final[dict[str, Callable[[Any], Any]]] = {
    "get_tuple": lambda saver: saver.aget_tuple(thread("t-1")),
    "list": lambda saver: collect(saver, thread("t-1")),
    "put": lambda saver: put(saver, "t-1"),
    "put_writes": lambda saver: saver.aput_writes(AT_ONE, [("a", 1)], "task-1"),
    "delete_thread": lambda saver: saver.adelete_thread("t-1"),
    "delete_for_runs": lambda saver: saver.adelete_for_runs(["run-1"]),
    "copy_thread": lambda saver: saver.acopy_thread("t-1", "t-2"),
    "prune": lambda saver: saver.aprune(["t-1"]),
    "delta": lambda saver: saver.aget_delta_channel_history(config=AT_ONE, channels=["a"]),
}


async def put(  # noqa: PLR0913  one argument per part of a checkpoint
    saver: AgentRowsSaver,
    thread_id: str,
    values: dict[str, Any] | None = None,
    *,
    parent: RunnableConfig | None = None,
    metadata: dict[str, Any] | None = None,
    version: int = 4,
    new: list[str] | None = None,
    **configurable: Any,  # noqa: ANN401
) -> RunnableConfig:
    """Store a checkpoint with these values, each under the version 1."""
    values = values or {}
    checkpoint = empty_checkpoint()
    checkpoint["v"] = version
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = dict.fromkeys(values, "1")
    parts = {"checkpoint_ns": "", **(key(parent) if parent else {}), **configurable}
    return await saver.aput(
        thread(**{**parts, "thread_id": thread_id}),
        checkpoint,
        {"source": "loop", "step": 0, "parents": {}, **(metadata or {})},  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
        dict.fromkeys(values if new is None else new, "1"),
    )


async def collect(saver: AgentRowsSaver, config: RunnableConfig | None, **options: Any) -> Any:  # noqa: ANN401
    return [one async for one in saver.alist(config, **options)]


@pytest.fixture
def saver(client: PostgresClient) -> AgentRowsSaver:
    return AgentRowsSaver(client, user="mira")


async def test_no_method_reaches_a_thread_of_another_user(saver: AgentRowsSaver) -> None:
    first = await put(saver, "t-1", {"a": [1]}, metadata={"run_id": "run-1"})
    second = await put(saver, "t-1", {"a": [1]}, parent=first, metadata={"run_id": "run-1"}, new=[])
    await saver.aput_writes(first, [("a", "of mira")], "task-1")
    before = await collect(saver, None)
    assert [one.config for one in before] == [second, first]

    juno = saver.for_user("juno")
    assert await juno.aget_tuple(first) is None
    assert await collect(juno, None) == await collect(juno, thread("t-1")) == []
    history = await juno.aget_delta_channel_history(config=second, channels=["a"])
    assert history == {"a": {"writes": []}}
    await juno.acopy_thread("t-1", "t-2")
    assert await collect(juno, None) == []
    await juno.aput_writes(first, [("a", "of juno")], "task-1")
    await put(juno, "t-1", {"a": [2]})
    await juno.adelete_for_runs(["run-1"])
    await juno.aprune(["t-1"])
    await juno.aprune(["t-1"], strategy="delete")
    await juno.adelete_thread("t-1")

    assert await collect(saver, None) == before
    await saver.adelete_for_runs(["run-1"])
    assert await collect(saver, None) == []


@pytest.mark.parametrize("result", [None, "", 5, b"mira"])
async def test_user_function_without_an_id_as_result_is_refused(
    client: PostgresClient,
    result: Any,  # noqa: ANN401
) -> None:
    saver = AgentRowsSaver(client, user=lambda _: result)

    for call in (
        saver.aget_tuple(AT_ONE),
        saver.aput_writes(AT_ONE, [("a", 1)], "task-1"),
        put(saver, "t-1"),
        collect(saver, thread("t-1")),
        saver.aget_delta_channel_history(config=AT_ONE, channels=["a"]),
    ):
        with pytest.raises(InvalidValue, match="result of the function `user` must"):
            await call
    with pytest.raises(InvalidValue, match="user"):
        AgentRowsSaver(client, user=result)
    assert await client.list_threads(user_id="mira") == []


async def test_methods_without_a_config_need_for_user(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user=lambda config: key(config)["owner"])
    calls: dict[str, Callable[[Any], Any]] = {
        name: METHODS[name] for name in ("delete_thread", "delete_for_runs", "copy_thread", "prune")
    }
    calls["list"] = lambda saver: collect(saver, None)

    for name, call in calls.items():
        with pytest.raises(InvalidValue, match=rf"a{name} .*for_user"):
            await call(saver)
        await call(saver.for_user("mira"))


async def test_odd_values_survive_and_odd_metadata_is_cleaned(saver: AgentRowsSaver) -> None:
    written = await put(
        saver,
        "t-1",
        {**ODD, "none": None, "tuple": (1, 2), "bytes": b"\0\xff"},
        metadata={"odd": {"list": [*ODD.values()], "k\0\ud800": (1, (2,))}, "nul": "a\0b"},
        ratio=math.nan,
    )
    await saver.aput_writes(written, [("odd", ODD), ("none", None)], "task-1", "path")

    in_serializer = saver.serde.loads_typed(saver.serde.dumps_typed(ODD))
    found = await saver.aget_tuple(thread("t-1"))
    assert found is not None
    assert found.pending_writes is not None
    for values in (found.checkpoint["channel_values"], found.pending_writes[0][2]):
        assert math.isnan(values["nan"])
        assert (values["nul"], values["inf"]) == ("a\0b", -math.inf)
        assert values["surrogate"] == in_serializer["surrogate"]
    assert found.checkpoint["channel_values"]["none"] is None
    assert found.pending_writes[1] == ("task-1", "none", None)
    metadata: Any = found.metadata
    assert metadata["odd"] == {"list": ["ab", None, None, "a\ufffdb"], "k\ufffd": [1, [2]]}
    assert metadata["nul"] == "ab"
    assert metadata["ratio"] is None
    for sought, count in (({"nul": "a\0b"}, 1), ({"ratio": math.inf}, 1), ({"nul": "a"}, 0)):
        assert len(await collect(saver, None, filter=sought)) == count


@pytest.mark.parametrize("run_id", ["", "\0", "x" * 513, 5, None])
async def test_any_run_id_in_the_metadata_is_stored(saver: AgentRowsSaver, run_id: object) -> None:
    await put(saver, "t-1", metadata={"run_id": run_id})

    (found,) = await collect(saver, None)
    assert found.metadata["run_id"] == ("" if run_id == "\0" else run_id)
    await saver.adelete_for_runs(["5"])
    assert len(await collect(saver, None)) == (run_id != 5)


async def test_last_write_on_a_special_channel_counts(saver: AgentRowsSaver) -> None:
    config = await put(saver, "t-1")

    await saver.aput_writes(config, [(INTERRUPT, 1), ("a", 1), (INTERRUPT, 2)], "task-1")
    await saver.aput_writes(config, [(ERROR, "e"), ("a", "ignored")], "task-1")

    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("task-1", INTERRUPT, 2),
        ("task-1", ERROR, "e"),
        ("task-1", "a", 1),
    ]


async def test_writes_are_ordered_by_path_task_and_index(saver: AgentRowsSaver) -> None:
    config = thread("t-1", checkpoint_ns="", checkpoint_id="c-1")
    order = [("", "z"), ("~a", "b"), ("~a", "é"), ("~é", "a")]

    # Also before their checkpoint is stored, as LangGraph does.
    for path, task in reversed(order):
        await saver.aput_writes(config, [("a", f"{path}{task}{n}") for n in (0, 1)], task, path)
    assert await saver.aget_tuple(config) is None
    checkpoint = {**empty_checkpoint(), "id": "c-1"}
    await saver.aput(thread("t-1"), checkpoint, {}, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    found = await saver.aget_tuple(thread("t-1"))
    assert found is not None
    assert [value for _, _, value in found.pending_writes or ()] == [
        f"{path}{task}{n}" for path, task in order for n in (0, 1)
    ]
    assert "task_path" in inspect.signature(saver.put_writes).parameters


async def test_sends_of_an_old_checkpoint_are_attached(saver: AgentRowsSaver) -> None:
    parent = await put(saver, "t-1", {"a": 1}, version=3)
    await saver.aput_writes(parent, [(TASKS, "second")], "task-1", "~b")
    await saver.aput_writes(parent, [(TASKS, "first"), ("a", 2)], "task-2", "~a")
    old = await put(saver, "t-1", {"a": 1}, parent=parent, version=3)
    new = await put(saver, "t-1", {"a": 1}, parent=parent, version=4)

    for config, sends in ((old, ["first", "second"]), (new, None)):
        found = await saver.aget_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"].get(TASKS) == sends
        assert (TASKS in found.checkpoint["channel_versions"]) == (sends is not None)
    await saver.aprune(["t-1"])
    assert [one.config for one in await collect(saver, thread("t-1"))] == [new]


async def test_value_is_found_by_the_version_of_its_channel_alone(saver: AgentRowsSaver) -> None:
    memory = InMemorySaver()
    targets: list[Any] = [memory, saver]
    for target in targets:
        config: Any = thread("t-1", checkpoint_ns="")
        steps: list[tuple[dict[str, Any], ...]] = [
            ({"a": [1], "b": 1}, {"a": "1", "b": "1"}, {"a": "1", "b": "1"}),
            ({"b": 1}, {"a": "1", "b": "1", "absent": "7"}, {}),
            ({"b": 1}, {"a": "2", "b": "1"}, {"a": "2"}),  # now `a` is empty
            ({"b": 1}, {"a": "2", "b": "1"}, {}),
        ]
        for values, versions, new in steps:
            checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": values}
            checkpoint["channel_versions"] = versions
            config = await target.aput(config, checkpoint, {"source": "loop"}, new)

    found = [one.checkpoint["channel_values"] for one in await collect(saver, thread("t-1"))]
    assert found == [one.checkpoint["channel_values"] for one in memory.list(thread("t-1"))]
    assert found == [{"b": 1}, {"b": 1}, {"a": [1], "b": 1}, {"a": [1], "b": 1}]


async def test_list_continues_over_pages_in_the_order_of_the_server(
    saver: AgentRowsSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentrows.langgraph.calls.PAGE", 3)
    stored = [await put(saver, "t-1", metadata={"even": n % 2 == 0}) for n in range(8)]
    inner = await put(saver, "t-1", checkpoint_ns="inner")
    await put(saver, "t-2")
    root = thread("t-1", checkpoint_ns="")

    async def listed(config: RunnableConfig | None, **options: Any) -> list[RunnableConfig]:  # noqa: ANN401
        found = await collect(saver, config, **options)
        in_threads = await asyncio.to_thread(lambda: list(saver.list(config, **options)))
        assert in_threads == found
        return [one.config for one in found]

    newest = stored[::-1]
    assert await listed(root) == newest
    assert await listed(root, limit=7) == newest[:7]
    assert await listed(root, limit=6) == newest[:6]
    assert await listed(root, limit=0) == []
    assert await listed(root, before=stored[4]) == stored[3::-1]
    assert await listed(root, filter={"even": True}) == stored[6::-2]
    assert await listed(root, filter={"even": True}, limit=3) == stored[6:0:-2]
    assert await listed(thread("t-1")) == [inner, *newest]
    assert await listed(stored[2]) == [stored[2]]
    assert len(await listed(None)) == 10
    assert await listed(thread("t-1"), before=inner) == newest


async def test_synchronous_method_in_the_event_loop_of_the_client_is_refused(
    saver: AgentRowsSaver,
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: saver.get_tuple(AT_ONE),
        lambda: list(saver.list(AT_ONE)),
        lambda: saver.put(AT_ONE, empty_checkpoint(), {}, {}),
        lambda: saver.put_writes(AT_ONE, [("a", 1)], "task-1"),
        lambda: saver.delete_thread("t-1"),
        lambda: saver.delete_for_runs(["run-1"]),
        lambda: saver.copy_thread("t-1", "t-2"),
        lambda: saver.prune(["t-1"]),
        lambda: saver.get_delta_channel_history(config=AT_ONE, channels=["a"]),
    ]
    for call in calls:
        with pytest.raises(asyncio.InvalidStateError, match="await its async form"):
            call()
        await asyncio.to_thread(call)


async def test_every_method_of_the_base_class_is_overridden(saver: AgentRowsSaver) -> None:
    inherited = {"config_specs", "get", "aget", "serde", "with_allowlist"}
    public = {name for name in dir(BaseCheckpointSaver) if not name.startswith("_")}

    same = {n for n in public if getattr(type(saver), n) is getattr(BaseCheckpointSaver, n)}

    assert same == inherited
    clone = saver.with_allowlist([("a.module", "AClass")])
    assert isinstance(clone, AgentRowsSaver)
    await put(clone, "t-1", {"a": 1})
    assert len(await collect(saver, None)) == 1


async def test_database_without_the_migration_keeps_the_older_methods(
    database: str, tmp_path: Path
) -> None:
    await Migrator(database, tracks_at(1, tmp_path)[:1]).up()
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(database, settings=settings, migrations="off") as client:
        saver = AgentRowsSaver(client, user="mira")

        for call in METHODS.values():
            with pytest.raises(SchemaBehind, match="agentrows migrate up"):
                await call(saver)
        with pytest.raises(SchemaBehind, match="agentrows migrate up"):
            await saver.setup()
        await client.store_checkpoint(
            "t-1",
            user_id="mira",
            checkpoint_id="c-1",
            checkpoint="",
            checkpoint_type="json",
            metadata={},
        )
        assert len(await client.list_checkpoints("t-1", user_id="mira")) == 1
        await Migrator(database, migrate.builtin_tracks(vector=False)).up()
        await saver.setup()


async def test_client_methods_refuse_a_row_of_the_saver(
    client: PostgresClient, saver: AgentRowsSaver
) -> None:
    await put(saver, "t-1", {"a": 1})

    with pytest.raises(InvalidValue, match=r"agentrows\.langgraph"):
        await client.get_checkpoint("t-1", user_id="mira")
    with pytest.raises(InvalidValue, match=r"agentrows\.langgraph"):
        await client.list_checkpoints("t-1", user_id="mira")


class NotingSerializer(JsonPlusSerializer):
    """Notes whether each value above 100 kB is serialized in the event loop's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.own = threading.get_ident()
        self.large: list[bool] = []

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:  # noqa: ANN401
        kind, data = super().dumps_typed(obj)
        self._note(data)
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # noqa: ANN401
        self._note(data[1])
        return super().loads_typed(data)

    def _note(self, data: bytes) -> None:
        if len(data) > 100_000:
            self.large.append(threading.get_ident() == self.own)


async def test_large_values_are_serialized_in_a_thread(client: PostgresClient) -> None:
    serde = NotingSerializer()
    saver = AgentRowsSaver(client, user="mira", serde=serde)
    texts = ["x" * 1000] * 400

    first = await put(saver, "t-1", {"a": texts})
    await saver.aput_writes(first, [("a", {"texts": texts})], "task-1")
    second = await put(saver, "t-1", {"a": texts}, parent=first, new=[])
    await saver.aget_tuple(first)
    await collect(saver, thread("t-1"))
    await saver.aget_delta_channel_history(config=second, channels=["a"])
    # A value that the caller did not name as new is stored all the same.
    await put(saver, "t-3", {"a": texts}, new=[])

    assert len(serde.large) == 10
    assert not any(serde.large)


async def test_config_without_ids_is_refused(saver: AgentRowsSaver) -> None:
    with pytest.raises(InvalidValue, match="thread_id"):
        await saver.aget_tuple({"configurable": {}})
    with pytest.raises(InvalidValue, match="thread_id"):
        await put(saver, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="checkpoint_id"):
        await saver.aput_writes(thread("t-1"), [("a", 1)], "task-1")
    with pytest.raises(InvalidValue, match="keep_all"):
        await saver.aprune(["t-1"], strategy="keep_all")
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"in": nested}
    with pytest.raises(InvalidValue, match="nested too deeply"):
        await put(saver, "t-1", metadata=nested)
    with pytest.raises(InvalidValue, match="nested too deeply"):
        await collect(saver, None, filter=nested)
    for call in (saver.aprune, saver.adelete_for_runs):
        with pytest.raises(TypeError, match="not a str"):
            await call("t-1")
    config = await put(saver, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert key(config)["thread_id"] == 7
    assert await saver.aget_tuple(thread(7)) is not None  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def owner(config: RunnableConfig) -> str:
    return str(key(config)["owner"])


async def test_context_manager_for_a_server_takes_its_settings_from_the_environment(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")
    with pytest.raises(ConfigError, match="AGENTROWS_LANGGRAPH_USER"):
        async with checkpointer():
            pass
    monkeypatch.setenv("AGENTROWS_LANGGRAPH_USER", f"{__name__}:owner")
    async with checkpointer() as saver:
        await put(saver, "t-1", owner="mira")
        assert len(await collect(saver.for_user("mira"), None)) == 1
        assert await collect(saver.for_user("juno"), None) == []
