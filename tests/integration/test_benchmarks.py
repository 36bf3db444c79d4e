"""The benchmarks run: our side of each, and the driver's, for a moment.

Other libraries are installed for `make bench` alone; the output says why they are left out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest

if TYPE_CHECKING:
    from support.postgres import Server

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow
COMPARISONS = {
    "get_session": "agentrows",
    "get_session_32": "agentrows",
    "get_session_2": "agentrows",
    "get_session_128": "agentrows",
    "list_sessions": "agentrows",
    "store_events": "agentrows",
    "checkpoint_small": "agentrows, bytes given",
    "checkpoint_messages": "agentrows, bytes given",
    "append_event": "agentrows, text given",
    "adk_append": "agentrows, text given",
    "adk_last_events": "agentrows, text given",
    "add_item": "agentrows",
    "get_items": "agentrows",
    "turn_langgraph": "agentrows, bytes given",
}
"""The measured calls, with the contender of this project that requires no other library."""
BRIEF = ("--rounds", "1", "--seconds", "0.01", "--loop", "asyncio", "--rows", "1000")


def run(server: Server, folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """Run some benchmarks on the tests' server; return their results and the output."""
    out = folder / "results.json"
    done = subprocess.run(  # noqa: S603  our own command
        [
            *(sys.executable, str(ROOT / "benchmarks" / "run.py"), *BRIEF, *arguments),
            *("--dsn", server.dsn(), "--out", str(out)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text()), done.stdout


def test_every_comparison_measures_agentrows(server: Server, tmp_path: Path) -> None:
    chosen = [f"--contender={name}" for name in set(COMPARISONS.values())]

    results, _ = run(server, tmp_path, "--only", ",".join(COMPARISONS), *chosen)

    for name, contender in COMPARISONS.items():
        [row] = [row for row in results[name]["rows"] if row["contender"] == contender]
        assert row["per_second"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["peak_mb"] > 1


def test_tails_are_measured_in_both_modes_without_a_lost_event(server: Server) -> None:
    done = subprocess.run(  # noqa: S603  our own command
        [
            *(sys.executable, str(ROOT / "benchmarks" / "tails.py"), "--rounds", "1"),
            *("--seconds", "0.2", "--dsn", server.dsn()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)

    for latency in found["latency"].values():
        assert 0 < latency["p50_ms from the call"] <= latency["p99_ms from the call"]
    for cost in found["store_events"].values():
        assert cost["off"]["per_second"] > 0
        assert cost["on"]["per_second"] > 0


def test_ratio_is_that_of_the_rounds_and_omissions_are_listed(
    server: Server, tmp_path: Path
) -> None:
    results, printed = run(server, tmp_path, "--only", "list_sessions")

    found = results["list_sessions"]
    rounds = {row["contender"]: row["rounds"][0] for row in found["rows"]}
    [ratio] = [each for each in found["ratios"] if each["peer"] == "asyncpg fetch, no model"]
    assert ratio["ratio"] == pytest.approx(rounds["agentrows"] / rounds[ratio["peer"]])
    if importlib.util.find_spec("sqlalchemy") is None:
        assert "left out: SQLAlchemy ORM, because sqlalchemy is not installed" in printed


def test_latency_is_measured_at_each_offered_load(server: Server, tmp_path: Path) -> None:
    results, printed = run(server, tmp_path, "--only", "offered_load")

    found = results["offered_load"]
    assert len(found["rows"]) == 3
    for row in found["rows"]:
        assert len(row["p50_ms"]) == len(row["p99_ms"]) == len(found["rates"])
        assert all(0 < p50 <= p99 for p50, p99 in zip(row["p50_ms"], row["p99_ms"], strict=True))
        assert row["contender"] in printed


def test_proxy_delays_a_round_trip_and_passes_every_byte(server: Server) -> None:
    data = bytes(range(256)) * 10_000

    async def use(port: int) -> tuple[list[float], bytes]:
        user = urlsplit(server.dsn()).username or "postgres"
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=user, database="postgres", ssl=False
        )
        times: list[float] = []
        for _ in range(5):
            start = time.monotonic()
            await connection.fetchval("SELECT 1")
            times.append(time.monotonic() - start)
        doubled = await connection.fetchval("SELECT $1::bytea || $1::bytea", data)
        await connection.close()
        return times, doubled

    with subprocess.Popen(  # noqa: S603  our own file
        [sys.executable, str(ROOT / "benchmarks" / "delay.py"), server.dsn(), "20"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        times, doubled = asyncio.run(use(int(process.stdout.readline())))
        process.communicate()

    assert process.returncode == 0
    assert doubled == data * 2
    assert min(times) >= 0.019


def test_every_page_search_and_prune_is_measured_at_each_size(
    server: Server, tmp_path: Path
) -> None:
    results, _ = run(server, tmp_path, "--only", "growth")

    found = results["growth"]
    assert found["sizes"] == [1000]
    assert len(found["p50_ms"]) > 50
    assert all(times[0] > 0 for times in found["p50_ms"].values())


def test_the_generator_is_timed(server: Server, tmp_path: Path) -> None:
    results, _ = run(server, tmp_path, "--only", "generate")

    assert results["generate"]["plugin_s"] > 0
