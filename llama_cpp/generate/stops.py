"""Stop strings in a stream of text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..native.arguments import text_bytes

if TYPE_CHECKING:
    from ..model.model import LlamaModel


_NOWHERE = re.compile("(?!)").search
_MOST = 64
# By model, with the control tokens in them: stop strings, and tokens that have a text -> what
# `StopStrings.with_tokens` has found.
_known: WeakKeyDictionary[LlamaModel, dict[Any, tuple[dict[int, str], dict[str, str]]]] = (
    WeakKeyDictionary()
)


class StopStrings:
    """Passes text on until one of some strings appears, and none of that string.

    A possible beginning of one is held back until the next text decides.
    """

    found: str | None = None
    """The string that ended the text, once there was one."""
    n_cut = 0
    """The bytes of text from there on."""
    _kept = ""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops: dict[str, str] = {}
        self._marks: dict[int, None] = {}
        self._begin = _NOWHERE
        if isinstance(stops, tuple) and not stops:
            return
        if isinstance(stops, str):
            stops = [stops]
        if not all(isinstance(s, str) and s for s in stops):
            raise ValueError(f"stop strings must be strings and not empty: {list(stops)!r}")
        for stop in stops:
            text_bytes(stop, "a stop string")
        # Text to look for -> the stop string that it represents.
        self._stops = {stop: stop for stop in stops}
        if stops:
            self._prepare()

    def with_tokens(self, model: LlamaModel, shown: Collection[int]) -> dict[int, str]:
        """Find control tokens in the strings, too: they have no text, so `feed` is to be given one
        of what this returns. Not those in ``shown``, which have a text."""
        texts: dict[int, str] = {}
        if not self._stops:
            return texts
        known = _known.setdefault(model, {})
        key = *self._stops, *shown
        if found := known.get(key):
            texts, self._stops = found
            self._mark(texts)
            return texts
        # Characters that are in no text.
        marks = (chr(c) for c in range(0xD800, 0xE000) if not any(chr(c) in s for s in self._stops))
        for stop in list(self._stops):
            marked = stop
            for token in model.tokenize(stop, add_special=False):
                piece = model.token_to_piece(token)
                if piece and token not in shown and not model.token_to_bytes(token, special=False):
                    texts[token] = texts.get(token) or next(marks)
                    marked = marked.replace(piece, texts[token])
            self._stops[marked] = stop
        if len(known) >= _MOST:
            known.clear()
        known[key] = texts, self._stops
        self._mark(texts)
        return texts

    def _mark(self, texts: Mapping[int, str]) -> None:
        if texts:
            self._marks = dict.fromkeys(map(ord, texts.values()))
            self._prepare()

    def _prepare(self) -> None:
        self._longest = max(map(len, self._stops), default=0)
        # Where one could begin; most tokens have no such place.
        begins = {stop[0] for stop in self._stops} | set(map(chr, self._marks))
        self._begin = re.compile("|".join(map(re.escape, begins)) or "(?!)").search

    def feed(self, text: str) -> str:
        """The part of the held-back text and ``text`` that can be passed on."""
        if self.found is not None:
            return ""
        if not self._kept and self._begin(text) is None:
            return text
        text = self._kept + text
        # The one that begins first; of two that begin together, the longer.
        hits = [(at, -len(stop), stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if hits:
            at, _, stop = min(hits)
            self.found = self._stops[stop]
            self.n_cut = n_bytes(text[at:])
            self._kept = ""
            return text[:at].translate(self._marks)
        keep = 0
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                keep = size
                break
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep].translate(self._marks)

    def finish(self) -> str:
        """The held-back text, which was not a stop string."""
        text, self._kept = self._kept, ""
        return text.translate(self._marks)


def n_bytes(text: str) -> int:
    """The size of ``text`` in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))
