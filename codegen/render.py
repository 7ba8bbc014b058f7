"""`Api` and templates to the text of the generated files. Nothing here knows of libclang."""

from __future__ import annotations

import json
import re
import symtable
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, product
from pathlib import Path
from typing import Any

import jinja2
import tomli

from . import contents
from .api import (
    Api,
    Array,
    Field,
    Function,
    FunctionType,
    Named,
    Place,
    Pointer,
    Struct,
    Type,
    Typedef,
    Value,
    c_declaration,
    dump,
    uses,
)
from .errors import CodegenError
from .getters import getters
from .pytypes import BUILTINS, FOREIGN_HANDLES, RARE, PyTypes, identifier, parameter_names
from .seal import ANY_TAG, OF_THE_FIRST, OF_THE_SERVER, sealed
from .seal import GENERATED as GENERATED
from .server import model as server_model
from .server import render as server_render

# Beside this package in the project, inside it in a wheel
TEMPLATES = next(p / "templates" for p in Path(__file__).parents if (p / "templates").is_dir())
API_JSON = Path(__file__).parent / "api.json"
# Where in the project the generated files are
PACKAGE, DATA = Path("llama_cpp"), Path("codegen")
RUNTIME = Path(__file__).with_name("runtime.py")
SAMPLERS = Path(__file__).with_name("samplers.toml")
PARAMS = Path(__file__).with_name("params.toml")
SAMPLER_PREFIX = "llama_sampler_init_"
# Names that the methods of templates/_samplers.py.j2 use, so that no parameter may have them
_SAMPLER_NAMES = ("self", "model", "len", "c_array", "c_string", "c_strings", "vocab_of")


def render(api: Api) -> dict[str, str]:
    """File name -> text, for each generated file of the package that ``api`` gives."""
    return {
        name: sealed(_format(name, text), api.tag) for name, text in render_templates(api).items()
    }


def render_templates(api: Api) -> dict[str, str]:
    """As `render`, before black has been over it."""
    types = python_types(api)
    types.check_names()
    files = {f"{api.module}{end}": f"_raw{end}" for end in (".py", ".pyi")}
    if api.module == "_raw":
        files |= {name: name for name in OF_THE_FIRST}
    texts = {name: _template(template, api, types) for name, template in files.items()}
    if api.server is not None:
        given = server_render.variables(api.server)
        texts |= {name: _rendered(name, given) for name in OF_THE_SERVER}
    return texts


def python_types(api: Api) -> PyTypes:
    """The names of ``api`` in Python, clear of those that the generated module has itself."""
    return PyTypes(api, reserved())


@cache
def reserved() -> frozenset[str]:
    """The names that the modules define or use for an empty API: no C name may equal one."""
    empty = Api("", (), (), (), (), (), (), (), {})
    names = {*FOREIGN_HANDLES, *(hint for _, hint in BUILTINS.values())}
    apis = empty, replace(empty, base=empty), replace(empty, module="_raw_own")
    for name, api in product(("_raw.py", "_raw.pyi"), apis):
        tables = [symtable.symtable(_template(name, api, PyTypes(api)), name, "exec")]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            module = table.get_type() == "module"
            names |= {s.get_name() for s in table.get_symbols() if module or s.is_global()}
    return frozenset(names - {"load"})  # it makes room: see `_load`


def _template(name: str, api: Api, types: PyTypes) -> str:
    environment = jinja_environment()
    environment.filters |= {
        "identifier": identifier,
        "literal": _literal,
        "string_literal": _string_literal,
        "expression": types.expression,
    }
    return _rendered(name, _Context(api, types).variables(), environment)


def _rendered(
    name: str, variables: dict[str, Any], environment: jinja2.Environment | None = None
) -> str:
    template = (environment or jinja_environment()).get_template(f"{Path(name).name}.j2")
    return template.render(variables).rstrip("\n") + "\n"


