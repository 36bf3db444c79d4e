"""Settings that the stores use, passed to them on their executor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["NO_OPTIONS", "StoreOptions"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The fields of `Settings` that the stores use, under the same names."""

    hash_share_tokens: bool = False
    page_token_keys: tuple[bytes, ...] = field(default=(), repr=False)
    memory_table: Literal["kagent", "agentrows"] = "kagent"
    memory_model: str | None = None
    memory_text_config: str = "simple"
    notify_events: bool = False


NO_OPTIONS: Final = StoreOptions()
"""The defaults."""
