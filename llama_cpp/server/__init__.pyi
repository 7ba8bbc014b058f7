"""The public names of `llama_cpp.server`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from ._fields import ChatParams as ChatParams
from ._fields import CompletionParams as CompletionParams
from ._fields import EmbeddingParams as EmbeddingParams
from ._fields import LoraScale as LoraScale
from ._fields import RerankParams as RerankParams
from ._fields import SamplingParams as SamplingParams
from ._fields import TokenizeParams as TokenizeParams
from ._options import ServerOptions as ServerOptions
from .client import LlamaClient as LlamaClient
from .client import image as image
from .http import Timeouts as Timeouts
from .rpc import LlamaRpcServer as LlamaRpcServer
from .tracing import Tracing as Tracing
# seal: any sha256:ba343b151a1820c83cc83143af7378641c632ddefee1a1b8591da940760ae30f
