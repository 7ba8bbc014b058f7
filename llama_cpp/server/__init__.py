"""The processes of llama.cpp's servers, and a client for llama-server's HTTP interface.

`LlamaServer` stands in `llama_cpp.agent`, since it makes agents.
"""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "_fields": "ChatParams CompletionParams EmbeddingParams LoraScale RerankParams "
        "SamplingParams TokenizeParams",
        "_options": "ServerOptions",
        "client": "LlamaClient image",
        "http": "Timeouts",
        "rpc": "LlamaRpcServer",
        "tracing": "Tracing",
    },
)
