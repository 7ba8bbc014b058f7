"""The fields of requests: those of the schema in server-schema.cpp, and those that other functions
of the server read from the JSON of a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from . import types
from .cpp import Code, function
from .model import Field, Number

SCHEMA = "make_llama_cmpl_schema"
_KINDS = {
    "field_num": "", "field_bool": "bool", "field_str": "str", "field_json": "",
    "field_nested": "object",
}  # fmt: skip
_IGNORED = ("set_desc",)


def schema(code: Code, helpers: types.Helpers) -> list[Field]:
    """The fields that the schema adds, in its order."""
    parameters, body = function(code, SCHEMA)
    roots = {p.texts[-1]: p.texts[-3] for p in parameters.parts() if len(p) >= 3}
    reader = _Schema(roots, helpers)
    found: list[Field] = []
    for at in body.find("add", "("):
        found += reader.fields(body.inside(at + 1))
    read = sum(1 + len(f.subfields) for f in found if not f.alias_of)
    made = sum(body.texts[at + 1].startswith("field") for at in body.find("new"))
    if read != made or not read:
        raise body.fault(f"{made} fields are made, but {read} are added in a known way")
    return found


class _Schema:
    def __init__(self, roots: dict[str, str], helpers: types.Helpers) -> None:
        self._roots, self._helpers = roots, helpers
        self._types: dict[str, tuple[str, ...]] = {}

    def fields(self, code: Code) -> list[Field]:
        """The field that ``code`` makes, and its aliases that have other types."""
        found = self._field(code)
        others = [
            Field(a, self._types[a], place=found.place, alias_of=found.name)
            for a in found.aliases
            if self._types.get(a, found.types) != found.types
        ]
        same = tuple(a for a in found.aliases if a not in [f.name for f in others])
        return [replace(found, aliases=same), *others]

    def _field(self, code: Code) -> Field:
        """( new CLASS ( "name", member ) ) -> method ( ... ) -> ..."""
        while code.texts[:1] == ("(",) and code.texts[1:2] in (("new",), ("(",)):
            inner = code.inside(0)
            code = Code(code.file, inner.tokens + code.tokens[len(inner) + 2 :])
        if code.texts[:1] != ("new",) or code.texts[1] not in _KINDS or code.texts[2] != "(":
            raise code.fault("expected a new field")
        arguments = code.inside(2)
        name, *member = arguments.parts()
        kind = _KINDS[code.texts[1]]
        found = Field(name.string(), (kind,) if kind else (), place=_place(code))
        if member:
            found = self._stored(found, member[0])
        rest = code[len(arguments) + 4 :]
        while len(rest):
            if rest.texts[0] != "->" or rest.texts[2] != "(":
                raise rest.fault(f"{found.name}: expected a call with ->")
            given = rest.inside(2)
            found = self._call(found, rest.texts[1], given, rest)
            rest = rest[len(given) + 4 :]
        if not found.types and code.texts[1] == "field_num":
            raise code.fault(f"the type of {''.join(member[0].texts)} is not known")
        return found

    def _stored(self, found: Field, member: Code) -> Field:
        root, *path = (t for t in member.texts if t != ".")
        stored = self._helpers.stored(self._roots.get(root, ""), path) if path else None
        if stored is None:
            return found
        ctype, value = stored
        known = types.json_type(ctype)
        return replace(
            found,
            types=(known,) if known else found.types,
            ctype=ctype,
            default=types.literal(value),
        )

    def _call(self, found: Field, method: str, given: Code, rest: Code) -> Field:
        if method in _IGNORED:
            return found
        if method == "add_alias":
            return replace(found, aliases=(*found.aliases, given.string()))
        if method in ("set_limits", "set_hard_limits"):
            low, high = map(types.limit, given.parts())
            hard = method == "set_hard_limits"
            return replace(found, minimum=low, maximum=high, hard=hard)
        if method == "add_subfield":
            return replace(found, subfields=(*found.subfields, self._field(given)))
        if method == "set_handler":
            parameters = given.inside(given.texts.index("("))
            read = {f.name: f for f in reads(given, {parameters.texts[-1]}, self._helpers)}
            self._types = {a: read[a].types for a in found.aliases if a in read}
            mine = read.get(found.name, found)
            return replace(found, types=found.types or mine.types, choices=mine.choices)
        raise rest.fault(f"{found.name}: {method} is not a known method of a field")


def read_by(code: Code, name: str, variable: str, helpers: types.Helpers) -> list[Field]:
    """The fields that the function ``name`` reads, from ``variable`` or from its JSON."""
    parameters, body = function(code, name)
    variables = {variable} if variable else set(_parsed(parameters, body))
    found = reads(body, variables, helpers)
    if not found:
        raise body.fault(f"{name} reads no field from {variables or 'any JSON'}")
    return found


def _parsed(parameters: Code, body: Code) -> Iterator[str]:
    for parameter in parameters.parts():
        if "json" in parameter.texts:
            yield parameter.texts[-1]
    for at in body.find("json", "::", "parse"):
        if body.texts[at - 1] == "=":
            yield body.texts[at - 2]


def reads(body: Code, variables: set[str], helpers: types.Helpers) -> list[Field]:
    """The fields that ``body`` reads from ``variables``, in their order."""
    found: dict[str, Field] = {}
    own, tokens = body.texts, body.tokens
    for at, text in enumerate(own):
        read: Field | None = None
        if text == "json_value" and own[at + 1 : at + 3] and own[at + 2] in variables:
            read = _with_default(body.inside(at + 1), variables)
            if not read.types and own[at - 1] == "=" and own[at - 3] == ".":
                read = replace(read, types=helpers.member(body, own[at - 4], own[at - 2]))
        elif text in variables and own[at + 1] in (".", "[") and own[at - 1] not in (".", "->"):
            name = at + 4 if own[at + 1] == "." else at + 2
            method = own[at + 2] if own[at + 1] == "." else "at"
            if method not in ("at", "contains", "count") or tokens[name].kind != "string":
                continue
            if own[name + 2 : name + 3] == ("=",):  # written, not read
                continue
            read = _taken(body, at, name, method, helpers)
        if read is not None:
            found[read.name] = _both(found[read.name], read) if read.name in found else read
    inner = {alias for f in found.values() for alias in f.aliases}
    return [f for f in found.values() if f.name not in inner]


def _both(a: Field, b: Field) -> Field:
    default = b.default if a.default is None else a.default
    known = _union((*a.types, *b.types))
    aliases, choices = a.aliases or b.aliases, a.choices or b.choices
    return replace(a, types=known, aliases=aliases, default=default, choices=choices)


def _union(known: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(known))
    items = any(t.startswith("list[") for t in found)
    return tuple(t for t in found if t != "list" or not items)


def _with_default(arguments: Code, variables: set[str]) -> Field:
    """json_value(body, "name", default), where the default may be another field."""
    variable, name, *rest = arguments.parts()
    default = rest[0] if rest else arguments[:0]
    if default.texts[:1] == ("json_value",):
        other = _with_default(default.inside(1), variables)
        aliases = (other.name, *other.aliases)
        return replace(other, name=name.string(), aliases=aliases, place=_place(variable))
    known, value = _default(default)
    return Field(name.string(), known, default=value, place=_place(variable))


def _default(code: Code) -> tuple[tuple[str, ...], Number | bool | str | None]:
    texts = code.texts
    value = types.literal(code)
    if value is not None:
        kind = "str" if isinstance(value, str) else type(value).__name__
        return (kind,), value
    called = "".join(texts[: texts.index("(")]) if "(" in texts else ""
    if called in ("json::array", "json::object"):
        return ("list" if called.endswith("array") else "object",), None
    if texts[:3] == ("(", "int", ")"):
        return ("int",), None
    known = types.json_type(called)
    inside = code.inside(texts.index("(")) if known and texts[-1] == ")" else code[:0]
    return (known,) if known else (), types.literal(inside)


def _taken(body: Code, at: int, name: int, method: str, helpers: types.Helpers) -> Field:
    """The field in VARIABLE . at ( "name" ), typed by its use."""
    own = body.texts
    field = Field(body[name : name + 1].string(), place=_place(body[at : at + 1]))
    if method != "at":
        return field
    known, choices = _use(body, name + 2, helpers)
    before = own[at - 1]
    if before == "(" and own[at - 2] not in ("if", "for", "while"):
        found = helpers.find(own[at - 2])
        if found is not None:
            choices = choices or helpers.choices(own[at - 2])
            known = known or _of_variable(found[1], found[0], helpers)[0]
    elif before == ":":  # for (const auto & x : VARIABLE.at("name"))
        of = _of_variable(body[at:], own[at - 2 + (own[at - 2] in "&*")], helpers)[0]
        known = known or (f"list[{of[0]}]" if of in (("str",), ("int",)) else "list",)
    elif before == "=" and not known:
        declared = types.json_type("".join(own[at - 4 : at - 2]).lstrip("&") or "")
        known = (declared,) if declared else _declared(body, at)
        of_name = _of_variable(body[at:], own[at - 2], helpers)
        known, choices = known or of_name[0], choices or of_name[1]
    return replace(field, types=known, choices=choices)


def _declared(body: Code, at: int) -> tuple[str, ...]:
    """The type in ``const TYPE & name =`` before ``at``."""
    words = [t for t in body.texts[max(0, at - 7) : at - 2] if t not in ("const", "&")]
    for start in range(len(words)):
        known = types.json_type("".join(words[start:]))
        if known:
            return (known,)
    return ()


def _use(body: Code, at: int, helpers: types.Helpers) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The types by the code after a value: . get < TYPE > ( ) or . is_string ( )"""
    own = body.texts
    if own[at : at + 1] != (".",):
        return (), ()
    asked = types.asked_type(own[at + 1])
    if asked:  # in a condition of its own: else there is more that may be
        alone = own[at + 4 : at + 5] == (")",)
        return ((asked,), ()) if alone else ((), ())
    if own[at + 1 : at + 3] == ("get", "<"):
        end = own.index("(", at)
        known = types.json_type("".join(own[at + 3 : end - 1]))
        return (known,) if known else (), ()
    return (), ()


def _of_variable(
    body: Code, name: str, helpers: types.Helpers
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The types and words that ``body`` expects of the variable ``name``."""
    known: list[str] = []
    for at in body.find(name):
        if body.texts[at - 1 : at] not in ((".",), ("->",)):
            known += _use(body, at + 1, helpers)[0]
    words = types.compared(body, name) if "!=" in body.texts else []
    return _union(known), tuple(dict.fromkeys(words))


def _place(code: Code) -> str:
    return f"{code.file.rpartition('/')[2]}:{code.line}"


def merged(fields: Sequence[Field], others: Mapping[str, Field]) -> tuple[Field, ...]:
    """``fields``, each with the types that ``others`` know of the same name, where it has none."""
    return tuple(
        replace(f, types=others[f.name].types, choices=others[f.name].choices)
        if not f.types and f.name in others
        else f
        for f in fields
    )
