"""Texts as vectors, documents in the order of their relevance, texts by class."""

from __future__ import annotations

import ctypes
import math
import re
import sys
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from .. import _raw
from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..errors import LlamaModelError
from ..model.model import LlamaModel
from ..native import fork

# The least tokens to compute at a time. More are taken where a text is longer.
_N_BATCH = 512
# Texts at a time. Recurrent models have a state for each, in memory of its own.
_N_SEQ, _N_SEQ_RECURRENT = 64, 16
_POOLED = (
    _raw.LLAMA_POOLING_TYPE_MEAN,
    _raw.LLAMA_POOLING_TYPE_CLS,
    _raw.LLAMA_POOLING_TYPE_LAST,
)
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
    """How well it answers the query: comparable within a model only, higher is better."""


class Embedder:
    """A context for embeddings, made on first use and again for longer texts; what `Llama` does
    them with. ``params`` are those of the context for generation."""

    def __init__(self, model: LlamaModel, params: Mapping[str, Any]) -> None:
        self._model = model
        self._params = {k: v for k, v in params.items() if k not in (*_OWN, *_OUTPUTS)}
        self._pooling = _pooling(model, params.get("pooling_type"))
        self._ctx: LlamaContext | None = None
        self._lock = threading.Lock()
        fork.renew(self)

    def after_fork(self) -> None:
        """In a child: another thread of the parent may be in it."""
        self._lock, self._ctx = threading.Lock(), None

    def close(self) -> None:
        """Free the context."""
        ctx, self._ctx = self._ctx, None
        if ctx is not None:
            ctx.close()

    def cancel(self) -> None:
        """Stop what another thread computes here."""
        ctx = self._ctx
        if ctx is not None:
            ctx.cancel()

    def embed(self, texts: str | Iterable[str], normalize: bool) -> memoryview[float]:
        """See `Llama.embed`."""
        if self._pooling == _raw.LLAMA_POOLING_TYPE_RANK:
            raise LlamaModelError(
                f"{self._model.path.name} gives scores, not embeddings: see rerank and classify"
            )
        if not isinstance(texts, str | Iterable):
            raise TypeError(f"texts must be a text or several, not {texts!r}")
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise ValueError("there are no texts to embed")
        rows, width = self._compute([self._model.tokenize(text) for text in texts])
        if normalize:
            _normalize(rows, width)
        return memoryview(rows).cast("f", (len(texts), width))

    def rerank(self, query: str, documents: Iterable[str]) -> list[Ranked]:
        """See `Llama.rerank`."""
        self._check_classifier()
        if isinstance(documents, str):
            raise TypeError(f"expected a sequence of documents, not one string: {documents!r}")
        pairs = [self._pair(query, document) for document in documents]
        if not pairs:
            return []
        rows, width = self._compute(pairs)
        scores = memoryview(rows).cast("f")[::width]
        ranked = [Ranked(i, score) for i, score in enumerate(scores)]
        return sorted(ranked, key=lambda r: r.score, reverse=True)

    def classify(self, text: str) -> dict[str, float]:
        """See `Llama.classify`."""
        self._check_classifier()
        labels = self._model.cls_labels
        if len(labels) < 2:
            raise LlamaModelError(f"{self._model.path.name} has no classes: see rerank")
        rows, _ = self._compute([self._model.tokenize(text)])
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

    def _pair(self, query: str, document: str) -> list[int]:
        """A query and a document as a reranker reads them: by the template that the model has for
        it, or one after the other with special tokens around."""
        model, vocab = self._model, self._model.vocab
        template = model.named_chat_template("rerank")
        if template is not None:
            # At once, so that nothing in the query is taken for the document's place.
            parts = {"{query}": query, "{document}": document}
            text = re.sub(r"\{query\}|\{document\}", lambda found: parts[found[0]], template)
            return model.tokenize(text, parse_special=True)
        eos = vocab.eos if vocab.eos is not None else vocab.sep
        end = [eos] if vocab.add_eos and eos is not None else []
        tokens = [vocab.bos] if vocab.add_bos and vocab.bos is not None else []
        tokens += [*model.tokenize(query, add_special=False), *end]
        if vocab.add_sep and vocab.sep is not None:
            tokens.append(vocab.sep)
        return [*tokens, *model.tokenize(document, add_special=False), *end]

    # -- computation

    def _compute(self, texts: Sequence[list[int]]) -> tuple[bytearray, int]:
        """The rows of floats for ``texts``, one after the other, and how many a row has."""
        longest = self._check(texts)
        with self._lock:
            ctx = self._context(longest)
            width = ctx.outputs.n_pooled
            rows = bytearray(4 * width * len(texts))
            address = ctypes.addressof((ctypes.c_char * len(rows)).from_buffer(rows))
            run = ctx.encode if self._model.has_encoder else ctx.decode
            start = 0
            while start < len(texts):
                tokens, ids = array("i"), array("i")
                end = start
                while end < len(texts) and end - start < ctx.n_seq_max:
                    text = texts[end]
                    if len(tokens) + len(text) > ctx.n_ubatch:
                        break
                    tokens.extend(text)
                    ids.extend([end - start] * len(text))
                    end += 1
                if ctx.core.has_memory:
                    ctx.memory.clear(data=False)
                run(LlamaBatch(tokens, seq_id=ids, logits=True))
                for i in range(start, end):
                    ctx.outputs.copy_pooled(i - start, address + 4 * width * i)
                start = end
        return rows, width

    def _check(self, texts: Sequence[list[int]]) -> int:
        """The length of the longest of ``texts``. ValueError for one that cannot be computed."""
        most = self._model.n_ctx_train or _N_BATCH
        for i, tokens in enumerate(texts):
            if not tokens:
                raise ValueError(f"text {i} is empty: it has no tokens")
            if len(tokens) > most:
                raise ValueError(
                    f"text {i} has {len(tokens)} tokens, {self._model.path.name} takes {most} at "
                    "most: split it"
                )
        return max(len(tokens) for tokens in texts)

    def _context(self, longest: int) -> LlamaContext:
        """One that can take so many tokens at once: pooling is over what is computed at once."""
        if self._ctx is not None and self._ctx.n_ubatch >= longest:
            return self._ctx
        self.close()
        size = max(_N_BATCH, 1 << (longest - 1).bit_length())
        recurrent = self._model.is_recurrent or self._model.is_hybrid
        self._ctx = LlamaContext(
            self._model,
            n_ctx=size,
            n_batch=size,
            n_ubatch=size,
            n_seq_max=_N_SEQ_RECURRENT if recurrent else _N_SEQ,
            kv_unified=True,
            embeddings=True,
            pooling_type=self._pooling,
            **self._params,
        )
        return self._ctx


def _pooling(model: LlamaModel, given: int | None) -> int:
    """What the program asks for, or what the model was made for; otherwise the mean."""
    arch = model.metadata.get("general.architecture")
    own = int(model.metadata.get(f"{arch}.pooling_type", _raw.LLAMA_POOLING_TYPE_UNSPECIFIED))
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
