"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import ContextPerf as ContextPerf
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .params import LlamaContextParams as LlamaContextParams
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
# seal: any sha256:bbc4ede6e73e836d4bcd0cf05a5a22261b2522b1edcbeb9280de4ad6f7ec530b
