"""Word counts of the project's prose: docstrings, comments and SQL comments, as one total.

A rate above its limit means that sentences personify software or avoid naming a thing. The failure
lists these sentences. The cure is to rewrite a sentence, never to swap a word.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for path in (ROOT / "src").rglob("*.py")
    if "gen" not in path.relative_to(ROOT / "src").parts  # written from the comments in queries/
)
QUERIES = sorted((ROOT / "queries").glob("*.sql"))

# Fixed terms of the field, which are not counted.
FIXED_TERMS = re.compile(
    r"lock[- ]holders?|keep-?alives?|standby|standbys|look-?ups?|held until commit", re.IGNORECASE
)


@dataclass(frozen=True)
class Limit:
    """A group of words and how many of them 1,000 words of prose may contain."""

    name: str
    words: str
    per_thousand: float

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{self.words})\b", re.IGNORECASE)


LIMITS = [
    Limit("what", "what|whatever", 3.0),
    Limit(
        "say, tell, know, speak",
        "say|says|said|saying|tell|tells|told|telling|know|knows|knew|known|knowing"
        "|speak|speaks|spoke|spoken|speaking",
        1.5,
    ),
    Limit("who, nobody", "who|whom|whose|whoever|somebody|someone|nobody", 0.5),
    Limit(
        "hold, stand, keep, look",
        "hold|holds|held|holding|stand|stands|stood|standing"
        "|keep|keeps|kept|keeping|look|looks|looked|looking",
        3.0,
    ),
]


@dataclass(frozen=True)
class Prose:
    """One docstring, or one block of comment lines."""

    path: Path
    line: int
    text: str


def python_prose(path: Path, source: str) -> list[Prose]:
    """Return the docstrings and the comments of a module."""
    blocks: list[Prose] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            blocks += [Prose(path, node.lineno, text)] if isinstance(text, str) else []
    blocks += [
        Prose(path, token.start[0], comment_text(token.string))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    return joined(sorted(blocks, key=lambda block: block.line))


def sql_prose(path: Path, source: str) -> list[Prose]:
    """Return the comments of a file of queries, without its annotations."""
    return joined(
        [
            Prose(path, number, line.strip().removeprefix("--").strip())
            for number, line in enumerate(source.splitlines(), 1)
            if line.strip().startswith("--") and not re.match(r"\s*-- (?:name|py):", line)
        ]
    )


def comment_text(comment: str) -> str:
    """Return the prose of a comment: for `# noqa: S101  reason` the reason alone."""
    return re.sub(
        r"^#\s*(?:(?:noqa|type|pyright|mypy)\b:?\s*\S+(?:,\s*\S+)*)?", "", comment
    ).strip()


def joined(blocks: list[Prose]) -> list[Prose]:
    """Join comments on consecutive lines, so that a sentence is in one piece."""
    result: list[Prose] = []
    for block in blocks:
        previous = result[-1] if result else None
        if previous and block.line == previous.line + previous.text.count("\n") + 1:
            result[-1] = Prose(previous.path, previous.line, f"{previous.text}\n{block.text}")
        else:
            result.append(block)
    return result


def all_prose() -> list[Prose]:
    return [
        *(block for path in SOURCES for block in python_prose(path, path.read_text())),
        *(block for path in QUERIES for block in sql_prose(path, path.read_text())),
    ]


def without_code(text: str) -> str:
    """Remove what is code or a fixed term: `…`, blocks of doctest, lock holder."""
    text = re.sub(r"``.*?``|`[^`]*`", " ", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^\s*(?:>>>|\.\.\.).*$", " ", text)
    return FIXED_TERMS.sub(" ", text)


def word_count(prose: list[Prose]) -> int:
    return sum(len(re.findall(r"[A-Za-z][\w'-]*", without_code(block.text))) for block in prose)


def sentences_with(limit: Limit, prose: list[Prose]) -> list[str]:
    """Return each occurrence of a group's words, as place and sentence."""
    return [
        f"{block.path.relative_to(ROOT)}:{block.line}: {' '.join(sentence.split())}"
        for block in prose
        for sentence in re.split(r"(?<=[.:;!?])\s+(?=[A-Z`])", without_code(block.text))
        for _ in limit.pattern.findall(sentence)
    ]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_prose_stays_within_word_limits(limit: Limit) -> None:
    prose = all_prose()
    sentences = sentences_with(limit, prose)
    rate = 1000 * len(sentences) / word_count(prose)

    assert rate <= limit.per_thousand, (
        f"{limit.name!r}: {rate:.1f} per 1,000 words, at most {limit.per_thousand}. "
        "Rewrite these sentences:\n" + "\n".join(sentences)
    )


def test_docstrings_comments_and_sql_comments_are_counted() -> None:
    source = '"""Say it."""\n\nX = 1\n# Who knows\n# it.\n\nY = 2  # noqa: S1  it holds\n'
    path = ROOT / "src" / "example.py"

    prose = [*python_prose(path, source), *sql_prose(path, "-- name: A :one\n-- Look.\nSELECT 1;")]

    assert [block.text for block in prose] == ["Say it.", "Who knows\nit.", "it holds", "Look."]
    assert [len(sentences_with(limit, prose)) for limit in LIMITS] == [0, 2, 1, 2]


def test_code_and_fixed_terms_are_not_counted() -> None:
    prose = [Prose(ROOT / "x", 1, "`what` holds a lock holder, a standby and a look-up.")]

    assert [len(sentences_with(limit, prose)) for limit in LIMITS] == [0, 0, 0, 1]
