"""The writes of tasks to checkpoints of threads, as arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from agentrows.errors import InvalidValue
from agentrows.gen.models import NewThreadWrite
from agentrows.stores._checkpoint_rows import check_indexes, check_key_size, hash_task_id
from agentrows.validation import check_batch, check_bytes, check_id, check_int64, check_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class TaskWrites(NamedTuple):
    """The writes of a task to a checkpoint, to store with those of other tasks.

    The fields are the arguments of `store_thread_writes`.
    """

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    task_id: str
    task_path: str
    writes: Sequence[NewThreadWrite]


def check_writes(
    writes: Iterable[NewThreadWrite], name: str = "writes"
) -> tuple[NewThreadWrite, ...]:
    """Return the writes of a task; raise InvalidValue unless each can be stored."""
    batch = check_batch(name, writes, NewThreadWrite)
    for index, write in enumerate(batch):
        check_int64(f"{name}[{index}].idx", write.idx)
        check_text(f"{name}[{index}].channel", write.channel)
        check_text(f"{name}[{index}].type", write.type)
        check_bytes(f"{name}[{index}].value", write.value)
    check_indexes((write.idx for write in batch), name)
    return batch


def check_tasks(
    tasks: Iterable[TaskWrites], user_id: str, namespace: tuple[str, str] | None = None
) -> list[tuple[TaskWrites, NewThreadWrite]]:
    """Return each write of tasks, with its task.

    With the thread and namespace of a checkpoint, those of each task must be the same.
    """
    if not isinstance(tasks, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"tasks must be an iterable of TaskWrites, not {type(tasks).__name__}")
    rows: list[tuple[TaskWrites, NewThreadWrite]] = []
    seen: set[tuple[str, ...]] = set()
    for index, task in enumerate(tasks):
        name = f"tasks[{index}]"
        if not isinstance(task, TaskWrites):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"{name} must be a TaskWrites, not {type(task).__name__}")
        _check_key(name, task, user_id)
        if namespace is not None and (task.thread_id, task.checkpoint_ns) != namespace:
            raise InvalidValue(
                f"{name} must have the thread_id and checkpoint_ns of the checkpoint"
            )
        seen.add((task.thread_id, task.checkpoint_ns, task.checkpoint_id, task.task_id))
        if len(seen) <= index:
            raise InvalidValue(f"tasks contains the task {task.task_id!r} of a checkpoint twice")
        rows += [(task, write) for write in check_writes(task.writes, f"{name}.writes")]
    check_batch("the writes of tasks", [write for _, write in rows], NewThreadWrite)
    return rows


def _check_key(name: str, task: TaskWrites, user_id: str) -> None:
    """Raise InvalidValue unless a task's texts can be stored and its key be indexed."""
    check_id(f"{name}.task_id", task.task_id)
    check_text(f"{name}.task_path", task.task_path)
    parts = {
        "user_id": user_id,
        f"{name}.thread_id": check_id(f"{name}.thread_id", task.thread_id),
        f"{name}.checkpoint_ns": check_text(f"{name}.checkpoint_ns", task.checkpoint_ns),
        f"{name}.checkpoint_id": check_id(f"{name}.checkpoint_id", task.checkpoint_id),
    }
    check_key_size(**parts)


def hash_tasks(task_ids: Iterable[str]) -> list[int]:
    """Return the hash of each id; equal ones are computed once."""
    hashes: dict[str, int] = {}
    return [
        hashes[task_id] if task_id in hashes else hashes.setdefault(task_id, hash_task_id(task_id))
        for task_id in task_ids
    ]
