"""The end of a command's help: examples and exit codes."""

from __future__ import annotations

from typing import Final

KEEP_LINES: Final = "\b\n"
"""Click does not rewrap a paragraph that begins with this."""


def describe_use(*examples: str, codes: str) -> str:
    """Return the examples, one per line, and the meaning of the exit codes."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{KEEP_LINES}Examples:\n{lines}\n\nExit codes: {codes}."
