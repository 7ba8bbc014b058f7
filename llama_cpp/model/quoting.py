"""Strangers' texts inside a template: their control tokens stay text."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from .. import _raw
from ..errors import LlamaTemplateError
from ..native.arguments import c_number
from .model import LlamaModel

Render = Callable[[Callable[[Any], Any]], str]
"""Renders a text. It passes strangers' texts, strings or lists and mappings of strings, through its
argument and uses the results."""


class Quoting:
    """Tokenizes a template's result whose inputs are strangers' texts.

    Only where one of these has a control token's text, they are rendered once more, with a mark in
    each such text: it tells them from the template's own.
    """

    def __init__(self, model: LlamaModel, *, parse_special: bool = False) -> None:
        """With ``parse_special`` nothing is marked."""
        self._model = model
        self._parse_special = c_number(ctypes.c_bool, parse_special, "parse_special")
        self._texts: list[str] = []
        self._in_parts: list[str] = []  # which a template may write without anything between
        self._mark = os.urandom(8).hex()
        self._found = re.compile("")

    def tokens(self, render: Render) -> list[int]:
        """The tokens of the text that ``render`` writes, without any around it."""
        text, tokens, marked = self._rendered(render)
        if not marked:
            return tokens
        return [
            token
            for part, special in self._parts(text, tokens)
            for token in self._model.tokenize(part, add_special=False, parse_special=special)
        ]

    def parts(self, render: Render) -> list[tuple[str, bool]]:
        """The text that ``render`` writes in parts, each with its ``parse_special``."""
        text, tokens, marked = self._rendered(render)
        return list(self._parts(text, tokens)) if marked else [(text, True)]

    def _rendered(self, render: Render) -> tuple[str, list[int], bool]:
        """The text, its tokens, and whether it has marks."""
        text = render(lambda value: value if self._parse_special else self._seen(value))
        tokens = self._model.tokenize(text, add_special=False)
        texts = [*self._texts, "".join(self._in_parts)]
        pieces = {self._model.token_to_piece(token) for token in self._control(tokens)}
        found = [piece for piece in pieces if any(piece in text for text in texts)]
        if found:
            found.sort(key=len, reverse=True)
            self._found = re.compile("|".join(map(re.escape, found)))
            try:
                text = render(self._marked)
            except RecursionError:
                raise LlamaTemplateError("the messages are nested too deeply") from None
            tokens = self._model.tokenize(text, add_special=False)
        return text, tokens, bool(found)

    def _control(self, tokens: list[int]) -> Iterator[int]:
        return (t for t in dict.fromkeys(tokens) if self._model.vocab.is_control(t))

    def _seen(self, value: Any) -> Any:
        waiting, known = [value], set[int]()  # not by calls: it may be deep, or go in circles
        for each in waiting:
            if isinstance(each, str):
                self._texts.append(each)
            elif isinstance(each, Mapping | list | tuple) and id(each) not in known:
                known.add(id(each))
                if isinstance(each, Mapping) and isinstance(each.get("text"), str):
                    self._in_parts.append(each["text"].strip())
                waiting += chain(*each.items()) if isinstance(each, Mapping) else each
        return value

    def _marked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._found.sub(lambda found: self._mark.join(found[0]), value)
        if isinstance(value, Mapping):
            marked = {self._marked(name): self._marked(each) for name, each in value.items()}
            if isinstance(marked.get("text"), str):  # a token could go on in the next part
                marked["text"] += self._mark
            return marked
        return list(map(self._marked, value)) if isinstance(value, list | tuple) else value

    def _parts(self, text: str, tokens: list[int]) -> Iterator[tuple[str, bool]]:
        """``text``, which has ``tokens``, at its control tokens."""
        vocab, start, strip = self._model.vocab, 0, False
        control = dict.fromkeys(self._control(tokens))
        for token in (t for t in tokens if t in control):
            piece, attr = self._model.token_to_piece(token), vocab.attr(token)
            end = text.find(piece, start)
            if end < 0:  # no text of a token: some tokenizers make them of letters
                continue
            between = self._plain(text[start:end], strip)
            yield between.rstrip() if attr & _raw.LLAMA_TOKEN_ATTR_LSTRIP else between, False
            yield piece, True
            start, strip = end + len(piece), bool(attr & _raw.LLAMA_TOKEN_ATTR_RSTRIP)
        yield self._plain(text[start:], strip), False

    def _plain(self, text: str, strip: bool) -> str:
        text = text.replace(self._mark, "")
        return text.lstrip() if strip else text
