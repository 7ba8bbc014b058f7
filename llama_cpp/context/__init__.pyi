"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import LlamaContext as LlamaContext
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
from .settings import ContextPerf as ContextPerf
# seal: b11434 sha256:d7074d926a7ac232c1c57923d3e11cba6a7f2dca06134a99d00260c9aaaabcf4
