"""The public names of `llama_cpp.context`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .batch import LlamaBatch as LlamaBatch
from .context import ContextPerf as ContextPerf
from .context import LlamaContext as LlamaContext
from .memory import LlamaMemory as LlamaMemory
from .sequence import LlamaSequence as LlamaSequence
from .sequence import Sequences as Sequences
# seal: any sha256:567c3eb3d1db1e46f8bccc8044f02f463a43df24cdee94aee75f4dc94d066e57
