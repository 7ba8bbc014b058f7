"""Every chat template of llama.cpp's source tree: the prompt of eight conversations is
llama-server's, and so is what is taken for reasoning, or the table says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import LlamaLibrary, LlamaModel
from llama_cpp.errors import LlamaServerError, LlamaServerTemplateError, LlamaTemplateError
from llama_cpp.generate.chat import render_chat
from llama_cpp.generate.reasoning import ReasoningFilter
from llama_cpp.server import LlamaClient
from tests.support import llamaserver
from tests.support.templates import EXPLAINED, LISTS, TEMPLATES, TOOL, user

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
