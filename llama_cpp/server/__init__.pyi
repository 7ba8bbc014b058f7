"""The public names of `llama_cpp.server`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .client import LlamaClient as LlamaClient
from .client import image as image
from .http import Timeouts as Timeouts
from .rpc import LlamaRpcServer as LlamaRpcServer
# seal: b11434 sha256:99d7f4131ec71d510523b58c7f74453114ff0f3e9ef461cb0527cfc4bfae376e
