"""The public names of `llama_cpp.model`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .control_vector import LlamaControlVector as LlamaControlVector
from .device import LlamaDevice as LlamaDevice
from .device import devices as devices
from .hub import fetch as fetch
from .hub import resolve as resolve
from .lora import LlamaLora as LlamaLora
from .model import LlamaModel as LlamaModel
from .quantizing import quantize as quantize
from .text import StreamDecoder as StreamDecoder
from .vocab import LlamaVocab as LlamaVocab
# seal: b11434 sha256:b756241771455efd53428378da8afd5fb0efabedb3d9897b4413cd9322f14f5c
