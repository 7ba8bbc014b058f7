"""The public names of `llama_cpp.server`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .client import LlamaClient as LlamaClient
from .client import image as image
from .http import Timeouts as Timeouts
from .rpc import LlamaRpcServer as LlamaRpcServer
# seal: any sha256:a4040805484f257ebf7269ea1a9b173474ebf4fa098ea2391b1edad78864f7f1
