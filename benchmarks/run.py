"""Measure, print tables, and write the results as JSON.

    make bench                              everything, then docs/performance.md is updated
    make bench BENCH=get_session,growth     some of it
    python benchmarks/run.py --help         duration, contenders, server

Results are merged into the file by name, so a part can be measured again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from conductor import Options, compare
from harness import LOOPS
from server import describe_machine, start_server
from subjects import SUBJECTS
from tables import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server import Server


def measure(module: str, server: Server, options: Options) -> Mapping[str, Any]:
    """Run a module with its own measurement; it is imported only now."""
    found: Mapping[str, Any] = importlib.import_module(module).measure(server, options)
    return found


RESULTS: Final = Path(".cache/bench/results.json")
MODULES: Final = ("offered_load", "growth", "memory_search", "generate")
BENCHMARKS: Final[Mapping[str, Callable[[Server, Options], Mapping[str, Any]]]] = {
    **{subject.name: partial(compare, subject) for subject in SUBJECTS},
    **{name: partial(measure, name) for name in MODULES},
}


def main() -> None:
    """Run the benchmarks that the arguments name."""
    arguments = parse()
    options = Options(
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        contenders=tuple(arguments.contender),
        loops=tuple(arguments.loop or LOOPS),
        rows=arguments.rows,
        vectors=arguments.vectors,
    )
    begin = time.monotonic()
    with start_server(arguments.dsn) as server:
        turns = f"{options.rounds} rounds, turns of {options.seconds:g} s"
        merge(arguments.out, "machine", {**describe_machine(server), "turns": turns})
        for name in arguments.only or BENCHMARKS:
            start = time.monotonic()
            found = BENCHMARKS[name](server, options)
            merge(arguments.out, name, found)
            print(f"\n{as_text(found)}\n{name} took {time.monotonic() - start:.0f} s", flush=True)
    print(f"\n{time.monotonic() - begin:.0f} s in all; the figures are in {arguments.out}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    usual = Options()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("--only", type=names, help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of each turn")
    parser.add_argument("--contender", action="append", default=[], help="none: all of them")
    parser.add_argument("--loop", action="append", choices=LOOPS, help="none: both")
    parser.add_argument("--rows", type=int, default=usual.rows, help="growth: the most rows")
    parser.add_argument("--vectors", type=int, default=usual.vectors, help="memory: the most")
    parser.add_argument("--dsn", help="a server of one's own, instead of an embedded one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of results")
    return parser.parse_args()


Raw = argparse.RawDescriptionHelpFormatter


def names(text: str) -> list[str]:
    """Return the names in a list with commas; refuse unknown ones."""
    found = text.split(",")
    for name in found:
        if name not in BENCHMARKS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(BENCHMARKS)}")
    return found


def merge(path: Path, name: str, found: Mapping[str, Any]) -> None:
    """Merge the results into the file."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
