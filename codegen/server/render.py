"""`Server` to the text of the modules with its fields and options."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import CodegenError
from .model import Field, Option, Server
from .read import config, left_out

# C's integers, for fields that state no limits. An unsigned one takes -1 as its greatest value.
_RANGES = {"int64_t": (-(2**63), 2**63 - 1), "uint32_t": (-(2**31), 2**32 - 1)}
_RANGE = (-(2**31), 2**31 - 1)
_HINTS = {
    "object": "Mapping[str, Any]", "list": "Sequence[Any]", "list[str]": "Sequence[str]",
    "list[int]": "Sequence[int]", "": "Any",
}  # fmt: skip
_PATH = re.compile(r"(FNAME|FILE|PATH|DIR)$")
# Request -> the class of its fields, the request that it shares fields with, and the summary
_CLASSES = {
    "lora": ("LoraScale", "", "The scale of one LoRA adapter, by its `id` of the server."),
    "generation": ("SamplingParams", "", "The fields of every generation."),
    "completion": ("CompletionParams", "generation", "The fields of a completion."),
    "chat": ("ChatParams", "generation", "The fields of a chat."),
    "embedding": ("EmbeddingParams", "", "The fields of a request for embeddings."),
    "rerank": ("RerankParams", "", "The fields of a request to rank documents."),
    "tokenize": ("TokenizeParams", "", "The fields of a request for tokens."),
}


def variables(server: Server) -> dict[str, Any]:
    """The variables of the templates."""
    by_request = fields(server)
    return {
        "tag": server.tag,
        "schema": config()["schema"],
        "table": config()["options"],
        "classes": [
            {
                "name": name, "base": _CLASSES[base][0] if base else "", "doc": doc,
                "partial": request != "lora",
                "fields": [_field(f) for f in by_request[request]],
            }
            for request, (name, base, doc) in _CLASSES.items()
        ],
        "requests": [
            {
                "name": request.upper(), "base": base.upper(),
                "fields": [{"name": f.name, "value": _value(f)} for f in by_request[request]],
            }
            for request, (_, base, _) in _CLASSES.items()
        ],
        "options": list(_options(server.options)),
        "presets": [_option(o, _keyword(o.name), o.name) for o in server.presets],
        "left_out": sorted(_not_keywords(server)),
    }  # fmt: skip


def fields(server: Server) -> dict[str, list[Field]]:
    """The fields of each class, each name of theirs on its own, without those left out."""
    found = {
        request: [f for field in server.requests.get(request, ()) for f in _names(field)]
        for request in _CLASSES
    }
    # A field with another type in chats cannot be in the class that both share.
    types = {f.name: f.types for f in found["chat"]}
    other = [f for f in found["generation"] if set(types.get(f.name, f.types)) != set(f.types)]
    names = {f.name for f in other}
    found["completion"] = other
    found["generation"] = [f for f in found["generation"] if f.name not in names]
    shared = {f.name for f in found["generation"]}
    found["chat"] = [f for f in found["chat"] if f.name not in shared]
    return found


def _names(field: Field) -> Iterator[Field]:
    skipped = left_out("fields")
    for name in (field.name, *field.aliases):
        if name not in skipped:
            alias = "" if name == field.name else field.name
            yield Field(**{**vars(field), "name": name, "alias_of": field.alias_of or alias})


def _field(field: Field) -> dict[str, str]:
    known = [*field.types, *config()["also"].get(field.name, ())]
    hints = [_HINTS.get(t, t) for t in known or [""]]
    if field.choices:
        hints = [f"Literal[{', '.join(map(repr, field.choices))}]"]
    if field.name in config()["items"]:
        hints = [f"Sequence[{_CLASSES[config()['items'][field.name]][0]}]"]
    parts = [f"{'limits' if field.hard else 'cut to'}: {_span(field)}"] * bool(_span(field))
    if field.alias_of:
        parts.append(f"another name of `{field.alias_of}`")
    if field.default is not None:
        parts.append(f"default: {field.default!r}")
    return {"name": field.name, "hint": " | ".join(hints), "doc": _doc(parts, field.place)}


def _doc(parts: Sequence[str], place: str) -> str:
    # Without the line, which any change of the file moves; server.json has it.
    source = f"Source: {place.partition(':')[0]}"
    text = "; ".join(parts).replace("\\", "\\\\").replace('"', "'")
    return f"{text[0].upper()}{text[1:]}. {source}" if text else source


def _span(v: Field | Option) -> str:
    if v.minimum is None and v.maximum is None:
        return ""
    low, high = (str(x) if _told(x) else "" for x in (v.minimum, v.maximum))
    if isinstance(v.maximum, str):
        high = f"the server's {v.maximum.rpartition('.')[2]}"
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else ""


def _told(limit: object) -> bool:
    """Whether a limit is more than that of C's integers."""
    return limit is not None and (isinstance(limit, str) or abs(limit) < 2**31 - 1)  # type: ignore[arg-type]


