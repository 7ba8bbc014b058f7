"""The public names of `llama_cpp.model`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .control_vector import LlamaControlVector as LlamaControlVector
from .device import LlamaDevice as LlamaDevice
from .device import devices as devices
from .hub import fetch as fetch
from .hub import resolve as resolve
from .model import LlamaLora as LlamaLora
from .model import LlamaModel as LlamaModel
from .quantizing import quantize as quantize
from .text import StreamDecoder as StreamDecoder
from .vocab import LlamaVocab as LlamaVocab
# seal: b11434 sha256:a6c7b457ed276d2eab461dd9329000762b734b9cfbb90f4d7c75f8200769abe3
