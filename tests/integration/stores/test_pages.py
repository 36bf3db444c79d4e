"""Page tokens of every list."""

from __future__ import annotations

import base64
import contextlib
import copy
import pickle
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from agentrows import ConfigError, InvalidValue, Page, PostgresClient, Settings
from support.pages import LISTS, NEEDS_16, PAGES_BEFORE, VARIANTS, WITHOUT_PAGES, fill
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from agentrows import Session
    from agentrows.migrate import MigrationContext
    from support.pages import ListPage

OLD, NEW = "an-old-key-of-20-chars", "a-new-key-of-20-characters"


@pytest.fixture
async def available(client: PostgresClient, db: asyncpg.Connection) -> dict[str, ListPage]:
    """The lists that this server has, each of five rows."""
    await fill(client)
    return LISTS if db.get_server_version().major < 16 else {**LISTS, **NEEDS_16}


@pytest.fixture
async def signed(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client whose tokens are signed."""
    own = Settings(migrations="off", page_token_keys=(SecretStr(NEW), SecretStr(OLD)))
    async with PostgresClient.open(migrated, settings=own) as client:
        yield client


def test_each_list_has_pages_or_a_reason_for_none() -> None:
    lists = {name for name in dir(PostgresClient) if name.startswith("list_")}
    assert lists == {*LISTS, *NEEDS_16, *PAGES_BEFORE, *WITHOUT_PAGES}


async def test_tokens_visit_each_row_once(
    client: PostgresClient, available: dict[str, ListPage]
) -> None:
    for name, list_page in available.items():
        every = await list_page(client, None, None)
        assert len(every) == 5, name
        assert every.next_token is None
        for limit in (1, 2, 3, 5, 6):
            page = await list_page(client, limit, None)
            seen = [*page]
            while page.next_token is not None:
                assert re.fullmatch(r"[\w-]{24,}", page.next_token), name
                page = await list_page(client, limit, page.next_token)
                seen += page
            assert seen == every, name


async def test_token_of_another_list_is_refused(
    client: PostgresClient, available: dict[str, ListPage]
) -> None:
    tokens = {name: (await page(client, 2, None)).next_token for name, page in available.items()}
    for name, list_page in available.items():
        for other, token in tokens.items():
            if other != name:
                with pytest.raises(InvalidValue, match=r"^after is a page token of another method"):
                    await list_page(client, 2, token)
        if name in VARIANTS:
            with pytest.raises(InvalidValue, match=r"^after is a page token of another method"):
                await VARIANTS[name](client, 2, tokens[name])


async def test_token_stays_valid_when_its_row_is_deleted(client: PostgresClient) -> None:
    await client.store_events([event(f"e-{n}") for n in range(5)])
    page = await client.list_events_for_session("s-1", user_id="mira", limit=2)
    await client.delete_event("e-1", user_id="mira")

    rest = await client.list_events_for_session("s-1", user_id="mira", after=page.next_token)

    assert [row.id for row in rest] == ["e-2", "e-3", "e-4"]
    streamed = client.stream_events_for_session("s-1", user_id="mira", after=page.next_token)
    assert [row.id async for row in streamed] == ["e-2", "e-3", "e-4"]


async def test_items_are_paged_backwards_by_tokens(client: PostgresClient) -> None:
    conversation = {"user_id": "mira", "agent_id": "travel"}
    await client.append_items("s-1", items=["0", "1", "2", "3", "4"], **conversation)
    page = await client.list_items("s-1", limit=2, user_id="mira", agent_id="travel")
    pages = [[item.data for item in page]]
    while page.next_token is not None:
        page = await client.list_items(
            "s-1", limit=2, before=page.next_token, user_id="mira", agent_id="travel"
        )
        pages.append([item.data for item in page])

    assert pages == [["3", "4"], ["1", "2"], ["0"]]
    with pytest.raises(InvalidValue, match=r"^before is not a page token"):
        await client.list_items("s-1", before="e-1", user_id="mira", agent_id="travel")


async def test_last_events_have_no_next_page(client: PostgresClient) -> None:
    await client.store_events([event(f"e-{n}") for n in range(5)])
    page = await client.list_events_for_session("s-1", user_id="mira", last=2)
    assert [row.id for row in page] == ["e-3", "e-4"]
    assert page.next_token is None


@pytest.mark.parametrize(
    "token",
    [
        *("", " ", "e-1", "é", "=", "AQ==", "\0", "\ud800", "A" * 20_000, "AQ\n"),
        base64.urlsafe_b64encode(b"\x01" + bytes(16)).decode(),
        base64.urlsafe_b64encode(b"\x03" + bytes(40)).decode(),
    ],
)
async def test_malformed_token_is_refused_by_name(client: PostgresClient, token: str) -> None:
    with pytest.raises(InvalidValue, match=r"^after is "):
        await client.list_feedback(user_id="mira", after=token)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b"{}",
            b"null",
            b"[1]",
            b'["x",1]',
            b"[null,null]",
            b"[null,true]",
            b"[null,1.5]",
        ),
        *(b"[null,9223372036854775808]", b'["2024-01-01T00:00:00",1]', b"[" * 5000, b"\xff"),
    ],
)
async def test_token_with_another_position_is_refused(client: PostgresClient, body: bytes) -> None:
    await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
    token = (await client.list_feedback(user_id="mira", limit=1)).next_token
    assert token is not None
    head = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:17]
    forged = base64.urlsafe_b64encode(head + body).decode().rstrip("=")
    with pytest.raises(InvalidValue, match=r"^after"):
        await client.list_feedback(user_id="mira", after=forged)


async def test_only_tokens_of_the_keys_are_accepted(
    client: PostgresClient, signed: PostgresClient, migrated: str
) -> None:
    await fill(client)
    plain = (await client.list_sessions(user_id="mira", limit=2)).next_token
    token = (await signed.list_sessions(user_id="mira", limit=2)).next_token
    assert len(await signed.list_sessions(user_id="mira", after=token)) == 3
    with pytest.raises(InvalidValue, match="not signed with one of the page_token_keys"):
        await signed.list_sessions(user_id="mira", after=plain)
    with pytest.raises(InvalidValue, match="there are no page_token_keys"):
        await client.list_sessions(user_id="mira", after=token)
    with pytest.raises(InvalidValue, match="of another method, user"):
        await signed.list_sessions(user_id="juno", after=token)

    def open_with(key: str) -> contextlib.AbstractAsyncContextManager[PostgresClient]:
        own = Settings(migrations="off", page_token_keys=(SecretStr(key),))
        return PostgresClient.open(migrated, settings=own)

    async with open_with(OLD) as old, open_with("another-key-of-20-chars") as other:
        of_old = (await old.list_sessions(user_id="mira", limit=2)).next_token
        assert len(await signed.list_sessions(user_id="mira", after=of_old)) == 3
        with pytest.raises(InvalidValue, match="not signed"):
            await old.list_sessions(user_id="mira", after=token)
        with pytest.raises(InvalidValue, match="not signed"):
            await other.list_sessions(user_id="mira", after=of_old)


async def test_no_changed_token_is_accepted_with_keys(signed: PostgresClient) -> None:
    await fill(signed)
    token = (await signed.list_feedback(user_id="mira", limit=2)).next_token
    assert token is not None
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        with pytest.raises(InvalidValue, match=r"^after "):
            await signed.list_feedback(user_id="mira", after=forged)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0), char=st.sampled_from("AZaz09-_"))
async def test_changed_token_without_keys_shows_only_rows_of_the_user(
    client: PostgresClient, position: int, char: str
) -> None:
    await client.store_session("s-1", user_id="mira")
    await client.store_session("s-2", user_id="juno")
    token = (await client.list_sessions(user_id="mira", limit=1)).next_token
    assert token is not None
    at = position % len(token)
    rows: list[Session] = []
    with contextlib.suppress(InvalidValue):
        rows = await client.list_sessions(user_id="mira", after=token[:at] + char + token[at + 1 :])
    assert {row.user_id for row in rows} <= {"mira"}


def test_keys_are_checked_and_hidden() -> None:
    shown = repr(Settings(page_token_keys=(SecretStr(OLD),)))
    assert OLD not in shown
    for variable, value in (
        ("AGENTROWS_PAGE_TOKEN_KEYS", '["short"]'),
        ("AGENTROWS_PAGE_TOKEN_KEYS", "no JSON"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, value)
            with pytest.raises(ConfigError, match="PAGE_TOKEN_KEYS") as refused:
                Settings.load()
            assert value not in str(refused.value)


def test_keys_are_the_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    own = Settings(page_token_keys_file=file)
    words = "a key of several words"
    for content in (f"{NEW}\n{words}", f"\n {NEW}\r\n\n{words} \n"):
        file.write_bytes(content.encode())
        assert own.resolve_page_token_keys() == (NEW.encode(), words.encode())
    for content, problem in (
        (f"{NEW}\nshort key\n", "fewer than 16 characters"),
        (" \n\n", "is empty"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=problem):
            own.resolve_page_token_keys()


async def test_file_of_keys_is_read_once_per_client(migrated: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{OLD}\n")

    async def remove(_: MigrationContext) -> None:
        file.unlink()

    own = Settings(page_token_keys_file=file)
    async with PostgresClient.open(migrated, settings=own, migrations=remove) as client:
        assert client.db.options.page_token_keys == (OLD.encode(),)


async def test_page_is_copied_and_pickled_as_a_list(client: PostgresClient) -> None:
    await fill(client)
    page = await client.list_agents(limit=2)
    for copied in (copy.copy(page), pickle.loads(pickle.dumps(page))):  # noqa: S301
        assert type(copied) is list
        assert copied == page
    assert Page([1]) == [1]
    assert Page[int]().next_token is None
