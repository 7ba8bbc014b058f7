"""C for `help`: a prototype from the stub, and the header's own text if there is one.

The headers stand in the engine's folder, or in the cache where their tree was fetched.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

from .._raw import TAG
from ..engine.find import cache_root, preferred_engine
from ..errors import LlamaError

_PACKAGE = Path(__file__).parents[1]
# Where headers are in a source tree; in an engine all are in the first of these.
_FOLDERS = ("include", "ggml/include", "tools/mtmd")


def explain(name: str) -> str | None:
    """The C declaration of the function or type ``name``, its place, and the header's text of it,
    comments included. None for a name that is not of the C API."""
    for path in _stubs():
        place = re.search(rf"^# ([\w.-]+):.* {re.escape(name)}=(\d+)\b", path, re.MULTILINE)
        if place:
            header, line = place[1], int(place[2])
            known = re.search(
                rf'^(?:def|class) {name}\b.*?"""`(.*?)`', path, re.MULTILINE | re.DOTALL
            )
            text = _text(header)
            shown = _excerpt(text.splitlines(), line) if text else ""
            head = f"{known[1]}\n\n" if known else ""
            return f"{head}{header}, line {line}, of llama.cpp {TAG}" + (
                f":\n\n{shown}" if shown else ""
            )
    return None


def signature(name: str) -> inspect.Signature | None:
    """The parameters and the result of the C function ``name``, with the hints of the stub."""
    for path in _stubs():
        stub = re.search(rf"^def {name}\(.*?\) -> [^:]*:$", path, re.MULTILINE | re.DOTALL)
        if stub:
            function = ast.parse(f"{stub[0]} ...").body[0]
            assert isinstance(function, ast.FunctionDef)
            kinds = inspect.Parameter
            parameters = [
                kinds(
                    a.arg,
                    kinds.POSITIONAL_ONLY,
                    annotation=a.annotation and ast.unparse(a.annotation),
                )
                for a in function.args.posonlyargs
            ]
            if function.args.vararg:
                parameters.append(kinds(function.args.vararg.arg, kinds.VAR_POSITIONAL))
            result = function.returns and ast.unparse(function.returns)
            return inspect.Signature(parameters, return_annotation=result)
    return None


@cache
def _stubs() -> tuple[str, ...]:
    return tuple(path.read_text("utf-8") for path in sorted(_PACKAGE.glob("_raw*.pyi")))


@cache
def _text(header: str) -> str:
    try:
        engine, tree = preferred_engine(TAG), cache_root() / TAG
    except LlamaError:  # no cache: the prototype is shown all the same
        return ""
    for root in filter(None, (engine, tree / "source", tree / "headers")):
        for folder in _FOLDERS:
            if (root / folder / header).is_file():
                return (root / folder / header).read_text("utf-8", "replace")
    return ""


def _excerpt(lines: list[str], line: int) -> str:
    """The declaration at ``line`` with the comment above it, moved to the left."""
    first = last = line - 1
    if last >= len(lines):
        return ""
    while first and not re.search(r"[;{}]\s*(//.*)?$|^\s*(#|//|/?\*|$)", lines[first - 1]):
        first -= 1  # the declaration's own lines: a macro, a type
    while first and re.match(r"\s*(//|/?\*)", lines[first - 1]):
        first -= 1
    depth = 0
    for last in range(line - 1, min(len(lines), line + 400)):
        code = lines[last].partition("//")[0].rstrip()
        depth += code.count("{") - code.count("}")
        if depth <= 0 and code.endswith(";"):
            break
    return inspect.cleandoc("\n" + "\n".join(lines[first : last + 1]))
