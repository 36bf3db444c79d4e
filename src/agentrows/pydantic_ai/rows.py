"""Records and entries of conversations as rows, in the JSON of Pydantic AI's own type adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord
from pydantic_ai.messages import ModelMessagesTypeAdapter

from agentrows import HistoryEntry, InvalidValue, NotFound, UnreadableRow
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.messages import ModelMessage

    from agentrows import History

RECORDS: Final = TypeAdapter(ConversationRecord)


class EntryNotFound(NotFound, LookupError):
    """There is no such entry, or it belongs to another user.

    It is a LookupError too, which Pydantic AI expects from a store.
    """


def encode_record(record: ConversationRecord) -> str:
    """Return a record as JSON text.

    Raises:
        InvalidValue: an id cannot be stored, or the record has no JSON that can be read back.

    """
    if not isinstance(record, ConversationRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"record must be a ConversationRecord, not {type(record).__name__}")
    check_id("record.conversation_id", record.conversation_id)
    check_id("record.revision", record.revision)
    if record.head_id is not None:
        check_id("record.head_id", record.head_id)
    try:
        data = RECORDS.dump_json(record, warnings=False)
        RECORDS.validate_json(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"record cannot be stored as JSON: {_describe(error)}") from error
    return data.decode()


def decode_record(row: History) -> ConversationRecord:
    """Return the record of a row.

    Raises:
        UnreadableRow: another program stored data that is not a record of this conversation.

    """
    try:
        record = RECORDS.validate_json(row.data)
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(
            f"conversation {row.history_id!r} is not a record of a known format: {_describe(error)}"
        ) from error
    if (record.conversation_id, record.revision) != (row.history_id, row.revision):
        raise UnreadableRow(f"conversation {row.history_id!r} contains the record of another one")
    return record


def encode_entries(entries: Sequence[ConversationEntry]) -> list[HistoryEntry]:
    """Return new entries as rows.

    Raises:
        InvalidValue: an entry cannot be written as JSON, or could not be read back.

    """
    return [_encode_entry(f"new_entries[{index}]", entry) for index, entry in enumerate(entries)]


def _encode_entry(name: str, entry: ConversationEntry) -> HistoryEntry:
    if not isinstance(entry, ConversationEntry):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a ConversationEntry, not {type(entry).__name__}")
    check_id(f"{name}.id", entry.id)
    if entry.parent_id is not None:
        check_id(f"{name}.parent_id", entry.parent_id)
    check_id(f"{name}.kind", entry.kind)
    try:
        # The adapter of lists writes bytes in tool results, which the message alone does not.
        data = ModelMessagesTypeAdapter.dump_json([entry.message], warnings=False)
        ModelMessagesTypeAdapter.validate_json(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{name}.message cannot be stored: {_describe(error)}") from error
    return HistoryEntry(
        id=entry.id, parent_id=entry.parent_id, kind=entry.kind, data=data[1:-1].decode()
    )


def decode_entries(rows: Sequence[HistoryEntry]) -> list[ConversationEntry]:
    """Return the entries of rows, in their order.

    Raises:
        UnreadableRow: another program stored data that is not a message.

    """
    for row in rows:
        if row.kind != "message":
            raise UnreadableRow(f"entry {row.id!r} is of the unknown kind {row.kind!r}")
    try:
        messages = _read_messages(",".join([row.data for row in rows]))
    except (ValueError, RecursionError):
        messages = []
    if len(messages) != len(rows):
        messages = [_decode_message(row) for row in rows]
    return [
        ConversationEntry(id=row.id, parent_id=row.parent_id, message=message)
        for row, message in zip(rows, messages, strict=True)
    ]


def _decode_message(row: HistoryEntry) -> ModelMessage:
    try:
        (message,) = _read_messages(row.data)
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(f"entry {row.id!r} is not a message: {_describe(error)}") from error
    return message


def _read_messages(data: str) -> list[ModelMessage]:
    return ModelMessagesTypeAdapter.validate_json(f"[{data}]")


def _describe(error: Exception) -> str:
    """Return the reason of an error, without the values, which may be secrets."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