def _value(field: Field) -> str:
    low: object = field.minimum if field.hard else None
    high: object = field.maximum if field.hard else None
    if "int" in field.types:
        least, most = _RANGES.get(field.ctype, _RANGE)
        low = least if low is None else low
        high = most if high is None or isinstance(high, str) else high
    return _made([*field.types, *config()["also"].get(field.name, ())], low, high, field.choices)


def _made(types: Sequence[str], low: object, high: object, choices: tuple[str, ...]) -> str:
    arguments = [repr("|".join(types))]
    arguments += [f"low={low!r}"] if low is not None else []
    arguments += [f"high={high!r}"] if high is not None else []
    arguments += [f"choices={choices!r}"] if choices else []
    return f"Value({', '.join(arguments)})"


def _keyword(name: str) -> str:
    word = re.sub(r"\W", "_", name.lstrip("-"))
    return f"{word}_" if keyword.iskeyword(word) else word


def keywords(option: Option) -> list[tuple[str, str]]:
    """The keywords that stand for ``option``, each with its flag."""
    flags = (*option.names, *option.negatives)
    return [(_keyword(flag), flag) for flag in flags if flag.startswith("--")]


def of_server(options: Sequence[Option]) -> list[Option]:
    """Those that llama-server takes."""
    return [o for o in options if o.of(config()["program"])]


def _options(options: Sequence[Option]) -> Iterator[dict[str, str]]:
    skipped, seen = left_out("options"), set[str]()
    for option in of_server(options):
        for word, flag in keywords(option):
            if option.removed or word in skipped:
                continue
            if word in seen:
                raise CodegenError(f"{option.place}: two options are the keyword {word}")
            seen.add(word)
            yield _option(option, word, flag)


def _option(option: Option, word: str, flag: str) -> dict[str, str]:
    arguments = [repr(flag), _option_value(option)]
    if option.type in ("flag", "switch"):
        arguments.append(f"flags={_flags(option, flag)!r}")
    joined = option.joined or ("repeat" if option.repeated else "")
    arguments += [f"joined={joined!r}"] if joined else []
    arguments += ["pair=True"] if option.type == "pair" else []
    arguments += [f"excluded={option.excluded!r}"] if option.excluded else []
    names = ", ".join(f"``{n}``" for n in (*option.names, *option.negatives))
    parts = [f"{names}{' ' + ' '.join(option.hints) if option.hints else ''}"]
    parts += [_span(option)] if _span(option) else []
    parts += [f"not {', '.join(map(str, option.excluded))}"] if option.excluded else []
    return {
        "name": word, "hint": _option_hint(option), "doc": _doc(parts, option.place),
        "value": f"Option({', '.join(arguments)})",
    }  # fmt: skip


def _flags(option: Option, flag: str) -> tuple[str, str]:
    """The flags for True and for False. A flag without a negative is left out for False."""
    if option.type == "flag":
        return flag, ""
    long = next(n for n in option.negatives if n.startswith("--"))
    return (flag, option.name) if flag in option.negatives else (flag, long)


def _option_value(option: Option) -> str:
    kind = {"flag": "bool", "switch": "bool", "pair": "int"}.get(option.type, option.type)
    types = [kind, "str"] if option.choices and kind != "str" else [kind]
    return _made(types, option.minimum, option.maximum, option.choices)


def _option_hint(option: Option) -> str:
    if option.type in ("flag", "switch"):
        return "bool"
    if option.type == "pair":
        return "tuple[int, int]"
    hints = [option.type]
    if option.choices:
        words = ", ".join(map(repr, option.choices))
        hints = [f"Literal[{words}]"] + [option.type] * (option.type != "str")
        hints += ["bool"] * ("on" in option.choices and "off" in option.choices)
    elif option.type == "str" and _PATH.search(" ".join(option.hints)):
        hints.append("os.PathLike[str]")
    if option.joined or option.repeated:
        hints.append(f"Sequence[{' | '.join(hints)}]")
    return " | ".join(hints)


def _not_keywords(server: Server) -> Iterator[tuple[str, str]]:
    for option in of_server(server.options):
        for word, _ in keywords(option):
            reason = left_out("options").get(word)
            if option.removed:
                reason = "llama-server has it no more"
            if reason:
                yield word, reason
