"""Outputs that a sampler chain can choose from: those of a context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _raw
from ..native.library import LlamaLibrary
from ..native.resource import Resource
from .greedy import Likeliest


class Source:
    """The outputs of a context's last decode, as `LlamaSampler` needs them."""

    samplers: Mapping[int, Any]
    """The chains that run in the graph, by sequence."""
    likeliest: Likeliest
    """Finds the token with the greatest logit."""

    def __init__(
        self,
        library: LlamaLibrary,
        n_vocab: int,
        opened: Callable[[], Resource],
        enter: Callable[[], None],
        leave: Callable[[], None],
        cancels: Callable[[], int],
    ) -> None:
        self.library = library
        self.n_vocab = n_vocab
        self.opened = opened
        """Gives the context's C object. LlamaClosedError once it is closed."""
        self.enter = enter
        """Takes the context for this thread. LlamaBusyError when another one is in it."""
        self.leave = leave
        self.cancels = cancels
        """Says how often it was cancelled so far."""

    def cancelled_since(self) -> Callable[[], bool]:
        """Whether the context was cancelled after this call."""
        before = self.cancels()
        return lambda: self.cancels() != before

    def check_output(self, i: int) -> int:
        """The index, for the library, of the logits ``i``. LlamaOutputError if the last decode has
        not computed them."""
        raise NotImplementedError

    def logits_at(self, i: int) -> memoryview[float]:
        """The logits at index ``i``, with the context taken."""
        raise NotImplementedError


def is_sampled(calls: Any, handle: Any, i: int) -> bool:
    """Whether the output at index ``i`` went through a chain in the graph."""
    return any(sampled(calls, handle, i))


def sampled(calls: Any, handle: Any, i: int) -> tuple[bool, bool]:
    """Whether the output at index ``i`` went through a chain in the graph, and whether that chose
    the token."""
    chose = calls.llama_get_sampled_token_ith(handle, i) != _raw.LLAMA_TOKEN_NULL
    return chose or bool(calls.llama_get_sampled_logits_ith(handle, i)), chose
