"""A2A on agentrows: stores of tasks and of push notification configs, and the events of tasks.

::

    async with PostgresClient.open("postgresql://…") as client:
        handler = DefaultRequestHandlerV2(
            agent_executor=executor,
            task_store=VersionedTaskStore(client),
            event_stream=TaskEventStream(client),
            push_config_store=PushNotificationConfigStore(client),
            agent_card=card,
        )

It needs the extra `a2a`: `pip install 'agentrows[a2a]'`. docs/a2a.md is the guide.
"""

from __future__ import annotations

from agentrows.errors import ConfigError

try:
    from agentrows.a2a.events import TaskEventStream
    from agentrows.a2a.owners import ANONYMOUS_USER
    from agentrows.a2a.push import PushNotificationConfigStore
    from agentrows.a2a.tasks import TaskStore
    from agentrows.a2a.versions import VersionedTaskStore
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"a2a", "google"}:
        raise
    raise ConfigError("agentrows.a2a needs a2a-sdk: pip install 'agentrows[a2a]'") from error

__all__ = [
    "ANONYMOUS_USER",
    "PushNotificationConfigStore",
    "TaskEventStream",
    "TaskStore",
    "VersionedTaskStore",
]
