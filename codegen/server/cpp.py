"""C++ source as tokens: enough to read tables that are written as code.

Nothing is compiled or expanded: `#if 0` is left out, every other branch of a directive is read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import CodegenError

_LEXEME = re.compile(
    r"""
    (?P<space>\s+ | \\\n | //[^\n]* | /\*.*?\*/)
  | (?P<directive>\#[^\n]*(?:\\\n[^\n]*)*)
  | (?P<raw>R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)")
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<number>\.?\d(?:[\w.]|[eEpP][+-])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>::|->|<<=|>>=|<=|>=|==|!=|&&|\|\||\+\+|--|<<|[-+*/%&|^]=|[][(){}<>;:,.?!~=&|^*/%+-])
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Token:
    """A lexeme, with its line. `kind` is one of string, char, number, name and sign."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Code:
    """Tokens of a file."""

    file: str
    tokens: tuple[Token, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, part: slice) -> Code:
        return Code(self.file, self.tokens[part])

    def __str__(self) -> str:
        return " ".join(t.text for t in self.tokens)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The tokens' texts."""
        return tuple(t.text for t in self.tokens)

    @property
    def line(self) -> int:
        return self.tokens[0].line if self.tokens else 0

    def fault(self, text: str) -> CodegenError:
        """An error that names the place."""
        return CodegenError(f"{self.file}:{self.line}: {text}: {str(self)[:120]}")

    def find(self, *texts: str) -> Iterator[int]:
        """Where ``texts`` stand one after the other."""
        own, n, at = self.texts, len(texts), -1
        while texts[0] in own[at + 1 :]:
            at = own.index(texts[0], at + 1)
            if own[at : at + n] == texts:
                yield at

    def inside(self, at: int) -> Code:
        """The tokens between the bracket at ``at`` and the one that closes it."""
        opens = self.tokens[at].text
        depth = 0
        for i in range(at, len(self.tokens)):
            text = self.tokens[i].text
            if text in _CLOSES:
                depth += 1
            elif text in _CLOSES.values():
                depth -= 1
                if not depth:
                    if text != _CLOSES[opens]:
                        break
                    return self[at + 1 : i]
        raise self[at : at + 9].fault(f"{opens} is not closed")

    def parts(self, separator: str = ",") -> list[Code]:
        """The parts between each ``separator`` outside brackets; no parts if empty."""
        parts, depth, start = [], 0, 0
        for i, text in enumerate(self.texts):
            if text in _CLOSES:
                depth += 1
            elif text in _CLOSES.values():
                depth -= 1
            elif text == separator and not depth:
                parts.append(self[start:i])
                start = i + 1
        return [*parts, self[start:]] if self.tokens[start:] else parts

    def string(self) -> str:
        """The value of string literals one after the other."""
        if not self.tokens or any(t.kind != "string" for t in self.tokens):
            raise self.fault("expected a string")
        return "".join(unquoted(t.text) for t in self.tokens)

    def strings(self) -> list[str]:
        """The values of string literals with commas between them."""
        return [part.string() for part in self.parts()]


def unquoted(text: str) -> str:
    """The value of a string literal."""
    if text.startswith("R"):
        return text[text.index("(") + 1 : text.rindex(")")]
    return str(ast.literal_eval(text))


def read(root: Path, name: str) -> Code:
    """The tokens of the file ``name`` below ``root``."""
    try:
        return lex((root / name).read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise CodegenError(f"{name} cannot be read: {error}") from error


def lex(text: str, name: str) -> Code:
    """The tokens of ``text``. CodegenError for characters that begin none."""
    tokens, at, line = [], 0, 1
    skipped = 0  # how many #if we are in since an #if 0
    while at < len(text):
        match = _LEXEME.match(text, at)
        if match is None:
            if not skipped:
                raise CodegenError(f"{name}:{line}: {text[at : at + 20]!r} is not known C++")
            at += 1
            continue
        kind, lexeme = str(match.lastgroup), match[0]
        if match["raw"] is not None:
            kind = "string"
        if kind == "directive":
            words = lexeme[1:].split()
            if words and words[0] in ("if", "ifdef", "ifndef") and (skipped or words[1:] == ["0"]):
                skipped += 1
            elif words and words[0] == "endif" and skipped:
                skipped -= 1
            elif words and words[0] in ("else", "elif") and skipped == 1:
                skipped = 0
        elif kind != "space" and not skipped:
            tokens.append(Token(kind, lexeme, line))
        line += lexeme.count("\n")
        at = match.end()
    return Code(name, tuple(tokens))


def function(code: Code, name: str) -> tuple[Code, Code]:
    """The parameters and the body of the function ``name``, or of the lambda that is assigned to
    a member of that name."""
    own = code.texts
    for at in code.find(name):
        i = at + 1
        if own[i : i + 2] == ("=", "["):
            i += 1 + len(code.inside(i + 1)) + 2
        if own[i : i + 1] != ("(",) or (own[at - 1] in (".", "->") and i == at + 1):
            continue
        parameters = code.inside(i)
        i += len(parameters) + 2
        if own[i : i + 1] == ("const",):
            i += 1
        if own[i : i + 1] == ("{",):
            return parameters, code.inside(i)
    raise CodegenError(f"{code.file}: there is no function {name}")


def members(code: Code, name: str) -> dict[str, tuple[str, Code]]:
    """The members of ``struct name``: name -> type, and the value that it begins with."""
    found: dict[str, tuple[str, Code]] = {}
    for at in code.find("struct", name, "{"):
        for line in code.inside(at + 2).parts(";"):
            head, _, value = _partition(line)
            if len(head) < 2 or head.tokens[-1].kind != "name" or "(" in head.texts:
                continue
            found[head.texts[-1]] = ("".join(_spaced(head.texts[:-1])), value)
        return found
    raise CodegenError(f"{code.file}: there is no struct {name}")


def _partition(line: Code) -> tuple[Code, str, Code]:
    for i, text in enumerate(line.texts):
        if text == "=":
            return line[:i], text, line[i + 1 :]
    return line, "", line[:0]


def _spaced(texts: Sequence[str]) -> list[str]:
    spaced: list[str] = []
    for text in texts:
        if spaced and text[0].isalnum() and spaced[-1][-1].isalnum():
            spaced.append(" ")
        spaced.append(text)
    return spaced
