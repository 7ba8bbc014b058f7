"""Texts as vectors, documents in the order of their relevance, texts by class."""

from __future__ import annotations

import math
import re
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import mul
from typing import Any, overload

from .. import _raw
from .._dataclasses import dataclass
from .._display import Displayed, Sheet
from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..context.params import most_sequences
from ..engine.machine import give_back
from ..errors import LlamaModelError
from ..model.model import LlamaModel
from ..model.quoting import Quoting
from ..native import fork
from ..native.arguments import text_bytes

# The smallest batch where the library pools a text, which it does within one batch. A longer text
# has a larger one.
_N_BATCH = 512
# The library has room for the logits of all tokens of a batch, twice, whoever wants them. So where
# a text can be computed in parts, these are for so many numbers at most.
_LOGITS = 1 << 23
# Texts at a time. Recurrent models have a state for each, in memory of its own.
_N_SEQ, _N_SEQ_RECURRENT = 64, 16
_CLS = _raw.LLAMA_POOLING_TYPE_CLS
_POOLED = (
    _raw.LLAMA_POOLING_TYPE_MEAN,
    _raw.LLAMA_POOLING_TYPE_CLS,
    _raw.LLAMA_POOLING_TYPE_LAST,
)
_TOKENS = _raw.LLAMA_POOLING_TYPE_NONE
# What a context for embeddings decides by itself.
_OWN = ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "embeddings", "pooling_type")
_OUTPUTS = ("n_outputs_max", "n_outputs_max_per_seq")
# Architectures whose scores are probabilities already.
_SOFTMAX = ("qwen3", "qwen3vl")


@dataclass(frozen=True)
class Ranked:
    """A document's place in a ranking."""

    index: int
    """Where it is in the documents that were given."""
    score: float
    """How well it answers the query. Higher is better; scores of different models cannot be
    compared."""


