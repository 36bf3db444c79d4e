"""Objects of an application that a setting or an option names."""

from __future__ import annotations

import importlib

from agentrows.errors import ConfigError

__all__ = ["import_object"]


def import_object(spec: str, *, source: str) -> object:
    """Return the object that `package.module:name` names; the name may contain dots.

    `source` is the setting or option in the messages.

    Raises:
        ConfigError: `spec` has another form, the import fails, or there is no such name.

    """
    module, colon, path = spec.partition(":")
    if not (module and colon and path):
        raise ConfigError(f"{source}: {spec!r} is not of the form package.module:name")
    try:
        found: object = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (Exception, SystemExit) as error:  # the module is the application's own code
        problem = " ".join(str(error).split())
        raise ConfigError(
            f"{source}: {spec!r} cannot be imported: {type(error).__name__}: {problem}"
        ) from error
    return found
