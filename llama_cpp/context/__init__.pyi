"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import ContextPerf as ContextPerf
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
# seal: b11434 sha256:1e7467aedfcd91e6232fc4e87d8beb8b177894ffe3b7b4eb7c7bf9a3526605a0
