"""What of a context can be set after it was made, and what it counts."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ..errors import LlamaContextError
from ..native import log
from ..native.arguments import c_number
from .core import Core
from .outputs import Outputs
from .params import check_pooling, check_threads


@dataclass(frozen=True)
class ContextPerf:
    """What a context computed and how long it took, since it was made or `reset_perf`."""

    load_seconds: float
    """From the start of loading the model to the end of the first decode."""
    prompt_seconds: float
    """In decodes of more than one token."""
    generation_seconds: float
    """In decodes of one token."""
    prompt_tokens: int
    """Tokens in decodes of more than one."""
    generated_tokens: int
    """Decodes of one token."""
    reused_graphs: int
    """Decodes that took the graph of the one before."""


class ContextSettings:
    """The settings and counters of a context; `LlamaContext` shows them as its own."""

    def __init__(self, core: Core, outputs: Outputs) -> None:
        self._core = core
        self._outputs = outputs

    @property
    def n_threads(self) -> int:
        """The threads that compute one token. It can be set. C: ``llama_set_n_threads``."""
        return int(self._core.short.llama_n_threads(self._core.handle))

    @n_threads.setter
    def n_threads(self, value: int) -> None:
        self._set_threads("n_threads", value, self.n_threads_batch)

    @property
    def n_threads_batch(self) -> int:
        """The threads that compute several tokens. It can be set. C: ``llama_set_n_threads``."""
        return int(self._core.short.llama_n_threads_batch(self._core.handle))

    @n_threads_batch.setter
    def n_threads_batch(self, value: int) -> None:
        self._set_threads("n_threads_batch", self.n_threads, value)

    def _set_threads(self, name: str, one: int, several: int) -> None:
        for value in (one, several):
            check_threads(name, c_number(ctypes.c_int32, value, name))
        with self._core.held(), log.heard():
            self._core.short.llama_set_n_threads(self._core.handle, one, several)

    @property
    def causal_attn(self) -> bool:
        """Whether a token sees only those before it. It can be set; without it, a decode takes at
        most ``n_ubatch`` tokens. C: ``llama_set_causal_attn``."""
        self._core.opened()
        return self._core.causal()

    @causal_attn.setter
    def causal_attn(self, value: bool) -> None:
        causal = c_number(ctypes.c_bool, value, "causal_attn")
        with self._core.held(), log.heard():
            self._core.short.llama_set_causal_attn(self._core.handle, causal)
            self._core.was_causal = causal

    @property
    def embeddings_enabled(self) -> bool:
        """Whether decodes compute embeddings: of every token, or with pooling of every sequence.
        It can be set, which lets go of the last outputs. C: ``llama_set_embeddings``."""
        self._core.opened()
        return self._outputs.embedding

    @embeddings_enabled.setter
    def embeddings_enabled(self, value: bool) -> None:
        enabled = c_number(ctypes.c_bool, value, "embeddings_enabled")
        if enabled:
            if self._outputs.samplers:
                raise LlamaContextError(
                    "this context runs samplers in its graph: make another one for embeddings"
                )
            n_ubatch = min(self._core.n_ubatch, self._core.n_ctx)
            check_pooling(
                self._outputs.pooling, n_ubatch, self._core.n_seq_max, self._core.n_outputs_max
            )
        with self._core.held(), log.heard():
            self._core.short.llama_set_embeddings(self._core.handle, enabled)
            self._outputs.embed(enabled)

    @property
    def perf(self) -> ContextPerf:
        """What was computed so far, in seconds and tokens. With ``no_perf=True`` the seconds are 0,
        and the library counts at least one of each. C: ``llama_perf_context``."""
        with self._core.held():
            self._core.library.llama_synchronize(self._core.handle)  # it counts then
            raw = self._core.short.llama_perf_context(self._core.handle)
        return ContextPerf(
            load_seconds=raw.t_load_ms / 1e3,
            prompt_seconds=raw.t_p_eval_ms / 1e3,
            generation_seconds=raw.t_eval_ms / 1e3,
            # It says 1 for none at all.
            prompt_tokens=raw.n_p_eval if raw.t_p_eval_ms or self._core.no_perf else 0,
            generated_tokens=raw.n_eval if raw.t_eval_ms or self._core.no_perf else 0,
            reused_graphs=raw.n_reused,
        )

    def reset_perf(self) -> None:
        """Count and measure from now on. C: ``llama_perf_context_reset``."""
        with self._core.held():
            self._core.library.llama_synchronize(self._core.handle)
            self._core.short.llama_perf_context_reset(self._core.handle)
