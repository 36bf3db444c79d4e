"""The store of push notification configs of A2A, which can encrypt them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from a2a.server.owner_resolver import resolve_user_scope
from a2a.server.tasks.push_notification_config_store import (
    PushNotificationConfigStore as BasePushNotificationConfigStore,
)
from a2a.types.a2a_pb2 import TaskPushNotificationConfig
from google.protobuf.json_format import MessageToJson, Parse, ParseError

from agentrows import ConfigError, InvalidValue
from agentrows.a2a.owners import ANONYMOUS_USER, Owners
from agentrows.validation import check_key_part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from a2a.server.context import ServerCallContext
    from a2a.server.owner_resolver import OwnerResolver
    from cryptography.fernet import Fernet

    from agentrows import PushConfig, Stores

logger = logging.getLogger(__name__)


class PushNotificationConfigStore(BasePushNotificationConfigStore):
    """A store of the webhooks that users registered for tasks, also before a task is stored.

    The first arguments are those of `TaskStore`. `encryption_key` is a Fernet key of the library
    cryptography, with which new configs are encrypted, because they may contain credentials;
    configs that are stored as plain text are still read.
    """

    def __init__(
        self,
        client: Stores,
        *,
        owner_resolver: OwnerResolver = resolve_user_scope,
        anonymous_user_id: str | None = ANONYMOUS_USER,
        row_security: bool = False,
        encryption_key: str | bytes | None = None,
    ) -> None:
        self._client = client
        self._owners = Owners(client, owner_resolver, anonymous_user_id, row_security)
        self._fernet = None if encryption_key is None else _load_fernet(encryption_key)

    async def set_info(
        self,
        task_id: str,
        notification_config: TaskPushNotificationConfig,
        context: ServerCallContext,
    ) -> TaskPushNotificationConfig:
        """Store a config of the caller for a task and return it, with the ids that it lacked.

        Raises:
            InvalidValue: the call has no owner, or an id cannot be stored.
            OwnedByAnother: the task is stored and belongs to another user.

        """
        user_id = self._owners.resolve(context)
        config = TaskPushNotificationConfig()
        config.CopyFrom(notification_config)
        config.task_id = check_key_part("task_id", task_id)
        config.id = check_key_part("the id of the config", config.id or task_id)
        data = MessageToJson(config, indent=None).encode()
        if self._fernet is not None:
            data = self._fernet.encrypt(data)
        async with self._owners.stores(user_id) as stores:
            await stores.store_push_config(config.id, task_id=task_id, user_id=user_id, data=data)
        return config

    async def get_info(
        self, task_id: str, context: ServerCallContext
    ) -> list[TaskPushNotificationConfig]:
        """Return the configs of the caller for a task, oldest first, with their credentials.

        A config that cannot be read is logged and left out.
        """
        user_id = self._owners.resolve(context)
        check_key_part("task_id", task_id)
        async with self._owners.stores(user_id) as stores:
            return self._read(await stores.list_push_configs(task_id, user_id=user_id))

    async def get_info_for_dispatch(self, task_id: str) -> list[TaskPushNotificationConfig]:
        """Return the configs of all users for a task, oldest first, for the sender.

        Once the task is stored, only those of its owner are returned. The call has no user, so it
        runs outside of row-level security.
        """
        check_key_part("task_id", task_id)
        return self._read(await self._client.list_push_configs_all_users(task_id))

    async def delete_info(
        self, task_id: str, context: ServerCallContext, config_id: str | None = None
    ) -> None:
        """Delete one config of the caller for a task, or all of them without an id."""
        user_id = self._owners.resolve(context)
        check_key_part("task_id", task_id)
        async with self._owners.stores(user_id) as stores:
            if config_id is None:
                await stores.delete_push_configs(task_id, user_id=user_id)
            else:
                check_key_part("config_id", config_id)
                await stores.delete_push_config(config_id, task_id=task_id, user_id=user_id)

    def _read(self, rows: Iterable[PushConfig]) -> list[TaskPushNotificationConfig]:
        """Return the configs of rows without those that cannot be read, which are logged."""
        configs: list[TaskPushNotificationConfig] = []
        for row in rows:
            data = _decrypt(self._fernet, row.data)
            try:
                config = Parse(data, TaskPushNotificationConfig(), ignore_unknown_fields=True)
            except (ParseError, ValueError, RecursionError):
                logger.warning(
                    "push config %r of task %r cannot be read: it is encrypted with another key, "
                    "or is not JSON of A2A",
                    row.config_id,
                    row.task_id,
                )
            else:
                configs.append(config)
        return configs


def _decrypt(fernet: Fernet | None, data: bytes) -> bytes:
    """Return decrypted data, or the data itself if it is plain text."""
    if fernet is None or data.startswith(b"{"):
        return data
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  loaded with the key only

    try:
        return fernet.decrypt(data)
    except InvalidToken:
        return data


def _load_fernet(key: str | bytes) -> Fernet:
    """Return the cipher of a key.

    Raises:
        ConfigError: the library cryptography is not installed.
        InvalidValue: the key is not a Fernet key.

    """
    try:
        from cryptography.fernet import Fernet  # noqa: PLC0415  only a key needs the library
    except ModuleNotFoundError as error:
        raise ConfigError(
            "encryption_key needs the library cryptography: pip install cryptography"
        ) from error
    try:
        return Fernet(key)
    except (TypeError, ValueError) as error:
        raise InvalidValue("encryption_key must be a key of Fernet.generate_key()") from error
