"""LlamaClient: every endpoint of llama-server as a method."""

from __future__ import annotations

import base64
import math
import mimetypes
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from ..errors import (
    LlamaBadRequestError,
    LlamaServerError,
    LlamaServerLoadingError,
    LlamaStreamError,
)
from ..native.arguments import check_text
from ..native.resource import ClosedByWith
from . import _fields as known
from ._fields import (
    ChatParams,
    CompletionParams,
    EmbeddingParams,
    Json,
    LoraScale,
    RerankParams,
    TokenizeParams,
)
from .http import Form, Timeouts, Transport
from .stream import ChatStream, Stream
from .values import Value, fields

if TYPE_CHECKING:
    from typing_extensions import Unpack

Prompt = str | Sequence[int] | Sequence[str | int]
Messages = Sequence[Mapping[str, Any]]


class ToolParams(ChatParams, total=False):
    """The fields of a chat with tools."""

    tools: Sequence[Mapping[str, Any]] | None
    """Their definitions."""
    extra_body: Mapping[str, Any] | None
    """More fields, sent unchecked: for a server that knows others."""
    model: str | None
    """The model, instead of the client's."""


class TranscriptionParams(TypedDict, total=False):
    """The fields of a transcription."""

    prompt: str | None
    """The instruction to the model, instead of the server's default."""
    language: str | None
    """The language of the sound, such as ``en``."""
    max_tokens: int | None
    """The greatest number of tokens of the text."""
    temperature: float | None
    """The randomness; 0 takes the most probable tokens."""
    model: str | None
    """The model, instead of the client's."""


_TRANSCRIPTION = {
    "prompt": Value("str"),
    "language": Value("str"),
    "max_tokens": Value("int", 1),
    "temperature": Value("float", 0),
}
_OWN = ("extra_body", "model")  # of this package
# The last events of streams without [DONE].
_LAST = ("response.completed", "message_stop")
_WITH_TOOLS = {**known.CHAT, "tools": Value("list")}


