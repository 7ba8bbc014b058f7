"""Choosing tokens: sampler chains, grammars, samplers written in Python."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {"chain": "LlamaSampler SamplerPerf", "custom": "CustomSampler LlamaCandidates"},
)
