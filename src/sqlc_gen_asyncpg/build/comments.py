"""The comment of a query: its documentation, and the directives `-- py: …`.

-- py: batch ARGUMENT MODEL    the arrays are columns of MODEL; the function takes a sequence
-- py: param NAME TYPE         the type of a parameter: datetime?  text[]?  text?[]
-- py: column NAME TYPE        the type of a column of the result, in the same notation
-- py: json COLUMN             the row has a property parsed_COLUMN: the JSON of this text column
-- py: row NAME                the name of the row model; queries with equal rows may share it
-- py: doc MODEL TEXT          the docstring of the model of `row` or `batch`; for MODEL.FIELD, the
                               description of a field. More lines for one of them go on with it
-- py: order by ARGUMENT over (COLUMN, …)
                               an argument that selects one of these orders
-- py: one!                    a :one that always has a row
-- py: lookup                  also write the SQL of many look-ups, over arrays of the arguments
-- py: iterator                also write iter_<name>, which streams over a cursor
-- py: file                    the lines above document the whole file, as they also do if a
                               blank line is below them
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.build.none_arguments import optional_names
from sqlc_gen_asyncpg.build.order_keys import OrderBy, parse_order
from sqlc_gen_asyncpg.build.places import QuerySource
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.name_rules import check_name
from sqlc_gen_asyncpg.pytypes import TypeText, parse_type
from sqlc_gen_asyncpg.sqlfiles import read_sql, sql_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Batch", "Directives", "FileComments", "parse_comments", "read_file_comments"]

_QUERY_NAME: Final = re.compile(r"(?:^|;\s*)(--|/\*)\s*name:\s*(\w+)\s*:")
_COMMENT: Final = "--"


@dataclass(frozen=True, slots=True)
class FileComments:
    """The comment next to a query's name, and the comments above the first query of its file.

    `source` is where the query is; no other query has this place. `optional` are the names of its
    parameters that are written with sqlc.narg.
    """

    doc: tuple[str, ...]
    head: tuple[str, ...] = ()
    source: QuerySource | None = field(default=None, compare=False)
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Batch:
    """An argument of rows that are passed as one array per column."""

    argument: str
    model: str


@dataclass(frozen=True, slots=True)
class Directives:
    """The documentation and the directives of one query."""

    doc: tuple[str, ...] = ()
    file_doc: tuple[str, ...] = ()
    batch: Batch | None = None
    params: Mapping[str, TypeText] = field(default_factory=dict[str, TypeText])
    columns: Mapping[str, TypeText] = field(default_factory=dict[str, TypeText])
    model_docs: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    json: tuple[str, ...] = ()
    row: str = ""
    order: OrderBy | None = None
    one: bool = False
    iterator: bool = False
    lookup: bool = False


def read_file_comments(
    paths: tuple[str, ...], directory: str = ""
) -> Mapping[tuple[str, str], FileComments]:
    """Read the comments in the files of `queries:`, by file and query name.

    sqlc's request has all comments from the previous statement to the end of this one: licences,
    headings and those inside of the SQL. Only those next to the query's name are its own.
    """
    comments: dict[tuple[str, str], FileComments] = {}
    for path in sql_files(paths, directory):
        _read_file(path, comments)
    return comments


def _read_file(path: Path, comments: dict[tuple[str, str], FileComments]) -> None:
    text = read_sql(path)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    offsets = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    layouts: list[tuple[str, int, int, int, int]] = []
    for number, line in enumerate(lines):
        match = _QUERY_NAME.search(line)
        if not match:
            continue
        start, end = number, number + 1
        while start > 0 and lines[start - 1].startswith(_COMMENT):
            start -= 1
        while end < len(lines) and lines[end].startswith(_COMMENT):
            end += 1
        layouts.append((match[2], start, offsets[number] + match.start(1), number, end))
    starts = [offsets[start] for _, start, *_ in layouts]
    ends = [*[number for *_, number, _ in layouts][1:], len(lines)]
    for index, (name, start, annotation, number, end) in enumerate(layouts):
        head = () if index else _file_head(lines[:start])
        doc = tuple(line[2:] for line in [*lines[start:number], *lines[number + 1 : end]])
        source = QuerySource(
            str(path), text, starts[index], annotation, [*starts, len(text)][index + 1]
        )
        optional = optional_names("\n".join(lines[end : ends[index]]))
        comments.setdefault((path.name, name), FileComments(doc, head, source, optional))


def _file_head(lines: list[str]) -> tuple[str, ...]:
    """Return the comments at the beginning of a file, with the blank lines between them."""
    comments = [line for line in lines if line.startswith(_COMMENT) or not line.strip()]
    return tuple(line[2:] for line in comments)


def parse_comments(comments: tuple[str, ...], own: FileComments | None = None) -> Directives:
    """Split a query's comments into documentation and directives.

    `own` are its comments in the file, if the file could be read.

    Raises:
        Refused: a directive is unknown or repeated, or its name or type is invalid.

    """
    parsed = _CommentParts()
    for text in comments:
        for line in text.split("\n"):
            try:
                parsed.add_line(line.removeprefix(" ").rstrip())
            except Refused as error:
                error.directive = line.strip().removeprefix("py:")
                raise
    if own is not None and not parsed.file_doc:
        parsed.doc, parsed.file_doc = _without_directives(own.doc), _without_directives(own.head)
    return Directives(
        doc=_trim(parsed.doc),
        file_doc=_trim(parsed.file_doc),
        batch=parsed.batch,
        params=parsed.params,
        columns=parsed.columns,
        model_docs={target: tuple(lines) for target, lines in parsed.model_docs.items()},
        json=tuple(parsed.json),
        row=parsed.row,
        order=parsed.order,
        one="one!" in parsed.flags,
        iterator="iterator" in parsed.flags,
        lookup="lookup" in parsed.flags,
    )


@dataclass(slots=True)
class _CommentParts:
    """The documentation and the directives of a query that have been read so far."""

    doc: list[str] = field(default_factory=list[str])
    file_doc: list[str] = field(default_factory=list[str])
    batch: Batch | None = None
    params: dict[str, TypeText] = field(default_factory=dict[str, TypeText])
    columns: dict[str, TypeText] = field(default_factory=dict[str, TypeText])
    model_docs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    json: list[str] = field(default_factory=list[str])
    row: str = ""
    order: OrderBy | None = None
    flags: set[str] = field(default_factory=set[str])

    def add_line(self, line: str) -> None:
        """Add a line of documentation, or a directive."""
        if not line.lstrip().startswith("py:"):
            self.doc.append(line)
        else:
            self._add_directive(line)

    def _add_directive(self, line: str) -> None:
        match line.strip().removeprefix("py:").split():
            case ["batch", argument, model] if self.batch is None:
                self.batch = Batch(_python_name(argument), _class_name(line, model))
            case ["param", name, *words] if words and name not in self.params:
                self.params[name] = parse_type(" ".join(words))
            case ["column", name, *words] if words and name not in self.columns:
                self.columns[name] = parse_type(" ".join(words))
            case ["doc", target, *words] if words:
                self.model_docs.setdefault(target, []).append(" ".join(words))
            case ["json", name] if name not in self.json:
                self.json.append(name)
            case ["row", name] if not self.row:
                self.row = _class_name(line, name)
            case ["order", "by", argument, "over", *words] if self.order is None:
                self.order = parse_order(_python_name(argument), " ".join(words))
            case ["file"] if self.doc and not self.file_doc:
                self.file_doc, self.doc = self.doc, []
            case ["one!" | "iterator" | "lookup" as flag] if flag not in self.flags:
                self.flags.add(flag)
            case _:
                raise Refused(
                    f"-- {line.strip()} is unknown or repeated; the directives are: batch "
                    "ARGUMENT MODEL, param NAME TYPE, column NAME TYPE, json COLUMN, row NAME, "
                    "order by ARGUMENT over (COLUMN, …), doc MODEL TEXT, one!, iterator, lookup, "
                    "file"
                )


def _without_directives(lines: tuple[str, ...]) -> list[str]:
    bare = [line.removeprefix(" ").rstrip() for line in lines]
    return [line for line in bare if not line.lstrip().startswith("py:")]


def _python_name(text: str) -> str:
    if not text.isidentifier():
        raise Refused(f"{text!r} in a -- py: line is not a name in Python")
    return text


def _class_name(line: str, text: str) -> str:
    try:
        return check_name(_python_name(text), "class")
    except Refused as error:
        raise Refused(f"-- {line.strip()}: {error}") from None


def _trim(lines: list[str]) -> tuple[str, ...]:
    """Remove empty lines at both ends."""
    text = "\n".join(lines).strip("\n")
    return tuple(text.split("\n")) if text.strip() else ()
