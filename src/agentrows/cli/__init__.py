"""The command line: `agentrows migrate …`, `agentrows grants` and `agentrows demo`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage,
3 pending or behind.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import typer

from agentrows.cli.migrate import migrations
from agentrows.cli.options import Dsn  # noqa: TC001  typer reads it when it runs
from agentrows.cli.roles import grants
from agentrows.db.embedded import SCHEME
from agentrows.errors import AgentRowsError, SchemaBehind

FAILED: Final = 1
BEHIND: Final = 3

app = typer.Typer(
    name="agentrows",
    help="The typed Postgres data layer for AI-agent platforms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(migrations, name="migrate")
app.command()(grants)


def main() -> None:
    """Run the command line, and turn our errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("agentrows").setLevel(logging.INFO)
    try:
        app()
    except SchemaBehind as error:
        _fail(str(error), BEHIND)
    except AgentRowsError as error:
        _fail(str(error), FAILED)
    except (asyncio.CancelledError, KeyboardInterrupt):
        _fail(
            "stopped; what had not been committed was rolled back, and a file that runs outside of "
            "a transaction is run again by the next `agentrows migrate up`",
            FAILED,
        )


@app.command()
def demo(dsn: Dsn = None) -> None:
    """Store, list, search and prune sample documents, on an embedded PostgreSQL.

    With --dsn the demo runs on that database: it applies pending migrations, and its rows stay.
    """
    from agentrows.cli.demo import run_demo  # noqa: PLC0415  the client is slow to import

    if dsn is None:
        folder = Path(tempfile.mkdtemp(prefix="agentrows-"))
        # Handlers run last in, first out: the server, started later, is stopped before this.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        dsn = f"{SCHEME}//{folder}/postgres"
    asyncio.run(run_demo(dsn))


def _fail(message: str, code: int) -> None:
    typer.echo(f"agentrows: {' '.join(message.split())}", err=True)
    sys.exit(code)
