"""The public names of `llama_cpp.generate`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .aio import AsyncGeneration as AsyncGeneration
from .aio import AsyncGenerations as AsyncGenerations
from .aio import AsyncLlama as AsyncLlama
from .aio import AsyncStream as AsyncStream
from .batching.generations import Generations as Generations
from .batching.jobs import ParallelGeneration as ParallelGeneration
from .chat import ChatGenerationOptions as ChatGenerationOptions
from .chat import ChatOptions as ChatOptions
from .chat import apply_chat_template as apply_chat_template
from .drafts import DraftModel as DraftModel
from .drafts import PromptLookup as PromptLookup
from .mtp import MtpDraft as MtpDraft
from .embedding import Ranked as Ranked
from .generation import Completion as Completion
from .generation import Generation as Generation
from .generation import GenerationState as GenerationState
from .llama import Llama as Llama
from .llama import LlamaParams as LlamaParams
from .logprobs import Score as Score
from .logprobs import TokenLogprob as TokenLogprob
from .logprobs import log_probs as log_probs
from .options import Draft as Draft
from .options import GenerationOptions as GenerationOptions
from .multimodal import Chunk as Chunk
from .multimodal import LlamaChunks as LlamaChunks
from .multimodal import LlamaMedia as LlamaMedia
from .multimodal import LlamaMultimodal as LlamaMultimodal
from .reasoning import ChatPrompt as ChatPrompt
from .reasoning import ReasoningTags as ReasoningTags
# seal: any sha256:54577368a0cfd020c1137da524d9d0d9c493dafce5c0ba65b082d5ec7efd0801
