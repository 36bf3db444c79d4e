"""Graphs for the tests of the saver, and what they do with one: the same with every saver."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

WORKERS: Final = ["a", "b", "c"]


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    count: int


class Work(TypedDict):
    name: str


def thread(thread_id: str, **configurable: Any) -> RunnableConfig:  # noqa: ANN401
    """Return the config of a thread."""
    return {"configurable": {"thread_id": thread_id, **configurable}}


def key(config: RunnableConfig) -> dict[str, Any]:
    """Return the part of a config that names a checkpoint."""
    return config.get("configurable", {})


def approval_graph(saver: BaseCheckpointSaver[Any]) -> Any:  # noqa: ANN401
    """Three parallel tasks that wait for answers, then a subgraph that waits for one."""

    def start(_state: State) -> State:
        return {"log": ["start"], "count": 1}

    def fan_out(_state: State) -> list[Send]:
        return [Send("work", {"name": name}) for name in WORKERS]

    def work(task: Work) -> State:
        return {"log": [f"{task['name']}: {interrupt(task['name'])}"]}

    def review(_state: State) -> State:
        return {"log": [f"review: {interrupt('review')}"]}

    def finish(state: State) -> State:
        return {"log": ["end"], "count": state.get("count", 0) + 10}

    inner: Any = StateGraph(State)
    inner.add_node("review", review)
    inner.add_edge(START, "review")
    outer: Any = StateGraph(State)
    outer.add_node("start", start)
    outer.add_node("work", work)
    outer.add_node("inner", inner.compile())
    outer.add_node("finish", finish)
    outer.add_edge(START, "start")
    outer.add_conditional_edges("start", fan_out, ["work"])
    outer.add_edge("work", "inner")
    outer.add_edge("inner", "finish")
    outer.add_edge("finish", END)
    return outer.compile(checkpointer=saver)


def counting_graph(saver: BaseCheckpointSaver[Any]) -> Any:  # noqa: ANN401
    """One node, which adds 1 to a number."""

    def add(state: State) -> State:
        return {"count": state.get("count", 0) + 1}

    graph: Any = StateGraph(State)
    graph.add_node("add", add)
    graph.add_edge(START, "add")
    return graph.compile(checkpointer=saver)


def _append(current: list[str], updates: Sequence[list[str]]) -> list[str]:
    return [*current, *(item for update in updates for item in update)]


class DeltaState(TypedDict):
    items: Annotated[list[str], DeltaChannel(_append, list, snapshot_frequency=7)]
    turn: int


def delta_graph(saver: BaseCheckpointSaver[Any], tasks: int = 5) -> Any:  # noqa: ANN401
    """Parallel tasks that write to a delta channel; the order of their writes is its state."""

    def plan(state: DeltaState) -> dict[str, int]:
        return {"turn": state.get("turn", 0) + 1}

    def fan_out(state: DeltaState) -> list[Send]:
        return [Send("work", f"{state['turn']}-{number:02}") for number in range(tasks)]

    def work(item: str) -> dict[str, list[str]]:
        return {"items": [item]}

    graph: Any = StateGraph(DeltaState)
    graph.add_node("plan", plan)
    graph.add_node("work", work)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan_out, ["work"])
    graph.add_edge("work", END)
    return graph.compile(checkpointer=saver)


def expected_items(turns: int, tasks: int = 5) -> list[str]:
    """Return the state of the delta channel after some turns."""
    return [f"{turn}-{number:02}" for turn in range(1, turns + 1) for number in range(tasks)]


def describe(snapshot: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the parts of a snapshot that do not depend on the time of the run."""
    return (
        snapshot.values,
        sorted(snapshot.next),
        snapshot.metadata["source"],
        snapshot.metadata["step"],
        sorted(str(one.value) for task in snapshot.tasks for one in task.interrupts),
        sorted(task.name for task in snapshot.tasks),
    )


def answers(snapshot: Any) -> Command[Any]:  # noqa: ANN401
    """Return the command that answers every interrupt of a snapshot."""
    found = [one for task in snapshot.tasks for one in task.interrupts]
    return Command(resume={one.id: f"{one.value} is fine" for one in found})


async def drive(saver: BaseCheckpointSaver[Any]) -> list[Any]:
    """Interrupt, resume, read the history, travel in time and fork; return what was seen."""
    graph, config = approval_graph(saver), thread("t-1")
    seen: list[Any] = []
    await graph.ainvoke({"log": []}, config)
    for _ in range(2):
        snapshot = await graph.aget_state(config, subgraphs=True)
        seen.append(describe(snapshot))
        await graph.ainvoke(answers(snapshot), config)
    seen.append(describe(await graph.aget_state(config)))
    history = [one async for one in graph.aget_state_history(config)]
    seen.append([describe(one) for one in history])

    before = next(one for one in history if one.next == ("finish",))
    seen.append(await graph.ainvoke(None, before.config))
    fork = await graph.aupdate_state(before.config, {"log": ["forked"], "count": 100})
    seen.append(await graph.ainvoke(None, fork))
    seen.append([describe(one) async for one in graph.aget_state_history(config)])
    seen.append(
        [describe(one) async for one in graph.aget_state_history(config, filter={"step": 1})]
    )
    return seen


def drive_sync(saver: BaseCheckpointSaver[Any]) -> list[Any]:
    """Do the same with the synchronous methods."""
    graph, config = approval_graph(saver), thread("t-1")
    seen: list[Any] = []
    graph.invoke({"log": []}, config)
    for _ in range(2):
        snapshot = graph.get_state(config, subgraphs=True)
        seen.append(describe(snapshot))
        graph.invoke(answers(snapshot), config)
    seen.append(describe(graph.get_state(config)))
    history = list(graph.get_state_history(config))
    seen.append([describe(one) for one in history])

    before = next(one for one in history if one.next == ("finish",))
    seen.append(graph.invoke(None, before.config))
    fork = graph.update_state(before.config, {"log": ["forked"], "count": 100})
    seen.append(graph.invoke(None, fork))
    seen.append([describe(one) for one in graph.get_state_history(config)])
    seen.append([describe(one) for one in graph.get_state_history(config, filter={"step": 1})])
    return seen


def hooked_graph(saver: BaseCheckpointSaver[Any], hook: Callable[[], Awaitable[None]]) -> Any:  # noqa: ANN401
    """Two nodes, which call a hook; the second one adds 1 to a number."""

    async def before(_state: State) -> State:
        await hook()
        return {"log": ["before"]}

    async def add(state: State) -> State:
        await hook()
        return {"count": state.get("count", 0) + 1}

    graph: Any = StateGraph(State)
    graph.add_node("before", before)
    graph.add_node("add", add)
    graph.add_edge(START, "before")
    graph.add_edge("before", "add")
    return graph.compile(checkpointer=saver)
