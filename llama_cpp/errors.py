"""The errors that llama_cpp raises: one hierarchy under `LlamaError`."""

from __future__ import annotations

from typing import Any

from ._dataclasses import dataclass, field


@dataclass(eq=False, repr=False)
class LlamaError(Exception):
    """Base of every error of this package."""

    message: str = ""
    """The problem, and its cure."""
    run: Any = field(default=None, init=False)
    """The agent's run that the error ended: its messages, calls and usage until then. A `RunResult`
    with the reason ``error``, or None."""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Python's own would call the class with `args` alone, without the keywords.
        return type(self).__new__, (type(self), *self.args), self.__dict__


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaDownloadError(LlamaError):
    """A file could not be fetched, trusted or unpacked."""

    url: str | None = None
    """The address asked for (without credentials), or None where none was involved."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaHashError(LlamaDownloadError):
    """A downloaded file is not the one that was promised; it has been removed."""

    expected: str = ""
    """The SHA-256 digest that was promised, in hexadecimal."""
    got: str = ""
    """The digest of the file."""


class LlamaEngineError(LlamaError):
    """The engine (libllama and its programs) could not be installed, built or found."""


class LlamaLibraryError(LlamaError):
    """libllama was not found, or the file is not a library that can be loaded."""


class LlamaABIError(LlamaLibraryError):
    """The library is not the llama.cpp that the bindings were generated for.

    Its structs are laid out otherwise, or functions are missing: calling it would corrupt memory.
    """


class LlamaMissingFunctionError(LlamaLibraryError, AttributeError):
    """The loaded library does not have a function that the header declares."""


class LlamaClosedError(LlamaError):
    """A model, context, batch or sampler was used after it had been closed."""


class LlamaModelError(LlamaError):
    """A model could not be loaded, or does not support the call."""


class LlamaAdapterError(LlamaModelError):
    """A LoRA adapter or control vector could not be loaded, or is for another model."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaRpcError(LlamaError):
    """An RPC server cannot be reached, speaks another version, or was lost while it was used."""

    endpoint: str | None = None
    """Its address, or None where it is not known which one it was."""


class LlamaTokenizeError(LlamaError):
    """Text could not be turned into tokens, or tokens into text."""


class LlamaContextError(LlamaError):
    """A context could not be made, or was used in a way that it does not allow."""


class LlamaBusyError(LlamaContextError):
    """Two threads used one context at the same time."""


class LlamaQueueFullError(LlamaBusyError):
    """As many requests wait as ``queue_size`` of `Llama` allows."""


class LlamaOutputError(LlamaContextError):
    """Logits or embeddings were read that the last decode did not compute."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaDecodeError(LlamaContextError):
    """A batch could not be decoded or encoded."""

    code: int
    """The result of ``llama_decode`` (llama.h): 1 no room in the KV cache, 2 aborted, -1 the batch
    is not valid, below -1 a failure inside the library."""


class LlamaStateError(LlamaContextError):
    """A saved state is damaged, or belongs to another model or to a context of another shape."""


class LlamaSamplerError(LlamaError):
    """A sampler could not be made, or the chain cannot select a token."""


class LlamaTemplateError(LlamaError):
    """A chat template is missing or faulty, refuses the messages, or takes too long."""


class LlamaCancelled(LlamaError):
    """The work was stopped on request, by a callback or from outside."""


class LlamaTimeoutError(LlamaCancelled, TimeoutError):
    """A generation was not done after its ``timeout``."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaServerError(LlamaError):
    """llama-server could not handle a request; also the base of the errors below."""

    status: int | None = None
    """The HTTP status, or None without an answer."""
    kind: str | None = None
    """The server's own name for the error, or None without an answer."""
    retry_after: float | None = field(default=None, init=False)
    """Seconds until the request may be sent again, if the server said so."""


class LlamaServerConnectionError(LlamaServerError):
    """No connection to the server, or it broke before the answer began."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaServerTimeoutError(LlamaServerError):
    """The server kept silent for too long."""

    phase: str
    """When: ``connect``, ``first_byte`` (nothing was answered yet) or ``idle`` (in the middle of an
    answer)."""
    seconds: float | None
    """The limit that passed."""


class LlamaServerUnavailableError(LlamaServerError):
    """The server, or a proxy before it, cannot take the request now."""


class LlamaServerLoadingError(LlamaServerUnavailableError):
    """The server was still loading its model when the deadline passed."""


class LlamaAuthenticationError(LlamaServerError):
    """The server wants another API key, or does not allow this with the one it got."""


class LlamaNotSupportedError(LlamaServerError):
    """The server lacks the requested feature, or was started without it."""


class LlamaBadRequestError(LlamaServerError):
    """The server refused the request as it stands: sending it again does not help."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaContextOverflowError(LlamaBadRequestError):
    """The prompt is longer than the context. The numbers are the server's, in tokens."""

    n_prompt_tokens: int
    """The length of the prompt."""
    n_ctx: int
    """The size of the context."""


class LlamaServerTemplateError(LlamaServerError):
    """The chat template failed, or the model's reply does not have the form that belongs to it.

    The same request fails the same way again.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaStreamError(LlamaServerError):
    """A streamed answer broke off, or does not have the form of llama-server's streams."""

    partial: dict[str, Any] | None = None
    """The answer as far as it came, in the form of a whole one, or None."""


class LlamaToolError(LlamaError):
    """A tool cannot be made of a function, or was called wrongly.

    A tool can raise it itself: the model reads the message.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaAnswerError(LlamaError):
    """The model did not give an answer of the type that was asked for."""

    text: str
    """Its last answer."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaLimitError(LlamaError):
    """A run of an agent reached one of its `Limits`; ``run`` has what it did."""

    limit: str
    """Which: ``tokens``, ``calls`` or ``seconds``."""


@dataclass(eq=False, repr=False, kw_only=True)
class LlamaServerStartError(LlamaEngineError):
    """llama-server, or ggml-rpc-server, did not start, or ended before it was ready."""

    log: str = ""
    """The end of its output."""
    returncode: int | None = None
    """How it ended; None if it was stopped because it took too long."""
