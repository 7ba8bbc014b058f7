"""Grammars in a sampler chain that cannot end the process.

The library's own grammar sampler throws a C++ exception, which nothing can catch, when it is told
of a token that the grammar does not allow: when every candidate was rejected, and when the text
that triggers a lazy grammar is not how the grammar begins. So the chain gets a stand-in that only
rejects candidates, and the sampler itself is told of a token after it has been asked about it.
Waiting for a trigger happens here too; the library's regular expressions also throw.
"""

from __future__ import annotations

import ctypes
import re
import threading
from array import array
from collections.abc import Callable
from copy import copy
from time import thread_time
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _raw
from ..errors import LlamaSamplerError
from ..native import log
from ..native.calls import abandonable
from ..native.resource import Resource
from .beginnings import Beginnings
from .trigger import Trigger

if TYPE_CHECKING:
    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary
    from .custom import Candidates

T = TypeVar("T")
Stopped = Callable[[], bool]
"""Whether a step that takes long should end with LlamaCancelled."""
_REJECTED = float("-inf")
_SHORT = 1e-3  # seconds: what takes longer goes without the interpreter's lock, and can be stopped
_GROWTH = 64  # how much longer than the last step we expect a step to take at most
PATIENCE = 30.0  # seconds
# With a character that [^...] excludes, the library refuses its first bytes alone too, which other
# characters share.
_UNSURE = rb"[\x80-\xff]|\\(?:x[89a-fA-F]|[uU])"


def never() -> bool:
    """A step goes on to its end."""
    return False


class Constraint:
    """A constraint of the text, in a chain. It checks one token, or rejects candidates, and then
    accepts the chosen token."""

    def allows(self, token: int, stopped: Stopped = never) -> bool:
        """Whether it allows ``token`` now."""
        raise NotImplementedError

    def restrict(self, candidates: Candidates, stopped: Stopped = never) -> None:
        """Reject what it does not allow."""
        raise NotImplementedError

    def few(self, stopped: Stopped = never) -> list[int] | None:
        """The tokens that it allows now, if they are few and can be computed quickly."""
        return None

    def forced(self) -> list[int]:
        """The most likely next tokens, if it allows only one text there."""
        return []

    def check(self, token: int, stopped: Stopped = never) -> None:
        """LlamaSamplerError if it does not allow ``token`` now."""
        raise NotImplementedError

    def accept(self, token: int, stopped: Stopped = never) -> None:
        """Go on with ``token``, which `check` has let pass."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to the beginning."""
        raise NotImplementedError

    def clone(self) -> Constraint:
        """Another one in the same state."""
        raise NotImplementedError

    def stand_in(self) -> Any:
        """A new sampler for its place in the chain. The sampler must not outlive this object."""
        raise NotImplementedError

    def show(self, shown: bool) -> None:
        """Whether that sampler rejects anything by itself."""


