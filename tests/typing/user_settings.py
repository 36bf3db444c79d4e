"""For the type checkers: a user passes secrets as text, and reads them as secrets."""

from __future__ import annotations

from typing import assert_type

from pydantic import SecretStr

from agentrows import Settings


def construct(url: str, keys: list[str]) -> None:
    settings = Settings(database_url=url, migrations_url=url, page_token_keys=keys)
    assert_type(settings.database_url, SecretStr | None)
    assert_type(settings.page_token_keys, tuple[SecretStr, ...])
    Settings(database_url=SecretStr(url), page_token_keys=(url, SecretStr(url)), pool_max_size=20)
    Settings(database_url=None)
    Settings()
    Settings(database_urll=url)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