class LlamaClient(ClosedByWith):
    """A connection to a running llama-server.

    Methods return the server's own JSON and raise the errors under `LlamaServerError`. Failures
    that can pass (no connection, a busy server) are retried ``retries`` times, and a model that is
    still loading is waited for. Threads may share a client.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8080",
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeouts: Timeouts | None = None,
        retries: int = 3,
        on_wait: Callable[[str, float], None] | None = None,
        alive: Callable[[], None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``model`` names the model of each request, for a server with several models; a request's
        own ``model`` replaces it. ``headers`` are sent with each request.

        ``on_wait(reason, seconds)`` is called while the server loads its model. ``alive()`` is
        called before each retry and may raise, for example when the server's process has ended.
        """
        self._transport = Transport(
            base_url, api_key=api_key, timeouts=Timeouts() if timeouts is None else timeouts,
            retries=retries, on_wait=on_wait, alive=alive, headers=headers,
        )  # fmt: skip
        check_text(model, "model")
        self.model = model

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._transport.base_url

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # -- text

    def complete(self, prompt: Prompt, **params: Unpack[CompletionParams]) -> Json:
        """Continue ``prompt``: text, tokens, or both mixed. ``POST /completion``."""
        body = self._body(known.COMPLETION, params, prompt=prompt)
        return cast("Json", self._transport.request("POST", "/completion", body))

    def complete_stream(self, prompt: Prompt, **params: Unpack[CompletionParams]) -> Iterator[Json]:
        """As `complete`, in parts as they are generated. Closing the iterator stops the server."""
        body = self._body(known.COMPLETION, params, prompt=prompt, stream=True)
        return self._parts("/completion", body)

    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        prompt: str = "",
        extra: Sequence[Mapping[str, str]] = (),
        **params: Unpack[CompletionParams],
    ) -> Json:
        """The text between ``prefix`` and ``suffix``, by a model trained to fill such gaps.

        ``extra`` are other files, each with a ``filename`` and a ``text``. ``POST /infill``.
        """
        body = self._body(
            known.COMPLETION, params,
            input_prefix=prefix, input_suffix=suffix, prompt=prompt, input_extra=list(extra),
        )  # fmt: skip
        return cast("Json", self._transport.request("POST", "/infill", body))

    # -- chat

    def chat_completion(self, messages: Messages, **params: Unpack[ToolParams]) -> Json:
        """The answer to ``messages``. ``POST /v1/chat/completions``.

        ``tools`` are passed to the chat template unchanged; a template without tools ignores them
        silently. `LlamaAgent` works with every template.
        """
        body = self._chat_body(messages, params)
        return self._transport.request_object("POST", "/v1/chat/completions", body)

    def chat_stream(
        self, messages: Messages, *, conversation: str | None = None, **params: Unpack[ToolParams]
    ) -> ChatStream:
        """As `chat_completion`, in chunks as they are generated.

        With ``conversation``, an id of your own, the server keeps the answer, and reading continues
        where it stopped when the connection breaks: ``GET /v1/stream``.
        """
        body = self._chat_body(messages, params)
        body["stream"] = True
        body.setdefault("stream_options", {"include_usage": True})
        path = "/v1/chat/completions"
        return ChatStream(Stream(self._transport, path, body, conversation=conversation))

    def chat_as_completion(self, messages: Messages, **params: Unpack[ChatParams]) -> ChatStream:
        """As `chat_stream`, for replies that the server's chat endpoint would refuse because they
        do not have the form that belongs to the chat template.

        Of the fields of a chat only ``response_format``, with a JSON schema, is heeded.
        ``POST /apply-template`` and ``POST /completion``.
        """
        self.check_fields(params)
        prompt = self.apply_template(messages)
        given = {name: v for name, v in params.items() if name in known.GENERATION}
        if (schema := schema_wanted(params)) is not None:
            given["json_schema"] = schema
        body = self._body(known.GENERATION, given, prompt=prompt, stream=True)
        return ChatStream(Stream(self._transport, "/completion", body), completion=True)

    def count_tokens(self, messages: Messages, **params: Unpack[ToolParams]) -> int:
        """How many tokens the prompt of `chat_completion` has, without generating anything.

        ``POST /v1/chat/completions/input_tokens``.
        """
        body = self._chat_body(messages, params)
        path = "/v1/chat/completions/input_tokens"
        return int(self._transport.request("POST", path, body)["input_tokens"])

    def apply_template(self, messages: Messages, **params: Unpack[ToolParams]) -> str:
        """The prompt that the chat template makes from ``messages``. ``POST /apply-template``."""
        body = self._chat_body(messages, params)
        return str(self._transport.request("POST", "/apply-template", body)["prompt"])

    # -- other forms of the chat; their fields are sent unchecked

    def responses(self, input: str | Messages, **fields: Any) -> Json:
        """The answer to ``input`` in the form of OpenAI's Responses.

        ``fields`` are that API's, such as ``instructions``, ``tools`` and ``max_output_tokens``,
        or the server's. ``POST /v1/responses``.
        """
        body = self._body({}, {}, **fields, input=input, stream=False)
        return self._transport.request_object("POST", "/v1/responses", body)

    def responses_stream(self, input: str | Messages, **fields: Any) -> Iterator[Json]:
        """As `responses`: its events as they are generated."""
        return self._parts("/v1/responses", self._body({}, {}, **fields, input=input, stream=True))

    def responses_tokens(self, input: str | Messages, **fields: Any) -> int:
        """How many tokens the prompt of `responses` has. ``POST /v1/responses/input_tokens``."""
        body = self._body({}, {}, **fields, input=input)
        return int(
            self._transport.request("POST", "/v1/responses/input_tokens", body)["input_tokens"]
        )

    def messages(self, messages: Messages, *, max_tokens: int = 4096, **fields: Any) -> Json:
        """The answer to ``messages`` in the form of Anthropic's Messages.

        ``fields`` are that API's, such as ``system``, ``tools`` and ``thinking``, or the server's.
        ``POST /v1/messages``.
        """
        body = self._body({}, {}, **fields, messages=messages, max_tokens=max_tokens, stream=False)
        return self._transport.request_object("POST", "/v1/messages", body)

    def messages_stream(
        self, messages: Messages, *, max_tokens: int = 4096, **fields: Any
    ) -> Iterator[Json]:
        """As `messages`: its events as they are generated."""
        body = self._body({}, {}, **fields, messages=messages, max_tokens=max_tokens, stream=True)
        return self._parts("/v1/messages", body)

    def messages_tokens(self, messages: Messages, **fields: Any) -> int:
        """How many tokens the prompt of `messages` has. ``POST /v1/messages/count_tokens``."""
        body = self._body({}, {}, **fields, messages=messages)
        return int(
            self._transport.request("POST", "/v1/messages/count_tokens", body)["input_tokens"]
        )

    def transcribe(self, audio: str | Path | bytes, **params: Unpack[TranscriptionParams]) -> str:
        """The text that is spoken in ``audio``, a file or its bytes (WAV, MP3 or FLAC).

        Needs a model that takes sounds. ``POST /v1/audio/transcriptions``.
        """
        body = self._form(audio, params)
        return str(self._transport.request("POST", "/v1/audio/transcriptions", body)["text"])

    def transcribe_stream(
        self, audio: str | Path | bytes, **params: Unpack[TranscriptionParams]
    ) -> Iterator[str]:
        """As `transcribe`: the text in parts, as they are generated."""
        parts = self._parts("/v1/audio/transcriptions", self._form(audio, params, stream="true"))
        return (part["delta"] for part in parts if part.get("delta"))

    # -- tokens and vectors

    def tokenize(self, text: str, **params: Unpack[TokenizeParams]) -> list[int]:
        """``text`` as tokens. ``POST /tokenize``."""
        body = self._body(known.TOKENIZE, params, content=text)
        return list(self._transport.request("POST", "/tokenize", body)["tokens"])

    def detokenize(self, tokens: Sequence[int]) -> str:
        """``tokens`` as text. ``POST /detokenize``."""
        body = self._body({}, {}, tokens=list(tokens))
        return str(self._transport.request("POST", "/detokenize", body)["content"])

    def embed(
        self, texts: str | Sequence[str], **params: Unpack[EmbeddingParams]
    ) -> list[list[float]]:
        """One vector for each text. Needs a server started with ``--embedding``.

        ``POST /v1/embeddings``.
        """
        given = texts if isinstance(texts, str) else list(texts)
        body = self._body(known.EMBEDDING, params, input=given)
        data = self._transport.request("POST", "/v1/embeddings", body)["data"]
        return [item["embedding"] for item in sorted(data, key=lambda item: item["index"])]

    def rerank(
        self, query: str, documents: Sequence[str], **params: Unpack[RerankParams]
    ) -> list[Json]:
        """The ``index`` and ``relevance_score`` of each of ``documents``, best first.

        Needs a server started with ``--reranking``. ``POST /v1/rerank``.
        """
        body = self._body(known.RERANK, params, query=query, documents=list(documents))
        results = self._transport.request("POST", "/v1/rerank", body)["results"]
        return sorted(results, key=lambda item: -item["relevance_score"])

    # -- the server

    def health(self) -> bool:
        """Whether the model is loaded. Does not wait, and does not check the API key.

        ``GET /health``.
        """
        try:
            with self._once() as transport:
                transport.request("GET", "/health")
        except LlamaServerLoadingError:
            return False
        return True

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the server is ready.

        Raises its last error, such as LlamaServerLoadingError, if it is not ready after ``timeout``
        seconds (by default `Timeouts.loading`).
        """
        end = time.monotonic() + self._limit(timeout)
        with self._once() as transport:
            while True:
                try:
                    transport.request("GET", "/health")
                    return
                except LlamaServerError:
                    if time.monotonic() >= end:
                        raise
                time.sleep(0.1)

    def props(self) -> Json:
        """Properties of the server: chat template and its abilities, slots, default settings.

        ``GET /props``.
        """
        return cast("Json", self._get("/props"))

    def slots(self) -> list[Json]:
        """The state of each slot. ``GET /slots``."""
        return list(self._get("/slots"))

    def save_slot(self, id_slot: int, filename: str) -> Json:
        """Save a slot's prompt cache in the server's ``--slot-save-path``.

        ``POST /slots/{id}?action=save``.
        """
        return self._slot(id_slot, "save", filename)

    def restore_slot(self, id_slot: int, filename: str) -> Json:
        """Restore a file of `save_slot`. ``POST /slots/{id}?action=restore``."""
        return self._slot(id_slot, "restore", filename)

    def erase_slot(self, id_slot: int) -> Json:
        """Empty a slot's prompt cache. ``POST /slots/{id}?action=erase``."""
        return self._slot(id_slot, "erase", None)

    def metrics(self) -> dict[str, float]:
        """The server's counters by name. Needs ``--metrics``. ``GET /metrics``."""
        text = str(self._get("/metrics"))
        pairs = [line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in pairs}

    def lora_adapters(self) -> list[Json]:
        """The loaded LoRA adapters: ``id``, ``path``, ``scale``. ``GET /lora-adapters``."""
        return list(self._get("/lora-adapters"))

    def set_lora_scales(self, scales: Mapping[int, float]) -> None:
        """Set the scales of the adapters by id, for all requests; those not named are set to 0.

        ``POST /lora-adapters``.
        """
        adapters = [LoraScale(id=i, scale=scale) for i, scale in scales.items()]
        self._transport.request("POST", "/lora-adapters", adapters)

    def models(self) -> list[Json]:
        """The server's models; in router mode all that it can load. ``GET /v1/models``."""
        return list(self._transport.request("GET", "/v1/models")["data"])

    def load_model(self, name: str, *, timeout: float | None = None) -> None:
        """Load a model in a server in router mode and wait until it is ready.

        ``POST /models/load``.
        """
        try:
            self._transport.request("POST", "/models/load", {"model": name})
        except LlamaBadRequestError as error:
            if "already running" not in str(error):
                raise
        limit = self._limit(timeout)
        end = time.monotonic() + limit
        while True:
            status = self._model_status(name)
            if status.get("value") in ("loaded", "sleeping"):
                return
            if status.get("failed"):
                raise LlamaServerError(f"the server could not load {name!r}: {status}")
            if time.monotonic() > end:
                raise LlamaServerLoadingError(f"{name!r} was not loaded within {limit} s")
            time.sleep(0.1)

    def unload_model(self, name: str) -> None:
        """Unload a model in a server in router mode. ``POST /models/unload``."""
        self._transport.request("POST", "/models/unload", {"model": name})

    def add_model(self, name: str) -> None:
        """Have a server in router mode download a model of the Hugging Face Hub, such as
        ``owner/repo:Q4_K_M``.

        `model_events` shows the progress, `unload_model` ends the download. ``POST /models``.
        """
        self._transport.request("POST", "/models", {"model": name})

    def remove_model(self, name: str) -> None:
        """Delete a downloaded model from the server's cache. ``DELETE /models``."""
        self._transport.request("DELETE", "/models", params={"model": name})

    def model_events(self) -> Iterator[Json]:
        """What happens to the models of a server in router mode from now on: ``model``, ``event``
        and ``data``, until the iterator is closed. ``GET /models/sse``."""
        return _closing(Stream(self._transport, "/models/sse", None))

    def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer of any other route, for example ``request("GET", "/tools")``.

        ``body`` is sent as JSON, unchecked. The errors are those of the other methods.
        """
        return self._transport.request(method, path, body, params=query)

    def _model_status(self, name: str) -> Json:
        for model in self.models():
            if model.get("id") == name:
                return cast("Json", model.get("status", {}))
        raise LlamaServerError(f"the server has no model {name!r}")

    # -- requests

    def _once(self) -> Transport:
        return self._transport.without_patience()

    def _limit(self, timeout: float | None) -> float:
        limit = self._transport.timeouts.loading if timeout is None else timeout
        return math.inf if limit is None else limit

    def _get(self, path: str) -> Any:
        query = {} if self.model is None else {"model": self.model}
        return self._transport.request("GET", path, params=query)

    def _slot(self, id_slot: int, action: str, filename: str | None) -> Json:
        body = self._body({}, {}, **({} if filename is None else {"filename": filename}))
        path, query = f"/slots/{int(id_slot)}", {"action": action}
        return cast("Json", self._transport.request("POST", path, body, params=query))

    def check_fields(self, params: Mapping[str, Any]) -> None:
        """TypeError for a field that a chat request does not have, naming the nearest one.
        ValueError for a value of another type, or one that the server would refuse."""
        fields({k: v for k, v in params.items() if k not in _OWN}, known.CHAT)

    def _body(self, of: Mapping[str, Value], params: Mapping[str, Any], **more: Any) -> Json:
        more.update(params.get("extra_body") or {})
        body = fields({k: v for k, v in params.items() if k not in _OWN}, of)
        model = params.get("model") or self.model
        if model is not None:
            check_text(model, "model")
            body["model"] = model
        return {**body, **more}

    def _chat_body(self, messages: Messages, params: ToolParams) -> Json:
        body = self._body(_WITH_TOOLS, params, messages=list(messages))
        wanted = body.get("response_format")
        if isinstance(wanted, Mapping) and {"json_schema", "schema"} & wanted.keys() == {"schema"}:
            # The server forgets the schema of this form, which it documents.
            inner = {"name": "answer", "schema": wanted["schema"]}
            body["response_format"] = {"type": "json_schema", "json_schema": inner}
        tools = body.pop("tools", None)
        return {**body, "tools": tools} if tools else body

    def _form(self, audio: str | Path | bytes, params: Mapping[str, Any], **more: str) -> Form:
        name = "audio" if isinstance(audio, bytes) else Path(audio).name
        data = audio if isinstance(audio, bytes) else Path(audio).read_bytes()
        given = self._body(_TRANSCRIPTION, params)
        texts = {key: str(value) for key, value in given.items()}
        return Form(texts, **more, file=(name, data))

    def _parts(self, path: str, body: Json) -> Iterator[Json]:
        with Stream(self._transport, path, body) as stream:
            for part in stream.parts():
                yield part
                if part.get("stop") is True or part.get("type") in _LAST:
                    stream.done()
        if not stream.complete:
            raise LlamaStreamError(f"the answer of {path} broke off before its last event")


def _closing(stream: Stream) -> Iterator[Json]:
    with stream:
        yield from stream.parts()


def image(source: str | Path | bytes, *, mime: str | None = None) -> Json:
    """An image as a part of a message's ``content``, for a model with vision.

    ``source`` is a file, a URL (http, https or data), or the bytes of the file.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://", "data:")):
        return {"type": "image_url", "image_url": {"url": source}}
    if not isinstance(source, bytes):
        mime = mime or mimetypes.guess_type(str(source))[0]
        source = Path(source).read_bytes()
    url = f"data:{mime or 'image/png'};base64,{base64.b64encode(source).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def schema_wanted(params: Mapping[str, Any]) -> Json | None:
    """The schema that ``params`` ask for."""
    given, schema = params.get("response_format"), params.get("json_schema")
    if isinstance(given, Mapping) and given.get("type") in ("json_schema", "json_object"):
        inner = given.get("json_schema")
        found = inner.get("schema") if isinstance(inner, Mapping) else given.get("schema")
        schema = found or {"type": "object"}
    return dict(schema) if isinstance(schema, Mapping) else None