class Grammar(Constraint):
    """One grammar of a chain, and what it has seen."""

    def __init__(
        self,
        library: LlamaLibrary,
        model: LlamaModel,
        text: bytes,
        root: bytes,
        trigger: Trigger | None,
        stopped: Stopped = never,
    ) -> None:
        """Raises LlamaSamplerError for text that is not a grammar or has no rule ``root``."""

        def tokenize(name: str) -> list[int]:
            return model.tokenize(name, add_special=False, parse_special=True)

        from . import gbnf  # here: most programs do without

        self._tokens = gbnf.read(text.decode(), root.decode(), tokenize)
        self._sure = not re.search(_UNSURE, text.partition(b"[^")[2])
        self._library, self._short = library, library.short
        self._vocab = model.vocab
        self._vocab_handle = vocab = model.vocab.handle
        self._n_tokens = model.vocab.n_tokens
        self._model = model.opened()
        self._trigger = trigger
        self._waiting = trigger is not None
        self._pieces: dict[bytes, int] = {}
        self._seconds = 0.0  # that its last step took
        self._allowed = -1  # the token that it has just allowed
        self._lost = False
        self._busy = threading.Lock()

        def make() -> tuple[Resource | None, list[str]]:
            with log.heard() as said:
                handle = self._timed(library, "llama_sampler_init_grammar", (vocab, text, root))
                return self._owned(handle) if handle else None, said

        resource, said = self._patiently(make, stopped)
        if resource is None:
            raise LlamaSamplerError(f"grammar: {log.reason(said, 'the library refuses it')}")
        self._own(resource)

    def _owned(self, handle: Any) -> Resource:
        # Not freed while a thread is still in it.
        free = self._short.llama_sampler_free
        return Resource(handle, free, self._model, lock=self._busy)

    def _own(self, resource: Resource) -> None:
        self._resource = resource
        self._handle = handle = resource.handle
        self._one = _raw.llama_token_data()
        self._candidate = _raw.llama_token_data_array(
            data=ctypes.pointer(self._one), size=1, selected=-1
        )
        iface = handle.contents.iface.contents
        self._apply = iface.apply
        # Its state is ours to free and to advance, so the stand-in has no such functions.
        self._iface = _raw.llama_sampler_i.from_buffer_copy(iface)
        self._iface.accept = _raw.llama_sampler_i_accept()
        self._iface.reset = _raw.llama_sampler_i_reset()
        self._iface.free = _raw.llama_sampler_i_free()
        self.show(True)

    def clone(self) -> Grammar:
        other = copy(self)
        other._busy = threading.Lock()
        other._own(other._owned(self._call("llama_sampler_clone", self._handle)))
        if self._trigger is not None:
            other._trigger = self._trigger.clone()
        return other

    def stand_in(self) -> Any:
        return self._short.llama_sampler_init(
            ctypes.pointer(self._iface), self._handle.contents.ctx
        )

    def show(self, shown: bool) -> None:
        # A chain passes over a sampler that has no apply.
        on = shown and not self._waiting
        self._iface.apply = self._apply if on else _raw.llama_sampler_i_apply()

    # -- calls that may take long

    def _call(self, name: str, *arguments: Any, stopped: Stopped = never) -> Any:
        """Call the library for one step."""
        seconds = self._seconds
        if self._lost or seconds > _SHORT:
            return self._patiently(lambda: self._timed(self._library, name, arguments), stopped)
        calls = self._short if seconds * _GROWTH < _SHORT else self._library
        return self._timed(calls, name, arguments)

    def _timed(self, calls: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        begun = thread_time()
        result = getattr(calls, name)(*arguments)
        self._seconds = thread_time() - begun
        return result

    def _patiently(self, function: Callable[[], T], stopped: Stopped) -> T:
        if self._lost:
            raise LlamaSamplerError(
                "a step of this grammar was not waited for to its end: make a new sampler"
            )
        self._lost = True
        self._busy.acquire()

        def work() -> T:
            try:
                return function()
            finally:
                self._busy.release()

        error = LlamaSamplerError(
            f"the grammar has so many ways to go on that a step took over {PATIENCE:g} s: have "
            "fewer alternatives that begin alike"
        )
        result = abandonable(work, stopped, PATIENCE, error)
        self._lost = False
        return result

    # -- tokens

    def allows(self, token: int, stopped: Stopped = never) -> bool:
        if self._waiting or token == self._allowed:
            return True
        allowed = self._allows(self._handle, token, stopped)
        self._allowed = token if allowed else -1
        return allowed

    def restrict(self, candidates: Candidates, stopped: Stopped = never) -> None:
        if not self._waiting:
            apply, handle = self._library.llama_sampler_apply, self._handle
            self._patiently(lambda: apply(handle, candidates.array), stopped)

    def few(self, stopped: Stopped = never) -> list[int] | None:
        found = Beginnings.of(self._vocab, self._beginnings)
        if found is None or self._waiting:
            return None
        named = [token for token in self._tokens if token < self._n_tokens]
        return self._patiently(
            lambda: found.allowed(self._those_allowed, named, self._sure), stopped
        )

    def _beginnings(self) -> Beginnings:
        handle, is_eog = self._vocab_handle, self._short.llama_vocab_is_eog
        ends = [token for token in range(self._n_tokens) if is_eog(handle, token)]
        return Beginnings(self._vocab.read_pieces(handle), ends)

    def _those_allowed(self, tokens: list[int]) -> list[int]:
        """Those of ``tokens`` that it allows now."""
        records = (_raw.llama_token_data * len(tokens))()
        view = memoryview(records).cast("B")
        view.cast("i")[0::3] = memoryview(array("i", tokens))
        candidates = _raw.llama_token_data_array(data=records, size=len(tokens), selected=-1)
        self._library.llama_sampler_apply(self._handle, candidates)
        logits = view.cast("f")[1::3].tolist()
        return [token for token, x in zip(tokens, logits, strict=True) if x != _REJECTED]

    def check(self, token: int, stopped: Stopped = never) -> None:
        if not self._waiting and not self._may_accept(token, stopped):
            piece = self._piece(token).decode("utf-8", "replace")
            raise LlamaSamplerError(
                f"the grammar does not allow token {token} ({piece!r}) here, and none that it "
                "allows was left to choose: put the grammar first in the chain, before what "
                "removes or forbids candidates. The grammar stays where it was"
            )

    def accept(self, token: int, stopped: Stopped = never) -> None:
        self._allowed = -1
        if self._trigger is None or not self._waiting:
            self._call("llama_sampler_accept", self._handle, token, stopped=stopped)
            return
        start = self._trigger.find(token, self._piece(token))
        if start is None:
            return
        for replayed in self._overlap(self._trigger, start):
            if not self._may_accept(replayed, stopped):
                self._call("llama_sampler_reset", self._handle)
                text = bytes(self._trigger.text[start:]).decode("utf-8", "replace")
                self._trigger.clear()
                raise LlamaSamplerError(
                    f"the text that triggers the grammar, {text!r}, is not how the grammar begins"
                )
            self._allowed = -1
            self._call("llama_sampler_accept", self._handle, replayed, stopped=stopped)
        self._trigger.clear()
        self._waiting = False
        self.show(True)

    def reset(self) -> None:
        self._allowed = -1
        self._call("llama_sampler_reset", self._handle)
        if self._trigger is not None:
            self._trigger.clear()
            self._waiting = True
            self.show(True)

    def _allows(self, handle: Any, token: int, stopped: Stopped) -> bool:
        self._one.id, self._one.logit = token, 0.0
        self._call("llama_sampler_apply", handle, self._candidate, stopped=stopped)
        return bool(self._one.logit != _REJECTED)

    def _may_accept(self, token: int, stopped: Stopped) -> bool:
        """Whether accepting ``token`` is allowed and cannot throw.

        For a token that the grammar names (``<...>``) the library can answer yes and throw
        nevertheless: if the grammar allows the first characters of its text, and then the name. So
        the token must also be acceptable as plain text.
        """
        if token not in self._tokens:
            return token == self._allowed or self._allows(self._handle, token, stopped)
        if not self._allows(self._handle, token, stopped):
            return False
        characters = self._spell(self._piece(token))
        if len(characters) < 2 or not self._allows(self._handle, characters[0], stopped):
            return True  # it does not begin as text, so it is the name that allows it
        walker = self._call("llama_sampler_clone", self._handle)
        try:
            for character in characters:
                if character in self._tokens or not self._allows(walker, character, stopped):
                    return False
                self._call("llama_sampler_accept", walker, character, stopped=stopped)
        finally:
            if not self._lost:
                self._short.llama_sampler_free(walker)
        return True

    def _overlap(self, trigger: Trigger, start: int) -> list[int]:
        """The tokens of the text from ``start`` on; a token cut in two becomes characters."""
        tokens = []
        for token, begin, end in trigger.seen:
            if begin >= start:
                tokens.append(token)
            elif end > start:
                tokens += self._spell(bytes(trigger.text[start:end]))
        return tokens

    def _spell(self, text: bytes) -> list[int]:
        """``text`` as tokens of one character each, or of one byte where there is none."""
        if not self._pieces:
            for token in range(self._n_tokens - 1, -1, -1):
                piece = self._piece(token, False)
                if len(piece) <= 4 and token not in self._tokens:
                    self._pieces[piece] = token
        tokens = []
        for character in re.findall(rb"[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*|.", text, re.S):
            whole = [character] if character in self._pieces else [bytes([b]) for b in character]
            for piece in whole:
                if piece not in self._pieces:
                    raise LlamaSamplerError(f"no token stands for {piece!r} alone")
                tokens.append(self._pieces[piece])
        return tokens

    def _piece(self, token: int, special: bool = True) -> bytes:
        # Not by `piece`, which is for a model that is open.
        return self._vocab._read_piece(self._vocab_handle, token, special)
