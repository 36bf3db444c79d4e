"""Results as tables: for a terminal, and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Table = tuple[list[str], list[list[str]]]
"""The heads of the columns, and the rows."""


def number(value: float) -> str:
    """Return a figure with about three digits that count."""
    if value >= 100:  # noqa: PLR2004  three digits before the point
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.1 else f"{value:.3f}"  # noqa: PLR2004  below: as a decimal


def comparison(found: Mapping[str, Any]) -> Table:
    """Return the contenders, fastest last on no account: in the order of their subject."""
    heads = ["", "loop", "per second", "p50 ms", "p99 ms", "CPU µs a call", "peak MB"]
    keys = ("per_second", "p50_ms", "p99_ms", "cpu_us", "peak_mb")
    return heads, [
        [row["contender"], row["loop"], *(number(row[key]) for key in keys)]
        for row in found["rows"]
    ]


def ratios(found: Mapping[str, Any]) -> Table:
    """Return what each target asks, and what came out on each loop."""
    heads = ["compared with", "loop", "target", "measured", ""]
    return heads, [
        [
            each["peer"],
            each["loop"],
            f"≥ {each['target']:g} x",
            f"{each['ratio']:.2f} x",
            "" if each["ratio"] >= each["target"] else "not reached",
        ]
        for each in found["ratios"]
    ]


def growth(found: Mapping[str, Any]) -> Table:
    """Return the time of a call at each size, and how much it grew from the first to the last."""
    heads = ["", *(f"{rows:,} rows" for rows in found["sizes"]), "grew"]
    return heads, [
        [name, *(f"{number(time)} ms" for time in times), f"{found['grew'][name]:.2g} x"]
        for name, times in found["p50_ms"].items()
    ]


def searches(found: Mapping[str, Any]) -> Table:
    """Return recall and latency for each size, layout and owner."""
    heads = ["vectors", "owner", "", "rows", "recall@10", "fewest hits", "p50 ms", "p99 ms"]
    return heads, [
        [
            f"{row['vectors']:,}",
            row["owner"],
            "counts as read" if row["touch"] else "only reads",
            f"{row['owned']:,}",
            f"{row['recall']:.3f}",
            str(row["fewest"]),
            number(row["p50_ms"]),
            number(row["p99_ms"]),
        ]
        for row in found["rows"]
    ]


def generation(found: Mapping[str, Any]) -> Table:
    """Return how long sqlc and our part of it took."""
    return ["", "seconds"], [[name, f"{value:.2f}"] for name, value in found["seconds"].items()]


BY_KIND = {
    "comparison": comparison,
    "growth": growth,
    "searches": searches,
    "generation": generation,
}


def as_text(found: Mapping[str, Any]) -> str:
    """Return a result for a terminal."""
    lines = [found["title"], "", *aligned(BY_KIND[found["kind"]](found))]
    if found.get("ratios"):
        lines += ["", *aligned(ratios(found))]
    lines += [f"left out: {name}, because {why}" for name, why in found.get("left_out", {}).items()]
    return "\n".join(lines)


def aligned(table: Table) -> list[str]:
    """Return lines with columns side by side; all but the first are flush right."""
    heads, rows = table
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def as_markdown(table: Table) -> str:
    """Return a table in Markdown; numbers are flush right."""
    heads, rows = table
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *rows))


def in_order(names: Sequence[str], results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results that there are, in the order of the names."""
    return [results[name] for name in names if name in results]
