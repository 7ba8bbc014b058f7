"""Every chat template of llama.cpp's source tree: the prompt of eight conversations is
llama-server's, and so is what is taken for reasoning, or the table says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from codegen import source
from llama_cpp import LlamaLibrary, LlamaModel
from llama_cpp.errors import LlamaServerError, LlamaServerTemplateError, LlamaTemplateError
from llama_cpp.generate.chat import render_chat
from llama_cpp.generate.reasoning import ReasoningFilter
from llama_cpp.server import LlamaClient
from tests.support import llamaserver

TEMPLATES = sorted((source.resolve().root / "models/templates").glob("*.jinja"))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def answer(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


CALL = {"name": "get_weather", "arguments": '{"city":"Zürich","days":2}'}
TOOL = {
    "name": "get_weather",
    "description": "Today's weather.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "A city"},
            "days": {"type": "integer"},
        },
        "required": ["city"],
    },
}
LISTS: dict[str, list[dict[str, Any]]] = {
    "plain": [user("Hello"), answer("Hi there"), user(' How are <you> & "they"?\n')],
    "system": [system("You are terse."), user("Hello")],
    "system in the middle": [user("Hello"), answer("Hi"), system("In French."), user("Who?")],
    "tool results": [
        user("Weather?"),
        answer("", tool_calls=[{"id": "call00001", "type": "function", "function": CALL}]),
        {
            "role": "tool",
            "name": TOOL["name"],
            "tool_call_id": "call00001",
            "content": '{"sky": 1}',
        },
        answer("It is blue."),
        user("Thanks"),
    ],
    "reasoning": [user("2+2?"), answer("4", reasoning_content="Two and two."), user("3+3?")],
    "parts": [user([{"type": "text", "text": text} for text in ("One.", "Two.")])],
    "empty": [user("Hello"), answer(""), user("")],
    "continued": [user("Count to five"), answer("One, two,")],
}

_REFUSED = "the template refuses it: we have it join the next message"
_OWN = "as the template itself writes an answer without reasoning, which the server does not ask"
_NO_THOUGHT = "the model does not reason: the server begins the answer with reasoning"
_EMPTY = "the template shows no answer without reasoning: ours has its tags with nothing in between"
_PARTS = "the template joins the parts itself, and the server before it with a line break"
EXPLAINED = {
    **{(name, "system in the middle"): _REFUSED for name in (
        "Apertus-8B-Instruct", "Mistral-Small-3.2-24B-Instruct-2506", "Qwen3.5-4B",
        "google-gemma-2-2b-it", "google-translategemma-4b-it",
        "mistralai-Ministral-3-14B-Reasoning-2512", "mistralai-Mistral-Nemo-Instruct-2407",
    )},
    **{(name, "continued"): _OWN for name in (
        "GLM-4.6", "GLM-4.7-Flash", "MiniMax-M3", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        "Spark2.5", "StepFun3.5-Flash", "deepseek-ai-DeepSeek-V4",
        "deepseek-ai-DeepSeek-V4-Flash-0731", "poolside-Laguna-XS-2.1", "poolside-Laguna-XS.2",
    )},
    **{(name, "continued"): _NO_THOUGHT for name in (
        "Kimi-K2-Instruct", "LFM2-8B-A1B", "moonshotai-Kimi-K2",
        "unsloth-mistral-Devstral-Small-2507",
    )},
    **{(name, "continued"): _EMPTY for name in (
        "Apriel-1.6-15b-Thinker-fixed", "NVIDIA-Nemotron-Nano-v2", "unsloth-Apriel-1.5",
        "upstage-Solar-Open-100B",
    )},
    ("google-translategemma-4b-it", "continued"): "as the template writes it, with white space",
    ("LFM2.5-8B-A1B", "parts"): _PARTS,
    ("mistralai-Ministral-3-14B-Reasoning-2512", "parts"): _PARTS,
    ("llama-cpp-rwkv-world", "continued"): "the server writes <think> twice",
    ("microsoft-Phi-3.5-mini-instruct", "continued"): "the server breaks off in <|assistant|>",
    ("unsloth-mistral-Devstral-Small-2507", "reasoning"): "the server loses the answer",
}  # fmt: skip
# The server knows no tags of these, takes the heading for reasoning as well, or wants more tags.
UNPARTED = (
    "Apriel-1.6-15b-Thinker-fixed",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "LFM2.5-Instruct",
    "llama-cpp-rwkv-world",
    "tencent-Hy3",
    "unsloth-Apriel-1.5",
    "upstage-Solar-Open-100B",
)


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda path: path.stem)
def served(
    request: pytest.FixtureRequest,
    library: LlamaLibrary,
    tiny_path: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, LlamaClient]]:
    """A template, and a server that has it."""
    path: Path = request.param
    options = ("--chat-template-file", path, "--no-warmup", "--ctx-size", 8192, "--parallel", 1)
    options += ("--override-kv", "llama.context_length=int:8192")
    folder = tmp_path_factory.mktemp("server")
    with llamaserver.running(library, tiny_path("llama"), folder, *options) as up:
        client = LlamaClient(up.url, api_key=llamaserver.KEY)
        client.wait(60)
        yield path, client
        client.close()


def test_prompts_are_the_servers(
    served: tuple[Path, LlamaClient], tiny_model: Callable[..., LlamaModel]
) -> None:
    path, client = served
    text, other = path.read_text("utf-8"), {}
    for name, messages in LISTS.items():
        tools = [{"type": "function", "function": TOOL}] if name == "tool results" else []
        given: Any = {"tools": tools} if tools else {}
        theirs: Any
        try:
            theirs = client.apply_template(messages, **given)
        except LlamaServerError:
            theirs = LlamaTemplateError
        try:
            ours: Any = render_chat(tiny_model("llama"), messages, {"template": text, **given})[0]
        except LlamaTemplateError:
            ours = LlamaTemplateError
        if ours != theirs:
            other[path.stem, name] = (ours, theirs)
    explained = {key for key in EXPLAINED if key[0] == path.stem}
    assert other.keys() == explained, json.dumps([*other.values()], default=str, indent=1)


def test_reasoning_is_parted_as_the_server_does(
    served: tuple[Path, LlamaClient], tiny_model: Callable[..., LlamaModel]
) -> None:
    path, client = served
    options = {"template": path.read_text("utf-8")}
    _, tags = render_chat(tiny_model("llama"), [user("2+2?")], options)
    if tags is None:
        return
    written = ("" if tags.inside else tags.start) + "Two and two." + tags.end + "It is four."
    parted = ReasoningFilter(tags)
    text = "".join(parted.feed(char) for char in written) + parted.feed("", last=True)
    assert (parted.reasoning, text) == ("Two and two.", "It is four.")
    grammar = f"root ::= {json.dumps(written)}"
    message = {"content": "", "reasoning_content": ""}
    with suppress(LlamaServerTemplateError):
        reply = client.chat_completion([user("2+2?")], grammar=grammar, max_tokens=999)
        message = reply["choices"][0]["message"]
    theirs = (message.get("reasoning_content", "").strip(), message["content"].strip())
    assert (theirs == (parted.reasoning, text)) == (path.stem not in UNPARTED), theirs
