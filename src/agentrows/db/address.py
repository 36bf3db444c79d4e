"""What a DSN asks for, looked at before the driver does, and why a connection did not come about.

asyncpg splits a DSN at the first `@`, so a password with a plain `@`, `/`, `?` or `#` in it would
go to the resolver as a host's name, or to the server as a setting. Parameters that asyncpg does not
know go to the server when it logs in. For libpq's other parameters of TLS and authentication that
is too late, so they are refused here. Of a DSN, no error of this module holds more than the name of
a parameter and the path of a file.
"""

from __future__ import annotations

import inspect
import os
import re
import ssl
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from agentrows.errors import SET_POOLER, AgentRowsError, ConfigError, Unavailable, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows.config import Password

BAD_DSN: Final = "the DSN is not understood; it reads postgresql://user:password@host:port/database"
UNQUOTED: Final = (
    "the DSN is not understood: in a user's name or a password, @ is written %40, / is %2F, "
    "? is %3F and # is %23"
)
NO_TLS: Final = "the server does not offer TLS, and sslmode asks for it: nothing was sent to it"
UNSUPPORTED: Final = "unsupported startup parameter"
"""What pgbouncer says of a setting that it cannot keep for a client."""
UNREADABLE: Final = (ValueError, LookupError, OverflowError)
"""What the driver raises for text that it cannot read, for an empty host, for a port too high."""
MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
KNOWN: Final = frozenset(
    {
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    }
)
"""Parameters of TLS and authentication that the driver acts on."""
PROTECTING: Final = re.compile(r"ssl|tls|require|channel|gss|krb|scram|oauth", re.IGNORECASE)
"""How parameters begin that should protect a connection: none may be passed over in silence."""
FILES: Final = {
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}


def check(dsn: str) -> None:
    """Raise ConfigError for a DSN that would be misread, or whose files for TLS are not there."""
    parameters = _parameters(dsn)
    for name in parameters:
        if PROTECTING.match(name) and name not in KNOWN:
            raise ConfigError(
                f"the DSN's parameter {name!r} is not supported: it would not protect"
            )
    for mode in (parameters.get("sslmode"), os.environ.get("PGSSLMODE")):
        if mode is not None and mode not in MODES:
            raise ConfigError(f"sslmode must be one of {', '.join(MODES)}")
    for name, variable in FILES.items():
        path = parameters.get(name) or os.environ.get(variable)
        if path and not os.access(path, os.R_OK):
            raise ConfigError(f"{name}: the file {path} is not there, or cannot be read")


def _parameters(dsn: str) -> dict[str, str]:
    try:
        parts = urlsplit(dsn)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        parts, pairs = None, []
    if parts is None:
        raise ConfigError(BAD_DSN)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ConfigError("the DSN has a parameter twice")
    behind = parts.path + ("" if parts.path else parts.query)
    if parts.netloc.count("@") > 1 or parts.fragment or (parts.netloc and "@" in behind):
        raise ConfigError(UNQUOTED)
    return parameters


def asking(password: Password | None) -> Callable[[], Awaitable[str]] | None:
    """Return the function that the driver calls for each connection, with our errors.

    It raises Unavailable for whatever the application's function raises, and ConfigError for an
    answer that is no password.
    """
    if password is None:
        return None

    async def ask() -> str:
        try:
            found = cast("object", password())  # whatever it may be
            if inspect.isawaitable(found):
                found = await found
        except AgentRowsError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise Unavailable(f"the password was not to be had: {name}") from error
        if not (isinstance(found, str) and found):
            raise ConfigError("the password's function must return a text that is not empty")
        return found

    return ask


def why_not(error: Exception) -> tuple[Exception, Exception | None]:
    """Return our error for a failed attempt to connect, and the cause to keep.

    An error about the DSN's text may repeat the password, so it is not kept.
    """
    if isinstance(error, AgentRowsError):
        return error, error.__cause__ if isinstance(error.__cause__, Exception) else None
    if isinstance(error, TimeoutError):
        return Unavailable("the database did not accept a connection in time"), error
    wrong = _misconfigured(error)
    if wrong:
        return ConfigError(wrong), None if wrong is BAD_DSN else error
    return translate(error, lost=Unavailable) or error, error


def _misconfigured(error: Exception) -> str | None:
    """Say what an operator has to put right; None if it is not that."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not accepted: {error.verify_message} (sslrootcert names "
            "the CA; the host of the DSN has to be in the certificate)"
        )
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return NO_TLS
    if isinstance(error, UNREADABLE) and not isinstance(error, asyncpg.DataError):
        return BAD_DSN
    if isinstance(error, asyncpg.ProtocolViolationError) and UNSUPPORTED in str(error):
        return f"{error.args[0]}; {SET_POOLER}"
    if isinstance(error, asyncpg.UndefinedObjectError):
        return f"the DSN has a parameter that the server does not know: {error.args[0]}"
    return None
