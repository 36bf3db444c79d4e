"""The user of a call: a fixed id, or the result of the application's function."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, cast

from agentrows.errors import ConfigError, InvalidValue
from agentrows.named_objects import import_object
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")

User: TypeAlias = "str | Callable[[S], str]"
USER_VARIABLE: Final = "AGENTROWS_LANGGRAPH_USER"
"""Names the function that returns the user of a call, as `module:function`."""


class UserResolver(Generic[S]):
    """Resolves the user of a call from its source: a config, or the namespace of a store.

    There is no default user, and nothing is read from the source but by the application's function.

    Raises:
        InvalidValue: `user` is neither an id nor a function.

    """

    def __init__(self, user: User[S]) -> None:
        self._user = user if callable(user) else check_id("user", user)

    def resolve(self, source: S) -> str:
        """Return the user of a call.

        Raises:
            InvalidValue: the function returned no id.

        """
        if callable(self._user):
            return check_id("the result of the function `user`", self._user(source))
        return self._user

    def resolve_fixed(self, method: str) -> str:
        """Return the user of a method that has no source.

        Raises:
            InvalidValue: the user is a function, which needs a source.

        """
        if callable(self._user):
            raise InvalidValue(
                f"{method} has no config to resolve the user from: call it on for_user(…)"
            )
        return self._user


def load_user_function(
    name: str | None = None, *, variable: str = USER_VARIABLE
) -> Callable[..., str]:
    """Import a function that returns the user of a call.

    `name` is `module:function`; the default is that of the environment variable.

    Raises:
        ConfigError: there is no name, or no such function.

    """
    source = f"the variable {variable}" if name is None else "the argument user"
    name = os.environ.get(variable) if name is None else name
    if not name:
        raise ConfigError(
            f"no user is configured: set {variable} to module:function, a function that "
            "returns the id of the user of a call"
        )
    function = import_object(name, source=source)
    if not callable(function):
        raise ConfigError(f"{source}: {name!r} must be a function, not {type(function).__name__}")
    return cast("Callable[..., str]", function)
