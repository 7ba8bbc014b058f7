"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import ContextPerf as ContextPerf
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .params import LlamaContextParams as LlamaContextParams
from .prompts import PromptCache as PromptCache
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
# seal: any sha256:bede7f712c2801655a32428f304a227a1f64cb2f2a2470afe0f6b19f56322bcd
