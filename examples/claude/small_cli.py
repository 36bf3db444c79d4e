#!/usr/bin/env python3
"""A small program in place of the Claude Code CLI: it echoes, and needs no network.

It reads and writes the same files and messages as the CLI. A real application does not need it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Any


def send(message: dict[str, Any]) -> None:
    """Write a message to the SDK."""
    print(json.dumps(message), flush=True)


class Session:
    """The transcript of a session, as a file and as messages to the session store."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        folder = Path(os.environ.get("CLAUDE_CONFIG_DIR", Path.home() / ".claude"))
        project_key = re.sub("[^a-zA-Z0-9]", "-", os.path.realpath("."))  # of short names
        self._path = folder / "projects" / project_key / f"{session_id}.jsonl"

    def read_prompts(self) -> list[str]:
        """Return the prompts of the transcript; it has none before the first turn."""
        if not self._path.exists():
            return []
        entries = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [entry["message"]["content"] for entry in entries if entry["type"] == "user"]

    def add(self, kind: str, content: object) -> dict[str, Any]:
        """Append an entry to the file, and send it to the session store."""
        entry = {
            "type": kind,
            "uuid": str(uuid.uuid4()),
            "sessionId": self.id,
            "timestamp": "2026-11-30T08:00:00.000Z",
            "message": {"role": kind, "content": content},
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        send({"type": "transcript_mirror", "filePath": str(self._path), "entries": [entry]})
        return entry


def answer(session: Session, prompt: str) -> None:
    """Answer a prompt with the number of prompts of the session."""
    earlier = session.read_prompts()
    session.add("user", prompt)
    text = f"That was question {len(earlier) + 1}."
    entry = session.add("assistant", [{"type": "text", "text": text}])
    message = {**entry["message"], "model": "small"}
    send({"type": "assistant", "message": message, "session_id": session.id})
    send(
        {
            "type": "result",
            "subtype": "success",
            "duration_ms": 1,
            "duration_api_ms": 1,
            "is_error": False,
            "num_turns": 1,
            "session_id": session.id,
            "result": text,
        }
    )


def main() -> None:
    """Answer the messages of the SDK until it ends the input."""
    options: dict[str, str] = {}
    for argument in sys.argv:
        name, _, value = argument.partition("=")
        options[name] = value
    session = Session(options.get("--resume") or options.get("--session-id") or str(uuid.uuid4()))
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            reply = {"subtype": "success", "request_id": message["request_id"]}
            send({"type": "control_response", "response": reply})
        elif message["type"] == "user":
            content = message["message"]["content"]
            answer(session, content if isinstance(content, str) else content[0]["text"])


if __name__ == "__main__":
    if "-v" in sys.argv or "--version" in sys.argv:
        print("9.9.9 (Claude Code)")
    else:
        main()
