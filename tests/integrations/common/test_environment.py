"""The environments of the adapters, each with its frameworks installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

FRAMEWORKS: Final = {
    *("a2a", "agents", "claude_agent_sdk", "google.adk"),
    *("langchain_core", "langgraph", "pydantic_ai"),
}


def test_import_of_agentrows_imports_no_framework() -> None:
    code = f"import agentrows, sys; print(*{FRAMEWORKS} & sys.modules.keys())"

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == []


def test_frameworks_of_this_environment_are_importable() -> None:
    code = f"""if True:
        import importlib
        for name in {sorted(FRAMEWORKS)}:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue
            print(name)
    """

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() in (
        ["langchain_core", "langgraph"],
        ["a2a", "agents", "claude_agent_sdk", "google.adk", "pydantic_ai"],
    )
