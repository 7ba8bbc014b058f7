"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import ContextPerf as ContextPerf
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .prompts import PromptCache as PromptCache
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
# seal: any sha256:6b98af2a28b10f506630f7c84300da7d3f74eff16b0b6334e02d5b03445ce469
