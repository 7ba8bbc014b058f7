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
from .params import LlamaModelParams as LlamaModelParams
from .quantizing import quantize as quantize
from .text import StreamDecoder as StreamDecoder
from .vocab import LlamaVocab as LlamaVocab
# seal: any sha256:739601db96ee868868208ab1c7e978efb10cd02028b4d28747db7c45a4e5252b
