"""llama.cpp in Python: bindings generated from its C header, and classes on top of them.

``import llama_cpp`` loads no library and reads no file: each name below is imported when it is
first used.
"""

from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False  # as type checkers know it: importing typing takes most of this import's time
if TYPE_CHECKING:
    from typing import Any

    from ._custom import CustomSampler, LlamaCandidates
    from ._http import Timeouts
    from ._quantize import quantize
    from ._settings import ContextPerf
    from .agent import LlamaAgent
    from .aio import AsyncGeneration, AsyncGenerations, AsyncLlama, AsyncStream
    from .async_agent import AsyncLlamaAgent
    from .batch import LlamaBatch
    from .client import LlamaClient, image
    from .context import LlamaContext
    from .control_vector import LlamaControlVector
    from .device import LlamaDevice, devices
    from .embedding import Ranked
    from .errors import (
        LlamaABIError,
        LlamaAdapterError,
        LlamaAnswerError,
        LlamaAuthenticationError,
        LlamaBadRequestError,
        LlamaBusyError,
        LlamaCancelled,
        LlamaClosedError,
        LlamaContextError,
        LlamaContextOverflowError,
        LlamaDecodeError,
        LlamaDownloadError,
        LlamaEngineError,
        LlamaError,
        LlamaHashError,
        LlamaLibraryError,
        LlamaMissingFunctionError,
        LlamaModelError,
        LlamaNotSupportedError,
        LlamaOutputError,
        LlamaRpcError,
        LlamaSamplerError,
        LlamaServerConnectionError,
        LlamaServerError,
        LlamaServerLoadingError,
        LlamaServerStartError,
        LlamaServerTemplateError,
        LlamaServerTimeoutError,
        LlamaServerUnavailableError,
        LlamaStateError,
        LlamaStreamError,
        LlamaTemplateError,
        LlamaTokenizeError,
        LlamaToolError,
    )
    from .events import RunResult
    from .generation import (
        Completion,
        Generation,
        GenerationOptions,
        GenerationState,
        Timings,
        Usage,
    )
    from .library import LlamaLibrary
    from .llama import Llama
    from .logprobs import TokenLogprob, log_probs
    from .lora import LlamaLora
    from .model import LlamaModel
    from .multimodal import Chunk, LlamaChunks, LlamaMedia, LlamaMultimodal
    from .parallel import Generations, ParallelGeneration
    from .rpc import RpcServer
    from .sampler import LlamaSampler, SamplerPerf
    from .sequence import LlamaSequence
    from .server import LlamaServer
    from .speculative import Draft, DraftModel, PromptLookup
    from .text import StreamDecoder
    from .tools import Deny, Replace, Tool, ToolCall, tool
    from .vocab import LlamaVocab

# The other package of this name brings these files. pip installs both into one folder without a
# word, and what then lies there is a mixture.
if os.path.exists(os.path.join(__path__[0], "llama_cpp.py")):  # noqa: PTH110, PTH118 (at each import)
    raise ImportError(
        f"llama-py and llama-cpp-python are both installed in {__path__[0]}: they have the same "
        "import name, and have overwritten files of each other. Keep each in a virtual environment "
        "of its own. To mend this one: pip uninstall -y llama-cpp-python llama-py, and then "
        "pip install the one that you want",
        name=__name__,
        path=__path__[0],
    )

