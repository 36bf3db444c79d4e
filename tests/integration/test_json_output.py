"""The JSON documents of prune, memory and import; those of migrate are in test_reports.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from agentrows import TableStats
from agentrows.cli.json_output import PROPERTIES, to_json
from agentrows.gen.models import DeadRows, LongThreads, SourceCounts
from agentrows.imports.langgraph import CheckpointKey
from agentrows.imports.langgraph.report import ImportReport, Refused, Skipped
from agentrows.migrate import (
    Checkup,
    Difference,
    HistoryEntry,
    PlannedFile,
    TrackCheckup,
    TrackStatus,
)
from agentrows.migrate.doctor import InvalidIndex, RefusedCheck, UnindexedMemories
from agentrows.migrate.plan import Row
from agentrows.migrate.rollbacks import BlockedRollback
from support.command_line import run_main
from support.postgres import OWNER, as_role

DIMENSIONS = (384, 768, 1024, 1536, 3072)
DOCUMENT: Final = Path(__file__).parents[2] / "docs/operations.md"
OBJECTS: Final[tuple[type, ...]] = (
    *(TrackStatus, HistoryEntry, PlannedFile, Checkup, TrackCheckup, Row, Difference),
    *(InvalidIndex, UnindexedMemories, DeadRows, LongThreads, BlockedRollback, RefusedCheck),
    *(TableStats, ImportReport, SourceCounts, Skipped, Refused, CheckpointKey),
)
COMMANDS: Final = (
    *("up", "down", "goto", "force", "status", "verify", "version", "history", "plan"),
    *("dry-run", "doctor", "new", "stats", "prune", "memory index", "memory indexes"),
    *("memory copy", "import langgraph"),
)


def document(dsn: str, *arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
    """Run a command with --json; return its document, the only content of stdout."""
    ended = run_main(*arguments, "--json", AGENTROWS_DATABASE_URL=dsn, **variables)
    assert ended.code == code, ended.err
    value: dict[str, Any] = json.loads(ended.out)
    return value


def test_prune_prints_its_report(migrated: str) -> None:
    value = document(migrated, "prune", "--older-than", "90d", "--tables", "event", "--dry-run")

    assert value == {
        "total": 0,
        "rows": {"event": 0},
        "skipped": {},
        "extended_memories": 0,
        "is_complete": True,
        "is_dry_run": True,
    }


def test_memory_commands_print_the_indexes(migrated: str) -> None:
    owner = as_role(migrated, OWNER)

    before = document(owner, "memory", "indexes")
    built = document(owner, "memory", "index", "--dimensions", "384")
    again = document(owner, "memory", "index", "--dimensions", "384")
    after = document(owner, "memory", "indexes")

    name = "agentrows_memory_nearest_384"
    none = {"exists": False, "is_valid": False}
    assert [{**each, "name": ""} for each in before["indexes"]] == [
        {"dimensions": number, "name": "", **none} for number in DIMENSIONS
    ]
    assert before["superseded"] == []
    assert [*before["indexes"][0]] == ["dimensions", "name", "exists", "is_valid"]
    assert (built["dimensions"], built["was_built"]) == (384, True)
    assert again == {**built, "was_built": False}
    assert built["name"] == after["indexes"][0]["name"] == name
    assert after["indexes"][0]["is_valid"] is True


def test_copy_of_memories_prints_its_report(migrated: str) -> None:
    value = document(
        migrated,
        *("memory", "copy", "--dry-run"),
        AGENTROWS_MEMORY_TABLE="agentrows",
        AGENTROWS_MEMORY_MODEL="small-1",
    )

    assert value == {"is_complete": True, "copied": 0, "remaining": 0, "is_dry_run": True}


def test_report_of_an_import_has_objects_for_its_keys() -> None:
    key = CheckpointKey("t-1", "", "c-1")
    report = ImportReport(
        SourceCounts(threads=2, checkpoints=3, writes=4, stray_writes=1, version=9),
        skipped=[Skipped("t-2", 1, "no owner")],
        refused=[Refused(key, "too large")],
        kept={CheckpointKey("t-1", "", "c-2"), key},
    )

    value = to_json(report)

    assert isinstance(value, dict)
    assert value["is_complete"] is False
    assert value["skipped"] == [{"thread_id": "t-2", "checkpoints": 1, "reason": "no owner"}]
    as_object = {"thread_id": "t-1", "checkpoint_ns": "", "checkpoint_id": "c-1"}
    assert value["refused"] == [{"key": as_object, "reason": "too large"}]
    assert value["kept"] == [as_object, {**as_object, "checkpoint_id": "c-2"}]


@pytest.mark.parametrize("kind", OBJECTS, ids=lambda kind: kind.__name__)
def test_keys_of_an_object_are_those_of_the_document(kind: type) -> None:
    (keys,) = re.findall(rf"^\| `{kind.__name__}` \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    attributes = ("model_fields", "__dataclass_fields__", "_fields")
    names = next(list[str](getattr(kind, name)) for name in attributes if hasattr(kind, name))

    assert re.findall(r"`(\w+)`", keys) == [*PROPERTIES.get(kind.__name__, ()), *names]


@pytest.mark.parametrize("command", COMMANDS)
def test_document_of_a_command_is_listed(command: str) -> None:
    section = DOCUMENT.read_text().partition("## JSON output")[2].partition("\n## ")[0]
    assert re.search(rf"^\| [^|]*`(migrate )?{command}`[^|]* \|", section, re.MULTILINE)
