"""LangChain's chat models and embeddings. They need the extra ``langchain``.

    from llama_cpp.langchain import ChatLlama

    chat = ChatLlama(base_url="http://localhost:8080", temperature=0)
    chat.bind_tools([get_current_weather]).invoke("What is the weather in Istanbul?").tool_calls
    chat.with_structured_output(City).invoke("Where is the Eiffel tower?")

For a `LlamaServer`: ``ChatLlama(base_url=server.base_url, api_key=server.api_key)``. For a model in
this process: ``LocalChatLlama(llm=Llama("model.gguf"))``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

try:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        ToolMessage,
        convert_to_openai_messages,
        message_chunk_to_message,
    )
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import tool_call_chunk
    from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.tools import BaseTool
    from langchain_core.utils import from_env, secret_from_env
    from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
    from langchain_core.utils.json_schema import dereference_refs
    from langchain_core.utils.pydantic import is_basemodel_subclass
    from pydantic import Field, PrivateAttr, SecretStr, WithJsonSchema
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"llama_cpp.langchain needs {error.name}: pip install 'libllama-py[langchain]'",
        name=error.name,
    ) from error

from . import generate
from .agent.agent import AsyncLlamaAgent
from .agent.events import Done, Event, ReasoningDelta, Retry, RunResult, TextDelta
from .agent.question import arguments_of
from .agent.schema import as_json, given_type
from .errors import LlamaStreamError
from .native.arguments import check_type
from .server.http import Timeouts

if TYPE_CHECKING:
    from .generate.generation import Completion, Generation
    from .generate.llama import Llama
    from .usage import Usage

Json = dict[str, Any]
_Tools = Sequence[Json | type | Callable[..., Any] | BaseTool]
_Messages = list[BaseMessage]
_Method = Literal["json_schema", "function_calling", "json_mode"]
_Stop = list[str] | None
_Sync = CallbackManagerForLLMRun | None
_Async = AsyncCallbackManagerForLLMRun | None

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens")
# The server's kinds of blocks in a message. LangChain's other blocks repeat parts of the message
# (calls), or are only for the reader (reasoning).
_BLOCKS = ("text", "image_url", "input_audio", "file")
_PROVIDER = "llama.cpp"
_ERROR = "Error: "  # `LlamaAgent` begins the result of a failed call with it


class _Chat(BaseChatModel):
    """What the chat models have in common."""

    temperature: float | None = None
    """0 takes the most likely token. None means the default, here and below."""
    max_tokens: int | None = None
    """The maximum number of tokens to generate."""
    stop: list[str] | None = None
    """Texts that end the answer and are not part of it."""
    seed: int | None = None
    """The seed of the random numbers."""
    top_k: int | None = None
    """Take only that many of the likeliest tokens."""
    top_p: float | None = None
    """Take only the likeliest tokens with this probability together."""
    min_p: float | None = None
    """Take only tokens at least this likely, relative to the likeliest."""
    repeat_penalty: float | None = None
    """Above 1, against repetition."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    """Other fields for every request (`ChatParams`), such as ``{"reasoning_effort": "low"}``."""
    streaming: bool = False
    """Whether ``invoke`` passes each part to callbacks."""

    @property
    def _llm_type(self) -> str:
        return "llama-py"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = _PROVIDER
        params.setdefault("ls_model_name", self._model_name())
        return params

    def _model_name(self) -> str:
        raise NotImplementedError

    def _params(self, messages: _Messages, stop: _Stop, kwargs: Json) -> Json:
        """The options of a call, by their names in llama-server and in `Llama.chat`."""
        if not messages:
            raise ValueError("there are no messages")
        own = {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}
        params = {**own, **self.sampling, **kwargs}
        params.pop("stream", None)  # LangChain's own
        wanted = stop if stop is not None else self.stop
        if wanted:
            params["stop"] = wanted
        return params

    def with_structured_output(
        self, schema: Json | type, *, include_raw: bool = False, method: _Method = "json_schema",
        strict: bool | None = None, **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:  # fmt: skip
        """A model whose answers follow ``schema``: a Pydantic class, a TypedDict or a JSON schema.

        ``json_schema`` constrains the answer to the schema, ``json_mode`` to any JSON, and
        ``function_calling`` requests the call of a tool. ``strict`` has no effect.
        """
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in get_args(_Method):
            raise ValueError(f"method must be one of {get_args(_Method)}, not {method!r}")
        if kwargs:
            raise ValueError(f"with_structured_output does not take {', '.join(kwargs)}")
        wanted: Json = {"type": "json_object"}
        if method == "json_schema":
            made = convert_to_json_schema(schema)
            name = made.get("title", "answer")
            wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": made}}
        about = {"kwargs": {"method": method}, "schema": schema}
        asked = self.bind(response_format=wanted, ls_structured_output_format=about)
        parser: Runnable[Any, Any] = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return asked | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = [RunnablePassthrough.assign(parsed=lambda _: None)]
        return RunnableMap(raw=asked) | parsed.with_fallbacks(failed, exception_key="parsing_error")


class ChatLlama(_Chat):
    """The model of a llama-server as a chat model of LangChain.

    Tools work with every model, as with `LlamaAgent`: they go into a chat template that knows
    tools; otherwise a grammar forces the reply into a call or an answer. ``tool_choice`` and
    `with_structured_output` work with every model, too.

    Other fields of a request are given in ``sampling``, or with the call:
    ``chat.invoke("Hello", logprobs=True)``. LangChain runs the tools, never this class.
    Errors are those of `LlamaAgent.run`.
    """

    base_url: str = Field(
        default_factory=from_env("LLAMA_BASE_URL", default="http://localhost:8080")
    )
    """The server's address; by default from ``LLAMA_BASE_URL``."""
    api_key: SecretStr | None = Field(
        default_factory=secret_from_env("LLAMA_API_KEY", default=None)
    )
    """The server's key; by default from ``LLAMA_API_KEY``."""
    model: str | None = None
    """The model's name, for a server with several."""
    mode: Literal["auto", "native", "constrained"] = "auto"
    """How tools are offered, see `LlamaAgent`."""
    timeout: float | None = None
    """Seconds to wait for an answer, and for each next part of it; None: those of `Timeouts`."""
    max_retries: int = 3
    """How often an unanswered request is sent again."""

    _agents: dict[str | None, AsyncLlamaAgent] = PrivateAttr(default_factory=dict)

    # -- LangChain's properties

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        given = {name: getattr(self, name) for name in (*_SAMPLING, "stop", "model", "base_url")}
        return {**given, **self.sampling}

    def _model_name(self) -> str:
        return self.model or _PROVIDER

    def get_token_ids(self, text: str) -> list[int]:
        """``text`` as the model's tokens."""
        return self._agent(self.model).sync.client.tokenize(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: _Tools | None = None, **kwargs: Any
    ) -> int:
        """The number of tokens in the prompt for ``messages``."""
        agent = self._agent(kwargs.get("model", self.model)).sync
        return agent.count(_messages(messages), _tools(tools or ()))

    def close(self) -> None:
        """Close the connections. They open again at the next use."""
        while self._agents:
            _, agent = self._agents.popitem()
            agent.sync.cancel()
            agent.sync.close()

    # -- answers

    def _generate(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Sync = None, **kwargs: Any
    ) -> ChatResult:
        agent, message, params = self._question(messages, stop, kwargs)
        return _result(agent.sync.run(message, **params))

    async def _agenerate(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Async = None, **kwargs: Any
    ) -> ChatResult:
        agent, message, params = self._question(messages, stop, kwargs)
        return _result(await agent.run(message, **params))

    def _stream(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Sync = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        agent, message, params = self._question(messages, stop, kwargs)
        reader = _Reader(params)
        events = cast("Any", agent.sync.stream(message, **params))
        with contextlib.closing(events):
            for chunk in filter(None, map(reader.take, events)):
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Async = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        agent, message, params = self._question(messages, stop, kwargs)
        reader = _Reader(params)
        events = cast("Any", agent.stream(message, **params))
        async with contextlib.aclosing(events):
            async for event in events:
                if chunk := reader.take(event):
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _question(
        self, messages: _Messages, stop: _Stop, kwargs: Json
    ) -> tuple[AsyncLlamaAgent, list[Json], Json]:
        """The agent to ask, the conversation, and the other arguments of its ``run``."""
        params = self._params(messages, stop, kwargs)
        model = params.pop("model", self.model)
        schema = _schema(params.get("response_format"))
        if schema is not None:
            # As an output type, which the agent describes to the model and combines with tools.
            del params["response_format"]
            params["output_type"] = given_type(schema)
        # LangChain runs the tools, so there is one reply, with the model's calls.
        params = {"tools": [], **params, "max_steps": 1}
        return self._agent(model), _messages(messages), params

    def _agent(self, model: str | None) -> AsyncLlamaAgent:
        agent = self._agents.get(model)
        if agent is None:
            wait = self.timeout
            made = AsyncLlamaAgent(
                self.base_url, model=model, mode=self.mode, retries=self.max_retries,
                api_key=None if self.api_key is None else self.api_key.get_secret_value(),
                timeouts=None if wait is None else Timeouts(first_byte=wait, idle=wait),
            )  # fmt: skip
            agent = self._agents.setdefault(model, made)  # another thread may have made it first
        return agent

    # -- tools and typed answers

    def bind_tools(
        self, tools: _Tools, *, tool_choice: str | bool | Json | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call ``tools``.

        ``tool_choice`` is always enforced: ``any``, ``required`` or True for a call of any tool, a
        tool's name for a call of that one, ``none``, ``auto``, or a dict in OpenAI's form.
        """
        kwargs.pop("strict", None)  # arguments always follow their schema
        if tool_choice == "any" or tool_choice is True:
            tool_choice = "required"
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=_tools(tools), **kwargs)


class LocalChatLlama(_Chat):
    """A model in this process as a chat model of LangChain.

        LocalChatLlama(llm=Llama("model.gguf")).invoke("Hello").content

    The options are those of `Llama.chat`; those without a field here are given in ``sampling``, or
    with the call. Structured output needs llguidance (the extra ``structured``). For tools use
    `ChatLlama` with a `LlamaServer`.

    Threads and tasks may share it: as many answers as the `Llama` has sequences (``n_seq_max``) are
    computed at a time, and others wait for their turn.
    """

    llm: Any
    """The `Llama`, which stays open for other uses."""

    _tasks: Any = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """TypeError for an ``llm`` that is not a `Llama`."""
        check_type(self.llm, generate.Llama)
        super().model_post_init(context)
        self._tasks = generate.AsyncLlama(self.llm)

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        given = {name: getattr(self, name) for name in (*_SAMPLING, "stop")}
        return {**given, "model": str(self.llm.model.path), **self.sampling}

    def _model_name(self) -> str:
        return str(self.llm.model.path.stem)

    def get_token_ids(self, text: str) -> list[int]:
        """``text`` as the model's tokens."""
        return list(self.llm.tokenize(text, add_special=False))

    def with_structured_output(
        self, schema: Json | type, *, method: _Method = "json_schema", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """As `ChatLlama.with_structured_output`; ``function_calling`` is ``json_schema`` here."""
        if method == "function_calling":
            method = "json_schema"
        return super().with_structured_output(schema, method=method, **kwargs)

    def _generate(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Sync = None, **kwargs: Any
    ) -> ChatResult:
        options = self._options(messages, stop, kwargs)
        return self._told(self.llm.chat(_messages(messages), **options))

    async def _agenerate(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Async = None, **kwargs: Any
    ) -> ChatResult:
        options = self._options(messages, stop, kwargs)
        return self._told(await self._tasks.chat(_messages(messages), **options))

    def _stream(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Sync = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        options = self._options(messages, stop, kwargs)
        with self.llm.chat_stream(_messages(messages), **options) as generation:
            seen = 0
            for text in generation:
                chunk = _piece(text, generation.reasoning[seen:])
                seen = len(generation.reasoning)
                if run_manager is not None:
                    run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
        yield ChatGenerationChunk(message=self._last(generation, ""))

    async def _astream(
        self, messages: _Messages, stop: _Stop = None, run_manager: _Async = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        options = self._options(messages, stop, kwargs)
        async with contextlib.aclosing(
            self._tasks.chat_stream(_messages(messages), **options)
        ) as stream:
            seen = 0
            async for text in stream:
                chunk = _piece(text, stream.state.reasoning[seen:])
                seen = len(stream.state.reasoning)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
            yield ChatGenerationChunk(message=self._last(stream.state, ""))

    def _options(self, messages: _Messages, stop: _Stop, kwargs: Json) -> Json:
        options = self._params(messages, stop, kwargs)
        wanted = options.pop("response_format", None)
        if wanted is not None:
            schema = _schema(wanted) or {"type": "object"}
            options["output_type"] = Annotated[Any, WithJsonSchema(schema)]
        return options

    def _told(self, done: Completion) -> ChatResult:
        message = message_chunk_to_message(self._last(done, done.text))
        if done.reasoning:
            message.additional_kwargs["reasoning_content"] = done.reasoning
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _last(self, done: Completion | Generation, text: str) -> AIMessageChunk:
        about: Json = {"model_provider": _PROVIDER, "model_name": self._model_name()}
        about |= {"finish_reason": done.finish_reason, "timings": asdict(done.timings)}
        if done.logprobs:
            about["logprobs"] = [asdict(entry) for entry in done.logprobs]
        return AIMessageChunk(
            content=text, response_metadata=about, chunk_position="last",
            usage_metadata=_tokens(done.usage),
        )  # fmt: skip


class LlamaEmbeddings(Embeddings):
    """A model's vectors for LangChain, computed in this process.

        LlamaEmbeddings(Llama("model.gguf")).embed_query("a cat")

    The vectors have length 1, see `Llama.embed`, whose errors it raises. Threads may share it.
    """

    def __init__(self, llm: Llama, *, document_prefix: str = "", query_prefix: str = "") -> None:
        """The prefixes are for models that were trained with them (``search_query: ``)."""
        self.llm = llm
        self.document_prefix = document_prefix
        self.query_prefix = query_prefix

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each of ``texts``."""
        return self._vectors([self.document_prefix + text for text in texts]) if texts else []

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self._vectors([self.query_prefix + text])[0]

    def _vectors(self, texts: list[str]) -> list[list[float]]:
        return self.llm.embed(texts).tolist()


class _Reader:
    """Turns the events of a run into chunks of its message."""

    def __init__(self, params: Json) -> None:
        # A typed answer may follow a first reply of calls or prose, which is dropped.
        self._held = bool(params["tools"]) and "output_type" in params
        self._given = False

    def take(self, event: Event) -> ChatGenerationChunk | None:
        if isinstance(event, TextDelta) and not self._held:
            self._given = True
            return _piece(event.text, "")
        if isinstance(event, ReasoningDelta):
            return _piece("", event.text)
        if isinstance(event, Retry) and self._given:
            raise LlamaStreamError(
                f"the reply was discarded after a part of it had been streamed ({event.reason}): "
                'use invoke(), or ChatLlama(mode="constrained")'
            )
        if isinstance(event, Done):
            text = _text(event.result) if self._held or not self._given else ""
            return ChatGenerationChunk(message=_message(event.result, text))
        return None


def _result(result: RunResult[Any]) -> ChatResult:
    chunk = _message(result, _text(result))
    if result.reasoning:
        chunk.additional_kwargs["reasoning_content"] = result.reasoning
    return ChatResult(generations=[ChatGeneration(message=message_chunk_to_message(chunk))])


def _text(result: RunResult[Any]) -> str:
    return str(result.steps[-1].response["choices"][0]["message"].get("content") or "")


def _message(result: RunResult[Any], text: str) -> AIMessageChunk:
    """The last chunk: ``text``, calls, and facts about the whole reply."""
    response = result.steps[-1].response
    choice = response["choices"][0]
    calls = []
    for i, call in enumerate(dict(one) for one in choice["message"].get("tool_calls") or ()):
        given = call["function"]["arguments"]
        if arguments_of(call)[1]:
            # LangChain would guess the rest of partial JSON, but not that of a string.
            call["function"]["arguments"] = as_json(given)
        name, text = call["function"]["name"], call["function"]["arguments"]
        calls.append(tool_call_chunk(name=name, args=text, id=call["id"], index=i))
    about: Json = {"model_provider": _PROVIDER, "model_name": response.get("model", "")}
    facts = {**response, **choice}
    names = ("system_fingerprint", "timings", "finish_reason", "logprobs")
    about |= {name: facts[name] for name in names if facts.get(name)}
    return AIMessageChunk(
        content=text, tool_call_chunks=calls, response_metadata=about, chunk_position="last",
        usage_metadata=_tokens(result.usage),
    )  # fmt: skip


def _piece(text: str, thought: str) -> ChatGenerationChunk:
    more = {"reasoning_content": thought} if thought else {}
    return ChatGenerationChunk(message=AIMessageChunk(content=text, additional_kwargs=more))


def _tokens(usage: Usage) -> UsageMetadata:
    tokens = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "input_token_details": {"cache_read": usage.cached_tokens},
    }
    return cast("UsageMetadata", tokens)  # its keys differ between versions


def _tools(tools: _Tools) -> list[Json]:
    return [convert_to_openai_tool(tool) for tool in tools]


def _schema(response_format: Any) -> Json | None:
    """The schema in a ``response_format``, if there is one."""
    if not isinstance(response_format, Mapping) or response_format.get("type") != "json_schema":
        return None
    schema = dict(response_format["json_schema"]["schema"])
    return dereference_refs(schema) if "$defs" in schema else schema


def _messages(messages: Sequence[BaseMessage]) -> list[Json]:
    """``messages`` in the server's form."""
    converted = []
    for message in messages:
        failed = isinstance(message, ToolMessage) and message.status == "error"
        made = convert_to_openai_messages([message])
        for one in made if isinstance(made, list) else [made]:
            if isinstance(one.get("content"), list):
                one["content"] = _content(one["content"])
            if failed and isinstance(one["content"], str) and not one["content"].startswith(_ERROR):
                one["content"] = _ERROR + one["content"]
            converted.append(one)
    return converted


def _content(blocks: list[Json]) -> str | list[Json]:
    kept = [block for block in blocks if block.get("type") in _BLOCKS]
    if all(block["type"] == "text" for block in kept):
        return "\n".join(block["text"] for block in kept)
    for block in kept:
        if isinstance(block.get("image_url"), str):
            block["image_url"] = {"url": block["image_url"]}
    return kept