_MODULES = {
    "_quantize": ("quantize",),
    "_custom": ("CustomSampler", "LlamaCandidates"),
    "aio": ("AsyncGeneration", "AsyncGenerations", "AsyncLlama", "AsyncStream"),
    "_settings": ("ContextPerf",),
    "batch": ("LlamaBatch",),
    "client": ("LlamaClient", "image"),
    "_http": ("Timeouts",),
    "agent": ("LlamaAgent",),
    "async_agent": ("AsyncLlamaAgent",),
    "events": ("RunResult",),
    "tools": ("Deny", "Replace", "Tool", "ToolCall", "tool"),
    "context": ("LlamaContext",),
    "embedding": ("Ranked",),
    "control_vector": ("LlamaControlVector",),
    "device": ("LlamaDevice", "devices"),
    "errors": (
        "LlamaABIError",
        "LlamaAdapterError",
        "LlamaAnswerError",
        "LlamaAuthenticationError",
        "LlamaBadRequestError",
        "LlamaBusyError",
        "LlamaCancelled",
        "LlamaClosedError",
        "LlamaContextError",
        "LlamaContextOverflowError",
        "LlamaDecodeError",
        "LlamaDownloadError",
        "LlamaEngineError",
        "LlamaError",
        "LlamaHashError",
        "LlamaLibraryError",
        "LlamaMissingFunctionError",
        "LlamaModelError",
        "LlamaNotSupportedError",
        "LlamaOutputError",
        "LlamaRpcError",
        "LlamaSamplerError",
        "LlamaServerConnectionError",
        "LlamaServerError",
        "LlamaServerLoadingError",
        "LlamaServerTemplateError",
        "LlamaServerTimeoutError",
        "LlamaServerUnavailableError",
        "LlamaStreamError",
        "LlamaServerStartError",
        "LlamaStateError",
        "LlamaTemplateError",
        "LlamaTokenizeError",
        "LlamaToolError",
    ),
    "generation": (
        "Completion",
        "Generation",
        "GenerationOptions",
        "GenerationState",
        "Timings",
        "Usage",
    ),
    "library": ("LlamaLibrary",),
    "llama": ("Llama",),
    "logprobs": ("TokenLogprob", "log_probs"),
    "lora": ("LlamaLora",),
    "model": ("LlamaModel",),
    "multimodal": ("Chunk", "LlamaChunks", "LlamaMedia", "LlamaMultimodal"),
    "parallel": ("Generations", "ParallelGeneration"),
    "rpc": ("RpcServer",),
    "sampler": ("LlamaSampler", "SamplerPerf"),
    "server": ("LlamaServer",),
    "speculative": ("Draft", "DraftModel", "PromptLookup"),
    "sequence": ("LlamaSequence",),
    "text": ("StreamDecoder",),
    "vocab": ("LlamaVocab",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncGeneration",
    "AsyncGenerations",
    "AsyncLlama",
    "AsyncLlamaAgent",
    "AsyncStream",
    "Chunk",
    "Completion",
    "ContextPerf",
    "CustomSampler",
    "Deny",
    "Draft",
    "DraftModel",
    "Generation",
    "GenerationOptions",
    "GenerationState",
    "Generations",
    "Llama",
    "LlamaABIError",
    "LlamaAdapterError",
    "LlamaAgent",
    "LlamaAnswerError",
    "LlamaAuthenticationError",
    "LlamaBadRequestError",
    "LlamaBatch",
    "LlamaBusyError",
    "LlamaCancelled",
    "LlamaCandidates",
    "LlamaChunks",
    "LlamaClient",
    "LlamaClosedError",
    "LlamaContext",
    "LlamaContextError",
    "LlamaContextOverflowError",
    "LlamaControlVector",
    "LlamaDecodeError",
    "LlamaDevice",
    "LlamaDownloadError",
    "LlamaEngineError",
    "LlamaError",
    "LlamaHashError",
    "LlamaLibrary",
    "LlamaLibraryError",
    "LlamaLora",
    "LlamaMedia",
    "LlamaMissingFunctionError",
    "LlamaModel",
    "LlamaModelError",
    "LlamaMultimodal",
    "LlamaNotSupportedError",
    "LlamaOutputError",
    "LlamaRpcError",
    "LlamaSampler",
    "LlamaSamplerError",
    "LlamaSequence",
    "LlamaServer",
    "LlamaServerConnectionError",
    "LlamaServerError",
    "LlamaServerLoadingError",
    "LlamaServerStartError",
    "LlamaServerTemplateError",
    "LlamaServerTimeoutError",
    "LlamaServerUnavailableError",
    "LlamaStateError",
    "LlamaStreamError",
    "LlamaTemplateError",
    "LlamaTokenizeError",
    "LlamaToolError",
    "LlamaVocab",
    "ParallelGeneration",
    "PromptLookup",
    "Ranked",
    "Replace",
    "RpcServer",
    "RunResult",
    "SamplerPerf",
    "StreamDecoder",
    "Timeouts",
    "Timings",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "Usage",
    "devices",
    "image",
    "log_probs",
    "quantize",
    "tool",
]


def __getattr__(name: str) -> Any:
    module = "_version" if name == "__version__" else _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
