"""DSNs with libpq's parameters."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from agentrows.db.dsn import SocketOptions, parse_dsn
from agentrows.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = ("PGAPPNAME", "PGCONNECT_TIMEOUT", "PGCHANNELBINDING", "PGTARGETSESSIONATTRS")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*VARIABLES, "PGSSLMODE", "PGSSLROOTCERT", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "parameter",
    [
        "gssencmode=disable",
        "gssencmode=prefer",
        "channel_binding=disable",
        "channel_binding=prefer",
        "connect_timeout=3",
        "keepalives=1",
        "keepalives_idle=30",
        "tcp_user_timeout=9000",
        "load_balance_hosts=disable",
        "sslsni=1",
    ],
)
def test_harmless_parameters_are_accepted_and_not_sent_to_the_server(parameter: str) -> None:
    address = parse_dsn(f"postgresql://app:pw@db/app?{parameter}")

    assert address.dsns == ("postgresql://app:pw@db/app",)
    assert address.settings == {}


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("gssencmode=require", "use disable, or remove it"),
        ("channel_binding=require", "add sslmode=verify-full"),
        ("channel_binding=require&sslmode=prefer", "add sslmode=verify-full"),
        ("sslrootcert=system&sslmode=allow", "add sslmode=verify-full"),
        ("require_auth=scram-sha-256", "not supported by the driver: remove it"),
        ("sslsni=0", "use 1"),
        ("connect_timeout=soon", "'connect_timeout' must be an integer"),
        ("keepalives=yes", "'keepalives' must be an integer"),
        ("target_session_attrs=writer", "must be one of any, primary, read-write"),
        ("load_balance_hosts=all", "must be one of disable, random"),
    ],
)
def test_unsupported_values_are_refused_with_cure_and_without_password(
    parameter: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_dsn(f"postgresql://app:hunter2@db/app?{parameter}")
    assert "hunter2" not in str(caught.value)


def test_sqlalchemy_scheme_is_refused_with_cure() -> None:
    with pytest.raises(ConfigError, match="write postgresql://"):
        parse_dsn("postgresql+asyncpg://app:pw@db/app")


def test_neon_dsn_verifies_certificate_instead_of_channel_binding() -> None:
    address = parse_dsn(
        "postgresql://app:pw@ep-1.neon.tech/db?sslmode=require&channel_binding=require"
    )

    assert address.tls is not None
    assert address.tls.check_hostname
    assert address.tls.verify_mode is ssl.CERT_REQUIRED
    assert "channel_binding" not in address.dsns[0]


def test_channel_binding_with_root_certificate_verifies_against_it(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("")
    address = parse_dsn(
        f"postgresql://db/app?sslmode=require&channel_binding=require&sslrootcert={tmp_path}/ca.crt"
    )

    assert address.tls is None
    assert "sslmode=verify-full" in address.dsns[0]


def test_timeouts_and_keepalives_are_parsed() -> None:
    address = parse_dsn(
        "postgresql://db/app?connect_timeout=3&keepalives=0&keepalives_idle=30"
        "&keepalives_interval=5&keepalives_count=4&tcp_user_timeout=9000"
    )

    assert address.connect_timeout_s == 3.0
    assert address.socket == SocketOptions(
        keepalives=False,
        keepalives_idle_s=30,
        keepalives_interval_s=5,
        keepalives_count=4,
        tcp_user_timeout_ms=9000,
    )
    assert parse_dsn("postgresql://db/app?connect_timeout=0").connect_timeout_s is None


@pytest.mark.parametrize(
    ("dsn", "target"),
    [
        ("postgresql://one/app", "any"),
        ("postgresql://one,two/app", "writer"),
        ("postgresql:///app?host=one,two", "writer"),
        ("postgresql://one,two/app?target_session_attrs=any", "any"),
        ("postgresql://one,two/app?target_session_attrs=prefer-standby", "reader"),
    ],
)
def test_several_hosts_default_to_the_writer(dsn: str, target: str) -> None:
    address = parse_dsn(dsn)

    assert address.target == target
    assert ("target_session_attrs=read-write" in address.dsns[0]) == (target == "writer")


def test_application_name_comes_from_dsn_or_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parse_dsn("postgresql://db/app").settings == {}
    monkeypatch.setenv("PGAPPNAME", "of the environment")
    assert parse_dsn("postgresql://db/app").settings["application_name"] == "of the environment"
    dsn = "postgresql://db/app?application_name=billing"
    assert parse_dsn(dsn).settings["application_name"] == "billing"


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://app:hunter2@one,two:5433/app", "one:5432, two:5433"),
        ("postgresql://app:hunter2@[::1]:5433/app", "[::1]:5433"),
        ("postgresql://app:hunter2@%2Frun%2Fpg/app", "/run/pg"),
        ("postgresql:///app?host=/run/pg", "/run/pg:5432"),
    ],
)
def test_hosts_for_messages_omit_user_and_password(dsn: str, hosts: str) -> None:
    assert parse_dsn(dsn).hosts == hosts
    assert "hunter2" not in repr(parse_dsn(dsn))
