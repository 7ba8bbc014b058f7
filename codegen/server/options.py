"""The options of command lines: the table that common/arg.cpp adds one by one, and the loops over
``argv`` of programs that have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..errors import CodegenError
from . import types
from .cpp import Code, function
from .model import Number, Option

TABLE = "common_params_parser_init"
PRESETS = "common_params_add_preset_options"
_HANDLERS = {"": "flag", "bool": "switch", "int": "int", "std::string": "str"}
_CHAIN = ("set_examples", "set_excludes", "set_env", "set_sampling", "set_spec", "set_preset_only")
_NUMBERS = {"stof": "float", "stod": "float"} | dict.fromkeys(
    ("stoi", "stol", "stoul", "stoll", "stoull", "atoi"), "int"
)
_INT = (-(2**31), 2**31 - 1)
_TRUTH = ("is_truthy", "is_falsey", "is_autoy")


@dataclass(frozen=True)
class _Reader:
    code: Code
    helpers: types.Helpers
    constants: Mapping[str, int]


def table(code: Code, helpers: types.Helpers, constants: Mapping[str, int]) -> list[Option]:
    """The options of all programs, in their order. ``constants`` are C's, for limits."""
    body = function(code, TABLE)[1]
    found = list(_added(body, _Reader(code, helpers, constants)))
    made = len(list(body.find("common_arg", "(")))
    if len(found) != made or not found:
        raise body.fault(f"{made} options are made, but {len(found)} added in a known way")
    return found


def presets(code: Code, helpers: types.Helpers) -> list[Option]:
    """The options that only the file with presets may have."""
    try:
        body = function(code, PRESETS)[1]
    except CodegenError:  # older than the presets
        return []
    reader = _Reader(code, helpers, {})
    added = body.find(".", "push_back", "(", "common_arg")
    return [_option(body.inside(at + 2), reader) for at in added]


def _added(body: Code, reader: _Reader) -> Iterator[Option]:
    """The options that ``body`` adds, also in an if that asks for the program."""
    own, at = body.texts, 0
    while at < len(body):
        if own[at : at + 2] == ("add_opt", "("):
            given = body.inside(at + 1)
            yield _option(given, reader)
            at += len(given) + 3
        elif own[at : at + 2] == ("if", "("):
            at, found = _branches(body, at, reader)
            yield from found
        elif own[at] in ("for", "while", "switch") and own[at + 1] == "(":
            at += len(body.inside(at + 1)) + 3
            if own[at] == "{" and "add_opt" in body.inside(at).texts:
                raise body[at:].fault("options are added in a loop")
        else:
            at += 1


def _branches(body: Code, at: int, reader: _Reader) -> tuple[int, list[Option]]:
    """The options of the if at ``at`` and of its else, and where they end."""
    own = body.texts
    condition = body.inside(at + 1)
    at += len(condition) + 3
    program = condition.texts[2] if condition.texts[:2] == ("ex", "==") else ""
    found: list[Option] = []
    for branch in ("if", "else"):
        if branch == "else":
            if own[at : at + 2] != ("else", "{"):
                break
            at += 1
        if own[at : at + 1] != ("{",):
            break
        inside = body.inside(at)
        at += len(inside) + 2
        options = list(_added(inside, reader))
        found += [_only(o, program, branch, str(condition)) for o in options]
    return at, found


def _only(option: Option, program: str, branch: str, condition: str) -> Option:
    if not program:
        text = condition if branch == "if" else f"!({condition})"
        return replace(option, condition=" && ".join(filter(None, (text, option.condition))))
    if branch == "else":
        return replace(option, excludes=(*option.excludes, program))
    return replace(option, programs=(program,))


