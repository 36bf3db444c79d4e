"""The rules of a prune: which rows of each table are removed, and what each rule requires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from agentrows.errors import ConfigError, SchemaBehind
from agentrows.stores import _history_retention as histories
from agentrows.stores import _session_retention as parents
from agentrows.stores import _table_retention as tables_of
from agentrows.stores import _transcript_retention as transcripts
from agentrows.stores import _unowned_retention as unowned
from agentrows.stores._requirements import (
    FEEDBACK_KEYS,
    FEEDBACK_TARGETS,
    HISTORIES,
    OWN_MEMORIES,
    STORE_ITEMS,
    TASK_OWNERS,
    TASK_VERSIONS,
    THREADS,
    TRANSCRIPTS,
    VECTORS,
    require,
)
from agentrows.stores._retention import BATCH_SIZE, FIRST_PARENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentrows.db.executor import Executor
    from agentrows.gen.models import AccessScope
    from agentrows.stores._requirements import Requirement
    from agentrows.stores._retention import Step

PruneTable: TypeAlias = Literal[
    "session",
    "lg_checkpoint",
    "crewai_agent_memory",
    "crewai_flow_state",
    "event",
    "task",
    "agentrows_task_event",
    "push_notification",
    "agentrows_push_config",
    "feedback",
    "agentrows_feedback_key",
    "agentrows_feedback_target",
    "memory",
    "agentrows_memory",
    "agentrows_store_item",
    "agentrows_transcript",
    "agentrows_history",
    "agent",
    "tool",
    "toolserver",
]
"""A table that `prune` can be called for. Rows that belong to a removed row go with it."""
PRUNE_TABLES: Final[tuple[PruneTable, ...]] = get_args(PruneTable)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for the rows of a table: the step that applies it, and its requirements."""

    table: PruneTable
    build: Callable[[AccessScope], Step]
    requires: tuple[Requirement, ...] = ()
    has_table: Callable[[AccessScope], bool] = lambda _: True
    first_size: int = BATCH_SIZE


def _always(step: Step) -> Callable[[AccessScope], Step]:
    return lambda _: step


# One entry for each rule; the order is that of a run: parents before the rows that remain of them.
RULES: Final = (
    Rule("session", parents.idle_sessions, (TASK_OWNERS,), first_size=FIRST_PARENTS),
    Rule(
        "lg_checkpoint",
        _always(parents.idle_threads),
        (THREADS,),
        lambda access: access.has_checkpoint_values,
        FIRST_PARENTS,
    ),
    Rule(
        "lg_checkpoint",
        _always(tables_of.deleted_checkpoints),
        (THREADS,),
        lambda access: access.has_checkpoint_values,
    ),
    Rule("lg_checkpoint", _always(tables_of.deleted_writes)),
    Rule("crewai_agent_memory", _always(unowned.crew_memories)),
    Rule("crewai_agent_memory", _always(tables_of.deleted_crew_memories)),
    Rule("crewai_flow_state", _always(unowned.flow_states)),
    Rule("crewai_flow_state", _always(tables_of.deleted_flow_states)),
    Rule("event", _always(tables_of.deleted_events)),
    Rule("event", _always(tables_of.events_without_session)),
    # Without the index agentrows_event_order, which is older than this table, each step would sort
    # all events.
    Rule(
        "event",
        _always(unowned.events_of_absent_sessions),
        has_table=lambda access: access.has_checkpoint_values,
    ),
    Rule("task", unowned.absent_tasks, (TASK_OWNERS,)),
    Rule(
        "agentrows_task_event",
        _always(tables_of.old_task_events),
        (TASK_VERSIONS,),
        lambda access: access.has_task_events,
    ),
    Rule("push_notification", _always(tables_of.deleted_push_notifications)),
    Rule("push_notification", _always(unowned.absent_push_notifications)),
    Rule(
        "agentrows_push_config",
        _always(unowned.absent_push_configs),
        (TASK_VERSIONS,),
        lambda access: access.has_task_events,
    ),
    Rule("feedback", tables_of.old_feedback),
    Rule(
        "agentrows_feedback_key",
        _always(tables_of.old_feedback_keys),
        (FEEDBACK_KEYS,),
        lambda access: access.has_feedback_keys,
    ),
    Rule(
        "agentrows_feedback_target",
        _always(tables_of.absent_feedback_targets),
        (FEEDBACK_TARGETS,),
        lambda access: access.has_feedback_targets,
    ),
    Rule(
        "memory",
        _always(tables_of.expired_memories),
        (VECTORS,),
        lambda access: access.has_memory,
    ),
    Rule(
        "agentrows_memory",
        _always(tables_of.expired_own_memories),
        (VECTORS, OWN_MEMORIES),
        lambda access: access.has_own_memories,
    ),
    Rule(
        "agentrows_store_item",
        _always(tables_of.expired_store_items),
        (STORE_ITEMS,),
        lambda access: access.has_store_items,
    ),
    Rule(
        "agentrows_transcript",
        _always(transcripts.idle_transcripts),
        (TRANSCRIPTS,),
        lambda access: access.has_transcripts,
        FIRST_PARENTS,
    ),
    Rule(
        "agentrows_history",
        _always(histories.idle_histories),
        (HISTORIES,),
        lambda access: access.has_histories,
        FIRST_PARENTS,
    ),
    Rule("agent", _always(tables_of.deleted_agents)),
    Rule("tool", _always(tables_of.deleted_tools)),
    Rule("toolserver", _always(tables_of.deleted_tool_servers)),
)


def find_obstacle(db: Executor, rule: Rule, access: AccessScope) -> str | None:
    """Return the reason why a rule cannot be applied to this database; None if it can."""
    try:
        require(db, *rule.requires)
    except (ConfigError, SchemaBehind) as error:
        return str(error)
    if not rule.has_table(access):
        return "the database lacks tables or indexes for it; run `agentrows migrate up`"
    return None
