"""Registration for the command line of ADK: `adk web --session_service_uri agentrows://…`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows import Settings
from agentrows.adk.sessions import SessionService
from agentrows.errors import ConfigError

if TYPE_CHECKING:
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
    if unknown := sorted(options.keys() - FROM_ADK):
        raise ConfigError(
            f"agentrows has no option {', '.join(unknown)}: set AGENTROWS_… variables instead"
        )
    settings = Settings.load()
    return SessionService.from_dsn(
        parse_uri(uri), settings=settings, row_security=settings.row_security
    )


def parse_uri(uri: str) -> str | None:
    """Return the DSN of a URI; None if it names no database."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme.lower() != SCHEME:
        raise ConfigError(f"the URI of the session service must begin with {SCHEME}://")
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