def _option(given: Code, reader: _Reader) -> Option:
    """common_arg ( ... ) . set_examples ( ... ) . ..."""
    if given.texts[:2] != ("common_arg", "("):
        raise given.fault("expected common_arg(")
    arguments = given.inside(1)
    option = _made(arguments, reader)
    rest = given[len(arguments) + 3 :]
    while len(rest):
        if rest.texts[0] != "." or rest.texts[1] not in _CHAIN:
            raise rest.fault(f"{option.name}: not a known method of an option")
        inside = rest.inside(2)
        option = _chained(option, rest.texts[1], inside, reader)
        rest = rest[len(inside) + 4 :]
    return option if option.programs else replace(option, programs=("LLAMA_EXAMPLE_COMMON",))


def _chained(option: Option, method: str, given: Code, reader: _Reader) -> Option:
    if method == "set_env":
        return replace(option, env=given.string() if given.tokens[0].kind == "string" else "")
    if method not in ("set_examples", "set_excludes"):
        return option
    if given.texts[:1] == ("{",):
        words = given.inside(0)
    else:  # the name of a list
        start = next(reader.code.find(given.texts[0], "=", "{"), None)
        if start is None:
            raise given.fault(f"{option.name}: not a known list of programs")
        words = reader.code.inside(start + 2)
    named = tuple(part.texts[0] for part in words.parts() if len(part))
    if method == "set_examples":
        return replace(option, programs=named)
    return replace(option, excludes=named)


def _made(arguments: Code, reader: _Reader) -> Option:
    names, *middle, handler = arguments.parts()
    if handler.texts[:1] != ("[",) or names.texts[:1] != ("{",) or not middle:
        raise arguments.fault("not a known form of an option")
    *hints, _ = middle
    place = f"{arguments.file.rpartition('/')[2]}:{arguments.line}"
    negatives: tuple[str, ...] = ()
    if hints and hints[0].texts[:1] == ("{",):
        negatives = tuple(hints.pop(0).inside(0).strings())
    words = [h.string() if h.tokens[0].kind == "string" else "".join(h.texts) for h in hints]
    at = handler.texts.index("(")
    parameters = [p for p in handler.inside(at).parts() if len(p)][1:]
    body = handler.inside(at + len(handler.inside(at)) + 2)
    kinds = [_HANDLERS.get(_value_type(p), "?") for p in parameters] or ["flag"]
    kind = "pair" if kinds == ["str", "str"] else kinds[0]
    values = {"flag": 0, "switch": 0, "pair": 2}.get(kind, 1)
    if "?" in kinds or len(hints) != values or bool(negatives) != (kind == "switch"):
        raise arguments.fault("not a known form of an option")
    option = Option(
        tuple(names.inside(0).strings()), kind, negatives, tuple(words),
        removed="arg_removed" in body.texts, ends="exit" in body.texts, place=place,
    )  # fmt: skip
    return option if values != 1 else _checked(option, parameters[0].texts[-1], body, reader)


def _value_type(parameter: Code) -> str:
    words = [t for t in parameter.texts if t not in ("const", "&")]
    named = len(words) > 1 and words[-2] != "::"
    return "".join(words[:-1] if named else words)


def _checked(option: Option, name: str, body: Code, reader: _Reader) -> Option:
    """``option`` with the type and limits that its handler checks for the value ``name``."""
    takes, names = option.type, {name}
    for at in body.find("=", "string_strip", "(", name):
        names.add(body.texts[at - 1])
    for at in body.find("=", name, ";"):
        names.add(body.texts[at - 1])
    if option.type == "str":
        option = _text(option, names, body, reader)
    low, high, excluded, refusals = _limits(names | _numbers(names, body), body, reader)
    if takes == "int":  # the program reads it with std::stoi
        low, high = _INT[0] if low is None else low, _INT[1] if high is None else high
    throws = body.texts.count("throw") - refusals - bool(option.choices)
    return replace(option, minimum=low, maximum=high, excluded=tuple(excluded), further=throws > 0)


