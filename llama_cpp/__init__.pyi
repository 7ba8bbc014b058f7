"""The public names of `llama_cpp`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from ._version import __version__ as __version__
from .errors import LlamaCancelled as LlamaCancelled
from .errors import LlamaDecodeError as LlamaDecodeError
from .errors import LlamaError as LlamaError
from .errors import LlamaModelError as LlamaModelError
from .errors import LlamaServerError as LlamaServerError
from .native.library import LlamaLibrary as LlamaLibrary
from .model.control_vector import LlamaControlVector as LlamaControlVector
from .model.device import devices as devices
from .model.model import LlamaLora as LlamaLora
from .model.model import LlamaModel as LlamaModel
from .model.quantizing import quantize as quantize
from .sampling.chain import LlamaSampler as LlamaSampler
from .context.batch import LlamaBatch as LlamaBatch
from .context.context import LlamaContext as LlamaContext
from .context.sequence import LlamaSequence as LlamaSequence
from .generate.aio import AsyncLlama as AsyncLlama
from .generate.drafts import DraftModel as DraftModel
from .generate.drafts import PromptLookup as PromptLookup
from .generate.generation import Completion as Completion
from .generate.generation import Generation as Generation
from .generate.llama import Llama as Llama
from .generate.logprobs import log_probs as log_probs
from .generate.multimodal import LlamaMultimodal as LlamaMultimodal
from .server.client import LlamaClient as LlamaClient
from .server.client import image as image
from .server.rpc import LlamaRpcServer as LlamaRpcServer
from .agent.agent import AsyncLlamaAgent as AsyncLlamaAgent
from .agent.agent import LlamaAgent as LlamaAgent
from .agent.server import LlamaServer as LlamaServer
from .agent.tools import Tool as Tool
from .agent.tools import tool as tool
# seal: any sha256:b00905a0e80c707baac66ddef6c76f5deff03d11753b117f17afc0a29da80ebd
