"""DSNs, parsed before the driver parses them, and errors of failed attempts to connect.

asyncpg splits a DSN at the first `@`, so a password with a plain `@`, `/`, `?` or `#` in it would
go to the resolver as a host's name, or to the server as a setting. Parameters that asyncpg does not
know go to the server when it logs in. For libpq's other parameters of TLS and authentication that
is too late, so they are refused here, except for values that ask for no protection. Errors of this
module contain no more of a DSN than names and values of such parameters, and paths of files.
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
"""Values of libpq's parameters that ask for no protection which the driver does not have."""
OURS: Final = frozenset(
    {
        *HARMLESS,
        *("connect_timeout", "fallback_application_name", "load_balance_hosts", "keepalives"),
        *("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    }
)
"""Parameters that the driver would send to the server, which would refuse them."""
KNOWN: Final = frozenset(
    {
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    }
)
"""Parameters of TLS and authentication that the driver acts on."""
PROTECTING: Final = re.compile(r"ssl|tls|require|channel|gss|krb|scram|oauth", re.IGNORECASE)
"""How parameters begin that should protect a connection: none may be passed over in silence."""
DRIVERS: Final = KNOWN | {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
    "target_session_attrs",
}
"""Parameters that are the driver's; all others are sent to the server."""
FILES: Final = {
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Keepalive probes and time limits of a TCP connection, as libpq's parameters set them.

    None means the default: of the pool for `keepalives`, of the operating system for the others.
    """

    keepalives: bool | None = None
    keepalives_idle_s: int | None = None
    keepalives_interval_s: int | None = None
    keepalives_count: int | None = None
    tcp_user_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A DSN as the driver has to get it, and the parameters that the driver does not act on."""

    dsns: tuple[str, ...] = field(repr=False)
    """One for each host, in the order of the DSN; all hosts in one for prefer-standby."""
    hosts: str
    """The hosts and ports, for messages."""
    settings: Mapping[str, str]
    """Parameters of the server in the DSN, and the name of the application from PGAPPNAME."""
    target: Target = "any"
    is_shuffled: bool = False
    connect_timeout_s: float | None = None
    """For each host; None if the DSN has none."""
    socket: SocketOptions = SocketOptions()
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """Where the driver's own reading of sslmode is not enough."""


def parse(dsn: str) -> Address:
    """Return the address that a DSN gives, with libpq's meaning of its parameters.

    Raises ConfigError for a DSN that would be misread, for parameters that would protect a
    connection in libpq and cannot here, and for files of TLS that are not readable.
    """
    parts, parameters = _split(dsn)
    for name in parameters:
        if PROTECTING.match(name) and name not in KNOWN:
            _check_harmless(name, parameters[name])
    for mode in (parameters.get("sslmode"), os.environ.get("PGSSLMODE")):
        if mode is not None and mode not in MODES:
            raise ConfigError(f"sslmode must be one of {', '.join(MODES)}")
    tls = _verified_tls(parameters)
    for name, variable in FILES.items():
        path = _value(parameters, name, variable)
        if path and path != SYSTEM and not os.access(path, os.R_OK):
            raise ConfigError(f"{name}: the file {path} is not there, or cannot be read")
    timeout_s = _number(parameters, "connect_timeout", "PGCONNECT_TIMEOUT")
    target = _target(parts, parameters)
    balance = _value(parameters, "load_balance_hosts", "PGLOADBALANCEHOSTS") or "disable"
    if balance not in BALANCES:
        raise ConfigError(f"load_balance_hosts must be one of {', '.join(BALANCES)}")
    left = {name: value for name, value in parameters.items() if name not in OURS}
    settings = {name: value for name, value in left.items() if name not in DRIVERS}
    application = os.environ.get("PGAPPNAME") or parameters.get("fallback_application_name")
    if application and "application_name" not in settings:
        settings["application_name"] = application
    return Address(
        dsns=_each_host(parts._replace(query=urlencode(left, quote_via=quote))),
        hosts=_hosts(parts, parameters),
        settings=settings,
        target=target,
        is_shuffled=balance == "random",
        connect_timeout_s=float(timeout_s) if timeout_s and timeout_s > 0 else None,
        socket=_socket_options(parameters),
        tls=tls,
    )


def _split(dsn: str) -> tuple[SplitResult, dict[str, str]]:
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
        raise ConfigError(f"remove +{library} from the DSN; it reads {scheme}://…")
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ConfigError("the DSN has a parameter twice")
    behind = parts.path + ("" if parts.path else parts.query)
    if parts.netloc.count("@") > 1 or parts.fragment or (parts.netloc and "@" in behind):
        raise ConfigError(UNQUOTED)
    return parts, parameters


def _value(parameters: Mapping[str, str], name: str, variable: str) -> str | None:
    return parameters.get(name) or os.environ.get(variable)


def _number(parameters: Mapping[str, str], name: str, variable: str = "") -> int | None:
    """Return the whole number of a parameter; raise ConfigError for other text."""
    text = _value(parameters, name, variable)
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ConfigError(f"the DSN's parameter {name!r} must be a whole number")
    return int(text)


def _check_harmless(name: str, value: str) -> None:
    """Raise ConfigError for a parameter that asks for a protection which the driver lacks."""
    if value in HARMLESS.get(name, ()) or (name == "channel_binding" and value == REQUIRE):
        return
    if name not in HARMLESS:
        raise ConfigError(f"the DSN's parameter {name!r} is not supported: it would not protect")
    cure = f"; use {HARMLESS[name][-1]}, or leave it out"
    raise ConfigError(f"the DSN's {name}={value} is not supported by the driver{cure}")


def _verified_tls(parameters: dict[str, str]) -> ssl.SSLContext | None:
    """Return the TLS context for the operating system's certificate authorities, if asked for.

    libpq's channel_binding=require keeps a server in the middle out, also one whose certificate
    nobody checked. The driver has no channel binding, so the certificate and its host name must be
    verified instead: sslmode becomes verify-full.
    """
    binding = _value(parameters, "channel_binding", "PGCHANNELBINDING")
    root = _value(parameters, "sslrootcert", "PGSSLROOTCERT")
    if binding != REQUIRE and root != SYSTEM:
        return None
    mode = _value(parameters, "sslmode", "PGSSLMODE")
    if mode not in (None, *VERIFIABLE) or (mode is None and binding == REQUIRE):
        cause = "channel_binding=require" if binding == REQUIRE else "sslrootcert=system"
        raise ConfigError(f"{cause} needs TLS: add sslmode=verify-full to the DSN")
    parameters["sslmode"] = "verify-full"
    if root is None and (Path.home() / ".postgresql" / "root.crt").is_file():
        return None  # the driver finds it
    if root not in (None, SYSTEM):
        return None
    for name in ("sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version"):
        if name in parameters:
            raise ConfigError(f"the DSN's {name} needs sslrootcert with the path of a file")
    parameters.pop("sslrootcert", None)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    certificate = _value(parameters, "sslcert", "PGSSLCERT")
    if certificate:
        key = _value(parameters, "sslkey", "PGSSLKEY")
        context.load_cert_chain(certificate, key, lambda: parameters.get("sslpassword", ""))
    return context


def _target(parts: SplitResult, parameters: dict[str, str]) -> Target:
    """Return the kind of server to connect to; with several hosts, by default the writer."""
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


def _each_host(parts: SplitResult) -> tuple[str, ...]:
    """Return a DSN for each host of one that reads `…@one:5432,other:5432/…`.

    The driver reads such a DSN, but has one time limit for all of its hosts together. It chooses
    by itself among several that answer (prefer-standby).
    """
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts or "prefer-standby" in parts.query:
        return (urlunsplit(parts),)
    return tuple(
        urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")
    )


def _hosts(parts: SplitResult, parameters: Mapping[str, str]) -> str:
    """Return the hosts for a message: never the user or the password."""
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
