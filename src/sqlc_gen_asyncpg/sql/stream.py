"""Tokens, read one after another."""

from __future__ import annotations

from dataclasses import dataclass

from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, Token

__all__ = ["Stream"]


@dataclass(slots=True)
class Stream:
    """The tokens and how far they are read."""

    tokens: list[Token]
    position: int = 0

    @property
    def here(self) -> Token:
        """The next token."""
        return self.tokens[self.position]

    def ahead(self, count: int = 1) -> Token:
        """Return a token further on."""
        return self.tokens[min(self.position + count, len(self.tokens) - 1)]

    def next(self) -> Token:
        """Read a token."""
        token = self.tokens[self.position]
        if token.kind == "end":
            raise SqlSyntaxError("the statement ends early")
        self.position += 1
        return token

    def at(self, *words: str) -> bool:
        """Whether these words, or operators, come next."""
        position = self.position
        for word in words:
            token = self.tokens[position]  # none is behind the end, whose text is no word's
            if token.text != word or token.kind not in {"word", "op"}:
                return False
            position += 1
        return True

    def at_any(self, *words: str) -> bool:
        """Whether one of these words comes next."""
        return self.here.kind == "word" and self.here.text in words

    def take(self, *words: str) -> bool:
        """Read these words if they come next."""
        if self.at(*words):
            self.position += len(words)
            return True
        return False

    def expect(self, word: str) -> None:
        """Read this word or fail."""
        if not self.take(word):
            raise SqlSyntaxError(f"{word} expected at {self.here.text}")

    def name(self) -> str:
        """Read a name."""
        token = self.next()
        if token.kind not in {"word", "quoted"}:
            raise SqlSyntaxError(f"a name expected at {token.text}")
        return token.text

    def dotted(self) -> tuple[str, ...]:
        """Read a name with dots."""
        parts = [self.name()]
        while self.at("."):
            self.next()
            parts.append("*" if self.take("*") else self.name())
        return tuple(parts)

    def names(self) -> tuple[str, ...]:
        """Read `(a, b)`."""
        self.expect("(")
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def skip_parentheses(self) -> None:
        """Read `( … )`, whatever is in it."""
        self.expect("(")
        depth = 1
        while depth:
            token = self.next()
            if token.kind == "op":
                depth += (token.text == "(") - (token.text == ")")
