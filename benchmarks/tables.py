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


def offered_load(found: Mapping[str, Any]) -> Table:
    """Return the latencies of each contender at each rate of calls."""
    heads = ["calls offered per second"]
    for row in found["rows"]:
        heads += [f"{row['contender']}, p50 ms", "p99 ms"]
    return heads, [
        [
            f"{rate:,}",
            *(number(row[key][place]) for row in found["rows"] for key in ("p50_ms", "p99_ms")),
        ]
        for place, rate in enumerate(found["rates"])
    ]


def searches(found: Mapping[str, Any]) -> Table:
    """Return recall and latency for each size, layout and owner."""
    heads = [
        "vectors",
        "table",
        "owner",
        "",
        "rows",
        "recall@10",
        "fewest hits",
        "p50 ms",
        "p99 ms",
    ]
    return heads, [
        [
            f"{row['vectors']:,}",
            row["table"],
            row["owner"],
            mode(touch=row["touch"]),
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
    "offered_load": offered_load,
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
    """Return the results of the targets of the largest size, by table and mode."""
    largest = max(row["vectors"] for row in found["rows"])
    groups: dict[tuple[str, bool], list[Any]] = {}
    for row in found["rows"]:
        if row["vectors"] == largest and row["owner"] in found["targets"]:
            groups.setdefault((row["table"], row["touch"]), []).append(row)
    return [
        judge_owners(f"search in {table}, {largest:,} vectors, {mode(touch=touch)}", rows, found)
        for (table, touch), rows in groups.items()
    ]


def judge_owners(work: str, rows: list[Any], found: Mapping[str, Any]) -> list[str]:
    """Return how many owners reach their targets, and the worst figures."""
    targets = [found["targets"][row["owner"]] for row in rows]
    reached = sum(
        row["recall"] >= recall and row["fewest"] == found["limit"] and row["p50_ms"] <= p50_ms
        for row, (recall, p50_ms) in zip(rows, targets, strict=True)
    )
    least = min(row["recall"] for row in rows)
    slowest = max(row["p50_ms"] for row in rows)
    measured = (
        f"{reached} of {len(rows)}; lowest recall {least:.3f}, highest p50 {number(slowest)} ms"
    )
    recall, p50_ms = min(targets)
    asked = f"{len(rows)} owners: recall@10 ≥ {recall:g} (1 if exact), p50 ≤ {p50_ms:g} ms"
    return [work, asked, "", *judged(measured, reached=reached == len(rows))]


def mode(*, touch: bool) -> str:
    """Return whether a search counts as a read of the memories that it finds."""
    return "counts as read" if touch else "only reads"


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
