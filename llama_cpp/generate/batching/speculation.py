"""The drafts of one generation: how they are checked, and what becomes of them."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable
from typing import Any

from ...context.batch import LlamaBatch
from ...context.context import LlamaContext
from ...context.sequence import LlamaSequence
from ...errors import LlamaContextError, LlamaDecodeError
from ...sampling.forced import Forced
from ..generation import Request
from .pace import MOST, Curve, Pace

clock = time.perf_counter
_curves: weakref.WeakKeyDictionary[LlamaContext, Curve] = weakref.WeakKeyDictionary()


class Speculation:
    """Decodes the tokens of one generation, with drafts behind them."""

    def __init__(
        self, ctx: LlamaContext, sequence: LlamaSequence, request: Request, n_keep: int | None
    ) -> None:
        """``sequence`` has the prompt; drafts that were not checked yet are in it as well. When the
        context is full, its first ``n_keep`` tokens stay and half of the others."""
        draft = request.draft
        if not callable(getattr(draft, "draft", None)):
            raise TypeError(
                f"draft must have a method draft(tokens, n), as PromptLookup has, not {draft!r}"
            )
        self._ctx = ctx
        self._sequence = sequence
        self._draft = draft
        self._request = request
        self._n_keep = n_keep
        self._left = request.limit  # so many tokens may come
        self._call("begin", ctx.model)
        self._end = len(sequence)  # of the tokens that are in the text for sure
        self._ahead: list[int] = []  # decoded, and not yet sampled
        self._accepted = 0  # of these
        self._guessed: list[int] = []  # drafted, and not decoded
        self._i = -1
        core = ctx.core
        self._most = min(MOST, core.n_batch - 1, core.n_ubatch - 1, core.n_outputs_max - 1)
        # To undo a draft, a recurrent memory needs a copy of its state from before.
        self._copies = core.is_stateful and not core.n_rollback
        if core.n_rollback:
            self._most = min(self._most, core.n_rollback)
        elif self._copies and isinstance(draft, Forced):
            self._draft = None  # it would copy more than it computes less
        elif self._copies and not core.forgets:
            raise LlamaContextError(
                f"{ctx.model.path.name} is recurrent or hybrid, and this llama.cpp is too old to "
                "go back after a draft: generate without one"
            )
        # A decode on a device goes on after its call; that on the CPU is over.
        self._waits = any(name != "CPU" for name in ctx.model.layers)
        self._pace: Pace | None = None
        if not isinstance(draft, Forced) and getattr(draft, "adapt", True):  # else always right
            curve = _curves.setdefault(ctx, Curve())
            seconds = max(0.0, clock() - request.started)
            self._pace = Pace(curve, draft, self._end, seconds, self._left, self._copies)

    def cancel(self) -> None:
        """Stop drafting, from any thread."""
        self._call("cancel")

    def step(self, token: int) -> int:
        """Decode ``token``, which was just sampled, unless that was done already, with a new draft
        behind it. Returns the index of the output to sample the next one from."""
        self._left -= 1
        pace = self._pace
        if len(self._ahead) > self._accepted and self._ahead[self._accepted] == token:
            self._accepted += 1
            self._request.accepted_tokens += 1
            self._end += 1
            self._i += 1
            if pace is not None:
                pace.judged(True)
            return self._i
        sequence = self._sequence
        if pace is not None and self._guessed:
            pace.judged(self._guessed[0] == token, checked=False)
            self._guessed = self._guessed[1:] if self._guessed[0] == token else []
        begun = clock()
        again = self._finish()
        if self._n_keep is not None and len(sequence) + len(again) >= self._ctx.n_ctx_seq:
            sequence.shift(self._n_keep, (len(sequence) - self._n_keep) // 2)
        drafted = [] if again else self._guess(token)
        if pace is not None and not again:
            begun = clock()
        if not drafted and not again:
            sequence.append(token)
            self._end, self._i = len(sequence), -1
        else:
            drafted = self._check(again, token, drafted)
        if pace is not None:
            if self._waits:
                self._ctx.core.library.llama_synchronize(self._ctx.handle)
            seconds = clock() - begun
            if again:
                pace.repaired(seconds)
            else:
                pace.decoded(1 + len(drafted), seconds)
        return self._i

    def _check(self, again: list[int], token: int, drafted: list[int]) -> list[int]:
        """Decode ``again``, without outputs, and the others, each with one. Returns those of
        ``drafted`` that there was room for."""
        if drafted and self._copies:
            self._sequence.checkpoint()
        try:
            self._extend(again, [token, *drafted])
        except LlamaDecodeError as error:
            if error.code != 1 or not drafted:
                raise
            drafted = []  # the KV cache has no room for the draft
            self._extend(again, [token])
        self._end = len(self._sequence) - len(drafted)
        self._ahead = drafted
        self._request.drafted_tokens += len(drafted)
        return drafted

    def _extend(self, again: list[int], tokens: list[int]) -> None:
        outputs = [False] * len(again) + [True] * len(tokens)
        self._ctx.decode(LlamaBatch(again + tokens, seq_id=self._sequence.id, logits=outputs))
        self._i = len(again)

    def _guess(self, token: int) -> list[int]:
        """The tokens to check behind ``token``."""
        pace, room = self._pace, self._ctx.n_ctx_seq - len(self._sequence) - 1
        most = min(self._most, self._left - 1, room)  # the last token needs no draft
        if self._draft is None or most < 1:
            return []
        if pace is None:
            return self._drafted(token, most)
        if self._guessed:
            n = pace.best(min(len(self._guessed), most))
            drafted, self._guessed = self._guessed[:n], [] if n else self._guessed
            return drafted
        wanted = pace.wanted(most)
        if wanted < 1:
            return []
        begun = clock()
        drafted = self._drafted(token, wanted)
        n = pace.drafted(len(drafted), wanted, clock() - begun)
        self._guessed = [] if n else drafted
        return drafted[:n]

    def _drafted(self, token: int, most: int) -> list[int]:
        known = () if isinstance(self._draft, Forced) else self._sequence.tokens
        assert self._draft is not None
        answer = self._draft.draft([*known, token], most)
        if isinstance(answer, str) or not isinstance(answer, Iterable):
            raise TypeError(f"{self._draft!r} must draft a list of tokens, not {answer!r}")
        drafted = list(answer)[:most]
        for guess in drafted:
            try:
                self._ctx.model.vocab.check_token(guess)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self._draft!r} drafted a wrong token: {error}") from None
        return drafted

    def _finish(self) -> list[int]:
        """Forget the rest of the last draft. Returns the tokens that have to be decoded again for
        it."""
        ahead = self._ahead
        if not ahead:
            return []
        self._ahead = []
        accepted, self._accepted = self._accepted, 0
        self._call("accept", len(ahead), accepted)
        if accepted == len(ahead):
            return []
        if self._pace is not None:
            self._pace.judged(False)
        again = self._sequence.rewind(self._end)
        fits = len(again) < self._end and len(again) + MOST < self._ctx.core.n_batch
        if fits or not again:
            return again
        # A memory of another kind that forgets all or nothing: not a second time.
        self._draft = None
        self._sequence.extend(again)
        return []

    def _call(self, name: str, *arguments: Any) -> None:
        method = getattr(self._draft, name, None)
        if method is not None:
            method(*arguments)
