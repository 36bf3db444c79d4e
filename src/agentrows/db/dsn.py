"""Parsing and validation of DSNs, and errors of failed attempts to connect.

asyncpg splits a DSN at the first `@`, so a password with an unescaped `@`, `/`, `?` or `#` would be
sent to the resolver as a host name, or to the server as a setting. asyncpg also sends parameters
that it does not support to the server at login. For libpq's other parameters of TLS and
authentication that is too late, so this module refuses them unless their value requests no
protection. Its errors contain only names and values of such parameters, and paths of files.
"""

from __future__ import annotations

import inspect
import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import (
    SplitResult,
    parse_qsl,
    quote,
    unquote,
    urlencode,
    urlsplit,
    urlunsplit,
)

import asyncpg

from agentrows.errors import SET_POOLER, AgentRowsError, ConfigError, Unavailable, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentrows.config import Password
    from agentrows.db.codecs import Target

BAD_DSN: Final = "the DSN is malformed: write postgresql://user:password@host:port/database"
UNQUOTED: Final = (
    "the DSN is malformed: in a user name or a password, write %40 for @, %2F for /, %3F for ? "
    "and %23 for #"
)
NO_TLS: Final = "the server does not offer TLS, which sslmode requires: nothing was sent to it"
UNSUPPORTED: Final = "unsupported startup parameter"
"""The message of pgbouncer for a setting that it cannot track per client."""
MALFORMED: Final = (ValueError, LookupError, OverflowError)
"""Errors of the driver for malformed text, an empty host and a port out of range."""
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SCHEMES: Final = ("postgresql", "postgres")
BALANCES: Final = ("disable", "random")
REQUIRE: Final = "require"
SYSTEM: Final = "system"
VERIFIABLE: Final = ("require", "verify-ca", "verify-full")
TARGETS: Final[Mapping[str, Target]] = {
    "any": "any",
    "primary": "writer",
    "read-write": "writer",
    "standby": "reader",
    "prefer-standby": "reader",
    "read-only": "reader",
}
HARMLESS: Final = {
    "gssencmode": ("prefer", "disable"),
    "channel_binding": ("prefer", "disable"),
    "gssdelegation": ("0",),
    "requiressl": ("0",),
    "sslcertmode": ("allow",),
    "sslcompression": ("1", "0"),
    "sslsni": ("1",),
}
"""Values of libpq's parameters that request no protection which the driver lacks."""
NOT_SENT: Final = frozenset(
    {
        *HARMLESS,
        *("connect_timeout", "fallback_application_name", "load_balance_hosts", "keepalives"),
        *("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    }
)
"""Parameters that are removed: the driver would send them to the server, which refuses them."""
TLS_PARAMETERS: Final = frozenset(
    {
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    }
)
"""Parameters of TLS and authentication that the driver supports."""
PROTECTIVE: Final = re.compile(r"ssl|tls|require|channel|gss|krb|scram|oauth", re.IGNORECASE)
"""First letters of parameters that protect a connection; none may be ignored silently."""
DRIVER_PARAMETERS: Final = TLS_PARAMETERS | {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
    "target_session_attrs",
}
"""Parameters that the driver uses; all others are sent to the server."""
FILES: Final = {
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Keepalive probes and time limits of a TCP connection, as libpq's parameters set them.

    None means the library's default for `keepalives`, and the operating system's for the others.
    """

    keepalives: bool | None = None
    keepalives_idle_s: int | None = None
    keepalives_interval_s: int | None = None
    keepalives_count: int | None = None
    tcp_user_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDsn:
    """A DSN in the form for the driver, with the parameters that the driver does not support."""

    dsns: tuple[str, ...] = field(repr=False)
    """One DSN per host, in their order; a single one with all hosts for prefer-standby."""
    hosts: str
    """Hosts and ports, for messages."""
    settings: Mapping[str, str]
    """Parameters of the server, and `application_name` from PGAPPNAME."""
    target: Target = "any"
    is_shuffled: bool = False
    connect_timeout_s: float | None = None
    """The time limit for each host; None if the DSN has none."""
    socket: SocketOptions = SocketOptions()
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """The TLS context for requirements that the driver does not derive from sslmode."""


def parse_dsn(dsn: str) -> ParsedDsn:
    """Validate a DSN and return its parts, with libpq's meaning of its parameters.

    Raises:
        ConfigError: the DSN is malformed or ambiguous, it requests a protection that the driver
            lacks, or a file of TLS is not readable.

    """
    parts, parameters = _split_dsn(dsn)
    for name in parameters:
        if PROTECTIVE.match(name) and name not in TLS_PARAMETERS:
            _validate_protection(name, parameters[name])
    for mode in (parameters.get("sslmode"), os.environ.get("PGSSLMODE")):
        if mode is not None and mode not in SSL_MODES:
            raise ConfigError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    tls = _tls_context(parameters)
    for name, variable in FILES.items():
        path = _value(parameters, name, variable)
        if path and path != SYSTEM and not os.access(path, os.R_OK):
            raise ConfigError(f"{name}: the file {path} is missing or not readable")
    timeout_s = _number(parameters, "connect_timeout", "PGCONNECT_TIMEOUT")
    target = _server_target(parts, parameters)
    balance = _value(parameters, "load_balance_hosts", "PGLOADBALANCEHOSTS") or "disable"
    if balance not in BALANCES:
        raise ConfigError(f"load_balance_hosts must be one of {', '.join(BALANCES)}")
    passed_on = {name: value for name, value in parameters.items() if name not in NOT_SENT}
    settings = {name: value for name, value in passed_on.items() if name not in DRIVER_PARAMETERS}
    application = os.environ.get("PGAPPNAME") or parameters.get("fallback_application_name")
    if application and "application_name" not in settings:
        settings["application_name"] = application
    return ParsedDsn(
        dsns=_split_hosts(parts._replace(query=urlencode(passed_on, quote_via=quote))),
        hosts=_describe_hosts(parts, parameters),
        settings=settings,
        target=target,
        is_shuffled=balance == "random",
        connect_timeout_s=float(timeout_s) if timeout_s and timeout_s > 0 else None,
        socket=_socket_options(parameters),
        tls=tls,
    )


def _split_dsn(dsn: str) -> tuple[SplitResult, dict[str, str]]:
    """Return the parts of a DSN and its parameters; raise ConfigError if they are ambiguous."""
    try:
        parts = urlsplit(dsn)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        parts, pairs = None, []
    if parts is None:
        raise ConfigError(BAD_DSN)
    scheme, plus, library = parts.scheme.partition("+")
    if plus and scheme in SCHEMES:
        raise ConfigError(f"the DSN has the scheme {scheme}+{library}: write {scheme}://…")
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ConfigError("the DSN has the same parameter twice")
    rest = parts.path + ("" if parts.path else parts.query)
    if parts.netloc.count("@") > 1 or parts.fragment or (parts.netloc and "@" in rest):
        raise ConfigError(UNQUOTED)
    return parts, parameters


def _value(parameters: Mapping[str, str], name: str, variable: str) -> str | None:
    return parameters.get(name) or os.environ.get(variable)


def _number(parameters: Mapping[str, str], name: str, variable: str = "") -> int | None:
    """Return the integer value of a parameter; raise ConfigError for other text."""
    text = _value(parameters, name, variable)
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ConfigError(f"the DSN's parameter {name!r} must be an integer")
    return int(text)


def _validate_protection(name: str, value: str) -> None:
    """Raise ConfigError for a parameter that requests a protection which the driver lacks."""
    if value in HARMLESS.get(name, ()) or (name == "channel_binding" and value == REQUIRE):
        return
    if name not in HARMLESS:
        raise ConfigError(f"the DSN's parameter {name!r} is not supported by the driver: remove it")
    cure = f"use {HARMLESS[name][-1]}, or remove it"
    raise ConfigError(f"the DSN's {name}={value} is not supported by the driver: {cure}")


def _tls_context(parameters: dict[str, str]) -> ssl.SSLContext | None:
    """Return a TLS context with the system's certificate authorities if the DSN requires one.

    libpq's channel_binding=require prevents a server in the middle even if the certificate is not
    verified. The driver has no channel binding, so sslmode becomes verify-full, which verifies the
    certificate and its host name.
    """
    binding = _value(parameters, "channel_binding", "PGCHANNELBINDING")
    root = _value(parameters, "sslrootcert", "PGSSLROOTCERT")
    if binding != REQUIRE and root != SYSTEM:
        return None
    mode = _value(parameters, "sslmode", "PGSSLMODE")
    if mode not in (None, *VERIFIABLE) or (mode is None and binding == REQUIRE):
        cause = "channel_binding=require" if binding == REQUIRE else "sslrootcert=system"
        raise ConfigError(f"{cause} requires TLS: add sslmode=verify-full to the DSN")
    parameters["sslmode"] = "verify-full"
    if root is None and (Path.home() / ".postgresql" / "root.crt").is_file():
        return None  # the driver uses this file
    if root not in (None, SYSTEM):
        return None
    for name in ("sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version"):
        if name in parameters:
            raise ConfigError(f"the DSN's {name} requires sslrootcert with the path of a file")
    parameters.pop("sslrootcert", None)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    certificate = _value(parameters, "sslcert", "PGSSLCERT")
    if certificate:
        key = _value(parameters, "sslkey", "PGSSLKEY")
        context.load_cert_chain(certificate, key, lambda: parameters.get("sslpassword", ""))
    return context


def _server_target(parts: SplitResult, parameters: dict[str, str]) -> Target:
    """Return the required kind of server; for several hosts the default is the writer."""
    attributes = _value(parameters, "target_session_attrs", "PGTARGETSESSIONATTRS")
    if attributes is None and _has_several_hosts(parts, parameters):
        attributes = parameters["target_session_attrs"] = "read-write"
    if attributes is None:
        return "any"
    if attributes in TARGETS:
        return TARGETS[attributes]
    raise ConfigError(f"target_session_attrs must be one of {', '.join(TARGETS)}")


def _has_several_hosts(parts: SplitResult, parameters: Mapping[str, str]) -> bool:
    netloc = parts.netloc.rpartition("@")[2]
    return "," in (netloc or _value(parameters, "host", "PGHOST") or "")


def _socket_options(parameters: Mapping[str, str]) -> SocketOptions:
    switch = _number(parameters, "keepalives")
    return SocketOptions(
        keepalives=None if switch is None else switch != 0,
        keepalives_idle_s=_number(parameters, "keepalives_idle") or None,
        keepalives_interval_s=_number(parameters, "keepalives_interval") or None,
        keepalives_count=_number(parameters, "keepalives_count") or None,
        tcp_user_timeout_ms=_number(parameters, "tcp_user_timeout") or None,
    )


def _split_hosts(parts: SplitResult) -> tuple[str, ...]:
    """Return one DSN per host of `…@one:5432,other:5432/…`.

    The driver accepts several hosts but has one time limit for all of them. Only for prefer-standby
    all hosts stay in one DSN, because the driver then chooses among those that answer.
    """
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts or "prefer-standby" in parts.query:
        return (urlunsplit(parts),)
    return tuple(
        urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")
    )


def _describe_hosts(parts: SplitResult, parameters: Mapping[str, str]) -> str:
    """Return the hosts and ports for a message, without the user and the password."""
    netloc = parts.netloc.rpartition("@")[2]
    if netloc:
        return ", ".join(
            unquote(host)
            if host.startswith("%2F") or ":" in host.rpartition("]")[2]
            else f"{host}:5432"
            for host in netloc.split(",")
        )
    host = _value(parameters, "host", "PGHOST") or "localhost"
    return f"{host}:{_value(parameters, 'port', 'PGPORT') or 5432}"


def password_callback(password: Password | None) -> Callable[[], Awaitable[str]] | None:
    """Return the function that the driver calls for the password of each connection.

    It raises Unavailable if the application's function raises, and ConfigError if that returns
    anything but a password.
    """
    if password is None:
        return None

    async def get_password() -> str:
        try:
            result = cast("object", password())  # an application may return another type
            if inspect.isawaitable(result):
                result = await result
        except AgentRowsError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise Unavailable(f"could not get the password: {name}") from error
        if not (isinstance(result, str) and result):
            raise ConfigError("the password function must return a non-empty string")
        return result

    return get_password


def explain_connect_error(error: Exception) -> tuple[Exception, Exception | None]:
    """Return our error for a failed attempt to connect, with its `__cause__`.

    The cause is None for an error about the text of the DSN, because it may contain the password.
    """
    if isinstance(error, AgentRowsError):
        return error, error.__cause__ if isinstance(error.__cause__, Exception) else None
    if isinstance(error, TimeoutError):
        return Unavailable("the database did not accept a connection in time"), error
    problem = _configuration_problem(error)
    if problem:
        return ConfigError(problem), None if problem is BAD_DSN else error
    return translate(error, lost=Unavailable) or error, error


def _configuration_problem(error: Exception) -> str | None:
    """Return the problem that an operator has to correct; None for an error of another kind."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not valid: {error.verify_message} (sslrootcert must name "
            "its CA, and the certificate must contain the host of the DSN)"
        )
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return NO_TLS
    if isinstance(error, MALFORMED) and not isinstance(error, asyncpg.DataError):
        return BAD_DSN
    if isinstance(error, asyncpg.ProtocolViolationError) and UNSUPPORTED in str(error):
        return f"{error.args[0]}; {SET_POOLER}"
    if isinstance(error, asyncpg.UndefinedObjectError):
        return f"the server does not accept a parameter of the DSN: {error.args[0]}"
    return None
