"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
from .settings import ContextPerf as ContextPerf
# seal: b11434 sha256:c8332c4e40defc7b978e137a8a0b603af5a1cf79ddb80a8e17921ba30aad707a
