"""The errors that llama_cpp raises: one hierarchy under `LlamaError`."""

from __future__ import annotations


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


class LlamaTokenizeError(LlamaError):
    """Text could not be turned into tokens, or tokens into text."""


class LlamaContextError(LlamaError):
    """A context could not be made, or was used in a way that it does not allow."""


class LlamaBusyError(LlamaContextError):
    """Two threads used one context at the same time."""


class LlamaOutputError(LlamaContextError):
    """Logits were read that the last decode did not compute."""


class LlamaDecodeError(LlamaContextError):
    """A batch could not be decoded or encoded.

    ``code`` is what ``llama_decode`` returned (llama.h): 1 no room in the KV cache, 2 aborted,
    -1 the batch is not valid, below -1 a failure inside the library.
    """

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class LlamaSamplerError(LlamaError):
    """A sampler could not be made, or the chain cannot select a token."""


class LlamaTemplateError(LlamaError):
    """A chat template is missing, or is one that the C API does not know."""


class LlamaCancelled(LlamaError):
    """The work was stopped on request, by a callback or from outside."""
