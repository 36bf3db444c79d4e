"""The command line in this process: its exit code and its output."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from dataclasses import dataclass
from unittest.mock import patch

from agentrows.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line on stderr; empty if there is none."""
        return self.err.splitlines()[-1] if self.err else ""


def run_main(*arguments: str, **variables: str) -> Ended:
    """Call the entry point with these arguments and environment variables."""
    out, err = io.StringIO(), io.StringIO()
    own = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    before = signal.getsignal(signal.SIGINT)
    path = list(sys.path)
    code = 0
    try:
        with (
            patch.dict(os.environ, {**own, **variables}, clear=True),
            patch.object(sys, "argv", ["agentrows", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        signal.signal(signal.SIGINT, before)
        sys.path[:] = path
    return Ended(code, out.getvalue(), err.getvalue())
