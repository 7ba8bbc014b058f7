"""Sampler chains that a context runs in its graph, on the device that computes the logits.

llama.cpp calls them backend samplers, and checks little: a chain of two contexts, a top_k of more
candidates than are left, a bias behind what reorders them, and a graph that grows too large all
end the process. So a chain is looked at before it is given to the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from .. import _raw
from ..errors import LlamaContextError, LlamaSamplerError

if TYPE_CHECKING:
    from ..context.context import LlamaContext
    from ..model.model import LlamaModel
    from .chain import LlamaSampler

# It tries every chain on so many candidates, in a graph of 2,048 nodes; a sampler takes up to 30.
_TRIED = 128 * 1024
_MOST = 32
# What b11434 has for a graph. How another one works there has to be looked at first.
_REORDER = frozenset(["top_k", "top_p"])
_KNOWN = _REORDER | {"min_p", "temp", "temp_ext", "dist", "greedy", "penalties", "logit_bias"}
_BY_PLACE = {"greedy": "end the chain with temp(0).dist()", "logit_bias": "put it first"}


class InGraph:
    """Where a chain runs."""

    def __init__(self) -> None:
        self.ctx: ref[LlamaContext] | None = None
        """None for a context that could not be made."""
        self.names: tuple[str, ...] = ()
        """The samplers that run in the graph; those behind them run as ever."""
        self.selects = False
        """Whether the last of these selects the token."""


def give_samplers(
    model: LlamaModel,
    raw: _raw.llama_context_params,
    samplers: Mapping[int, LlamaSampler] | None,
) -> list[object]:
    """Put the chains, by sequence, into the parameters of a context. What is returned has to live
    as long as that. Raises for what llama.cpp would abort for."""
    if samplers is None:
        return []
    if not isinstance(samplers, Mapping):
        raise TypeError(f"samplers must map sequences to chains, not {samplers!r}")
    _check(model, raw, samplers)
    configs = (_raw.llama_sampler_seq_config * len(samplers))()
    kept: list[object] = [configs]
    for config, (seq_id, chain) in zip(configs, samplers.items(), strict=True):
        config.seq_id, config.sampler = seq_id, chain.handle
        kept.append(chain._open())
        # From here on, whatever comes of it: the library sets a chain up only once.
        chain._in_graph = InGraph()
    raw.samplers, raw.n_samplers = configs, len(samplers)
    return kept


def _check(
    model: LlamaModel, raw: _raw.llama_context_params, samplers: Mapping[int, LlamaSampler]
) -> None:
    from .chain import LlamaSampler

    if model.has_encoder or raw.embeddings:
        raise LlamaContextError(
            "samplers run in the graph of contexts that generate, not of encoders and embeddings"
        )
    if raw.n_outputs_max_per_seq != 1:
        raise ValueError("with samplers in the graph, n_outputs_max_per_seq must be 1")
    for seq_id, chain in samplers.items():
        if not isinstance(seq_id, int):
            raise TypeError(f"samplers: a sequence must be an integer, not {seq_id!r}")
        if not 0 <= seq_id < raw.n_seq_max:
            raise ValueError(f"samplers: seq_id {seq_id} is not 0 to {raw.n_seq_max - 1}")
        if not isinstance(chain, LlamaSampler):
            raise TypeError(f"samplers: expected a LlamaSampler, not {chain!r}")
        if chain._library is not model.library:
            raise LlamaSamplerError("the chain and the model belong to different libraries")
        n_tokens = model.vocab.n_tokens
        if chain._n_tokens not in (None, n_tokens):
            raise LlamaSamplerError(
                f"the chain is for a vocabulary of {chain._n_tokens} tokens, the model has "
                f"{n_tokens}"
            )
        if chain._in_graph is not None:
            raise LlamaSamplerError(f"{chain!r} runs in a graph already: give a clone() of it")
        _check_chain(chain, n_tokens)
    if len({id(chain) for chain in samplers.values()}) < len(samplers):
        raise LlamaSamplerError("a chain is for one sequence: give each a clone() of it")


def _check_chain(chain: LlamaSampler, n_tokens: int) -> None:
    if chain._customs:
        raise LlamaSamplerError("a sampler written in Python cannot run in a graph")
    if len(chain) > _MOST:
        raise LlamaSamplerError(f"a chain for a graph has at most {_MOST} samplers")
    inside = _for_a_graph(chain)
    if not inside:
        raise LlamaSamplerError(
            f"nothing of {chain!r} runs in a graph: it has to begin with one of "
            + ", ".join(sorted(_KNOWN))
        )
    left = min(_TRIED, n_tokens)
    reordered: list[str] = []
    for name, numbers in inside:
        if name not in _KNOWN:
            raise LlamaSamplerError(f"{name} is not known well enough here to run in a graph")
        if reordered and name in _BY_PLACE:
            raise LlamaSamplerError(
                f"in a graph, {name} mistakes places for tokens behind {reordered[0]}: "
                + _BY_PLACE[name]
            )
        if len(reordered) > 1 and name in _REORDER and left > 1:
            raise LlamaSamplerError(f"in a graph, {name} cannot come behind {reordered}")
        if name == "top_k" and numbers["k"] > left:
            raise LlamaSamplerError(
                f"in a graph, top_k({numbers['k']}) cannot keep more than the {left} candidates "
                "that are left"
            )
        if name == "top_k" and numbers["k"] > 0:
            left = numbers["k"]
        cold = name in ("temp", "temp_ext") and numbers["t"] <= 0
        if cold:
            left = 1
        if cold or name in _REORDER:
            reordered.append(name)


def _for_a_graph(chain: LlamaSampler) -> list[tuple[str, Mapping[str, Any]]]:
    """The samplers that would run in a graph: up to the first that cannot."""
    inside = []
    for place, entry in enumerate(zip(chain._names, chain._numbers, strict=True)):
        sampler = chain._library.short.llama_sampler_chain_get(chain.handle, place)
        if not sampler.contents.iface.contents.backend_init:
            break
        inside.append(entry)
    return inside


def note_samplers(ctx: LlamaContext, samplers: Mapping[int, LlamaSampler]) -> None:
    """Note what of the chains runs in the graph of ``ctx``."""
    if samplers and not ctx._has_memory:
        raise LlamaContextError("samplers run in the graph only with a KV cache")
    short = ctx._library.short
    for chain in samplers.values():
        names = []
        for place, name in enumerate(chain._names):
            sampler = short.llama_sampler_chain_get(chain.handle, place)
            # It marks them: + runs, - cannot, ? has nothing to do.
            if not (short.llama_sampler_name(sampler) or b"").startswith((b"+", b"?")):
                break
            names.append(name)
        assert chain._in_graph is not None
        chain._in_graph.ctx = ref(ctx)
        chain._in_graph.names = tuple(names)
        chain._in_graph.selects = chain._selects and len(names) == len(chain._names)


def is_sampled(calls: Any, handle: Any, i: int) -> bool:
    """Whether the output at index ``i`` went through a chain in the graph."""
    return any(_sampled(calls, handle, i))


def _sampled(calls: Any, handle: Any, i: int) -> tuple[bool, bool]:
    """Whether the output at index ``i`` went through a chain in the graph, and whether that chose
    the token."""
    chose = calls.llama_get_sampled_token_ith(handle, i) != _raw.LLAMA_TOKEN_NULL
    return chose or bool(calls.llama_get_sampled_logits_ith(handle, i)), chose


def check_sample(chain: LlamaSampler, ctx: LlamaContext, handle: Any, i: int) -> None:
    """LlamaSamplerError if ``chain`` is not the one for the output at index ``i``."""
    inside, chose = _sampled(ctx._library.short, handle, i)
    graph = chain._in_graph
    if graph is None:
        if inside:
            raise LlamaSamplerError(
                f"the output at index {i} went through the chain of its sequence, in the graph of "
                "the context: sample it with that chain"
            )
        return
    if graph.ctx is None or graph.ctx() is not ctx:
        raise LlamaSamplerError(
            f"{chain!r} runs in the graph of another context: use a clone() of it here"
        )
    if not inside or (graph.selects and not chose):
        raise LlamaSamplerError(
            f"the output at index {i} did not go through this chain: it is for the sequence that "
            "the context was given it for"
        )
