"""The values that ``*_default_params()`` return, read from their C++ definitions.

The header declares these functions, and only the source has their results. The bindings store
the values for two reasons: if a library's own defaults read differently through our structs, its
structs differ, and users want to see the default of a parameter.

The definition's text is compiled as ``constexpr``, so the compiler computes each field regardless
of the function's code. Without sources, or if a definition is not a constant expression, the
function is left out: then less is checked, and nothing else changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .api import Api, Array, Function, Named, Pointer, Struct, Type, Value
from .clang import Unit, compile_probes

_PROBE = "llama_py_default_"


def with_defaults(api: Api, unit: Unit) -> Api:
    """``api`` with the defaults from the sources in ``unit``."""
    structs = {s.name: s for s in api.structs}
    aliases = api.aliases
    wanted: dict[str, tuple[Function, Struct]] = {}
    for function in api.functions:
        result = function.result
        struct = structs.get(result.bare) if isinstance(result, Named) else None
        if struct and not struct.opaque and not function.params and not function.deprecated:
            wanted[function.name] = (function, struct)
    # The sources lie in a folder of their own or beside the header.
    folders = unit.root / "src", (unit.root / unit.header).parent
    bodies = _definitions(folders, list(wanted))
    defaults: dict[str, dict[str, Value]] = {}
    for name, (_, struct) in wanted.items():
        if name not in bodies:
            continue
        fields = [f for f in struct.fields if not isinstance(f.type, Array) and not f.anonymous]
        constants, body = bodies[name]
        text = f"{constants}static constexpr {struct.name} {_PROBE}make() {body}\n"
        text += f"static constexpr {struct.name} {_PROBE}all = {_PROBE}make();\n"
        for field in fields:
            value = f"{_PROBE}all.{field.name}"
            if _is_pointer(field.type, aliases):
                value = f"({value} == nullptr ? 0 : 1)"
            text += f"static constexpr auto {_PROBE}{field.name} = {value};\n"
        values = compile_probes(unit, text, _PROBE)
        found = {f.name: values[f.name] for f in fields if f.name in values}
        if found:
            defaults[name] = found
    return replace(api, defaults=defaults)


def _is_pointer(ctype: Type, aliases: dict[str, Type]) -> bool:
    while isinstance(ctype, Named) and ctype.name in aliases:
        ctype = aliases[ctype.name]
    return isinstance(ctype, Pointer)


def _definitions(folders: Iterable[Path], names: list[str]) -> dict[str, tuple[str, str]]:
    """Name -> (constants that its file defines for it, body with its braces), for each of the
    functions ``names`` that is defined in one of ``folders``."""
    if not names:
        return {}
    pattern = re.compile(
        rf"^(?:struct +)?\w+ +({'|'.join(map(re.escape, names))}) *\((?:void)?\) *(\{{.*?^\}})",
        re.MULTILINE | re.DOTALL,
    )
    bodies: dict[str, tuple[str, str]] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.cpp"))):
        source = path.read_text("utf-8", "replace")
        for match in pattern.finditer(source):
            calls, body = _with_calls(source, match[2])
            bodies[match[1]] = _local_constants(source, body) + calls, body
    return bodies


def _with_calls(source: str, body: str) -> tuple[str, str]:
    """The functions that ``body`` calls without arguments, copied from ``source`` as constant
    functions, and ``body`` with its calls redirected to them."""
    definitions = ""
    for name in dict.fromkeys(re.findall(r"\b(\w+)\(\)", body)):
        definition = re.search(
            rf"^([\w *]*[ *]){name} *\((?:void)?\) *(\{{.*?^\}})", source, re.M | re.DOTALL
        )
        if definition:
            result = definition[1].replace("static ", "")
            definitions += f"static constexpr {result}{_PROBE}of_{name}() {definition[2]}\n"
            body = re.sub(rf"\b{name}\(\)", f"{_PROBE}of_{name}()", body)
    return definitions, body


def _local_constants(source: str, body: str) -> str:
    """The lines of ``source`` that define the constants which ``body`` uses."""
    lines = []
    for name in dict.fromkeys(re.findall(r"\b[A-Z][A-Z0-9_]+\b", body)):
        definition = re.search(
            rf"^(?:#define +{name} .*|(?:static )?const(?:expr)? .*\b{name} *=.*;)", source, re.M
        )
        if definition:
            lines.append(definition[0])
    return "".join(f"{line}\n" for line in lines)
