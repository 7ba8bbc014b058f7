"""The errors that llama_cpp raises: one hierarchy under `LlamaError`."""

from __future__ import annotations

from typing import Any


class LlamaError(Exception):
    """Base of every error of this package; the message says what went wrong and what to do."""


class LlamaDownloadError(LlamaError):
    """A file could not be fetched, or what was fetched could not be trusted or unpacked.

    `url` is the address asked for (without credentials), or None where none was involved.
    """

    def __init__(self, message: str, *, url: str | None = None) -> None:
        super().__init__(message)
        self.url = url


class LlamaHashError(LlamaDownloadError):
    """A downloaded file is not the one that was promised; it has been removed.

    `expected` and `got` are SHA-256 digests in hexadecimal.
    """

    def __init__(
        self, message: str, *, url: str | None = None, expected: str = "", got: str = ""
    ) -> None:
        super().__init__(message, url=url)
        self.expected = expected
        self.got = got


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
    """A model could not be loaded, or it cannot do what was asked of it."""


class LlamaAdapterError(LlamaModelError):
    """A LoRA adapter or control vector could not be loaded, or is for another model."""


class LlamaRpcError(LlamaError):
    """An RPC server cannot be reached, speaks another version, or was lost while it was used.

    ``endpoint`` is its address, or None where it is not known which one it was.
    """

    def __init__(self, message: str, *, endpoint: str | None = None) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class LlamaTokenizeError(LlamaError):
    """Text could not be turned into tokens, or tokens into text."""


class LlamaContextError(LlamaError):
    """A context could not be made, or was used in a way that it does not allow."""


class LlamaBusyError(LlamaContextError):
    """Two threads used one context at the same time."""


class LlamaOutputError(LlamaContextError):
    """Logits or embeddings were read that the last decode did not compute."""


class LlamaDecodeError(LlamaContextError):
    """A batch could not be decoded or encoded.

    ``code`` is what ``llama_decode`` returned (llama.h): 1 no room in the KV cache, 2 aborted,
    -1 the batch is not valid, below -1 a failure inside the library.
    """

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class LlamaStateError(LlamaContextError):
    """A saved state is damaged, or belongs to another model or to a context of another shape."""


class LlamaSamplerError(LlamaError):
    """A sampler could not be made, or the chain cannot select a token."""


class LlamaTemplateError(LlamaError):
    """A chat template is missing or faulty, refuses the messages, or takes too long."""


class LlamaCancelled(LlamaError):
    """The work was stopped on request, by a callback or from outside."""


class LlamaServerError(LlamaError):
    """llama-server did not do what it was asked; also the base of the errors below.

    ``status`` is the HTTP status and ``kind`` the server's own name for the error, each None where
    no answer came.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class LlamaServerConnectionError(LlamaServerError):
    """No connection to the server, or it broke before the answer began."""


class LlamaServerTimeoutError(LlamaServerError):
    """The server kept silent for too long.

    ``phase`` says when: ``connect``, ``first_byte`` (nothing was answered yet) or ``idle`` (in the
    middle of an answer); ``seconds`` is the limit that passed.
    """

    def __init__(self, message: str, *, phase: str, seconds: float | None) -> None:
        super().__init__(message)
        self.phase = phase
        self.seconds = seconds


class LlamaServerUnavailableError(LlamaServerError):
    """The server, or what stands before it, cannot take the request now."""


class LlamaServerLoadingError(LlamaServerUnavailableError):
    """The server was still loading its model when the deadline passed."""


class LlamaAuthenticationError(LlamaServerError):
    """The server wants another API key, or does not allow this with the one it got."""


class LlamaNotSupportedError(LlamaServerError):
    """The server was not started with, or does not have, what was asked of it."""


class LlamaBadRequestError(LlamaServerError):
    """The server refused the request as it stands: sending it again does not help."""


class LlamaContextOverflowError(LlamaBadRequestError):
    """The prompt is longer than the context.

    ``n_prompt_tokens`` and ``n_ctx`` are the server's numbers, in tokens.
    """

    def __init__(
        self, message: str, *, n_prompt_tokens: int, n_ctx: int, status: int | None = None
    ) -> None:
        super().__init__(message, status=status, kind="exceed_context_size_error")
        self.n_prompt_tokens = n_prompt_tokens
        self.n_ctx = n_ctx


class LlamaServerTemplateError(LlamaServerError):
    """The chat template failed, or the model's reply does not have the form that belongs to it.

    The same request fails the same way again.
    """


class LlamaStreamError(LlamaServerError):
    """A streamed answer broke off, or is not what a stream of llama-server looks like.

    ``partial`` is the answer as far as it came, in the form of a whole one, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        partial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.partial = partial


class LlamaToolError(LlamaError):
    """A tool cannot be made of a function, or was called wrongly.

    A tool raises it itself to tell the model what went wrong in its own words.
    """


class LlamaAnswerError(LlamaError):
    """The model did not give an answer of the type that was asked for.

    ``text`` is its last answer.
    """

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class LlamaServerStartError(LlamaEngineError):
    """llama-server, or ggml-rpc-server, did not start, or ended before it was ready.

    `log` is the end of what it printed; `returncode` how it ended, None if it was stopped because
    it took too long.
    """

    def __init__(self, message: str, *, log: str = "", returncode: int | None = None) -> None:
        super().__init__(message)
        self.log = log
        self.returncode = returncode
