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
# seal: any sha256:60e5a4d3caecae5a9a68b070a91c3714ad015d46284b87b2767130d6d5634f04
