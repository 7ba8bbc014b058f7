"""Sampler chains: from logits to the next token."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _log, _raw
from ._arguments import c_number, set_params
from ._params import KEYWORDS
from ._resource import Resource
from ._samplers import SELECTORS, SamplerMethods
from .context import LlamaContext
from .errors import LlamaClosedError, LlamaSamplerError
from .library import LlamaLibrary

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._params import LlamaSamplerChainParams

_PREFIX = "llama_sampler_init_"


class LlamaSampler(SamplerMethods):
    """A chain of samplers, each working on what the one before it left.

    >>> sampler = LlamaSampler.chain().top_k(40).top_p(0.95).temp(0.8).dist(seed=42)

    The last one has to select a token: ``greedy``, ``dist``, a ``mirostat`` or ``adaptive_p``.
    Every sampler of llama.h is a method (see `llama_cpp._samplers`), with the C function's
    parameters.
    """

    def __init__(
        self, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> None:
        self._library = library or LlamaLibrary.default()
        short = self._library.short
        raw = short.llama_sampler_chain_default_params()
        set_params(raw, KEYWORDS["llama_sampler_chain_params"], params, "LlamaSampler")
        chain = short.llama_sampler_chain_init(raw)
        if not chain:
            raise LlamaSamplerError("the library could not make a sampler chain")
        self._resource: Resource | None = Resource(chain, short.llama_sampler_free)
        self._names: list[str] = []
        self._sample = short.llama_sampler_sample

    @classmethod
    def chain(
        cls, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> Self:
        """An empty chain, to append samplers to. C: ``llama_sampler_chain_init``."""
        return cls(library, **params)

    def _append(self, name: str, *arguments: Any) -> Self:
        chain = self._open().handle
        method = name.removeprefix(_PREFIX)
        if self._names and self._names[-1] in SELECTORS:
            raise LlamaSamplerError(
                f"{method} cannot come behind {self._names[-1]}, which selects the token"
            )
        types = _raw.FUNCTIONS[name].argtypes
        checked = [
            c_number(ctype, value, f"{method}: argument {i + 1}")
            if isinstance(value, int | float)
            else value
            for i, (ctype, value) in enumerate(zip(types, arguments, strict=True))
        ]
        with _log.heard() as said:
            sampler = getattr(self._library.short, name)(*checked)
        if not sampler:
            raise LlamaSamplerError(
                f"{method}: " + _log.reason(said, "the library did not make this sampler")
            )
        self._library.short.llama_sampler_chain_add(chain, sampler)
        self._names.append(method)
        return self

    # -- lifetime

    @property
    def handle(self) -> Any:
        """The C object, for `llama_cpp._raw` and the functions of the library."""
        return self._open().handle

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._resource is None

    def close(self) -> None:
        """Free it, and the samplers in it."""
        self._resource = None

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> Resource:
        if self._resource is None:
            raise LlamaClosedError("the sampler is closed")
        return self._resource

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        inner = " -> ".join(self._names) or "empty"
        return f"<LlamaSampler {'closed' if self.closed else inner}>"

    # -- use

    def sample(self, ctx: LlamaContext, i: int = -1) -> int:
        """Choose the next token from the output at index ``i`` of the last decode, and tell the
        samplers of the choice. -1 is the last output.

        Raises LlamaSamplerError for a chain that cannot select, and LlamaOutputError when that
        output was not computed. C: ``llama_sampler_sample``, llama.h.
        """
        chain = self._open().handle
        if not self._names or self._names[-1] not in SELECTORS:
            raise LlamaSamplerError(
                f"the chain {self!r} selects no token: end it with one of "
                + ", ".join(sorted(SELECTORS))
            )
        if ctx._library is not self._library:
            raise LlamaSamplerError("the chain and the context belong to different libraries")
        handle = ctx._open().handle
        return int(self._sample(chain, handle, ctx._check_output(i)))

    def reset(self) -> None:
        """Forget the tokens sampled so far. C: ``llama_sampler_reset``."""
        self._library.short.llama_sampler_reset(self._open().handle)
