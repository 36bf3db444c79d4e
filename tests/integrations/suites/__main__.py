"""Runs the suites of a family, and compares their counts: python -m integrations.suites langgraph.

More arguments select suites by name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from integrations.suites.pins import SUITES
from integrations.suites.sdists import CACHE, ROOT, unpack
from integrations.suites.server import DSN, migrated_server

if TYPE_CHECKING:
    from integrations.suites.suite import Suite


def run(suite: Suite, family: str, dsn: str) -> list[str]:
    """Run a suite, print its counts, and return how they differ from the pinned ones."""
    folder = unpack(suite, ROOT / ".ci" / f"requirements-integrations-{family}.txt")
    outcomes = CACHE / f"{suite.name}.json"
    outcomes.unlink(missing_ok=True)
    environment = os.environ | suite.environment
    environment |= {
        DSN: dsn,
        "AGENTROWS_SUITE": suite.name,
        "AGENTROWS_OUTCOMES": str(outcomes),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(folder))),
    }
    plugins = [f"-p{name}" for name in ("integrations.suites.counting", *suite.plugins)]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *plugins]
    command += ["--tb", "short", "-o", "addopts=", "-W", "ignore", *suite.files]
    started = time.monotonic()
    log = CACHE / f"{suite.name}.log"
    with log.open("w") as output:
        subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, check=False, stdout=output, stderr=output
        )
    seconds = time.monotonic() - started
    if not outcomes.exists():
        return [f"{suite.name} did not run:\n{log.read_text()[-5000:]}"]
    counts = json.loads(outcomes.read_text())
    differences = suite.differences(counts["outcomes"], counts["left_out"])
    values = list(counts["outcomes"].values())
    print(  # noqa: T201
        f"{suite.name}: {values.count('passed')} passed, {values.count('failed')} failed, "
        f"{sum(counts['left_out'].values())} left out, {seconds:.0f} s"
    )
    if differences:
        differences.append(f"the output of pytest is in {log.relative_to(ROOT)}")
    return [f"{suite.name}: {one}" for one in differences]


def main() -> None:
    """Run the suites that the command line names, all of them without a name."""
    family, *names = sys.argv[1:]
    suites = [suite for suite in SUITES[family] if not names or suite.name in names]
    if not suites:
        return
    with migrated_server() as dsn:
        differences = [one for suite in suites for one in run(suite, family, dsn)]
    if differences:
        sys.exit("\n".join(differences))


if __name__ == "__main__":
    main()
