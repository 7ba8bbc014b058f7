"""Computing with a model: contexts, batches, the KV cache and its sequences."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "batch": "LlamaBatch",
        "context": "ContextPerf LlamaContext",
        "memory": "LlamaMemory",
        "params": "LlamaContextParams",
        "prompts": "PromptCache",
        "sequence": "LlamaSequence Sequences",
    },
)
