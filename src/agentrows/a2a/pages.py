"""Pages of ListTasks: page tokens of a2a-sdk, and filters as arguments of the store."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final, TypedDict, cast

from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError

from agentrows import InvalidValue, TaskPosition
from agentrows.a2a.documents import name_states
from agentrows.validation import check_text

if TYPE_CHECKING:
    from a2a.types.a2a_pb2 import ListTasksRequest

    from agentrows import Stores, VersionedTask

LAST_NS: Final = 2**63 - 2
"""The latest time of a status in nanoseconds since 1970 that the store accepts."""


class Filters(TypedDict):
    """The filters of a list as arguments of the store."""

    session_id: str | None
    states: list[str] | None
    since_ns: int | None


def read_filters(params: ListTasksRequest) -> Filters:
    """Return the filters of a request."""
    since = params.status_timestamp_after.ToNanoseconds()
    has_since = params.HasField("status_timestamp_after")
    return {
        "session_id": params.context_id or None,
        "states": name_states(params.status) if params.status else None,
        "since_ns": max(-LAST_NS, min(since, LAST_NS)) if has_since else None,
    }


def read_page_size(params: ListTasksRequest) -> int:
    """Return the number of tasks of a page."""
    if params.page_size < 0:
        raise InvalidParamsError(message="minimum page size is 1")
    return params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE


def write_token(row: VersionedTask) -> str:
    """Return the token of the page that starts after a task, in the form of a2a-sdk."""
    cursor = json.dumps({"ts": row.status_ns, "id": row.id}, separators=(",", ":"))
    return base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("=")


async def read_token(stores: Stores, token: str, *, user_id: str) -> TaskPosition | None:
    """Return the position after which a page starts; None for the first page.

    A token of an older release of a2a-sdk contains the id of the first task of the page.

    Raises:
        InvalidParamsError: the token is not one of this user.

    """
    if not token:
        return None
    invalid = InvalidParamsError(message=f"Invalid page token: {token}")
    try:
        decoded = base64.b64decode(
            token.translate(str.maketrans("-_", "+/")) + "=" * (-len(token) % 4), validate=True
        ).decode()
    except ValueError as error:
        raise invalid from error
    position = _read_cursor(decoded)
    if position is not None:
        if position.status_ns is not None and abs(position.status_ns) > LAST_NS:
            raise invalid
        try:
            check_text("page_token", position.id)
        except InvalidValue as error:
            raise invalid from error
        return position
    try:
        first = await stores.find_versioned_task(decoded, user_id=user_id)
    except InvalidValue as error:
        raise invalid from error
    if first is None:
        raise invalid
    # The position just before the task: ids are in descending order, and no id contains NUL.
    return TaskPosition(first.status_ns, first.id + "\x01")


def _read_cursor(text: str) -> TaskPosition | None:
    """Return the position in a token; None for another text."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    cursor = cast("dict[str, object]", value)
    time, task_id = cursor.get("ts"), cursor.get("id")
    is_time = time is None or (isinstance(time, int) and not isinstance(time, bool))
    if cursor.keys() != {"ts", "id"} or not is_time:
        return None
    if not isinstance(task_id, str) or not task_id:
        return None
    return TaskPosition(cast("int | None", time), task_id)
