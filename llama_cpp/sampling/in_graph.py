"""Sampler chains that a context runs in its graph, on the device that computes the logits.

llama.cpp calls them backend samplers, and checks little: a chain of two contexts, a top_k of more
candidates than are left, a bias behind a sampler that reorders them, and a graph that grows too
large all end the process. So a chain is checked before it is given to the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import ref

from ..errors import LlamaSamplerError
from .source import Source, sampled

# It tries every chain on so many candidates, in a graph of 2,048 nodes; a sampler takes up to 30.
_TRIED = 128 * 1024
_MOST = 32
# The samplers that b11434 runs in a graph. Check the behaviour of others there before adding them.
_REORDER = frozenset(["top_k", "top_p"])
_KNOWN = _REORDER | {"min_p", "temp", "temp_ext", "dist", "greedy", "penalties", "logit_bias"}
_BY_PLACE = {"greedy": "end the chain with temp(0).dist()", "logit_bias": "put it first"}


class InGraph:
    """Where a chain runs."""

    def __init__(self) -> None:
        self.source: ref[Source] | None = None
        """The outputs of its context; None for a context that could not be made."""
        self.names: tuple[str, ...] = ()
        """The samplers that run in the graph; those behind them run as ever."""
        self.selects = False
        """Whether the last of these selects the token."""

    def check_sample(self, chain: object, source: Source, handle: Any, i: int) -> None:
        """LlamaSamplerError if ``chain``, which runs here, is not the one for the output at index
        ``i`` of ``source``."""
        inside, chose = sampled(source.library.short, handle, i)
        if self.source is None or self.source() is not source:
            raise LlamaSamplerError(
                f"{chain!r} runs in the graph of another context: use a clone() of it here"
            )
        if not inside or (self.selects and not chose):
            raise LlamaSamplerError(
                f"the output at index {i} did not go through this chain: it is for the sequence "
                "that the context was given it for"
            )


def check_not_sampled(source: Source, handle: Any, i: int) -> None:
    """LlamaSamplerError if the output at index ``i`` went through a chain in the graph."""
    if sampled(source.library.short, handle, i)[0]:
        raise LlamaSamplerError(
            f"the output at index {i} went through the chain of its sequence, in the graph of "
            "the context: sample it with that chain"
        )


def for_a_graph(library: Any, handle: Any, entries: Iterable[Any]) -> list[Any]:
    """Those of ``entries``, one for each sampler of the chain ``handle``, that would run in a
    graph: up to the first that cannot."""
    inside = []
    for place, entry in enumerate(entries):
        sampler = library.short.llama_sampler_chain_get(handle, place)
        if not sampler.contents.iface.contents.backend_init:
            break
        inside.append(entry)
    return inside


def in_a_graph(library: Any, handle: Any, names: Iterable[str]) -> tuple[str, ...]:
    """The ``names`` of the samplers of the chain ``handle`` that do run in a graph: the library
    marks them in their names, + runs, - cannot, ? has nothing to do."""
    found = []
    for place, name in enumerate(names):
        sampler = library.short.llama_sampler_chain_get(handle, place)
        if not (library.short.llama_sampler_name(sampler) or b"").startswith((b"+", b"?")):
            break
        found.append(name)
    return tuple(found)


def check_chain(
    chain: object, inside: list[tuple[str, Mapping[str, Any]]], n_samplers: int, n_tokens: int
) -> None:
    """LlamaSamplerError for a chain that llama.cpp would abort for. ``inside`` are the samplers, of
    ``n_samplers``, that would run in the graph, with their numbers."""
    if n_samplers > _MOST:
        raise LlamaSamplerError(f"a chain for a graph has at most {_MOST} samplers")
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
