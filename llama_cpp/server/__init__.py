"""llama-server: a client for its HTTP interface, and its process. RPC servers for large models."""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "client": "LlamaClient image",
        "http": "Timeouts",
        "rpc": "LlamaRpcServer",
        "server": "LlamaServer",
    },
)
