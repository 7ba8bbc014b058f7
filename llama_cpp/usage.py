"""Tokens and time of a generation: shared by the text, the server and the agent side."""

from __future__ import annotations

from ._dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """How many tokens a generation took."""

    prompt_tokens: int
    """Tokens of the prompt."""
    cached_tokens: int
    """Those of them that were in the KV cache already."""
    completion_tokens: int
    """Tokens generated."""
    drafted_tokens: int = 0
    """Tokens that a ``draft`` guessed, or that a constraint left no choice for."""
    accepted_tokens: int = 0
    """Those of them that were right."""


@dataclass(frozen=True)
class Timings:
    """How long a generation took, in seconds."""

    prompt_seconds: float
    """Until the first token."""
    generation_seconds: float
    """From the first token to the last."""
    tokens_per_second: float
    """Generated tokens, the first apart, by generation_seconds; 0.0 for fewer than two."""
