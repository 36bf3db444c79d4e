"""The comment of a query: its documentation, and the lines `-- py: …` that steer the generator.

-- py: batch ARGUMENT MODEL    the arrays are columns of MODEL; the function takes a sequence
-- py: param NAME TYPE         the type of a parameter: datetime?  text[]?  text?[]
-- py: column NAME TYPE        the type of a column of the result, written alike
-- py: row NAME                the name of the row model; queries with equal rows may share it
-- py: one!                    a :one that always has a row
-- py: iterator                also write iter_<name>, which streams over a cursor
-- py: file                    what stands above is the documentation of the whole file, which it
                               also is if a blank line is below it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.pytypes import TypeText, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg.build.queryfiles import Layout

__all__ = ["Batch", "Directives", "parse_comments"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that travel as one array per column."""

    argument: str
    model: str


@dataclass(frozen=True, slots=True)
class Directives:
    """What the comment of one query says."""

    doc: tuple[str, ...] = ()
    file_doc: tuple[str, ...] = ()
    batch: Batch | None = None
    params: Mapping[str, TypeText] = field(default_factory=dict[str, TypeText])
    columns: Mapping[str, TypeText] = field(default_factory=dict[str, TypeText])
    row: str = ""
    one: bool = False
    iterator: bool = False


def parse_comments(comments: tuple[str, ...], layout: Layout | None = None) -> Directives:
    """Split a comment into documentation and directives; Refused if a directive is not known."""
    lines = [line.removeprefix(" ").rstrip() for each in comments for line in each.split("\n")]
    doc: list[str] = []
    file_doc: list[str] = []
    batch: Batch | None = None
    params: dict[str, TypeText] = {}
    columns: dict[str, TypeText] = {}
    row = ""
    flags: set[str] = set()
    for line in lines:
        if not line.lstrip().startswith("py:"):
            doc.append(line)
            continue
        match line.strip().removeprefix("py:").split():
            case ["batch", argument, model] if batch is None:
                batch = Batch(_name(argument), _name(model))
            case ["param", name, *words] if words and name not in params:
                params[name] = parse_type(" ".join(words))
            case ["column", name, *words] if words and name not in columns:
                columns[name] = parse_type(" ".join(words))
            case ["row", name] if not row:
                row = _name(name)
            case ["file"] if doc and not file_doc:
                file_doc, doc = doc, []
            case ["one!" | "iterator" as flag] if flag not in flags:
                flags.add(flag)
            case _:
                raise Refused(
                    f"-- {line.strip()} is not understood, or is said twice; there are: batch "
                    "ARGUMENT MODEL, param NAME TYPE, column NAME TYPE, row NAME, one!, iterator, "
                    "file"
                )
    doc, file_doc = _documentation(doc, file_doc, layout)
    return Directives(
        doc=_trim(doc),
        file_doc=_trim(file_doc),
        batch=batch,
        params=params,
        columns=columns,
        row=row,
        one="one!" in flags,
        iterator="iterator" in flags,
    )


def _documentation(
    doc: list[str], file_doc: list[str], layout: Layout | None
) -> tuple[list[str], list[str]]:
    """Return what is about the query, and what is about its file."""
    if layout is None or file_doc:
        return doc, file_doc
    return _undirected(layout.doc), _undirected(layout.head)


def _undirected(lines: tuple[str, ...]) -> list[str]:
    """Return the lines of a comment that are no directives."""
    bare = [line.removeprefix(" ").rstrip() for line in lines]
    return [line for line in bare if not line.lstrip().startswith("py:")]


def _name(text: str) -> str:
    if not text.isidentifier():
        raise Refused(f"{text!r} in a -- py: line is not a name in Python")
    return text


def _trim(lines: list[str]) -> tuple[str, ...]:
    """Without empty lines at both ends."""
    text = "\n".join(lines).strip("\n")
    return tuple(text.split("\n")) if text.strip() else ()
