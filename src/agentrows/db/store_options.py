"""Settings that the stores use, passed to them on their executor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["NO_OPTIONS", "StoreOptions"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The fields of `Settings` that the stores use, under the same names."""

    hash_share_tokens: bool = False
    page_token_keys: tuple[bytes, ...] = field(default=(), repr=False)


NO_OPTIONS: Final = StoreOptions()
"""The defaults."""
