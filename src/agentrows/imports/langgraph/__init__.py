"""Copies threads of langgraph-checkpoint-postgres into the tables of this library."""

from agentrows.imports.langgraph.report import ImportProgress, ImportReport, Refused, Skipped
from agentrows.imports.langgraph.run import LangGraphImport
from agentrows.imports.langgraph.source import CheckpointKey, LangGraphSource

__all__ = [
    "CheckpointKey",
    "ImportProgress",
    "ImportReport",
    "LangGraphImport",
    "LangGraphSource",
    "Refused",
    "Skipped",
]
