"""The public names of `llama_cpp.server`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .client import LlamaClient as LlamaClient
from .client import image as image
from .http import Timeouts as Timeouts
from .rpc import LlamaRpcServer as LlamaRpcServer
from .server import LlamaServer as LlamaServer
# seal: b11434 sha256:3b4b01a6428672d85f1dfc6b3086cb7509269f093adaaf6782fc43a83db31b1c
