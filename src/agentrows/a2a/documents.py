"""Tasks as rows: JSON text of A2A 1.0, and the columns by which tasks are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict, cast

from a2a.compat.v0_3 import types as types_v03
from a2a.compat.v0_3.conversions import to_compat_task_status, to_core_task
from a2a.types.a2a_pb2 import Task, TaskState, TaskStatus
from google.protobuf.json_format import MessageToJson, Parse, ParseError

from agentrows import InvalidValue, UnreadableRow
from agentrows.validation import check_key_part

if TYPE_CHECKING:
    from agentrows import VersionedTask

PROTOCOL_VERSION: Final = "1.0"
FINAL_STATES: Final = (
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_REJECTED,
)


class TaskColumns(TypedDict):
    """The columns of a task that are read from its document."""

    data: str
    state: str
    session_id: str | None
    status_ns: int | None


def write_columns(task: Task) -> TaskColumns:
    """Return the columns of a task.

    Raises:
        InvalidValue: an id of the task cannot be stored.

    """
    check_key_part("task.id", task.id)
    if task.context_id:
        check_key_part("task.context_id", task.context_id)
    has_time = task.HasField("status") and task.status.HasField("timestamp")
    return {
        "data": MessageToJson(task, indent=None),
        "state": name_state(task.status.state),
        "session_id": task.context_id or None,
        "status_ns": task.status.timestamp.ToNanoseconds() if has_time else None,
    }


def read_task(row: VersionedTask) -> Task:
    """Return the task of a row, also of one that another program stored as A2A 0.3.

    Raises:
        UnreadableRow: the row contains no task with its id.

    """
    readers = (_read_current, _read_v03)
    for read in readers if row.protocol_version == PROTOCOL_VERSION else reversed(readers):
        try:
            task = read(row.data)
        except (ParseError, ValueError, RecursionError):
            continue
        if task.id == row.id:
            return task
    raise UnreadableRow(f"the data of task {row.id!r} is not a task of A2A")


def name_state(state: int) -> str:
    """Return the name of a state; the number of a state that this release of A2A does not know."""
    try:
        name: str = TaskState.Name(cast("TaskState", state))
    except ValueError:
        return str(state)
    return name


def name_states(*states: TaskState) -> list[str]:
    """Return the names of states in A2A 1.0 and in A2A 0.3, in which other programs store tasks."""
    old = [to_compat_task_status(TaskStatus(state=state)).state.value for state in states]
    return [*map(name_state, states), *old]


def _read_current(data: str) -> Task:
    task = Task()
    Parse(data, task, ignore_unknown_fields=True)
    return task


def _read_v03(data: str) -> Task:
    return to_core_task(types_v03.Task.model_validate_json(data))


def read_number(name: str, value: object) -> int:
    """Return the number of a version; raise TypeError for a version of another store."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be a version of this store, not of {type(value).__name__}")
    if value < 0:
        raise InvalidValue(f"{name} must be a version of this store, got {value}")
    return value
