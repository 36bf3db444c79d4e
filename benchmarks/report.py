"""Write the tables and the figure of docs/performance.md from the results of `run.py`.

    python benchmarks/report.py

Only the text between `<!-- begin: NAME -->` and `<!-- end: NAME -->` is replaced; the rest is
written by hand. Figures that were not measured again stay as they are.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tables
from run import BENCHMARKS, RESULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "performance.md"
PICTURES: Final = ROOT / "docs" / "performance"
KEPT: Final = PICTURES / "results.json"
"""The figures that the document shows."""
LOAD_PICTURE: Final = "![p50 and p99 of get_session over offered load](performance/load.png)"


def main() -> None:
    """Merge the new figures into the stored ones, and write the document from them."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    results = kept | json.loads((ROOT / RESULTS).read_text())
    PICTURES.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(results, indent=1) + "\n")
    text = DOCUMENT.read_text()
    for name, section in sections(results).items():
        text = replace(text, name, section)
    DOCUMENT.write_text(text)
    if "growth" in results:
        draw_growth(results["growth"])
    if "offered_load" in results:
        draw_offered_load(results["offered_load"])


def sections(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the text between the marks, by name."""
    compared = [
        results[name] for name in BENCHMARKS if results.get(name, {}).get("kind") == "comparison"
    ]
    found = {
        "machine": "\n".join(f"- {name}: {value}" for name, value in results["machine"].items()),
        "targets": tables.as_markdown(tables.targets(results)),
        "comparisons": "\n\n".join(
            f"### {each['title']}\n\n{tables.as_markdown(tables.comparison(each))}"
            for each in compared
        ),
    }
    if "growth" in results:
        found["growth"] = tables.as_markdown(tables.growth(results["growth"]))
    if "offered_load" in results:
        table = tables.as_markdown(tables.offered_load(results["offered_load"]))
        found["offered_load"] = f"{LOAD_PICTURE}\n\n{table}"
    if "memory_search" in results:
        found["memory_search"] = tables.as_markdown(tables.searches(results["memory_search"]))
    if "generate" in results:
        found["generate"] = tables.as_markdown(tables.generation(results["generate"]))
    return found


def replace(text: str, name: str, section: str) -> str:
    """Write a section between its marks; both must exist."""
    marked = re.compile(rf"(<!-- begin: {name} -->).*?(<!-- end: {name} -->)", re.DOTALL)
    found, count = marked.subn(lambda match: f"{match[1]}\n\n{section}\n\n{match[2]}", text)
    if count != 1:
        raise RuntimeError(f"{DOCUMENT} has {count} sections named {name}")
    return found


def draw_growth(found: Mapping[str, Any]) -> None:
    """Draw the time of each call over the rows, relative to the smallest table."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (pages, others) = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    for name, times in found["p50_ms"].items():
        axes = others if name.startswith(("search", "prune", "find")) or "rare" in name else pages
        grew = [time / times[0] for time in times]
        stands_out = found["grew"][name] > found["target"]
        axes.plot(
            found["sizes"],
            grew,
            color=None if stands_out or axes is others else "tab:gray",
            alpha=1 if stands_out or axes is others else 0.35,
            label=name if stands_out or axes is others else None,
        )
    for axes, title in ((pages, "pages of lists"), (others, "searches, filters and prunes")):
        axes.set(title=title, xscale="log", yscale="log", xlabel="rows in each table")
        axes.axhline(found["target"], color="black", linestyle=":", linewidth=1)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    pages.set_ylabel(f"time of a call, {found['sizes'][0]:,} rows = 1")
    figure.savefig(PICTURES / "growth.png", dpi=110)


def draw_offered_load(found: Mapping[str, Any]) -> None:
    """Draw p50 and p99 of each contender over the rate of calls."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, parts = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    for axes, key, title in zip(parts, ("p50_ms", "p99_ms"), ("p50", "p99"), strict=True):
        for row in found["rows"]:
            axes.plot(found["rates"], row[key], marker="o", label=row["contender"])
        axes.set(title=title, xscale="log", yscale="log", xlabel="calls offered per second")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    parts[0].set_ylabel("milliseconds from the time at which a call is due")
    figure.savefig(PICTURES / "load.png", dpi=110)


if __name__ == "__main__":
    main()
