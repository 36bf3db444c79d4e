"""Page tokens as texts: each position has one token, and any other text is refused."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentrows import InvalidValue
from agentrows.stores._page_tokens import (
    LONGEST_TOKEN,
    digest_of_list,
    read_token,
    write_token,
)
from agentrows.validation import END_OF_TIME, START_OF_TIME

if TYPE_CHECKING:
    from agentrows.stores._page_tokens import KeyValue

DIGEST: Final = digest_of_list("list_feedback", {"user_id": "mira"})
KEYS: Final = (b"a-key-of-20-characters",)
FIRST: Final[tuple[KeyValue, ...]] = (None, "", 0, 0.0)
"""A position with each type of value: a time, a text, an integer, a number."""
TEXTS: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
POSITIONS: Final = st.tuples(
    st.none() | st.datetimes(timezones=st.just(UTC)),
    TEXTS,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
SIGNING: Final = st.sampled_from([(), KEYS])
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(position=POSITIONS, keys=SIGNING)
def test_token_returns_the_position_exactly(
    position: tuple[KeyValue, ...], keys: tuple[bytes, ...]
) -> None:

    token = write_token(position, DIGEST, keys)

    assert read_token("after", token, DIGEST, keys, FIRST) == [*position]
    assert set(token) <= set(ALPHABET)


@given(position=POSITIONS, data=st.data())
def test_changed_text_of_a_signed_token_is_refused(
    position: tuple[KeyValue, ...], data: st.DataObject
) -> None:
    token = write_token(position, DIGEST, KEYS)
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(start + 3, len(token))))
    part = data.draw(st.text(st.sampled_from(ALPHABET + "+/= \n\0é"), max_size=3))
    changed = token[:start] + part + token[end:]
    assume(changed != token)

    with pytest.raises(InvalidValue, match=r"^after "):
        read_token("after", changed, DIGEST, KEYS, FIRST)


@given(position=POSITIONS, keys=SIGNING)
def test_other_encodings_of_a_token_are_refused(
    position: tuple[KeyValue, ...], keys: tuple[bytes, ...]
) -> None:
    token = write_token(position, DIGEST, keys)
    others = {
        token + "=" * (-len(token) % 4),
        token.replace("-", "+").replace("_", "/"),
        # The last character has two or four bits that the decoder ignores.
        *(token[:-1] + last for last in ALPHABET if len(token) % 4),
    }

    for other in others - {token}:
        try:
            read = read_token("after", other, DIGEST, keys, FIRST)
        except InvalidValue:
            continue
        # Without keys another last character can be another position, and never the same one.
        assert not keys
        assert read != [*position]


@given(text=st.text(max_size=80), keys=SIGNING)
def test_arbitrary_text_is_refused_under_the_name_of_the_argument(
    text: str, keys: tuple[bytes, ...]
) -> None:
    with pytest.raises(InvalidValue, match=r"^before "):
        read_token("before", text, DIGEST, keys, FIRST)


def test_longest_key_has_a_token_within_the_bound() -> None:
    # The control characters have the longest form in JSON.
    position = (END_OF_TIME, "\x01" * 512, "\x01" * 512, "\x01" * 512)
    first = (None, "", "", "")

    token = write_token(position, DIGEST, KEYS)

    assert len(token) <= LONGEST_TOKEN
    assert read_token("after", token, DIGEST, KEYS, first) == [*position]


@pytest.mark.parametrize("hours", [-12, 14])
def test_time_beyond_the_range_in_utc_is_refused(hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    time = (END_OF_TIME if hours < 0 else START_OF_TIME).replace(tzinfo=zone)
    token = write_token((time, "", 0, 0.0), DIGEST, ())

    with pytest.raises(InvalidValue, match=r"^after "):
        read_token("after", token, DIGEST, (), FIRST)
