"""Row security: the rows that the policies let a method read, and the restriction to one user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.errors import ConfigError, InvalidValue
from agentrows.gen import database

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import AccessScope


async def restrict_to_user(db: Executor, user_id: str) -> None:
    """Restrict a transaction to the rows of one user.

    Raises:
        ConfigError: the policies would not protect the rows of other users.

    """
    restriction = await database.restrict_to_user(db.repeatable, user_id=user_id)
    if restriction.is_citus:
        raise ConfigError(
            "as_user does not protect rows in a database with the extension citus: its nodes do "
            "not get the id of the user"
        )
    if restriction.unprotected_tables:
        raise ConfigError(
            f"no policy applies to this role on {restriction.unprotected_tables}: it is a "
            "superuser or has BYPASSRLS, or the tables lack the track `rls`; use another role, "
            "and run `agentrows migrate up` with AGENTROWS_ROW_SECURITY=true"
        )


async def read_access_scope(db: DBTX, method: str, *, allows_one_user: bool = False) -> AccessScope:
    """Return the rows, the optional tables and the isolation level of a method's transaction.

    Raises:
        ConfigError: policies hide every row from the method.
        InvalidValue: policies show the rows of one user alone, and not `allows_one_user`.

    """
    scope = await database.read_access_scope(db)
    if scope.is_denied:
        raise ConfigError(
            f"{method} would see no row: agentrows.unscoped is 'deny' here; use another role or DSN"
        )
    if scope.user_id and not allows_one_user:
        raise InvalidValue(f"{method} needs the rows of every user: call it outside of as_user")
    return scope