def _text(option: Option, names: set[str], body: Code, reader: _Reader) -> Option:
    """``option`` with the type that the handler parses from a text."""
    helpers, own = reader.helpers, body.texts
    words: list[str] = []
    for at, text in enumerate(own[:-2]):
        if text in names and own[at - 1] not in (".", "->"):
            words += types.compared(body[at : at + 3], text)
        if own[at + 1] != "(" or own[at + 2] not in names:
            continue
        if own[at + 3] in (",", ")") and text in _NUMBERS:
            option = replace(option, type=_NUMBERS[text])
        elif text in _TRUTH or (own[at + 3] == ")" and own[at - 1] == "="):
            words += helpers.choices(text)
        if text == "parse_csv_row":
            option = replace(option, joined="csv")
        elif text in ("emplace_back", "push_back"):
            option = replace(option, repeated=True)
        elif own[at + 3] in (",", ")"):
            option = replace(option, joined=option.joined or helpers.separator(text))
    joined = next((c for name in names if (c := types.split_at(body, name))), option.joined)
    if "logit_bias" in own:
        option = replace(option, repeated=True)
    closed = (
        option.type != "str"
        or "throw" in own
        or any(helpers.choices(own[at - 1]) for at in body.find("(") if own[at + 1] in names)
    )
    words = list(dict.fromkeys(w for w in words if w))
    choices = tuple(words) if words and closed and not joined else ()
    return replace(option, joined=joined, choices=choices)


def _numbers(names: set[str], body: Code) -> set[str]:
    """The variables that hold the value as a number: const float x = std::stof(value)"""
    own = body.texts
    return {
        own[at - 4]
        for at, text in enumerate(own[:-2])
        if text in _NUMBERS and own[at + 2] in names and own[at - 3] == "=" and own[at + 3] == ")"
    }


def _limits(
    names: set[str], body: Code, reader: _Reader
) -> tuple[Number | None, Number | None, list[Number], int]:
    """Least, greatest, excluded values, and how many throws they stand for: if (COND) throw."""
    low: Number | None = None
    high: Number | None = None
    excluded: list[Number] = []
    refusals = 0
    for at in body.find("if", "("):
        condition = body.inside(at + 1)
        after = at + len(condition) + 3
        after += body.texts[after : after + 1] == ("{",)
        if body.texts[after : after + 1] != ("throw",):
            continue
        parts = [c for c in condition.parts("||") if c.texts[0] in names]
        known = [_comparison(part, reader) for part in parts]
        if len(known) == len(condition.parts("||")) and None not in known:
            refusals += 1
        for sign, value in (k for k in known if k is not None):
            if sign in ("<", "<="):
                low = value
            elif sign in (">", ">="):
                high = value
            if sign != "<" and sign != ">":
                excluded.append(value)
    return low, high, excluded, refusals


def _comparison(part: Code, reader: _Reader) -> tuple[str, Number] | None:
    if part.texts[1] not in ("<", "<=", ">", ">=", "=="):
        return None
    value = types.number(part[2:])
    if value is None:
        value = reader.constants.get(part.texts[-1])
    return None if value is None else (part.texts[1], value)


def loop(code: Code, name: str) -> list[Option]:
    """The options that the function ``name`` finds in ``argv``: arg == "--x" or
    strcmp(argv[i], "--x") == 0, each in an if of its own."""
    body = function(code, name)[1]
    found = []
    for at in body.find("if", "("):
        condition = body.inside(at + 1)
        names = [
            condition[i : i + 1].string()
            for i, t in enumerate(condition.tokens)
            if t.kind == "string" and t.text.startswith('"-') and t.text != '"--"'
        ]
        if not names:
            continue
        if "strncmp" in condition.texts:
            continue
        inside = body.inside(at + len(condition) + 3)
        place = f"{code.file.rpartition('/')[2]}:{condition.line}"
        found.append(_looped(Option(tuple(names), "flag", place=place), inside))
    if not found:
        raise body.fault(f"{name} has no option in a known form")
    return found


def _looped(option: Option, body: Code) -> Option:
    own = body.texts
    if "argv" not in own or "++" not in own:
        return replace(option, ends="exit" in own or "print_usage" in own)
    kind = next((kind for text, kind in _NUMBERS.items() if text in own), "str")
    return replace(option, type=kind, hints=("VALUE",))
