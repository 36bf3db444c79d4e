"""Registration for the command line of ADK: `adk web --session_service_uri agentrows://…`.

The same URI is that of a memory service: `--memory_service_uri agentrows://…`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows import Settings
from agentrows.adk.memories import MemoryService
from agentrows.adk.sessions import SessionService
from agentrows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.adk.cli.service_registry import ServiceRegistry

SCHEME: Final = "agentrows"
FROM_ADK: Final = frozenset({"agents_dir"})
"""Arguments that ADK passes to every factory."""


def create_session_service(uri: str, **options: object) -> SessionService:
    """Return a session service for a URI `agentrows://user@host:5432/database?…`.

    The URI is a PostgreSQL DSN with another scheme; without a host and a database (`agentrows://`)
    the DSN is that of the environment (AGENTROWS_DATABASE_URL). Nothing is opened before the first
    use. Row security is used if AGENTROWS_ROW_SECURITY is set. ADK calls this function by name or
    from its registry, with the argument `agents_dir`, which is not used.

    Raises:
        ConfigError: the URI has another scheme, or there are other options.

    """
    dsn, settings = _read_uri(uri, options)
    return SessionService.from_dsn(dsn, settings=settings, row_security=settings.row_security)


def create_memory_service(uri: str, **options: object) -> MemoryService:
    """Return a memory service for a URI `agentrows://user@host:5432/database?…`.

    The URI and the settings are those of `create_session_service`. The service searches by words:
    a URI names no embedding function. It needs AGENTROWS_MEMORY_TABLE=agentrows and
    AGENTROWS_MEMORY_MODEL.

    Raises:
        ConfigError: the URI has another scheme, or there are other options.

    """
    dsn, settings = _read_uri(uri, options)
    return MemoryService.from_dsn(dsn, settings=settings, row_security=settings.row_security)


def _read_uri(uri: str, options: Mapping[str, object]) -> tuple[str | None, Settings]:
    """Return the DSN of a URI and the settings of the environment."""
    if unknown := sorted(options.keys() - FROM_ADK):
        raise ConfigError(
            f"agentrows has no option {', '.join(unknown)}: set AGENTROWS_… variables instead"
        )
    return parse_uri(uri), Settings.load()


def parse_uri(uri: str) -> str | None:
    """Return the DSN of a URI; None if it names no database."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme.lower() != SCHEME:
        raise ConfigError(f"the URI of the service must begin with {SCHEME}://")
    return f"postgresql://{rest}" if rest.strip("/") else None


def register_services(registry: ServiceRegistry | None = None) -> None:
    """Register the scheme `agentrows` with ADK's registry, or with another one.

    Call it in the file `services.py` beside the agents, which `adk web` and `adk run` import.
    """
    if registry is None:
        # Imported here: the command line of ADK needs packages that its services do not.
        from google.adk.cli.service_registry import get_service_registry  # noqa: PLC0415

        registry = get_service_registry()
    registry.register_session_service(SCHEME, create_session_service)
    registry.register_memory_service(SCHEME, create_memory_service)
