"""`Api` and templates to the text of the generated files. Nothing here knows of libclang."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import black.mode
import black.parsing
import black.report
import jinja2
import tomli

from .api import (
    Api,
    Array,
    Field,
    Function,
    FunctionType,
    Named,
    Pointer,
    Struct,
    Type,
    Typedef,
    Value,
    c_declaration,
    dump,
)
from .errors import CodegenError
from .pytypes import BUILTINS, FOREIGN_HANDLES, PyTypes, identifier, parameter_names

TEMPLATES = Path(__file__).parents[1] / "templates"
API_JSON = Path(__file__).parent / "api.json"
SAMPLERS = Path(__file__).with_name("samplers.toml")
GENERATED = ("_raw.py", "_raw.pyi", "_params.py", "_samplers.py")
SAMPLER_PREFIX = "llama_sampler_init_"


def render(api: Api) -> dict[str, str]:
    """File name -> text, for each generated file of the package."""
    return {name: _format(name, text) for name, text in render_templates(api).items()}


def render_templates(api: Api) -> dict[str, str]:
    """As `render`, before black has been over it."""
    types = PyTypes(api)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Python, not HTML; whatever comes from a header goes through a filter
    )
    environment.filters |= {
        "identifier": identifier,
        "literal": _literal,
        "string_literal": _string_literal,
        "python_repr": repr,
        "expression": types.expression,
    }
    context = _Context(api, types).variables()
    return {
        name: environment.get_template(f"{name}.j2").render(context).rstrip("\n") + "\n"
        for name in GENERATED
    }


def _format(name: str, text: str) -> str:
    mode = black.mode.Mode(
        line_length=100,
        target_versions={black.mode.TargetVersion.PY310},
        is_pyi=name.endswith(".pyi"),
    )
    try:
        return black.format_file_contents(text, fast=True, mode=mode)
    except black.report.NothingChanged:
        return text
    except black.parsing.InvalidInput as error:
        raise CodegenError(f"templates/{name}.j2 does not give valid Python: {error}") from error


def _literal(value: Value) -> str:
    return _string_literal(value) if isinstance(value, str) else repr(value)


def _string_literal(value: str) -> str:
    # JSON's escapes are Python's, and no quote or line end gets through.
    return json.dumps(value)


@dataclass(frozen=True)
class _Keyword:
    name: str
    hint: str
    type: str
    default: str | None


@dataclass(frozen=True)
class _Params:
    class_name: str
    struct: Struct
    keywords: list[_Keyword]
    pointers: tuple[str, ...]


@dataclass(frozen=True)
class _Sampler:
    method: str
    function: Function
    replacement: str | None
    doc: str
    parameters: list[str]
    arguments: list[str]


class _Context:
    """What the templates ask for."""

    def __init__(self, api: Api, types: PyTypes) -> None:
        self.api = api
        self.types = types
        self.structs = [s for s in api.structs if not s.opaque]
        self.sampler_data = tomli.loads(SAMPLERS.read_text("utf-8"))
        # Function pointers without a name of their own: (struct, field) -> callback type's name
        self.field_callbacks: dict[tuple[str, str], str] = {}
        taken = types.functions | types.structs.keys() | types.enums.keys() | types.typedefs.keys()
        for s in self.structs:
            for f in s.fields:
                if isinstance(f.type, Pointer) and isinstance(f.type.to, FunctionType):
                    name = f"{s.name}_{f.name}"
                    self.field_callbacks[s.name, f.name] = name + "_t" * (name in taken)

    def variables(self) -> dict[str, Any]:
        handles = [self.types.name(s.name) for s in self.api.structs if s.opaque]
        return {
            "api": self.api,
            "types": self.types,
            "structs": self.structs,
            "handles": [*handles, *self._foreign_handles()],
            "ctypes_names": sorted(
                {name for name, _ in BUILTINS.values()} | {"c_char_p", "c_void_p"}
            ),
            "aliases": self._aliases(),
            "plain_aliases": [
                (identifier(t.name), self.types.ctypes_class(t.type))
                for t in self._typedefs()
                if self.types.callback(t.type) is None
            ],
            "callbacks": self._callbacks(),
            "field_type": self._field_type,
            "field_hint": self._field_hint,
            "signature": self._signature,
            "functions_by_header": [
                (header, list(group))
                for header, group in groupby(self.api.functions, key=lambda f: f.place.header)
            ],
            "params": self._params(),
            "samplers": self._samplers(),
            "selectors": self.sampler_data["selectors"],
        }

    def _foreign_handles(self) -> list[str]:
        used = {
            self.types.handle(ctype)
            for f in self.api.functions
            for ctype in (f.result, *(p.type for p in f.params))
        }
        return [name for name in FOREIGN_HANDLES if name in used]

    def _typedefs(self) -> list[Typedef]:
        """The typedefs that mean something in Python: not `typedef struct x x`."""
        tags = self.types.structs.keys() | self.types.enums.keys()
        return [t for t in self.api.typedefs if t.name not in tags]

    def _aliases(self) -> list[tuple[str, str]]:
        """Typedefs, and the function pointers of fields, as assignments in a working order."""
        result = [(identifier(t.name), self.types.expression(t.type)) for t in self._typedefs()]
        for s in self.structs:
            for f in s.fields:
                name = self.field_callbacks.get((s.name, f.name))
                if name:
                    result.append((name, self.types.expression(f.type)))
        return result

    def _callbacks(self) -> list[tuple[str, FunctionType, str, str]]:
        result = []
        for t in self.api.typedefs:
            ctype = t.type
            if isinstance(ctype, Pointer) and isinstance(ctype.to, FunctionType):
                text = f"typedef {c_declaration(ctype, t.name)}"
                result.append((identifier(t.name), ctype.to, text, str(t.place)))
        for s in self.structs:
            for f in s.fields:
                name = self.field_callbacks.get((s.name, f.name))
                if name and isinstance(f.type, Pointer) and isinstance(f.type.to, FunctionType):
                    text = c_declaration(f.type, f.name)
                    result.append((name, f.type.to, text, str(s.place)))
        return result

    def _field_type(self, struct: Struct, field: Field) -> str:
        name = self.field_callbacks.get((struct.name, field.name))
        return name or self.types.expression(field.type)

    def _field_hint(self, struct: Struct, field: Field) -> str:
        name = self.field_callbacks.get((struct.name, field.name))
        got, taken = (name, name) if name else self.types.field_hint(field.type)
        return got if got == taken else f"_Field[{got}, {taken}]"

    def _signature(self, function: Function) -> str:
        names = parameter_names(function)
        parts = [
            f"{name}: {self.types.argument_hint(p.type)}"
            for name, p in zip(names, function.params, strict=True)
        ]
        if parts:
            parts.append("/")
        if function.variadic:
            parts.append("*args: Any")
        return ", ".join(parts)

    # -- _params.py

    def _params(self) -> list[_Params]:
        return [self._params_of(s) for s in self.structs if s.name.endswith("_params")]

    def _params_of(self, struct: Struct) -> _Params:
        defaults = next(
            (
                self.api.defaults[f.name]
                for f in self.api.functions
                if (f.name in self.api.defaults and f.result == Named(f"struct {struct.name}"))
                or (f.name in self.api.defaults and f.result == Named(struct.name))
            ),
            {},
        )
        keywords = []
        pointers = []
        for f in struct.fields:
            keyword = self._keyword(f, defaults.get(f.name))
            if keyword is None:
                pointers.append(identifier(f.name))
            else:
                keywords.append(keyword)
        class_name = "".join(part.capitalize() for part in struct.name.split("_"))
        return _Params(class_name, struct, keywords, tuple(pointers))

    def _keyword(self, field: Field, default: Value | None) -> _Keyword | None:
        """``field`` as a keyword argument, None if it is not a plain value."""
        name = identifier(field.name)
        enum = self.types.enum(field.type)
        if enum:
            enum_name = f"_raw.{self.types.name(enum.name)}"
            shown = next((c for c, v in enum.constants if v == default), None)
            return _Keyword(name, f"{enum_name} | int", enum_name, shown)
        ctype = self.types.resolve(field.type)
        if not isinstance(ctype, Named) or ctype.name not in BUILTINS:
            return None
        ctypes_name, hint = BUILTINS[ctype.name]
        shown = None
        if default is not None:
            shown = repr(bool(default)) if hint == "bool" else repr(default)
        return _Keyword(name, hint, ctypes_name, shown)

    # -- _samplers.py

    def _samplers(self) -> list[_Sampler]:
        defaults, docs = self.sampler_data["defaults"], self.sampler_data["docs"]
        return [
            self._sampler(f, {**defaults, **defaults.get(f.name, {})}, docs.get(f.name))
            for f in self.api.functions
            if f.name.startswith(SAMPLER_PREFIX)
        ]

    def _sampler(self, function: Function, defaults: dict[str, Any], doc: str | None) -> _Sampler:
        """The chain's method for ``function``: the same parameters under the same names, but a
        model where C wants its vocabulary or the size of it, and a sequence where C wants a
        pointer and a count.
        """
        parameters: dict[str, str] = {}
        arguments: list[str] = []
        params = function.params
        counts = {i for i, _ in self._counted(function)}
        arrays = {j: i for i, j in self._counted(function)}
        for i, (name, p) in enumerate(zip(parameter_names(function), params, strict=True)):
            ctype = p.type
            to = ctype.to if isinstance(ctype, Pointer) else None
            if to == Named("struct llama_vocab"):
                parameters["model"] = "LlamaModel"
                arguments.append("vocab_of(model).handle")
            elif p.name == "n_vocab":
                parameters["model"] = "LlamaModel"
                arguments.append("vocab_of(model).n_tokens")
            elif i in counts:
                array = parameter_names(function)[next(j for j, c in arrays.items() if c == i)]
                arguments.append(f"len({array})")
            elif i in arrays and isinstance(to, Pointer):
                parameters[name] = "Sequence[str]"
                arguments.append(f"c_strings({name})")
            elif i in arrays and to is not None:
                parameters[name] = self._array_hint(to)
                arguments.append(f"c_array(_raw.{self.types.expression(to)}, {name})")
            elif to == Named("char"):
                parameters[name] = "str"
                arguments.append(f"c_string({name})")
            else:
                parameters[name] = self._scalar_hint(function, ctype)
                arguments.append(name)
        return _Sampler(
            method=identifier(function.name.removeprefix(SAMPLER_PREFIX)),
            function=function,
            doc=doc or f"Append the sampler that `{function.name}` makes.",
            replacement=(function.replacement or "").removeprefix(SAMPLER_PREFIX) or None,
            parameters=self._with_defaults(parameters, defaults),
            arguments=arguments,
        )

    def _counted(self, function: Function) -> list[tuple[int, int]]:
        """(index of the count, index of its array) for each array parameter. The count stands
        right beside it, before or behind, and is called n_* or num_*."""
        pairs: list[tuple[int, int]] = []
        for i, p in enumerate(function.params):
            if not p.name.startswith(("n_", "num_")) or not self.types.integer(p.type):
                continue
            for j in (i - 1, i + 1):
                if not 0 <= j < len(function.params) or j in (array for _, array in pairs):
                    continue
                other = function.params[j].type
                text = other == Pointer(Named("char"), const=True)
                if isinstance(other, Pointer) and not text and self.types.handle(other) is None:
                    pairs.append((i, j))
                    break
        return pairs

    def _array_hint(self, element: Type) -> str:
        struct = self.types.struct(element)
        if struct is None:
            return f"Sequence[{self._scalar_hint(None, element)}]"
        inner = ", ".join(self._scalar_hint(None, f.type) for f in struct.fields)
        mapping = f"Mapping[{inner}] | " if len(struct.fields) == 2 else ""
        return f"{mapping}Sequence[tuple[{inner}]]"

    def _scalar_hint(self, function: Function | None, ctype: Type) -> str:
        if self.types.enum(ctype):
            return "int"
        resolved = self.types.resolve(ctype)
        if isinstance(resolved, Named) and resolved.name in BUILTINS:
            return BUILTINS[resolved.name][1]
        if isinstance(resolved, Pointer | Array | FunctionType) or function is None:
            return "Any"
        raise CodegenError(f"{function.place}: {function.name}: no Python form for {ctype}")

    def _with_defaults(self, parameters: dict[str, str], defaults: dict[str, Any]) -> list[str]:
        result = []
        optional = False
        for name, hint in parameters.items():
            if name in defaults:
                default = defaults[name]
                if isinstance(default, list):
                    text = f"({''.join(_literal(v) + ', ' for v in default)})"
                elif default in {m.name for m in self.api.macros}:
                    text = f"_raw.{default}"
                else:
                    text = _literal(default)
                result.append(f"{name}: {hint} = {text}")
                optional = True
            else:
                if optional and "*" not in result:
                    result.append("*")  # C's order puts a required one behind an optional one
                result.append(f"{name}: {hint}")
        return result


def documents(api: Api) -> dict[Path, str]:
    """Every generated file of the project, by its place in it, with its text."""
    package = Path("llama_cpp")
    files = {package / name: text for name, text in render(api).items()}
    return {Path("codegen") / API_JSON.name: dump(api), **files}
