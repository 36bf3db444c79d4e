"""Settings: their sources, and the errors for invalid values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentrows import ConfigError, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from agentrows.config import MigrationMode

SECRET = "hunter2-and-more"  # noqa: S105  the password that these tests search for
DSN = f"postgresql://mira:{SECRET}@db/agents"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "MIGRATIONS",
        "MIGRATIONS_URL",
        "POOLER",
        "POOL_MAX_SIZE",
    ):
        monkeypatch.delenv(f"AGENTROWS_{name}", raising=False)


def test_resolving_no_dsn_raises_error_with_cure() -> None:
    with pytest.raises(ConfigError, match="AGENTROWS_DATABASE_URL") as caught:
        Settings.load().resolve_dsn()

    assert "embedded:" in str(caught.value)


def test_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", "")

    with pytest.raises(ConfigError, match="no database is configured"):
        Settings.load().resolve_dsn()


def test_dsn_argument_overrides_file_and_file_overrides_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("  postgresql://from-file/\n")
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", "postgresql://from-variable/")
    assert Settings.load().resolve_dsn() == "postgresql://from-variable/"

    monkeypatch.setenv("AGENTROWS_DATABASE_URL_FILE", str(secret))

    assert Settings.load().resolve_dsn() == "postgresql://from-file/"
    assert Settings.load().resolve_dsn("postgresql://argument/") == "postgresql://argument/"


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff\xfe"])
def test_secret_file_that_is_missing_empty_or_not_text_is_an_error(
    content: str | bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "dsn"
    if isinstance(content, str):
        secret.write_text(content)
    elif content is not None:
        secret.write_bytes(content)
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", "postgresql://variable/")
    monkeypatch.setenv("AGENTROWS_DATABASE_URL_FILE", str(secret))

    with pytest.raises(ConfigError, match="AGENTROWS_DATABASE_URL_FILE"):
        Settings.load().resolve_dsn()


def test_every_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "sometimes")
    monkeypatch.setenv("AGENTROWS_POOL_MAX_SIZE", "0")

    with pytest.raises(ConfigError, match="AGENTROWS_MIGRATIONS") as caught:
        Settings.load()

    assert "AGENTROWS_POOL_MAX_SIZE" in str(caught.value)


def test_repr_and_errors_of_settings_do_not_contain_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", DSN)
    settings = Settings.load()
    monkeypatch.setenv("AGENTROWS_POOL_MAX_SIZE", SECRET)

    with pytest.raises(ConfigError) as caught:
        Settings.load()

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "asked", "expected"),
    [
        ({}, None, "apply"),
        ({"POOLER": "transaction"}, None, "verify"),
        ({"POOLER": "transaction"}, "off", "off"),
        ({"POOLER": "transaction", "MIGRATIONS": "off"}, None, "off"),
        ({"POOLER": "transaction", "MIGRATIONS_URL": DSN}, None, "apply"),
        ({"POOLER": "transaction", "MIGRATIONS_URL": DSN}, "apply", "apply"),
        ({"POOLER": "transaction", "MIGRATIONS": "apply"}, None, None),
        ({"POOLER": "transaction"}, "apply", None),
    ],
)
def test_transaction_pooler_disables_migrations(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    asked: MigrationMode | None,
    expected: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"AGENTROWS_{name}", value)
    settings = Settings.load()
    if expected is None:
        with pytest.raises(ConfigError, match="AGENTROWS_MIGRATIONS_URL"):
            settings.resolve_migrations(asked)
    else:
        assert settings.resolve_migrations(asked) == expected


def test_migrations_dsn_is_used_unless_one_is_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", "postgresql://pooler/agents")
    assert Settings.load().resolve_migrations_dsn() == "postgresql://pooler/agents"
    monkeypatch.setenv("AGENTROWS_MIGRATIONS_URL", DSN)
    settings = Settings.load()
    assert settings.resolve_migrations_dsn() == DSN
    assert settings.resolve_migrations_dsn("postgresql://db/other") == "postgresql://db/other"
    assert settings.resolve_dsn() == "postgresql://pooler/agents"
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("AGENTROWS_POOL_MAXSIZE", "AGENTROWS_POOL_MAX_SIZE"),
        ("AGENTROWS_DATABASE_URI", "AGENTROWS_DATABASE_URL"),
        ("AGENTROWS_MIGRATION", "AGENTROWS_MIGRATIONS"),
        ("AGENTROWS_SERVICE_HOST", None),
        ("AGENTROWS_POOL_MAX_SIZE", None),
    ],
)
def test_misspelled_variable_is_logged_with_nearest_setting(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    near: str | None,
) -> None:
    monkeypatch.setenv(variable, "3")

    Settings.load()

    words = f"{variable} is not a setting: did you mean {near}?"
    assert [each.getMessage() for each in caplog.records] == ([words] if near else [])
