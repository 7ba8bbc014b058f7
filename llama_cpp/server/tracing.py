"""OpenTelemetry spans of an agent, by its conventions for generative AI. Extra ``otel``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .._needs import needs
from .._version import __version__
from ..errors import LlamaToolError
from ..native.arguments import check_text
from ..usage import Usage
from ._fields import Json

_REQUEST = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "reasoning.level",
    "n": "choice.count",
}
"""Fields of a chat -> attributes under gen_ai.request."""


class Tracing:
    """OpenTelemetry spans of an agent, named as its conventions for generative AI say.

        LlamaAgent(url, tracing=Tracing(content=True))

    Each run is a span ``invoke_agent``. In it are a span ``chat`` for each request, with its
    sampling fields, tokens and finish reasons, and a span ``execute_tool`` for each call; spans
    that the tool makes are in the latter. Errors have their class. ``content`` adds the messages,
    the tools' definitions, arguments and results, and the texts of errors. ``name`` is the agent's
    name in the spans, ``provider`` a ``TracerProvider`` instead of the program's.
    """

    def __init__(
        self, *, content: bool = False, name: str | None = None, provider: Any = None
    ) -> None:
        check_text(name, "name")
        self.trace = needs("opentelemetry.trace", "Tracing", extra="otel")
        self.tracer = self.trace.get_tracer("llama_cpp", __version__, provider)
        self.content, self.name = content, name

    def spans(self, url: str, model: str | None) -> Spans:
        """Those of one run, on the server at ``url``."""
        return Spans(self, url, model)


class Spans:
    """The spans of one run."""

    def __init__(self, tracing: Tracing, url: str, model: str | None) -> None:
        self._own, self._trace = tracing, tracing.trace
        self._parent: Any = None  # the current span
        address = urlsplit(url)
        port = address.port or (443 if address.scheme == "https" else 80)
        self._about: Json = {
            "gen_ai.provider.name": "llama.cpp",
            "server.address": address.hostname,
            "server.port": port,
            "gen_ai.request.model": model,
        }

    @contextlib.contextmanager
    def run(self) -> Iterator[Callable[[Usage], None]]:
        """While the run goes on. Gives a function for its tokens."""
        name = self._own.name
        about = {**self._about, "gen_ai.agent.name": name}
        with self._span("invoke_agent", name, "INTERNAL", about) as span:
            self._parent = self._trace.set_span_in_context(span)
            yield lambda used: span.set_attributes(
                _tokens(used.prompt_tokens, used.completion_tokens, used.cached_tokens)
            )

    @contextlib.contextmanager
    def chat(
        self, messages: Sequence[Json], tools: Sequence[Json] | None, params: Json, stream: bool
    ) -> Iterator[Callable[[Json], None]]:
        """While a request goes on. Gives a function for its response."""
        about = {**self._about, "gen_ai.request.stream": stream or None}
        about |= {f"gen_ai.request.{_REQUEST[k]}": v for k, v in params.items() if k in _REQUEST}
        about["gen_ai.request.model"] = model = params.get("model") or about["gen_ai.request.model"]
        stop = params.get("stop")
        about["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else stop
        if params.get("response_format") or params.get("json_schema"):
            about["gen_ai.output.type"] = "json"
        if self._own.content:
            about["gen_ai.input.messages"] = _json([_message(one) for one in messages])
            if tools:
                about["gen_ai.tool.definitions"] = _json([one["function"] for one in tools])
        with self._span("chat", model, "CLIENT", about) as span:
            yield lambda response: self._answered(span, response)

    def _answered(self, span: Any, response: Json) -> None:
        choices = response.get("choices") or ()
        usage = response.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        about = {
            "gen_ai.response.id": response.get("id"),
            "gen_ai.response.model": response.get("model"),
            "gen_ai.response.finish_reasons": [str(one.get("finish_reason")) for one in choices],
            **_tokens(
                usage.get("prompt_tokens"),
                usage.get("completion_tokens"),
                details.get("cached_tokens"),
            ),
        }
        if self._own.content:
            said = [
                _message(one["message"]) | {"finish_reason": one.get("finish_reason")}
                for one in choices
            ]
            about["gen_ai.output.messages"] = _json(said)
        span.set_attributes(_known(about))

    @contextlib.contextmanager
    def tool(
        self, name: str, description: str, call_id: str, arguments: Mapping[str, Any]
    ) -> Iterator[Callable[[Callable[[], str]], None]]:
        """While a tool runs, whose own spans are inside. Gives a function for the result, which is
        made text if it is wanted."""
        about: Json = {
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": description or None,
            "gen_ai.tool.call.id": call_id,
        }

        def finished(text: Callable[[], str]) -> None:
            if self._own.content:
                with contextlib.suppress(LlamaToolError):
                    span.set_attribute("gen_ai.tool.call.result", text())

        if self._own.content:
            about["gen_ai.tool.call.arguments"] = _json(arguments)
        quiet = {"record_exception": False, "set_status_on_exception": False}
        with (
            self._span("execute_tool", name, "INTERNAL", about) as span,
            self._trace.use_span(span, **quiet),
        ):
            yield finished

    @contextlib.contextmanager
    def _span(self, operation: str, name: str | None, kind: str, about: Json) -> Iterator[Any]:
        """A span that begins and ends here. It is not the current one: a generator of events is
        left and entered in between."""
        span = self._own.tracer.start_span(
            f"{operation} {name}" if name else operation, self._parent,
            getattr(self._trace.SpanKind, kind),
            {"gen_ai.operation.name": operation, **_known(about)},
        )  # fmt: skip
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            text = str(error) if self._own.content else None
            span.set_status(self._trace.StatusCode.ERROR, text)
            raise
        finally:
            span.end()


def _known(about: Json) -> Json:
    return {name: value for name, value in about.items() if value is not None}


def _tokens(prompt: int | None, completion: int | None, cached: int | None) -> Json:
    return {
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": completion,
        "gen_ai.usage.cache_read.input_tokens": cached,
    }


def _json(value: object) -> str:
    return json.dumps(value, default=str)  # in ASCII: an exporter fails at a lone surrogate


def _message(message: Mapping[str, Any]) -> Json:
    """A message in the conventions' form, without images and sounds."""
    return {"role": message.get("role", "assistant"), "parts": list(_parts(message))}


def _parts(message: Mapping[str, Any]) -> Iterable[Json]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {
            "type": "tool_call_response", "id": message.get("tool_call_id"), "response": content
        }  # fmt: skip
        return
    if message.get("reasoning_content"):
        yield {"type": "reasoning", "content": message["reasoning_content"]}
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    for part in content or ():
        text = {"content": part.get("text")} if part.get("type") == "text" else {}
        yield {"type": part.get("type"), **text}
    for call in message.get("tool_calls") or ():
        yield {"type": "tool_call", "id": call.get("id"), **call["function"]}
