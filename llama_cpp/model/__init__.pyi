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
# seal: any sha256:2861612abd3158f17ca37cc5fce9609254304bccea87fc4aaeddfd776dbf7255
