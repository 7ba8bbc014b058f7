"""The chat templates of llama.cpp's source tree, and eight conversations for each."""

from __future__ import annotations

from typing import Any

from codegen import source

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
