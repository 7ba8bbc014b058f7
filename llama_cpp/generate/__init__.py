"""Text in, text out: generation, chat, many prompts at once, drafts, embeddings, images."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "aio": "AsyncGeneration AsyncGenerations AsyncLlama AsyncStream",
        "batching.generations": "Generations",
        "batching.jobs": "ParallelGeneration",
        "chat": "ChatGenerationOptions ChatOptions apply_chat_template",
        "drafts": "DraftModel PromptLookup",
        "mtp": "MtpDraft",
        "embedding": "Ranked",
        "generation": "Completion Generation GenerationState",
        "llama": "Llama LlamaParams",
        "logprobs": "Score TokenLogprob log_probs",
        "options": "Draft GenerationOptions",
        "multimodal": "Chunk LlamaChunks LlamaMedia LlamaMultimodal",
        "reasoning": "ChatPrompt ReasoningTags",
    },
)
