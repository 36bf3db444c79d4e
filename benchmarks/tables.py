"""Results as tables: for a terminal, and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Table = tuple[list[str], list[list[str]]]
"""The headers of the columns, and the rows."""


def number(value: float) -> str:
    """Return a figure with about three significant digits."""
    if value >= 100:  # noqa: PLR2004  three digits before the point
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.1 else f"{value:.3f}"  # noqa: PLR2004  below: as a decimal


def comparison(found: Mapping[str, Any]) -> Table:
    """Return the contenders, in the order of their subject."""
    heads = ["", "loop", "per second", "p50 ms", "p99 ms", "CPU µs a call", "peak MB"]
    keys = ("per_second", "p50_ms", "p99_ms", "cpu_us", "peak_mb")
    return heads, [
        [row["contender"], row["loop"], *(number(row[key]) for key in keys)]
        for row in found["rows"]
    ]


def ratios(found: Mapping[str, Any]) -> Table:
    """Return each target, and its result on each loop."""
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
    """Return the time of a call at each size, and its growth from the first to the last."""
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
    """Return the time of sqlc and of our part of it."""
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
    """Return lines with aligned columns; all but the first are aligned right."""
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
    """Return a table in Markdown; numbers are aligned right."""
    heads, rows = table
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *rows))


def targets(results: Mapping[str, Any]) -> Table:
    """Return every target and its result."""
    rows = [
        [
            found["title"],
            f"≥ {each['target']:g} x {each['peer']}",
            each["loop"],
            *judged(f"{each['ratio']:.2f} x", reached=each["ratio"] >= each["target"]),
        ]
        for found in results.values()
        if found.get("kind") == "comparison"
        for each in found["ratios"]
    ]
    for found in results.values():
        rows += JUDGES.get(found.get("kind", ""), lambda _: [])(found)
    return ["work", "target", "loop", "measured", "reached"], rows


def judged(measured: str, *, reached: bool) -> list[str]:
    """Return the last two cells of a target's row."""
    return [measured, "yes" if reached else "**no**"]


def judge_growth(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the number of calls that grew no more than the target allows."""
    grew = found["grew"]
    flat = [name for name in grew if grew[name] <= found["target"]]
    return [
        [
            f"each of {len(grew)} pages, searches and prunes",
            f"{found['sizes'][-1]:,} rows ≤ {found['target']:g} x {found['sizes'][0]:,} rows",
            "",
            *judged(f"{len(flat)} of {len(grew)}", reached=len(flat) == len(grew)),
        ]
    ]


def judge_searches(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the results of the targets of the largest table."""
    largest = max(row["vectors"] for row in found["rows"])
    rows: list[list[str]] = []
    for row in found["rows"]:
        if row["vectors"] != largest or row["owner"] not in found["targets"]:
            continue
        recall, p50_ms = found["targets"][row["owner"]]
        how = "counts as read" if row["touch"] else "only reads"
        reached = row["recall"] >= recall and row["fewest"] == found["limit"]
        asked = f"recall@10 ≥ {recall:g}, {found['limit']} rows"
        if p50_ms:
            reached = reached and row["p50_ms"] <= p50_ms
            asked += f", p50 ≤ {p50_ms:g} ms"
        measured = f"{row['recall']:.3f}, {row['fewest']} rows, {number(row['p50_ms'])} ms"
        work = f"search, owner with {row['owner']} of {largest:,}, {how}"
        rows.append([work, asked, "", *judged(measured, reached=reached)])
    return rows


def judge_generation(found: Mapping[str, Any]) -> list[list[str]]:
    """Return whether our plugin was fast enough."""
    measured = found["plugin_s"]
    return [
        [
            "make generate, our plugin",
            f"≤ {found['target_s']:g} s",
            "",
            *judged(f"{measured:.2f} s", reached=measured <= found["target_s"]),
        ]
    ]


JUDGES = {
    "growth": judge_growth,
    "searches": judge_searches,
    "generation": judge_generation,
}