def jinja_environment() -> jinja2.Environment:
    """The templates, for Python and C: whatever comes from a header goes through a filter."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["python_repr"] = repr
    return environment


def _format(name: str, text: str) -> str:
    # Here, because it takes its time to import, and who only asks for names does not need it.
    import black.mode
    import black.parsing
    import black.report

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
    # JSON's escapes are Python's, but for the characters that it writes as two. No quote and no
    # line end gets through.
    wide = (json.dumps(c)[1:-1] if c <= "\uffff" else f"\\U{ord(c):08x}" for c in value)
    return f'"{"".join(wide)}"'


def _function_type(ctype: Type) -> FunctionType | None:
    """The function type that ``ctype`` spells out, or points to: not one that it names."""
    ctype = ctype.to if isinstance(ctype, Pointer) else ctype
    return ctype if isinstance(ctype, FunctionType) else None


@dataclass(frozen=True)
class _Keyword:
    name: str
    hint: str
    type: str
    default: str | None
    about: str
    """Its docstring, without the quotes."""


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
    """The functions and values that the templates use."""

    def __init__(self, api: Api, types: PyTypes) -> None:
        self.api = api
        self.types = types
        self.structs = [s for s in api.structs if not s.opaque]
        self.sampler_data = tomli.loads(SAMPLERS.read_text("utf-8"))
        self.params_data = tomli.loads(PARAMS.read_text("utf-8"))

    def _load(self) -> str:
        """The name of a standalone module's own function: one that nothing in C has."""
        name = "load"
        while name in self.types.names:
            name += "_"
        return name

    def variables(self) -> dict[str, Any]:
        handles = [self.types.name(s.name) for s in self.api.structs if s.opaque]
        return {
            "api": self.api,
            "types": self.types,
            "renamed": self._renamed(),
            "structs": self.structs,
            "explained": [self.types.name(s.name) for s in self.structs],
            "handles": [*handles, *self._foreign_handles()],
            "load": self._load(),
            "ctypes_names": sorted(
                {BUILTINS[name][0] for name in BUILTINS.keys() - RARE | self.types.mentioned & RARE}
                | {"c_char_p", "c_void_p"}
            ),
            "definitions": self._definitions(),
            "runtime": RUNTIME.read_text("utf-8").partition("\n# ---\n")[2].lstrip("\n"),
            "left_out": {
                o.name: f"{o.place.header}: {o.reason}"
                for o in self.api.omissions
                if o.name not in self.types.names
            },
            "plain_aliases": [
                (self.types.value(t.name), self.types.ctypes_class(t.type))
                for t in self.types.aliases
                if _function_type(t.type) is None
            ],
            "callbacks": self.callbacks(),
            "field_type": self._field_type,
            "field_hints": self._field_hints,
            "signature": self._signature,
            "functions_by_header": [
                (header, list(group))
                for header, group in groupby(self.api.functions, key=lambda f: f.place.header)
            ],
            "lines": self._lines(),
            "params": self._params(),
            "samplers": self._samplers(),
            "getters": getters(self.api, self.types),
            "selectors": self.sampler_data["selectors"],
            "truncating": self.sampler_data["truncating"],
        }

    def _lines(self) -> dict[str, list[tuple[str, int]]]:
        """For each header the Python name and the line of everything that `help` can explain."""
        functions = [(f.name, f.place) for f in self.api.functions]
        enums = [(self.types.name(e.name), e.place) for e in self.api.enums if e.name]
        structs = [(self.types.name(s.name), s.place) for s in self.structs]
        callbacks = [(name, place) for name, _, _, place in self.callbacks()]
        result: dict[str, list[tuple[str, int]]] = {}
        for name, place in (*enums, *structs, *callbacks, *functions):
            result.setdefault(place.header, []).append((name, place.line))
        return result

    def _renamed(self) -> dict[str, str]:
        """The types that have another name in Python, and not by the base's doing."""
        theirs = self.types.base.renamed if self.types.base else {}
        return {c: name for c, name in self.types.renamed.items() if c not in theirs}

    def _foreign_handles(self) -> list[str]:
        return [
            name
            for name in FOREIGN_HANDLES
            if name in self.types.mentioned and name not in self.types.imported
        ]

    def _definitions(self) -> list[tuple[str, str | None, Struct | None]]:
        """(name, expression, None) for each alias and (name, None, struct) for each struct whose
        fields follow: aliases first, but each thing behind those that it needs."""
        typedefs = {t.name: t for t in self.types.aliases}
        fields = {s.name: s for s in self.structs}
        result: list[tuple[str, str | None, Struct | None]] = []
        done: set[tuple[str, ...]] = set()

        def define_typedef(t: Typedef) -> None:
            if ("typedef", t.name) not in done:
                done.add(("typedef", t.name))
                need(t.type, whole=False)
                result.append((self.types.value(t.name), self.types.expression(t.type), None))

        def define_callback(struct: Struct, field: Field, name: str) -> None:
            if (struct.name, field.name) not in done:
                done.add((struct.name, field.name))
                need(field.type, whole=False)
                result.append((name, self.types.expression(field.type), None))

        def define_fields(s: Struct) -> None:
            if ("struct", s.name) not in done:
                done.add(("struct", s.name))
                for f in s.fields:
                    need(f.type, whole=True)
                result.append((self.types.name(s.name), None, s))

        def need(ctype: Type, *, whole: bool) -> None:
            """``whole``: the size matters, so a struct has to have its fields by then."""
            for named, use in uses(ctype):
                inside = use == "value" and (whole or not isinstance(ctype, Named))
                if named.name in typedefs:
                    define_typedef(typedefs[named.name])
                    if inside:
                        need(typedefs[named.name].type, whole=True)
                elif inside and named.tag != "enum" and named.bare in fields:
                    define_fields(fields[named.bare])

        for t in self.types.aliases:
            define_typedef(t)
        for s in self.structs:
            for f in s.fields:
                if (s.name, f.name) in self.types.field_callbacks:
                    define_callback(s, f, self.types.field_callbacks[s.name, f.name])
        for s in self.structs:
            define_fields(s)
        return result

    def callbacks(self) -> list[tuple[str, FunctionType, str, Place]]:
        result = []
        for t in self.types.aliases:
            ctype = _function_type(t.type)
            if ctype is not None:
                text = f"typedef {c_declaration(t.type, t.name)}"
                result.append((self.types.value(t.name), ctype, text, t.place))
        for s in self.structs:
            for f in s.fields:
                name = self.types.field_callbacks.get((s.name, f.name))
                if name and isinstance(f.type, Pointer) and isinstance(f.type.to, FunctionType):
                    text = c_declaration(f.type, f.name)
                    result.append((name, f.type.to, text, s.place))
        return result

    def _field_type(self, struct: Struct, field: Field) -> str:
        if field.bits:
            return self.types.bit_field(field, field.bits[0])
        name = self.types.field_callbacks.get((struct.name, field.name))
        return name or self.types.expression(field.type)

    def _field_hints(self, struct: Struct) -> list[tuple[str, str]]:
        """Name and hint of each field; those of an anonymous member count as the struct's own."""
        hints = []
        for f in struct.fields:
            inner = self.types.struct(f.type) if f.anonymous else None
            if inner:
                hints += self._field_hints(inner)
                continue
            name = self.types.field_callbacks.get((struct.name, f.name))
            got, taken = (name, name) if name else self.types.field_hint(f.type)
            hint = got if got == taken else f"_Field[{got}, {taken}]"
            hints.append((identifier(f.name), hint))
        # Inside the class a field hides a type of its name, as `int float;` would in C.
        names = {name for name, _ in hints}
        return [
            (name, "Any" if names.intersection(re.findall(r"\w+", hint)) else hint)
            for name, hint in hints
        ]

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
            keyword = self._keyword(struct, f, defaults.get(f.name))
            if keyword is None:
                pointers.append(identifier(f.name))
            else:
                keywords.append(keyword)
        class_name = "".join(part.capitalize() for part in struct.name.split("_"))
        return _Params(class_name, struct, keywords, tuple(pointers))

    def _keyword(self, struct: Struct, field: Field, default: Value | None) -> _Keyword | None:
        """``field`` as a keyword argument, None if it is not a plain value."""
        name = identifier(field.name)
        enum = self.types.enum(field.type)
        if enum:
            enum_name = self.types.name(enum.name)
            shown = next((self.types.member(c) for c, v in enum.constants if v == default), None)
            # As a type its name would make the enumeration, which few programs need.
            return _Keyword(
                name, "int", repr(enum_name), shown, self._about(struct, field, shown, enum_name)
            )
        ctype = self.types.resolve(field.type)
        if not isinstance(ctype, Named) or ctype.name not in BUILTINS:
            return None
        ctypes_name, hint = BUILTINS[ctype.name]
        shown = None
        if default is not None:
            shown = repr(bool(default)) if hint == "bool" else repr(default)
        return _Keyword(name, hint, ctypes_name, shown, self._about(struct, field, shown))

    def _about(
        self, struct: Struct, field: Field, default: str | None, enum: str | None = None
    ) -> str:
        meaning = self.params_data.get(struct.name, {}).get(field.name)
        if meaning is None and enum:
            meaning = f"A `{enum}`."
        shown = None if default is None else f"Default: {default}."
        text = " ".join(filter(None, (meaning, shown, f"C: ``{struct.name}.{field.name}``.")))
        return "\n    ".join(textwrap.wrap(text, 92, break_long_words=False))

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
        names = [n + "_" * (n in _SAMPLER_NAMES) for n in parameter_names(function)]
        counts = {i for i, _ in self._counted(function)}
        arrays = {j: i for i, j in self._counted(function)}
        for i, (name, p) in enumerate(zip(names, params, strict=True)):
            ctype = p.type
            to = ctype.to if isinstance(ctype, Pointer) else None
            if to == Named("struct llama_vocab"):
                parameters["model"] = "LlamaModel"
                arguments.append("vocab_of(model).handle")
            elif p.name == "n_vocab":
                parameters["model"] = "LlamaModel"
                arguments.append("vocab_of(model).n_tokens")
            elif i in counts:
                array = names[next(j for j, c in arrays.items() if c == i)]
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
                    text = f"_raw.{self.types.value(default)}"
                else:
                    text = _literal(default)
                result.append(f"{name}: {hint} = {text}")
                optional = True
            else:
                if optional and "*" not in result:
                    result.append("*")  # C's order puts a required one behind an optional one
                result.append(f"{name}: {hint}")
        return result


