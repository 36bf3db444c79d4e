"""Store items: keys, values, expiry, namespaces and conditions."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentrows import InvalidValue, NewStoreItem, PostgresClient, StoreCondition, StoreItem
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg
    from pydantic import JsonValue


def item(namespace: str, key: str, value: str = "{}", ttl_s: float | None = None) -> NewStoreItem:
    return NewStoreItem(namespace=namespace, key=key, value=value, ttl_s=ttl_s)


def names(items: Sequence[StoreItem]) -> list[tuple[str, str]]:
    return sorted((each.namespace, each.key) for each in items)


async def test_item_is_returned_as_it_was_stored_and_replaced_as_a_whole(
    client: PostgresClient,
) -> None:
    text = '{"z": "a\\u0000b", "a": {"10": 1.50, "9": [null, "\\ud800", "😀"]}}'
    assert await client.store_items([item("users.mira", "k", text, 60)], user_id="mira") == 1
    (first,) = await client.list_store_items([("users.mira", "k")], user_id="mira")
    assert (first.namespace, first.key, first.value, first.ttl_s) == ("users.mira", "k", text, 60)
    assert first.expires_at == first.updated_at + timedelta(seconds=60)

    await client.store_items([item("users.mira", "k", '{"b": 1}')], user_id="mira")
    (second,) = await client.list_store_items([("users.mira", "k")] * 2, user_id="mira")
    assert (second.value, second.ttl_s, second.expires_at) == ('{"b": 1}', None, None)
    assert first.created_at == second.created_at < second.updated_at


async def test_namespace_prefix_matches_whole_labels_only(client: PostgresClient) -> None:
    namespaces = ["", "a", "a.b", "a.b.c", "a-b", "a b", "ab", "a0", "b", "ä.b", "a.bc", "A.b"]
    await client.store_items([item(each, "k") for each in namespaces], user_id="mira")

    async def under(namespace: str) -> list[str]:
        found = await client.search_store_items(user_id="mira", namespace=namespace)
        return sorted(each.namespace for each in found)

    assert await under("") == sorted(namespaces)
    assert await under("a") == ["a", "a.b", "a.b.c", "a.bc"]
    assert await under("a.b") == ["a.b", "a.b.c"]
    assert await under("a b") == ["a b"]
    assert await under("ä") == ["ä.b"]
    assert await under("c") == []


ITEMS: dict[str, JsonValue] = {
    "nine": {"n": 9, "t": "9", "o": {"a": 1, "b": [1, {"c": 2}]}},
    "ten": {"n": 10, "t": "10"},
    "hundred": {"n": 1e2, "t": "100", "o": {"a": 2}},
    "null": {"n": None, "t": "ä"},
    "other": {"t": "Z\0", "o": "x", "esc": "\\u0000"},
}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (StoreCondition(("n",), "$gte", 10), {"ten", "hundred"}),
        (StoreCondition(("n",), "$lt", 9.5), {"nine"}),
        (StoreCondition(("n",), "$gt", "1"), set[str]()),
        (StoreCondition(("n",), "$eq", 100), {"hundred"}),
        (StoreCondition(("n",), "$eq", None), {"null", "other"}),
        (StoreCondition(("n",), "$ne", 9), {"ten", "hundred", "null", "other"}),
        (StoreCondition(("t",), "$lte", "10"), {"ten"}),
        (StoreCondition(("t",), "$gt", "Z"), {"null", "other"}),
        (StoreCondition(("t",), "$eq", "Z�"), {"other"}),
        (StoreCondition(("esc",), "$eq", "\\u0000"), {"other"}),
        (StoreCondition(("o", "a"), "$eq", 2), {"hundred"}),
        (StoreCondition(("o",), "$object"), {"nine", "hundred"}),
        (StoreCondition(("o", "b"), "$eq", [1, {"c": 2}]), {"nine"}),
    ],
)
async def test_condition_compares_numbers_as_numbers_and_text_by_code_point(
    client: PostgresClient, condition: StoreCondition, found: set[str]
) -> None:
    new = [item("a", key, json.dumps(value)) for key, value in ITEMS.items()]
    await client.store_items(new, user_id="mira")
    items = await client.search_store_items(user_id="mira", conditions=[condition])
    assert {each.key for each in items} == found
    both = [condition, StoreCondition(("none",), "$eq", 1)]
    assert await client.search_store_items(user_id="mira", conditions=both) == []


async def test_search_returns_pages_with_the_last_stored_item_first(
    client: PostgresClient,
) -> None:
    for key in ("a", "b", "c", "a"):
        await client.store_items([item("n", key)], user_id="mira")

    async def page(limit: int | None, offset: int) -> list[str]:
        found = await client.search_store_items(user_id="mira", limit=limit, offset=offset)
        return [each.key for each in found]

    assert await page(None, 0) == ["a", "c", "b"]
    assert await page(2, 0) == ["a", "c"]
    assert await page(2, 2) == ["b"]
    assert await page(2, 3) == []


async def test_namespaces_are_listed_by_labels_wildcards_and_depth(
    client: PostgresClient,
) -> None:
    namespaces = ["a.b.c", "a.b.d.e", "a.b.d.i", "a-b.c", "a.c.f", "b.a.f", "users.1.settings.v"]
    await client.store_items([item(each, "k") for each in namespaces], user_id="mira")

    async def listed(*prefixes: str, **more: object) -> list[str]:
        return await client.list_store_namespaces(user_id="mira", prefixes=prefixes, **more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert await listed() == [
        *("a.b.c", "a.b.d.e", "a.b.d.i", "a.c.f", "a-b.c", "b.a.f", "users.1.settings.v")
    ]
    assert await listed("a.b", max_depth=3) == ["a.b.c", "a.b.d"]
    assert await listed("a") == ["a.b.c", "a.b.d.e", "a.b.d.i", "a.c.f"]
    assert await listed("a.*.d") == ["a.b.d.e", "a.b.d.i"]
    assert await listed("*.a") == ["b.a.f"]
    assert await listed("a", suffixes=["f"]) == ["a.c.f"]
    assert await listed(suffixes=["*.f"]) == ["a.c.f", "b.a.f"]
    assert await listed("*.*", suffixes=["settings.*"]) == ["users.1.settings.v"]
    assert await listed("a.b.c", suffixes=["a.b.c"]) == ["a.b.c"]
    assert await listed(limit=2, offset=1) == ["a.b.d.e", "a.b.d.i"]
    assert await listed("a-b") == ["a-b.c"]


async def test_expired_item_is_left_out_refreshed_and_pruned(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    new = [item("a", "short", ttl_s=24), item("a", "long", ttl_s=1e6), item("a", "ever")]
    await client.store_items(new, user_id="mira")
    keys = [("a", "short"), ("a", "long"), ("a", "ever")]
    await db.execute(
        "UPDATE agentrows_store_item SET expires_at = expires_at - interval '23.9 s'"
        " WHERE expires_at IS NOT NULL"
    )
    assert len(await client.list_store_items(keys, user_id="mira")) == 3
    assert await client.prune_expired_store_items() == 0
    await db.execute(
        "UPDATE agentrows_store_item SET expires_at = expires_at - interval '30 s'"
        " WHERE expires_at IS NOT NULL"
    )
    for found in (
        await client.list_store_items(keys, user_id="mira"),
        await client.search_store_items(user_id="mira"),
    ):
        assert names(found) == [("a", "ever"), ("a", "long")]
    assert len(await client.list_store_items(keys, user_id="mira", with_expired=True)) == 3
    assert await client.find_store_item("short", user_id="mira", namespace="a") is None
    assert (
        await client.find_store_item("short", user_id="mira", namespace="a", with_expired=True)
        == (await client.list_store_items(keys[:1], user_id="mira", with_expired=True))[0]
    )
    assert len(await client.search_store_items(user_id="mira", with_expired=True)) == 3

    assert await client.refresh_store_items(keys, user_id="juno") == 0
    assert await client.refresh_store_items(keys[1:], user_id="mira") == 1
    async with db.transaction():
        await db.execute("SELECT 1 FROM agentrows_store_item WHERE key = 'short' FOR UPDATE")
        assert await client.prune_expired_store_items() == 0  # locked rows are skipped
    await client.refresh_store_items(keys, user_id="mira")
    assert await client.prune_expired_store_items() == 0
    await db.execute("UPDATE agentrows_store_item SET expires_at = now() WHERE key = 'short'")
    await client.store_items([item("gone", "x", ttl_s=0)], user_id="juno")
    assert await client.list_store_namespaces(user_id="juno") == []
    assert await client.list_store_namespaces(user_id="juno", with_expired=True) == ["gone"]
    assert await client.prune_expired_store_items() == 2
    assert await count(db, "agentrows_store_item") == 2


async def test_prune_deletes_more_than_one_batch_of_items(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    new = [item("a", str(number), ttl_s=0) for number in range(2500)]
    assert await client.store_items(new, user_id="mira") == 2500
    assert await client.prune_expired_store_items() == 2500
    assert await count(db, "agentrows_store_item") == 0


async def test_items_of_users_are_separate(client: PostgresClient) -> None:
    for user in ("mira", "juno"):
        await client.store_items([item("a", "k", json.dumps({"of": user}))], user_id=user)
    assert await client.delete_store_items([("a", "k"), ("a", "x")], user_id="juno") == 1
    assert await client.list_store_items([("a", "k")], user_id="juno") == []
    (mine,) = await client.search_store_items(user_id="mira")
    assert mine.value == '{"of": "mira"}'


async def test_overlapping_writers_in_other_orders_do_not_deadlock(client: PostgresClient) -> None:
    keys = [(ns, str(number)) for ns in ("a", "a-b", "a.b", "ä") for number in range(25)]

    async def write(number: int) -> None:
        order = keys[::-1] if number % 2 else keys
        for _ in range(5):
            await client.store_items([item(*key, ttl_s=60) for key in order], user_id="mira")
            await client.refresh_store_items(order, user_id="mira")
            await client.delete_store_items(order[number:], user_id="mira")

    await asyncio.gather(*map(write, range(6)))


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (item("a..b", "k"), r"items\[0\].namespace"),
        (item(".a", "k"), r"items\[0\].namespace"),
        (item("a.", "k"), r"items\[0\].namespace"),
        (item("a\0", "k"), r"items\[0\].namespace contains a NUL"),
        (item("a", "k\0"), r"items\[0\].key contains a NUL"),
        (item("a", "k" * 2396), r"at most 2,400 bytes together, got 2,401"),
        (item("a", "k", "[]"), r"items\[0\].value must be the text of a JSON object"),
        (item("a", "k", '{"a": NaN}'), r"items\[0\].value is not JSON: JSON has no NaN"),
        (item("a", "k", '{"a": 1e999}'), r"items\[0\].value is not JSON: the number 1e999"),
        (item("a", "k", "{"), r"items\[0\].value is not JSON"),
        (item("a", "k", '{"a":' * 9999), r"items\[0\].value is not JSON"),
        (item("a", "k", ttl_s=-1.0), r"items\[0\].ttl_s"),
        (item("a", "k", ttl_s=float("nan")), r"items\[0\].ttl_s"),
        (item("a", "k", ttl_s=1e300), r"items\[0\].ttl_s"),
    ],
)
async def test_wrong_item_is_refused_by_name(
    client: PostgresClient, new: NewStoreItem, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        await client.store_items([new], user_id="mira")


async def test_longest_key_is_stored(client: PostgresClient) -> None:
    await client.store_items([item("ä" * 600, "k" * 1196)], user_id="mira")
    assert len(await client.search_store_items(user_id="mira")) == 1


async def test_wrong_arguments_are_refused_by_name(client: PostgresClient) -> None:
    with pytest.raises(InvalidValue, match="more than once"):
        await client.store_items([item("a", "k"), item("a", "k")], user_id="mira")
    wrong: list[tuple[tuple[object, ...], str]] = [
        (("n", "$eq", 1), r"conditions\[0\].path must be an iterable of texts, not one text"),
        ((("n",), "$gt", True), r"conditions\[0\].operand"),
        ((("n",), "$gt", None), r"conditions\[0\].operand"),
        ((("n",), "$eq", "a\0"), r"conditions\[0\].operand contains a NUL"),
        ((("n",), "$eq", float("inf")), r"conditions\[0\].operand"),
        ((("n",), "$like", "a"), r"conditions\[0\].operator"),
        (((), "$eq", 1), r"conditions\[0\].path"),
        ((("\0",), "$eq", 1), r"conditions\[0\].path"),
    ]
    for fields, message in wrong:
        with pytest.raises(InvalidValue, match=message):
            await client.search_store_items(
                user_id="mira",
                conditions=[StoreCondition(*fields)],  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            )
    with pytest.raises(InvalidValue, match="offset"):
        await client.search_store_items(user_id="mira", offset=-1)
    with pytest.raises(InvalidValue, match="limit"):
        await client.list_store_namespaces(user_id="mira", limit=0)
    for depth in (0, -1, 1.5, True):
        with pytest.raises(InvalidValue, match="max_depth"):
            await client.list_store_namespaces(user_id="mira", max_depth=depth)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match=r"keys\[0\] must be a tuple"):
        await client.list_store_items(["abc"], user_id="mira")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def test_items_are_stored_and_deleted_in_one_transaction(client: PostgresClient) -> None:
    await client.store_items([item("a", "old"), item("a", "kept")], user_id="mira")
    assert await client.store_items([item("a", "new")], user_id="mira", delete=[("a", "old")]) == 1
    assert names(await client.search_store_items(user_id="mira")) == [("a", "kept"), ("a", "new")]
    with pytest.raises(InvalidValue, match=r"items\[0\].key"):
        await client.store_items([item("a", "\0")], user_id="mira", delete=[("a", "kept")])
    assert await client.store_items([], user_id="mira", delete=[("a", "kept")]) == 0
    assert names(await client.search_store_items(user_id="mira")) == [("a", "new")]


async def test_export_of_a_value_with_line_ends_is_one_line(client: PostgresClient) -> None:
    text = '{\r\n "a":\n "b\\nc"}'
    await client.store_items([item("a", "k", text)], user_id="mira")
    (line,) = [line async for line in client.export_user("mira")]
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line)["row"]["value"] == {"a": "b\nc"}


@pytest.mark.parametrize(
    ("method", "argument"),
    [*text_arguments("store items"), *text_arguments("store vectors")],
)
async def test_text_that_cannot_be_stored_is_refused_by_name(
    client: PostgresClient, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)


async def test_limits_are_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "store items", "search_store_items", "list_store_namespaces")
    await refuse_limits(client, "store vectors", "search_store_vectors")
