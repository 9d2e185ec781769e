"""The tokens of a SQL text as Spark's own lexer sees them, and a cursor over them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from sqlglot import Token, TokenType
from sqlglot.dialects.spark import Spark
from sqlglot.errors import TokenError

from sqlml.errors import ReferenceNotAllowedError, StatementSyntaxError
from sqlml.model import ModelReference
from sqlml.statements.commands import KEYWORDS_AT_NAMES, literal

STRINGS = frozenset({TokenType.STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING})

_END = "the end of the statement"
_FOUND = 40
"""Characters of what was found that a message shows."""


class _Tokenizer(Spark.Tokenizer):
    """sqlglot's tokenizer for Spark, without what it prepares for its own parser.

    Words stay words and numbers numbers, a statement's rest is no "command", quotes
    double as in Spark 4, and $$…$$ is one string as there.
    """

    KEYWORDS: ClassVar[dict[str, TokenType]] = {
        "==": TokenType.EQ,
        "<=>": TokenType.NULLSAFE_EQ,
        "=>": TokenType.FARROW,
        ">=": TokenType.GTE,
        "<=": TokenType.LTE,
        "!=": TokenType.NEQ,
    }
    COMMANDS: ClassVar[set[TokenType]] = set()
    NUMERIC_LITERALS: ClassVar[dict[str, str]] = {}
    STRING_ESCAPES: ClassVar[list[str]] = ["\\", "'", '"']
    HEREDOC_STRINGS: ClassVar[list[str | tuple[str, str]]] = ["$"]
    HEREDOC_TAG_IS_IDENTIFIER = True
    HEREDOC_STRING_ALTERNATIVE = TokenType.PARAMETER


# Comments in which sqlglot sees another end than Spark: a backslash at the end of a line
# continues a comment, and one may begin where another one begins or ends.
_MISREAD_COMMENT = re.compile(r"--[^\r\n]*\\\n|\*/\*")


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its tokens; comments and blanks are between them."""

    text: str
    tokens: list[Token]

    def raw(self, at: int) -> str:
        """A token as it was typed, quotes and all; empty beyond the last one."""
        if at >= len(self.tokens):
            return ""
        token = self.tokens[at]
        return self.text[token.start : token.end + 1]

    def is_word(self, at: int, word: str) -> bool:
        """Whether this token is that word or symbol, in any case and not quoted."""
        return self.raw(at).upper() == word

    def touches(self, at: int) -> bool:
        """Whether nothing stands between this token and the one before it."""
        return at < len(self.tokens) and self.tokens[at].start == self.tokens[at - 1].end + 1

    def inside(self, opening: int, closing: int) -> str:
        """The text between two tokens; empty where one of them is not there."""
        if closing >= len(self.tokens):
            return ""
        return self.text[self.tokens[opening].end + 1 : self.tokens[closing].start]

    def closing(self, opening: int) -> int | None:
        """The parenthesis that closes this one, or None."""
        depth = 0
        for at in range(opening, len(self.tokens)):
            kind = self.tokens[at].token_type
            depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
            if depth == 0:
                return at
        return None


def tokenize(text: str) -> Source | None:
    """The tokens of a text, or None where it cannot be read: Spark shall say why."""
    try:
        # One each time: a tokenizer has a state, and JDBC sessions ask at once.
        tokens = _Tokenizer(Spark).tokenize(text)
    except TokenError:
        return None
    for odd in _MISREAD_COMMENT.finditer(text):
        if not any(token.start < odd.start() <= token.end for token in tokens):
            return None  # and no part of a string, such as a path with asterisks
    return Source(text, tokens)


