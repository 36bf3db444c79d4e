"""Every exception of the driver is translated, or passed for a listed reason."""

from __future__ import annotations

import inspect
import ssl

import asyncpg
import pytest
from asyncpg import exceptions

from agentrows.errors import (
    Aborted,
    AgentRowsError,
    AlreadyExists,
    ConfigError,
    InvalidReference,
    InvalidValue,
    OutcomeUnknown,
    SchemaBehind,
    StaleTypes,
    StatementTimeout,
    Unavailable,
    translate,
)

# SQLSTATE, or its class → the reason for which the error is not translated.
PASSED = {
    "00": "a code that this driver does not know",
    "03": "not raised by PostgreSQL's protocol as it is used here",
    "09": "a trigger of the application's",
    "0A000": "SQL that this server does not have: a bug of ours",
    "0B": "transactions are started in one place: a bug of ours",
    "0F": "large objects are not used",
    "0L": "GRANT is not used",
    "0Z": "raised inside procedures only",
    "10": "XML is not used",
    "20": "raised inside procedures only",
    "21": "a subquery with two rows: a bug of ours",
    "24": "cursors are opened in one place: a bug of ours",
    "25": "transactions are started in one place: a bug of ours",
    "27": "a trigger of the application's",
    "2B": "GRANT and DROP are not used",
    "2D": "raised inside procedures only",
    "2F": "raised inside procedures only",
    "34": "cursors are opened in one place: a bug of ours",
    "38": "raised inside procedures only",
    "39": "raised inside procedures only",
    "3B": "savepoints are the driver's",
    "42": "SQL that does not fit the schema it was compiled for: a bug of ours",
    "55000": "depends on the statement: not one of ours",
    "55P02": "server settings are not changed",
    "55P04": "a migration of the application's",
    "57000": "the class alone, never raised",
    "F0": "the server's own files",
    "HV": "foreign tables are the application's",
    "P0": "procedures are the application's",
    "XX": "a bug of the server, or damaged data",
}
# Errors of the driver without an SQLSTATE.
PASSED_OF_THE_CLIENT = {
    "FatalPostgresError",
    "PostgresError",
    "UnknownPostgresError",
    "UnsupportedClientFeatureError",
    "UnsupportedServerFeatureError",
}

DRIVER_ERRORS = [
    cls
    for _, cls in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(cls, Exception) and not issubclass(cls, UserWarning)
]


def reason_to_pass(cls: type[Exception]) -> str | None:
    state = getattr(cls, "sqlstate", None)
    if state is None:
        return "client" if cls.__name__ in PASSED_OF_THE_CLIENT else None
    return PASSED.get(state) or PASSED.get(state[:2])


@pytest.mark.parametrize("cls", DRIVER_ERRORS, ids=lambda cls: cls.__name__)
def test_driver_error_is_translated_or_passed_for_a_reason(cls: type[Exception]) -> None:
    ours = translate(cls("words of the driver"))

    if ours is None:
        assert reason_to_pass(cls), f"{cls.__name__} has no meaning and no reason"
    else:
        assert isinstance(ours, AgentRowsError)
        assert str(ours)


def test_every_reason_to_pass_an_error_is_used() -> None:
    passed = [cls for cls in DRIVER_ERRORS if translate(cls("")) is None]
    states = {str(getattr(cls, "sqlstate", None)) for cls in passed}

    used = {key for key in PASSED if any(state.startswith(key) for state in states)}

    assert set(PASSED) - used <= {"00"}
    assert {cls.__name__ for cls in passed} >= PASSED_OF_THE_CLIENT


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.UniqueViolationError("x"), AlreadyExists),
        (asyncpg.ForeignKeyViolationError("x"), InvalidReference),
        (asyncpg.NotNullViolationError("x"), InvalidValue),
        (asyncpg.CharacterNotInRepertoireError("x"), InvalidValue),
        (asyncpg.ProgramLimitExceededError("x"), InvalidValue),
        (asyncpg.DeadlockDetectedError("x"), Aborted),
        (asyncpg.SerializationError("x"), Aborted),
        (asyncpg.LockNotAvailableError("x"), Aborted),
        (asyncpg.QueryCanceledError("x"), StatementTimeout),
        (asyncpg.InvalidPasswordError("x"), ConfigError),
        (asyncpg.InvalidCatalogNameError("x"), ConfigError),
        (asyncpg.InsufficientPrivilegeError("x"), ConfigError),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (asyncpg.PostgresWarning("x"), AgentRowsError),
        (asyncpg.NoData("x"), AgentRowsError),
        (asyncpg.DiskFullError("x"), Unavailable),
        (asyncpg.CannotConnectNowError("x"), Unavailable),
        (asyncpg.ReadOnlySQLTransactionError("x"), Unavailable),
        (asyncpg.UndefinedTableError("x"), SchemaBehind),
        (asyncpg.UndefinedColumnError("x"), SchemaBehind),
        (ssl.SSLCertVerificationError("x"), ConfigError),
        (asyncpg.InterfaceError("the pool is closed"), Unavailable),
        (asyncpg.InterfaceError("the server expects 1 argument for this query"), InvalidValue),
        (asyncpg.InterfaceError("query argument $1: the file is closed"), InvalidValue),
        (asyncpg.InterfaceError("unsupported SASL Authentication methods requested"), ConfigError),
        (asyncpg.InternalServerError("cache lookup failed for type 16676"), StaleTypes),
    ],
)
def test_error_class_follows_from_driver_error(
    error: Exception, expected: type[AgentRowsError]
) -> None:
    assert type(translate(error)) is expected
    assert type(translate(error, lost=OutcomeUnknown)) is expected


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"),
        EOFError(),
        asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CrashShutdownError("terminating connection"),
    ],
)
def test_lost_connection_raises_the_class_of_the_statement(error: Exception) -> None:
    assert type(translate(error, lost=Unavailable)) is Unavailable
    assert type(translate(error, lost=OutcomeUnknown)) is OutcomeUnknown


def test_client_timeout_is_outcome_unknown_only_for_once_statements() -> None:
    assert type(translate(TimeoutError())) is StatementTimeout
    assert type(translate(TimeoutError(), lost=OutcomeUnknown)) is OutcomeUnknown


def test_errors_of_other_origin_are_not_translated() -> None:
    assert translate(KeyError("x")) is None
    assert translate(AgentRowsError("x")) is None


def test_violated_key_is_named_with_values_of_the_caller() -> None:
    error = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    error.detail = "Key (id, user_id)=(e-1, mira) already exists."

    assert "(id, user_id)=(e-1, mira)" in str(translate(error))


def test_invalid_value_is_value_error_and_timeout_is_timeout_error() -> None:
    assert issubclass(InvalidValue, ValueError)
    assert issubclass(StatementTimeout, TimeoutError)
