"""An agent on a local model, after upstream's test_tool_call.py: weather, calculation, Python code.

    python examples/agent_function_calling.py
    python examples/agent_function_calling.py --model FILE.gguf "What is the weather in Paris?"
    python examples/agent_function_calling.py --url http://localhost:8080

Without ``--url`` it starts a llama-server of its own, by default with a small model that
fetch_model.py downloads. That model's chat template knows no tools, and the agent calls them all
the same: it asks the server for the template's abilities, and forces the calls by a schema.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import math
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_cpp import LlamaAgent, LlamaServer
from llama_cpp.agent import (
    Deny,
    Done,
    Retry,
    TextDelta,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
)
from llama_cpp.errors import LlamaError

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_NAMES = {"pi": math.pi, "e": math.e}
_FUNCTIONS = {name: getattr(math, name) for name in ("sin", "cos", "tan", "sqrt", "exp", "log")}


def get_current_weather(location: str) -> str:
    """Get the current weather in a given location

    Args:
        location: The city and country/state, e.g. 'San Francisco, CA', or 'Paris, France'
    """
    return f"22 degrees and sunny in {location}"


def calculate(expression: str) -> float:
    """A calculator function that computes values of arithmetic expressions in the Python syntax

    Args:
        expression: An arithmetic expression to compute the value of
    """

    def value(node: ast.AST) -> float:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name) if name in _NAMES:
                return _NAMES[name]
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return float(_OPERATORS[type(op)](value(operand)))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return float(_OPERATORS[type(op)](value(left), value(right)))
            case ast.Call(func=ast.Name(id=name), args=[one]) if name in _FUNCTIONS:
                return float(_FUNCTIONS[name](value(one)))
        raise ValueError(f"only arithmetic, not {ast.unparse(node)!r}")

    return value(ast.parse(expression, mode="eval"))


def python(code: str) -> str:
    """Runs code in a Python interpreter and returns its output.

    Args:
        code: The code to run in the Python interpreter.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return printed.getvalue()


def ask_first(call: ToolCall) -> Deny | None:
    """Code that a model wrote is only run when the user says so."""
    if call.name != "python":
        return None
    print(f"  run this? {call.arguments.get('code')!r}")
    with contextlib.suppress(EOFError):
        if input("  [y/N] ").lower() == "y":
            return None
    return Deny()


Tool = Callable[..., Any]
QUESTIONS: dict[str, list[Tool]] = {
    "What is the weather in Istanbul?": [get_current_weather],
    "Calculate 12 * 7.": [calculate],
    "say hello world with python": [python],
}


def answer(agent: LlamaAgent, question: str, tools: list[Tool]) -> str:
    """Ask, show what happens, and return the answer."""
    print(f"> {question}")
    for event in agent.stream(question, tools):
        if isinstance(event, TextDelta):
            print(event.text, end="", flush=True)
        elif isinstance(event, ToolCallStarted):
            print(f"  {event.call.name}({event.call.arguments})")
        elif isinstance(event, ToolCallFinished):
            print(f"  -> {event.call.text}")
        elif isinstance(event, Retry):
            print(f"  ({event.reason})")
        elif isinstance(event, Done):
            print(f"\n  [{event.result.mode}, {event.result.reason}]")
            return event.result.text
    raise AssertionError("a run ends with Done")


def small_model() -> Path:
    """The model of fetch_model.py."""
    from fetch_model import fetch_model  # beside this file

    return fetch_model()


def main() -> None:
    """Parse the arguments and ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", help="a GGUF file, by default a small one that is fetched")
    parser.add_argument("--url", help="a llama-server that runs already, in place of one of ours")
    parser.add_argument("--api-key", default=os.environ.get("LLAMA_API_KEY"), help="with --url")
    parser.add_argument("--yes", action="store_true", help="run code without asking")
    parser.add_argument("question", nargs="*", help="by default three, each with its tool")
    args = parser.parse_args()
    every: list[Tool] = [get_current_weather, calculate, python]
    questions = dict.fromkeys(args.question, every) or QUESTIONS
    hook = None if args.yes else ask_first
    with contextlib.ExitStack() as stack:
        if args.url is None:
            server = stack.enter_context(LlamaServer(args.model or small_model(), ctx_size=4096))
            agent = server.agent(before_call=hook, temperature=0, max_tokens=256)
        else:
            agent = LlamaAgent(
                args.url, api_key=args.api_key, before_call=hook, temperature=0, max_tokens=256
            )
        stack.enter_context(agent)
        for question, tools in questions.items():
            agent.reset()
            answer(agent, question, tools)


if __name__ == "__main__":
    try:
        main()
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