class Cursor:
    """A place among the tokens; what is not there as the form has it, is an error there."""

    def __init__(self, source: Source, at: int = 0, *, form: str = "") -> None:
        self.source = source
        self.at = at
        self.form = form
        """What an error tells to write."""

    @property
    def raw(self) -> str:
        """The next token as it was typed; empty at the end."""
        return self.source.raw(self.at)

    @property
    def token(self) -> Token | None:
        """The next token."""
        return self.source.tokens[self.at] if self.at < len(self.source.tokens) else None

    def ended(self) -> bool:
        """Whether nothing but semicolons follows."""
        return all(self.source.raw(i) == ";" for i in range(self.at, len(self.source.tokens)))

    def sees(self, *words: str) -> bool:
        """Whether these words come next."""
        return all(self.source.is_word(self.at + i, word) for i, word in enumerate(words))

    def take(self, *words: str) -> bool:
        """Go past these words if they come next."""
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Go past these words, which must come next."""
        for word in words:
            if not self.take(word):
                self.fail(word)

    def finish(self, expected: str = "") -> None:
        """Nothing but semicolons may follow; `expected` might have."""
        if self.ended():
            return
        if self.take(";"):
            while self.take(";"):
                pass
            self.fail("nothing more, as there is one statement at a time")
        self.fail(f"{expected} or {_END}" if expected else _END)

    def name(self, what: str) -> str:
        """A name: a string, in backticks, or bare, where it ends with the next blank."""
        if self.raw.upper() in KEYWORDS_AT_NAMES:
            self.fail(what)
        return self._any_name(what)

    def _any_name(self, what: str) -> str:
        token = self.token
        if token is not None and token.token_type in STRINGS:
            self.at += 1
            return token.text
        parts: list[str] = []
        while (token := self.token) is not None and (not parts or self.source.touches(self.at)):
            if self.raw in ";,()=[]{}" or token.token_type in STRINGS:
                break
            parts.append(token.text if token.token_type is TokenType.IDENTIFIER else self.raw)
            self.at += 1
        if not parts:
            self.fail(what)
        return "".join(parts)

    def model(self) -> str:
        """The name of a model, without alias or version."""
        what = "a model's name, without alias or version"
        start = self.at
        name = self.name(what)
        if _reference(name) != ModelReference(name):
            self._fail_between(start, what)
        return name

    def reference(self) -> str:
        """A model reference, or a parameter, as SQL text."""
        marker = self.parameter()
        if marker is not None:
            return marker
        what = "a model such as churn, churn@champion or churn/3"
        start = self.at
        name = self._any_name(what)
        if _reference(name) is None:
            self._fail_between(start, what)
        return literal(name)

    def string(self, what: str) -> str:
        """The value of a string."""
        token = self.token
        if token is None or token.token_type not in STRINGS:
            self.fail(what)
        self.at += 1
        return token.text

    def constant(self, what: str) -> str:
        """A string or a parameter, as SQL text."""
        marker = self.parameter()
        if marker is not None:
            return marker
        raw = self.raw
        self.string(what)
        return raw[1:] if raw[:1] in "nN" else raw  # N'…' is T-SQL's

    def parameter(self) -> str | None:
        """A parameter marker as it was typed, or None where none comes next."""
        if self.take("?"):
            return "?"
        if self.sees(":") and re.fullmatch(r"\w+", self.source.raw(self.at + 1)):
            self.at += 2
            return ":" + self.source.raw(self.at - 1)
        return None

    def integer(self, what: str) -> int:
        """A whole number above zero."""
        if not re.fullmatch(r"[1-9][0-9]{0,8}", self.raw):
            self.fail(what)
        self.at += 1
        return int(self.source.raw(self.at - 1))

    def fail(self, expected: str, hint: str = "") -> NoReturn:
        """Raise `StatementSyntaxError` at the next token."""
        found = self.raw
        if found in ("@", ":", "$") and self.source.touches(self.at + 1):
            found += self.source.raw(self.at + 1)
        self._fail(self.at, found, expected, hint)

    def _fail_between(self, start: int, expected: str) -> NoReturn:
        """Raise it for the tokens from `start` to before the next one."""
        tokens = self.source.tokens
        found = self.source.text[tokens[start].start : tokens[self.at - 1].end + 1]
        self._fail(start, found, expected)

    def _fail(self, at: int, found: str, expected: str, hint: str = "") -> NoReturn:
        text, tokens = self.source.text, self.source.tokens
        place = tokens[at].start if at < len(tokens) else tokens[-1].end + 1
        line = text.count("\n", 0, place) + 1
        column = place - text.rfind("\n", 0, place)
        shown = found if len(found) <= _FOUND else found[: _FOUND - 1] + "…"
        raise StatementSyntaxError(
            f"line {line}, column {column}: found {shown or _END}, expected {expected}.{hint} "
            f"Write {self.form}.",
            line,
            column,
        )


def _reference(text: str) -> ModelReference | None:
    try:
        return ModelReference.parse(text)
    except ReferenceNotAllowedError:
        return None