class Embeddings(Displayed, Sequence["memoryview[float]"]):
    """Vectors of one width: rows of floats, to be indexed, sliced, compared; see `Llama.embed`."""

    def __init__(self, rows: bytearray, width: int) -> None:
        """``rows`` are the 32-bit floats of all vectors, one after the other."""
        self._rows = rows
        self.shape = (len(rows) // (4 * width), width)
        """How many vectors there are, and how many numbers each has."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": "=f4", "data": self._rows, "version": 3}

    def __len__(self) -> int:
        return self.shape[0]

    @overload
    def __getitem__(self, index: int) -> memoryview[float]: ...
    @overload
    def __getitem__(self, index: slice) -> Embeddings: ...
    def __getitem__(self, index: int | slice) -> memoryview[float] | Embeddings:
        size = 4 * self.shape[1]
        if isinstance(index, slice):
            found = (self._rows[i * size : (i + 1) * size] for i in range(len(self))[index])
            return Embeddings(bytearray().join(found), self.shape[1])
        start = range(len(self))[index] * size
        return memoryview(self._rows)[start : start + size].cast("f")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Embeddings):
            return self.shape == other.shape and self.tolist() == other.tolist()
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def tolist(self) -> list[list[float]]:
        """The vectors as lists of numbers."""
        return [list(row) for row in self]

    def __repr__(self) -> str:
        return f"<Embeddings, {self.shape[0]} x {self.shape[1]}>"

    def _display(self) -> Sheet:
        n, width = self.shape
        rows = [[i, *(f"{x:.3f}" for x in self[i][:8]), "..."] for i in range(min(n, 8))]
        return Sheet().note(f"{n:,} vectors of {width:,} numbers").table(rows)


class Embedder:
    """A context for embeddings, made on first use and again for longer texts; what `Llama` does
    them with. ``params`` are those of the context for generation, its ``owner``."""

    def __init__(self, model: LlamaModel, params: Mapping[str, Any], owner: LlamaContext) -> None:
        self._model = model
        self._owner = owner
        self._params = {k: v for k, v in params.items() if k not in (*_OWN, *_OUTPUTS)}
        self._pooling = _pooling(model, params.get("pooling_type"))
        # A token that attends to those before it alone has the same embedding in any portion.
        self._in_parts = (
            self._pooling in _POOLED
            and owner.core.has_memory
            and not model.has_encoder
            and owner.core.causal()
            and not owner.core.is_stateful
        )
        self._ctx: LlamaContext | None = None
        self._lock = threading.Lock()
        self._thread = 0  # which has it, or had it last
        fork.renew(self)

    def after_fork(self) -> None:
        """In a child: another thread of the parent may be in it."""
        self._lock, self._ctx = threading.Lock(), None

    def close(self) -> None:
        """Free the context."""
        ctx, self._ctx = self._ctx, None
        if ctx is not None:
            ctx.close()

    def cancel(self, thread: int | None = None) -> None:
        """Stop what another thread computes here: the one with that identifier, or any."""
        ctx = self._ctx
        if ctx is not None and thread in (None, self._thread):
            ctx.cancel()

    def embed(
        self, texts: str | Iterable[str], normalize: bool, truncate: bool, parse_special: bool
    ) -> Embeddings:
        """See `Llama.embed`."""
        if self._pooling == _raw.LLAMA_POOLING_TYPE_RANK:
            raise LlamaModelError(
                f"{self._model.path.name} gives scores, not embeddings: see rerank and classify"
            )
        if self._pooling == _TOKENS:
            raise ValueError("pooling_type=NONE has no vector for a text: use a LlamaContext")
        if not isinstance(texts, str | Iterable):
            raise TypeError(f"texts must be a text or several, not {texts!r}")
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise ValueError("there are no texts to embed")
        data = [text_bytes(text, f"texts[{i}]") for i, text in enumerate(texts)]
        tokens = [self._model.tokenize(text, parse_special=parse_special) for text in data]
        if truncate:
            tokens = [self._truncated(text) for text in tokens]
        rows, width = self._compute(tokens)
        if normalize:
            _normalize(rows, width)
        return Embeddings(rows, width)

    def _truncated(self, tokens: list[int]) -> list[int]:
        """The first ``tokens`` that the context has room for, with the token that ends a text."""
        most, vocab = self._longest(), self._model.vocab
        if len(tokens) > most and tokens[-1] in (vocab.eos, vocab.sep):
            return [*tokens[: most - 1], tokens[-1]]
        return tokens[:most]

    def rerank(self, query: str, documents: Iterable[str], parse_special: bool) -> list[Ranked]:
        """See `Llama.rerank`."""
        self._check_classifier()
        if isinstance(documents, str):
            raise TypeError(f"expected a sequence of documents, not one string: {documents!r}")
        text_bytes(query, "query")
        pairs = []
        for i, document in enumerate(documents):
            text_bytes(document, f"documents[{i}]")
            pairs.append(self._pair(query, document, parse_special))
        if not pairs:
            return []
        rows, width = self._compute(pairs)
        scores = memoryview(rows).cast("f")[::width]
        ranked = [Ranked(i, score) for i, score in enumerate(scores)]
        return sorted(ranked, key=lambda r: r.score, reverse=True)

    def classify(self, text: str, parse_special: bool) -> dict[str, float]:
        """See `Llama.classify`."""
        self._check_classifier()
        labels = self._model.cls_labels
        if len(labels) < 2:
            raise LlamaModelError(f"{self._model.path.name} has no classes: see rerank")
        rows, _ = self._compute([self._model.tokenize(text, parse_special=parse_special)])
        scores: list[float] = list(memoryview(rows).cast("f"))
        if self._model.metadata.get("general.architecture") not in _SOFTMAX:
            most = max(scores)
            powers = [math.exp(score - most) for score in scores]
            scores = [power / sum(powers) for power in powers]
        found = dict(zip(labels, scores, strict=True))
        return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))

    def _check_classifier(self) -> None:
        if self._pooling != _raw.LLAMA_POOLING_TYPE_RANK or not self._model.n_cls_out:
            raise LlamaModelError(
                f"{self._model.path.name} has no classifier: use a model for reranking"
            )

    def _pair(self, query: str, document: str, parse_special: bool) -> list[int]:
        """A query and a document as a reranker reads them: by the template that the model has for
        it, or one after the other with special tokens around."""
        model, vocab = self._model, self._model.vocab
        template = model.named_chat_template("rerank")
        if template is not None:
            # At once, so that nothing in the query is taken for the document's place.
            parts = {"{query}": query, "{document}": document}

            def render(outside: Callable[[Any], Any]) -> str:
                given = outside(parts)
                return re.sub(r"\{query\}|\{document\}", lambda found: given[found[0]], template)

            return Quoting(model, parse_special=parse_special).tokens(render)
        plain = {"add_special": False, "parse_special": parse_special}
        eos = vocab.eos if vocab.eos is not None else vocab.sep
        end = [eos] if vocab.add_eos and eos is not None else []
        tokens = [vocab.bos] if vocab.add_bos and vocab.bos is not None else []
        tokens += [*model.tokenize(query, **plain), *end]
        if vocab.add_sep and vocab.sep is not None:
            tokens.append(vocab.sep)
        return [*tokens, *model.tokenize(document, **plain), *end]

    # -- computation

    def _compute(self, texts: Sequence[list[int]]) -> tuple[bytearray, int]:
        """The rows of floats for ``texts``, one after the other, and how many a row has."""
        longest = self._check(texts)
        with self._lock:
            self._thread = threading.get_ident()
            ctx = self._context(longest)
            ctx.adapt_as(self._owner)
            width = ctx.outputs.n_pooled
            rows = bytearray(4 * width * len(texts))
            start = 0
            while start < len(texts):
                room, end = ctx.n_ctx if self._in_parts else ctx.n_ubatch, start
                while end < len(texts) and end - start < ctx.n_seq_max:
                    room -= len(texts[end])
                    if room < 0:
                        break
                    end += 1
                if ctx.core.has_memory:
                    ctx.memory.clear(data=False)
                compute = self._in_portions if self._in_parts else self._at_once
                compute(ctx, texts[start:end], memoryview(rows).cast("f")[width * start :])
                start = end
            if ctx.n_ctx > _N_BATCH:  # what a long text needed
                self.close()
                give_back()
        return rows, width

    def _at_once(
        self, ctx: LlamaContext, texts: Sequence[list[int]], rows: memoryview[float]
    ) -> None:
        """Have the library pool ``texts``, all in one batch."""
        run = ctx.encode if self._model.has_encoder else ctx.decode
        tokens, ids = _joined(texts)
        run(LlamaBatch(tokens, seq_id=ids, logits=True))
        for i in range(len(texts)):
            width = ctx.outputs.n_pooled
            rows[i * width : (i + 1) * width] = ctx.outputs.embeddings_seq(i)

    def _in_portions(
        self, ctx: LlamaContext, texts: Sequence[list[int]], rows: memoryview[float]
    ) -> None:
        """Compute ``texts`` in batches. The library pools the tokens that a text has in a batch."""
        tokens, ids = _joined(texts)
        begun: set[int] = set()
        width = ctx.outputs.n_pooled
        for start in range(0, len(tokens), ctx.n_batch):
            part = ids[start : start + ctx.n_batch]
            ctx.decode(LlamaBatch(tokens[start : start + ctx.n_batch], seq_id=part, logits=True))
            for i in range(part[0], part[-1] + 1):
                row = rows[i * width : (i + 1) * width]
                if self._pooling == _raw.LLAMA_POOLING_TYPE_MEAN:
                    _add(row, ctx.outputs.embeddings_seq(i), part.count(i) / len(texts[i]))
                elif self._pooling != _CLS or i not in begun:
                    row[:] = ctx.outputs.embeddings_seq(i)
            begun.update(part)

    def _longest(self) -> int:
        """The tokens that a text may have."""
        return max(self._model.n_ctx_train or _N_BATCH, self._owner.n_ctx if self._in_parts else 0)

    def _check(self, texts: Sequence[list[int]]) -> int:
        """The length of the longest of ``texts``. ValueError for one that cannot be computed."""
        most = self._longest()
        for i, tokens in enumerate(texts):
            if not tokens:
                raise ValueError(f"text {i} is empty: it has no tokens")
            if len(tokens) > most:
                raise ValueError(
                    f"text {i} has {len(tokens)} tokens, {self._model.path.name} takes {most} at "
                    "most: split it, or let truncate=True cut it off"
                )
        return max(len(tokens) for tokens in texts)

    def _context(self, longest: int) -> LlamaContext:
        """One that can take so many tokens: at once, where the library pools them."""
        if self._ctx is not None and self._ctx.n_ctx >= longest:
            return self._ctx
        self.close()
        size = max(_N_BATCH, 1 << (longest - 1).bit_length())
        recurrent = self._model.is_recurrent or self._model.is_hybrid
        n_seq_max = min(_N_SEQ_RECURRENT if recurrent else _N_SEQ, most_sequences(self._model))
        batch = size
        if self._in_parts:
            most = _LOGITS // self._model.vocab.n_tokens
            batch = min(_N_BATCH, max(n_seq_max, most - most % n_seq_max))
        self._ctx = LlamaContext(
            self._model,
            n_ctx=size,
            n_batch=batch,
            n_ubatch=batch,
            n_seq_max=n_seq_max,
            kv_unified=True,
            embeddings=True,
            pooling_type=self._pooling,
            **self._params,
        )
        return self._ctx


def _joined(texts: Sequence[list[int]]) -> tuple[array[int], array[int]]:
    """The tokens of ``texts``, one text after the other, and the index of each one's text."""
    tokens, ids = array("i"), array("i")
    for i, text in enumerate(texts):
        tokens.extend(text)
        ids.extend([i] * len(text))
    return tokens, ids


def _add(total: memoryview[float], row: memoryview[float], share: float) -> None:
    """Add a ``share`` of ``row``."""
    total[:] = array("f", [a + b * share for a, b in zip(total, row, strict=True)])


def _pooling(model: LlamaModel, given: int | None) -> int:
    """The type that the program asks for, or that of the model; otherwise the mean."""
    arch = model.metadata.get("general.architecture")
    own = int(model.metadata.get(f"{arch}.pooling_type", _raw.LLAMA_POOLING_TYPE_UNSPECIFIED))
    if given == _TOKENS:
        return int(given)
    for pooling in (given, own):
        if pooling is not None and pooling in (*_POOLED, _raw.LLAMA_POOLING_TYPE_RANK):
            return int(pooling)
    return int(_raw.LLAMA_POOLING_TYPE_MEAN)


def _normalize(rows: bytearray, width: int) -> None:
    """Make each row of length 1; one of zeros stays as it is."""
    np = sys.modules.get("numpy")
    if np is not None:  # not imported for this alone: that takes longer
        table = np.frombuffer(rows, dtype=np.float32).reshape(-1, width)
        lengths = np.linalg.norm(table, axis=1, keepdims=True)
        table /= np.where(lengths > 0, lengths, 1)
        return
    floats = memoryview(rows).cast("f")
    for start in range(0, len(floats), width):
        row = floats[start : start + width].tolist()
        length = math.sqrt(sum(map(mul, row, row)))
        if length > 0:
            floats[start : start + width] = array("f", [value / length for value in row])
