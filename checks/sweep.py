"""Agents on llama-server with every chat template, through many histories and kinds of request.

    python -m checks.sweep [-n SHARE] [TEMPLATE ...]

The model is tiny and random: it answers nonsense, but the server renders, constrains and parses as
for a trained one. ``-n 4`` makes every fourth request. 0 all runs end well but those that `REFUSED`
explains, 1 another one does not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any, Literal

from llama_cpp import LlamaServer
from llama_cpp.errors import LlamaError
from tests.support import tiny
from tests.support.templates import TEMPLATES, answer, system, user

REFUSED = {
    "cut off, before it began|in its thoughts": "the random model does not end its thoughts, which "
    "the server could not end either (reasoning_budget_tokens)"
}
"""A pattern of a problem -> why neither the template nor a constrained reply serves."""


def plain(city: str) -> str:
    """Tell the weather."""
    return f"22 in {city}"


def weather(
    city: str,
    days: int | None = None,
    box: tuple[int, int] = (0, 0),
    unit: Literal["c", "f"] = "c",
) -> str:
    """Tell the weather of some days.

    Args:
        city: A city, for example Oslo.
        box: Degrees north and east.
    """
    return f"{city} {days} {box} {unit}"


def decide(yes: bool, unit: Literal["c", "f"]) -> str:
    """Decide."""
    return f"{yes}, {unit}"


@dataclass
class Answer:
    """A decision."""

    yes: bool
    """Whether to go."""
    unit: Literal["c", "f"]


def call(*ids: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": "Oslo"})}
    calls = [{"id": id, "type": "function", "function": function} for id in ids]
    return {"role": "assistant", "content": text, "tool_calls": calls, **more}


def result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "name": "weather", "content": "22"}


SPACE = ".tokenizer.ggml.add_space_prefix"  # would keep the server from ending thoughts
HI, ID, OTHER = user("Hi"), "call00001", "call00002"
HISTORIES: dict[str, list[dict[str, Any]]] = {
    "one": [HI], "system": [system("Be brief."), HI],
    "developer": [{"role": "developer", "content": "Be brief."}, HI],
    "two users": [HI, user("b")], "talk": [HI, answer("x"), user("y")],
    "two answers": [HI, answer("x"), answer("y"), HI], "answer first": [answer("Hello"), HI],
    "late system": [HI, answer("x"), system("Be brief."), HI],
    "parts": [user([{"type": "text", "text": "Hi"}])],
    "call": [HI, call("c1"), result("c1")], "fitting id": [HI, call(ID, text=""), result(ID)],
    "long id": [HI, call("x" * 32), result("x" * 32)],
    "two calls": [HI, call(ID, OTHER), result(ID), result(OTHER)],
    "text and call": [HI, call(ID, text="Let me look."), result(ID)],
    "two rounds": [HI, call(ID), result(ID), call(OTHER), result(OTHER)],
    "call and talk": [HI, call("a"), result("a"), answer("done"), user("b")],
    "reasoning": [HI, call(ID, reasoning_content="hm"), result(ID)],
    "no result": [HI, call(ID), user("again")],
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {}, "tool": {"tools": [plain]}, "types": {"tools": [weather]},
    "required": {"tools": [decide], "tool_choice": "required", "max_tokens": 300},
    "parallel": {"tools": [weather, plain], "parallel_tool_calls": True},
    "typed": {"output_type": Answer, "max_tokens": 300},
}  # fmt: skip
OPTIONS: Any = {
    "max_tokens": 8, "reasoning_budget_tokens": 4, "seed": 1, "output_retries": 0, "retries": 0,
}  # fmt: skip


def problem(agent: Any, messages: Any, options: dict[str, Any]) -> str | None:
    """The fault of a run, or None."""
    try:
        found = agent.run(messages, max_steps=1, **options)
    except LlamaError as error:
        return f"{type(error).__name__}: {error}"
    if "output_type" in options and not isinstance(found.output, Answer):
        return f"the output is {found.output!r}"
    if "tool_choice" in options and (not found.calls or found.calls[0].error):
        thinks = not found.text and found.reason == "length"
        return "cut off in its thoughts" if thinks else f"{found.calls}, {found.text}"
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.sweep")
    parser.add_argument("templates", nargs="*", help="names; by default all")
    parser.add_argument("-n", type=int, default=1, help="make one of N requests")
    options = parser.parse_args(arguments)
    chosen = [path for path in TEMPLATES if path.stem in (options.templates or (path.stem,))]
    turn, made, other, begun = count(), 0, 0, time.monotonic()
    refused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        model = tiny.make("llama", Path(folder), facts={"context_length": 16384, SPACE: False})
        for path in chosen:
            server = LlamaServer(
                model, chat_template_file=path, threads=1, parallel=1, ctx_size=16384
            )
            with server, server.agent(**OPTIONS) as agent:
                for (history, messages), (variant, fields) in product(
                    HISTORIES.items(), VARIANTS.items()
                ):
                    if next(turn) % options.n:
                        continue
                    made += 1
                    if (text := problem(agent, messages, fields)) is None:
                        continue
                    text = f"{path.stem}, {history}, {variant}: {text}"
                    whys = (why for of, why in REFUSED.items() if re.search(of, text))
                    if (why := next(whys, None)) is None:
                        other += 1
                        print(text)
                    else:
                        refused[why] += 1
            print(f"{path.stem:45} {made:5} requests, {refused.total() + other} bad", flush=True)
    for why, times in refused.items():
        print(f"{times:5} refused: {why}")
    print(f"{made} in {time.monotonic() - begun:.0f} s: {refused.total()} refused, {other} failed")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