def report(apis: Sequence[Api]) -> str:
    """The coverage report: counts of the bound names, and each omission with its reason."""
    template = jinja_environment().get_template("report.md.j2")
    sets = [_coverage(api) for api in apis]
    return template.render(tag=apis[0].tag, sets=sets).rstrip("\n") + "\n"


def _coverage(api: Api) -> dict[str, Any]:
    """The report's values for one set of bindings."""
    types = python_types(api)
    context = _Context(api, types)
    callbacks = context.callbacks()
    rows: list[tuple[Any, ...]] = []
    for header in api.headers:
        name = header.name

        def here(values: Iterable[Any], name: str = name) -> list[Any]:
            return [v for v in values if v.place.header == name]

        functions, structs, enums = here(api.functions), here(api.structs), here(api.enums)
        rows.append(
            (
                name,
                len(functions),
                sum(f.deprecated for f in functions),
                sum(not s.opaque for s in structs),
                sum(s.opaque for s in structs),
                len(enums),
                sum(len(e.constants) for e in enums),
                sum(place.header == name for _, _, _, place in callbacks),
                len(here(api.macros)),
                len(here(api.omissions)),
            )
        )
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, len(rows[0])))))
    others = [("macro", m.name, types.value(m.name)) for m in api.macros]
    others += [("typedef", t.name, types.value(t.name)) for t in types.aliases]
    others += [("constant", c, types.member(c)) for e in api.enums for c, _ in e.constants]
    others += [("enum", e.name, types.name(e.name)) for e in api.enums if e.name]
    others += [("union" if s.union else "struct", s.name, types.name(s.name)) for s in api.structs]
    others += [
        ("field", f"{s.name}.{f.name}", f"{s.name}.{identifier(f.name)}")
        for s in api.structs
        for f in s.fields
    ]
    others += [
        ("parameter", f"{f.name}({p.name})", f"{f.name}({python})")
        for f in api.functions
        for p, python in zip(f.params, parameter_names(f), strict=True)
        if p.name
    ]
    return {
        "api": api,
        "rows": rows,
        "getters": getters(api, types) if api.base is None else (),
        "renamed": [(f"{sort} {c}", python) for sort, c, python in others if c != python],
        "struct_callbacks": [
            (name, text)
            for name, ctype, text, _ in callbacks
            if types.struct(ctype.result) is not None
        ],
    }


def documents(apis: Sequence[Api]) -> dict[Path, str]:
    """Every generated file of the project, by its place in it, with its text."""
    files = {DATA / api.file: dump(api) for api in apis}
    files[DATA / "report.md"] = report(apis)
    if apis[0].server is not None:
        files[DATA / "server.json"] = server_model.dump(apis[0].server)
    files |= {PACKAGE / name: sealed(text, ANY_TAG) for name, text in contents.stubs().items()}
    return files | {PACKAGE / name: text for api in apis for name, text in render(api).items()}
