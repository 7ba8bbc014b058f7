"""llama.cpp in Python: bindings generated from its C header, and classes on top of them.

``import llama_cpp`` loads no library and reads no file: each name is imported when it is first
used. Here are the names that most programs need. The packages `llama_cpp.native`, `engine`,
`model`, `sampling`, `context`, `generate`, `server` and `agent` have all public names of their
layer, `llama_cpp.errors` has every error, and `llama_cpp._raw` is the C API itself.
"""

from ._lazy import contents, refuse_mixture

refuse_mixture(__path__[0])

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "_version": "__version__",
        "errors": "LlamaCancelled LlamaDecodeError LlamaError LlamaModelError LlamaServerError",
        "native.library": "LlamaLibrary",
        "model.control_vector": "LlamaControlVector",
        "model.device": "devices",
        "model.model": "LlamaLora LlamaModel",
        "model.quantizing": "quantize",
        "sampling.chain": "LlamaSampler",
        "context.batch": "LlamaBatch",
        "context.context": "LlamaContext",
        "context.sequence": "LlamaSequence",
        "generate.aio": "AsyncLlama",
        "generate.drafts": "DraftModel PromptLookup",
        "generate.generation": "Completion Generation",
        "generate.llama": "Llama",
        "generate.logprobs": "log_probs",
        "generate.multimodal": "LlamaMultimodal",
        "server.client": "LlamaClient image",
        "server.rpc": "LlamaRpcServer",
        "agent.agent": "AsyncLlamaAgent LlamaAgent",
        "agent.server": "LlamaServer",
        "agent.tools": "Tool tool",
    },
)
