"""C++ types and values as those of JSON, and the words that a function of upstream knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..errors import CodegenError
from .cpp import Code, function, members
from .model import Number

_TYPES = {
    "bool": "bool", "std::string": "str", "float": "float", "double": "float",
    "std::vector<std::string>": "list[str]", "llama_tokens": "list[int]",
    "std::vector<llama_token>": "list[int]", "std::vector<int>": "list[int]",
    **dict.fromkeys(
        ("int", "int32_t", "uint32_t", "int64_t", "uint64_t", "size_t", "llama_token"), "int"),
}  # fmt: skip
_ASKED = {
    "is_string": "str", "is_boolean": "bool", "is_array": "list", "is_object": "object",
    "is_number": "float", "is_number_integer": "int",
}  # fmt: skip
_LIMITS = {
    "INT32_MAX": 2**31 - 1, "INT32_MIN": -(2**31), "INT_MAX": 2**31 - 1, "UINT32_MAX": 2**32 - 1,
    "INT64_MAX": 2**63 - 1, "std::numeric_limits<int32_t>::max()": 2**31 - 1,
    "std::numeric_limits<int64_t>::max()": 2**63 - 1,
}  # fmt: skip
_ENDLESS = re.compile(r"-?std::numeric_limits<(float|double)>::(max|lowest|infinity)\(\)")


def json_type(ctype: str) -> str:
    """The type in JSON of a C++ type, '' if it has none."""
    return _TYPES.get(ctype.removeprefix("const ").removesuffix("&").strip(), "")


def asked_type(method: str) -> str:
    """The type that a method like is_string asks for, '' for other methods."""
    return _ASKED.get(method, "")


def number(code: Code) -> Number | None:
    """The number that a literal is, None for other code."""
    text = "".join(code.texts)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?f?", text):
        return float(text.removesuffix("f"))
    return None


def limit(code: Code) -> Number | str | None:
    """A limit: a number, None where there is none, or its text where only C++ knows it."""
    text = "".join(code.texts)
    if _ENDLESS.fullmatch(text):
        return None
    value = number(code)
    return _LIMITS.get(text, text) if value is None else value


def literal(code: Code) -> Number | bool | str | None:
    """The value of a literal, None for other code."""
    text = "".join(code.texts)
    if text in ("true", "false"):
        return text == "true"
    if len(code) == 1 and code.tokens[0].kind == "string":
        return code.string()
    return number(code)


class Helpers:
    """Functions of upstream that are called with a value from outside, and its structs."""

    def __init__(self, codes: Mapping[str, Code]) -> None:
        self._codes = codes

    def stored(self, struct: str, path: Sequence[str]) -> tuple[str, Code] | None:
        """Type and first value of ``struct``'s member ``a.b.c``, None if there is none."""
        for code in self._codes.values():
            if next(code.find("struct", struct, "{"), None) is None:
                continue
            found = members(code, struct).get(path[0])
            if found is None or len(path) == 1:
                return found
            return self.stored(found[0].removeprefix("struct ").strip(), path[1:])
        return None

    def member(self, body: Code, variable: str, name: str) -> tuple[str, ...]:
        """The type of ``variable.name``, where ``body`` declares the variable."""
        for at in body.find(variable, ";"):
            found = self.stored(body.texts[at - 1], [name])
            if found is not None and json_type(found[0]):
                return (json_type(found[0]),)
        return ()

    def find(self, name: str) -> tuple[str, Code] | None:
        """The last parameter and the body of the function, None if it is in none of the files."""
        for code in self._codes.values():
            try:
                parameters, body = function(code, name)
            except CodegenError:
                continue
            if len(parameters):
                return parameters.texts[-1], body
        return None

    def choices(self, name: str) -> tuple[str, ...]:
        """The words that function ``name`` knows, if it throws or is false for all others."""
        found = self.find(name)
        if found is None:
            return ()
        parameter, body = found
        types = list(_cache_types(body, self._codes))
        returns = body.texts[:1] == ("return",)
        known = types or compared(body, parameter)
        return tuple(known) if returns or body.texts.count("throw") == 1 else ()

    def separator(self, name: str) -> str:
        """The character at which function ``name`` splits its parameter, '' if it does not."""
        found = self.find(name)
        return "" if found is None else split_at(found[1], found[0])


def compared(body: Code, name: str) -> list[str]:
    """The words that ``name`` is compared with."""
    own, tokens = body.texts, body.tokens
    return [
        tokens[at + 2].text and body[at + 2 : at + 3].string()
        for at in body.find(name)
        if own[at + 1 : at + 2] in (("==",), ("!=",)) and tokens[at + 2].kind == "string"
    ]


def split_at(body: Code, name: str) -> str:
    """The character at which ``body`` splits the text ``name``, '' if it does not."""
    own = body.texts
    for at in body.find("string_split"):
        arguments = body.inside(own.index("(", at)).parts()
        if arguments[0].texts == (name,) and len(arguments) == 2:
            return arguments[1].texts[0].strip("'")
    for at in body.find("regex", "{"):
        if "," in body.inside(at + 1).string():
            return ","
    return ""


def _cache_types(body: Code, codes: Mapping[str, Code]) -> Iterator[str]:
    # for (const auto & type : TYPES) { if (ggml_type_name(type) == s)
    for at in body.find("ggml_type_name", "(", "type", ")", "=="):
        loop = max(i for i in body.find(":") if i < at)
        for code in codes.values():
            for i in code.find(body.texts[loop + 1], "=", "{"):
                for part in code.inside(i + 2).parts():
                    yield part.texts[-1].removeprefix("GGML_TYPE_").lower()
