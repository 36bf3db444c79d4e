"""TLS: the server is verified before anything else is sent to it."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import ConfigError, PostgresClient, Settings, Unavailable, migrate
from agentrows.db.connect import connect
from agentrows.migrate import Migrator
from support.tls import (
    PASSWORD,
    SSL_REQUEST,
    TlsServer,
    listening,
    passing_on,
    scripted_peer,
    tls_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CORE = migrate.builtin_tracks(vector=False)
CLEARTEXT_PASSWORD_PLEASE = b"R\x00\x00\x00\x08\x00\x00\x00\x03"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        asyncio.run(make_database(server))
        yield server


async def make_database(server: TlsServer) -> None:
    admin = await asyncpg.connect(server.own.dsn())
    await admin.execute(f"CREATE ROLE mira LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE carla LOGIN")
    await admin.execute("CREATE DATABASE shop OWNER mira")
    await admin.close()


async def refused(dsn: str) -> Exception:
    """Return the error of a failed connect, and check that it does not contain the password."""
    with pytest.raises((ConfigError, Unavailable)) as caught:
        await connect(dsn)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_client_over_tls_sends_nothing_in_clear_text(server: TlsServer) -> None:
    async with listening(passing_on(server.own.port)) as wire:
        dsn = server.dsn(port=wire.port)
        async with PostgresClient.open(dsn, settings=Settings(vector_enabled=False)) as client:
            await client.store_session("s-over-the-wire", user_id="mira")
            assert await client.db.repeatable.fetchval(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            )

    assert wire.received.startswith(SSL_REQUEST + b"\x16\x03")
    for word in (PASSWORD, "mira", "shop", "s-over-the-wire", "SELECT", "SCRAM", "agentrows"):
        assert word.encode() not in wire.received


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_certificate_of_another_ca_is_refused(mode: str, server: TlsServer) -> None:
    other = str(server.files / "other_ca.crt")
    async with listening(passing_on(server.own.port)) as wire:
        dsn = server.dsn({"sslrootcert": other, "sslmode": mode}, port=wire.port)
        error = await refused(dsn)

    assert isinstance(error, ConfigError)
    assert "the server's certificate is not valid" in str(error)
    assert b"mira" not in wire.received


async def test_certificate_without_the_host_is_refused(server: TlsServer) -> None:
    async with listening(passing_on(server.own.port)) as wire:
        error = await refused(server.dsn(host="127.0.0.1", port=wire.port))

    assert isinstance(error, ConfigError)
    assert "127.0.0.1" in str(error)
    assert "mismatch" in str(error)
    assert b"mira" not in wire.received


@pytest.mark.parametrize(
    ("certificate", "says"), [("expired", "expired"), ("elsewhere", "localhost")]
)
async def test_expired_certificate_or_one_of_another_host_is_refused(
    certificate: str, says: str, server: TlsServer
) -> None:
    lines = (f"ssl_cert_file = '{certificate}.crt'", f"ssl_key_file = '{certificate}.key'")
    with server.own.with_settings(*lines):
        async with listening(passing_on(server.own.port)) as wire:
            error = await refused(server.dsn(port=wire.port))

    assert isinstance(error, ConfigError)
    assert says in str(error)
    assert b"mira" not in wire.received


async def test_server_without_tls_is_refused_before_anything_is_sent(server: TlsServer) -> None:
    with server.own.with_settings("ssl = off"):
        async with listening(passing_on(server.own.port)) as wire:
            for mode in ("verify-full", "verify-ca", "require"):
                with pytest.raises(ConfigError, match="does not offer TLS"):
                    async with PostgresClient.open(server.dsn({"sslmode": mode}, port=wire.port)):
                        pass

    assert wire.received == SSL_REQUEST * 3


@pytest.mark.parametrize(
    "answer",
    [
        b"N" + CLEARTEXT_PASSWORD_PLEASE,
        b"S"
        + CLEARTEXT_PASSWORD_PLEASE,  # before the handshake, as if it came after (CVE-2021-23222)
        CLEARTEXT_PASSWORD_PLEASE,
        b"E\x00\x00\x00\x1dSFATAL\x00Mhunter2 please\x00\x00",
    ],
)
async def test_tls_downgrade_reveals_neither_user_nor_password(
    answer: bytes, server: TlsServer
) -> None:
    async with listening(scripted_peer(answer)) as wire:
        await refused(server.dsn(port=wire.port))

    assert wire.received == SSL_REQUEST


async def test_client_certificate_replaces_the_password(server: TlsServer) -> None:
    files = {
        "sslcert": str(server.files / "carla.crt"),
        "sslkey": str(server.files / "carla.key"),
    }
    mine = f"mira:{PASSWORD}@"
    dsn = server.dsn(files).replace(mine, "carla@").replace("/shop?", "/postgres?")

    connection = await connect(dsn)

    assert await connection.fetchval("SELECT current_user") == "carla"
    await connection.close()
    error = await refused(server.dsn().replace(mine, "carla@"))
    assert isinstance(error, ConfigError)
    assert "certificate" in str(error)


async def test_environment_variables_request_tls_as_in_libpq(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = server.dsn({"sslmode": "", "sslrootcert": ""})
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(server.files / "other_ca.crt"))
    assert isinstance(await refused(plain), ConfigError)

    monkeypatch.setenv("PGSSLROOTCERT", str(server.files / "ca.crt"))

    assert (await Migrator(plain, CORE).status()).tracks


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_missing_tls_file_is_named_before_connecting(name: str, server: TlsServer) -> None:
    with pytest.raises(ConfigError, match=f"{name}: the file /nowhere/x"):
        async with PostgresClient.open(server.dsn({name: "/nowhere/x"}, port=1)):
            pass


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert"])
async def test_invalid_certificate_file_raises_config_error(name: str, server: TlsServer) -> None:
    nothing = server.files / "nothing.pem"
    nothing.write_text("hello\n")

    assert isinstance(await refused(server.dsn({name: str(nothing)})), ConfigError)


@pytest.mark.parametrize(
    "parameter",
    [
        *(
            "require_auth=scram-sha-256",
            "requiressl=1",
            "sslMode=require",
        ),
        *(
            "sslmod=verify-full",
            "sslcrldir=/crl",
            "gssencmode=require",
            "tls=true",
            "SSLROOTCERT=x",
        ),
    ],
)
async def test_unsupported_protection_is_refused_before_connecting(
    parameter: str, server: TlsServer
) -> None:
    async with listening(passing_on(server.own.port)) as wire:
        with pytest.raises(ConfigError, match=parameter.partition("=")[0]):
            await connect(f"{server.dsn(port=wire.port)}&{parameter}")

    assert wire.received == b""


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_required_channel_binding_verifies_the_server(mode: str, server: TlsServer) -> None:
    asked = {"channel_binding": "require", "sslmode": mode}
    other = {"sslrootcert": str(server.files / "other_ca.crt")}

    connection = await connect(server.dsn(asked))
    await connection.close()

    assert isinstance(await refused(server.dsn(asked | other)), ConfigError)
    assert isinstance(await refused(server.dsn(asked, host="127.0.0.1")), ConfigError)


async def test_repeated_sslmode_in_dsn_is_refused(server: TlsServer) -> None:
    with pytest.raises(ConfigError, match="the same parameter twice"):
        await connect(f"{server.dsn()}&sslmode=disable")


@pytest.mark.parametrize("mode", ["", "on", "verify_full", "VERIFY-FULL", "parse", "__doc__"])
async def test_unknown_sslmode_is_refused(
    mode: str, server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = server.dsn({"sslmode": "", "sslrootcert": ""})
    with pytest.raises(ConfigError, match="sslmode must be one of"):
        await connect(f"{plain}?sslmode={mode}".replace("??", "?"))

    monkeypatch.setenv("PGSSLMODE", mode)
    with pytest.raises(ConfigError, match="sslmode must be one of"):
        await connect(plain)
