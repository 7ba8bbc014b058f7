"""Witnesses for the generated bindings that are not the generator.

    compiler  the C compiler, which checks every size, offset, value and signature
    ctypes    the imported ``_raw`` itself: the layout that ctypes gave the generated code
    calls     C functions of every signature, and callbacks of every type, called both ways
    library   the symbols of a built engine

Each counts its checks and lists the faults.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from .api import (
    VOID,
    Api,
    Array,
    Field,
    Function,
    FunctionType,
    Named,
    Pointer,
    Struct,
    Type,
    Value,
    c_declaration,
)
from .errors import CodegenError
from .pytypes import BUILTINS, PyTypes, identifier
from .render import jinja_environment, python_types

if TYPE_CHECKING:
    from .clang import Unit


@dataclass
class Report:
    """The result of a witness."""

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        state = f"{len(self.faults)} faults" if self.faults else "agrees"
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        lines = [f"{self.name}: {state} ({counts})" if counts else f"{self.name}: {state}"]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  FAULT {fault}" for fault in self.faults[:50]]
        return "\n".join(lines)


# -- the compiler


def by_compiler(api: Api, unit: Unit) -> Report:
    """Compile every statement of ``api`` against the headers themselves."""
    report = Report("compiler", _counts(api))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "layout.c"
        source.write_text(layout(api, unit.include_name), "utf-8")
        report.faults += compile_c(unit, ["-O1", "-c", str(source), "-o", f"{folder}/layout.o"])
    report.notes.append(f"against {unit.header} and what it includes")
    return report


_ERRORS = [
    f"-Werror={name}"
    for name in ("incompatible-pointer-types", "discarded-qualifiers", "int-conversion", "overflow")
]


def compile_c(unit: Unit, arguments: list[str]) -> list[str]:
    """Compile C that includes the headers of ``unit``, and return the compiler's errors.

    The headers count as the system's, whose warnings do not matter: only our text is on trial.
    """
    cpp = unit.language == "c++"
    compiler = _compiler(cpp)
    if compiler is None:
        return ["there is no C compiler: set CC, or leave this witness out with --without"]
    inside = any(unit.path.is_relative_to(folder) for folder in unit.folders)
    folders = unit.folders if inside else (*unit.folders, unit.path.parent)
    standard = "c++17" if cpp else "gnu11" if unit.system else "c11"
    command = [
        compiler, "-x", unit.language, f"-std={standard}",
        # Macros of system headers may warn of themselves.
        *(_ERRORS if unit.system else ("-Wall", "-Werror")),
        "-Wno-deprecated-declarations", "-Wno-unused",
        "-fmax-errors=0" if _is_gcc(compiler) else "-ferror-limit=0",
        *(f"-D{macro}" for macro in unit.define),
        *(option for path in folders for option in ("-isystem", str(path))),
        *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return []
    faults = []
    for match in re.finditer(r"^(.*?):(\d+):\d+: .*?error: (.*)$", done.stderr, re.MULTILINE):
        # The compiler does not name the function, but the name of the check contains it.
        line = Path(match[1]).read_text("utf-8").splitlines()[int(match[2]) - 1]
        checked = re.search(r"llama_py_\w+?_(\w+)|\"([^\"]*)\"\);$", line)
        faults.append(f"{checked[1] or checked[2]}: {match[3]}" if checked else match[3])
    return faults or [done.stderr.strip()]


def _compiler(cpp: bool = False) -> str | None:
    names = ("CXX", "c++", "g++", "clang++") if cpp else ("CC", "cc", "gcc", "clang")
    for name in (os.environ.get(names[0]), *names[1:]):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


@cache
def _is_gcc(compiler: str) -> bool:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return "clang" not in done.stdout.lower()


def _counts(api: Api) -> dict[str, int]:
    return {
        "functions": len(api.functions),
        "structs": sum(s.tagged and not s.opaque for s in api.structs)
        + sum(name == c_name for name, c_name in c_names(api).items()),
        "fields": sum(len(s.fields) for s in api.structs),
        "enum constants": sum(len(e.constants) for e in api.enums),
        "constants": len(api.macros),
        "typedefs": len(api.typedefs),
    }


def _structs(api: Api) -> dict[str, Struct]:
    return {s.name: s for s in api.structs}


def c_names(api: Api) -> dict[str, str]:
    """Struct -> its type in C. An unnamed struct is written as the type of its field; one without
    a field's name is not in the result, and its fields belong to the struct around it."""
    structs = _structs(api)
    result: dict[str, str] = {}

    def inside(struct: Struct, host: str) -> None:
        for f in struct.fields:
            inner, steps = f.type, ""
            while isinstance(inner, Array | Pointer):
                inner, steps = inner.of if isinstance(inner, Array) else inner.to, steps + "[0]"
            found = structs.get(inner.bare) if isinstance(inner, Named) and inner.tag else None
            if found is None or found.tagged or found.name in result:
                continue
            if f.anonymous:
                inside(found, host)
            else:
                result[found.name] = f"__typeof__((({host} *) 0)->{f.name}{steps})"
                inside(found, result[found.name])

    made_up = {
        f.type.bare
        for s in api.structs
        for f in s.fields
        if f.anonymous and isinstance(f.type, Named)
    }
    for s in reversed(api.structs):  # inner structs come first
        keyword = "union " if s.union else "struct "
        if s.tagged:
            result[s.name] = keyword + s.name
        elif s.name not in result and s.name not in made_up:
            result[s.name] = s.name
        if s.name in result:
            inside(s, result[s.name])
    return result


# Names that the generated C uses and that a header may define as macros
_KEPT = ("bool", "true", "false")


def layout(api: Api, header: str) -> str:
    """The C file with the assertions about the declarations of ``header`` and its includes."""
    structs = []
    named = c_names(api)
    for s in api.structs:
        if not s.opaque and s.name in named:
            structs.append(
                SimpleNamespace(
                    name=s.name, c_name=named[s.name], size=s.size, align=s.align,
                    fields=list(_c_fields(api, s, 0)),
                )
            )  # fmt: skip
    environment = jinja_environment()
    environment.filters |= {
        "c_literal": c_literal,
        "c_declaration": c_declaration,
        "c_parameters": _c_parameters,
    }
    # `typedef struct x x` says nothing that could be checked.
    tags = {s.name for s in api.structs if s.tagged} | {e.name for e in api.enums if e.tagged}
    return environment.get_template("layout.c.j2").render(
        api=api,
        header=header,
        macros=[
            o.name for o in api.omissions if o.name not in _KEPT and re.fullmatch(r"\w+", o.name)
        ],
        structs=structs,
        typedefs=[
            (t.name, _pointers_to(t.type, api.aliases))
            for t in api.typedefs
            if not (isinstance(t.type, Named) and t.type.bare == t.name and t.name in tags)
        ],
    )


def _pointers_to(ctype: Type, aliases: dict[str, Type]) -> list[str]:
    """The pointer to ``ctype``, and to a constant, volatile or restricted one: ctypes knows none of
    these, so each will do. There are no such functions in C."""
    pointers = [Pointer(ctype)]
    if not isinstance(ctype, FunctionType):
        pointers += [Pointer(ctype, const=True), Pointer(ctype, volatile=True)]
    to: Type | None = ctype.to if isinstance(ctype, Pointer) else None
    restricted = isinstance(to, Named | Pointer)
    while isinstance(to, Named) and to.name in aliases:
        to = aliases[to.name]
    restricted = restricted and not isinstance(to, FunctionType)
    return [
        *map(c_declaration, pointers),
        *[f"{c_declaration(ctype)}__restrict *"] * restricted,
    ]


def _c_fields(api: Api, struct: Struct, base: int) -> Iterator[SimpleNamespace]:
    """The fields by the names that C has for them; those of an anonymous member count as its own.

    Only a type with a name in C can be compared.
    """
    structs, enums = _structs(api), {e.name: e for e in api.enums}
    for f in struct.fields:
        if f.bits and f.name.startswith("anonymous_"):
            continue  # C cannot name it either
        inner, named = f.type, True
        while isinstance(inner, Array | Pointer):
            inner = inner.of if isinstance(inner, Array) else inner.to
        if isinstance(inner, Named) and inner.tag:
            found = enums.get(inner.bare) if inner.tag == "enum" else structs.get(inner.bare)
            named = found is None or found.tagged
        if f.anonymous and isinstance(inner, Named):
            yield from _c_fields(api, structs[inner.bare], base + f.offset)
        else:
            yield SimpleNamespace(
                name=f.name,
                offset=base + f.offset,
                size=f.size,
                pointers=_pointers_to(f.type, api.aliases) if named and not f.bits else [],
                mask=((1 << f.bits[0]) - 1) << f.bits[1] if f.bits else None,
            )


def c_literal(value: Value) -> str:
    """``value`` as C writes it."""
    if isinstance(value, str):
        quoted = "".join(
            chr(c) if (chr(c).isalnum() and c < 128) or c in b" _-.,:;/" else f"\\{c:03o}"
            for c in value.encode()
        )
        return f'"{quoted}"'
    if isinstance(value, float):
        return repr(value)
    if value == -(2**63):
        return "(-9223372036854775807ll - 1)"  # there is no literal for it
    if not -(2**31) < value < 2**31:
        return f"{value}ull" if value > 2**63 - 1 else f"{value}ll"
    return str(value)


def _c_parameters(function: Function) -> str:
    params = [c_declaration(p.type) for p in function.params] + ["..."] * function.variadic
    return ", ".join(params) or "void"


# -- ctypes


def by_ctypes(api: Api, module: ModuleType) -> Report:
    """Compare the ctypes layout of the imported ``_raw`` with the API."""
    types = python_types(api)
    report = Report("ctypes", _counts(api))

    def equal(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            report.faults.append(f"{what} is {got} in Python and {wanted} in C")

    for m in api.macros:
        equal(m.name, getattr(module, types.value(m.name), None), m.value)
    for e in api.enums:
        for name, value in e.constants:
            equal(name, getattr(module, types.member(name), None), value)
            if e.name:
                members = getattr(getattr(module, types.name(e.name), None), "__members__", {})
                member = members.get(types.member(name))
                equal(f"{e.name}.{name}", member, value)
    for s in api.structs:
        python = getattr(module, types.name(s.name), None)
        if python is None:
            report.faults.append(f"{s.name} is missing in Python")
        elif s.opaque:
            equal(f"{s.name}", issubclass(python, ctypes.c_void_p), True)
        else:
            equal(f"{s.name}: size", ctypes.sizeof(python), s.size)
            equal(f"{s.name}: alignment", ctypes.alignment(python), s.align)
            declared = {f[0]: f[1] for f in python._fields_}
            for f in s.fields:
                _check_field(equal, types, s, f, python, declared)
    for function in api.functions:
        _check_function(equal, types, function, module.FUNCTIONS.get(function.name))
    return report


def _check_field(
    equal: Callable[[str, object, object], None],
    types: PyTypes,
    struct: Struct,
    f: Field,
    python: Any,
    declared: dict[str, Any],
) -> None:
    name = identifier(f.name)
    label = f"{struct.name}.{f.name}"
    slot = getattr(python, name, None)
    equal(f"{label}: offset", getattr(slot, "offset", None), f.offset)
    if f.bits:
        # Before Python 3.14 a bit-field had both numbers in one.
        size = getattr(slot, "size", 0)
        old = size >> 16, size & 0xFFFF
        new = getattr(slot, "bit_size", None), getattr(slot, "bit_offset", None)
        equal(f"{label}: bits", old if new[0] is None else new, f.bits)
        return
    equal(f"{label}: size", getattr(slot, "size", None), f.size)
    if name in declared:
        equal(f"{label}: type", _python_shape(declared[name]), _c_shape(types, f.type))


def _check_function(
    equal: Callable[[str, object, object], None], types: PyTypes, function: Function, python: Any
) -> None:
    if python is None:
        equal(function.name, "missing", "declared")
        return
    wanted = [_c_shape(types, p.type) for p in function.params]
    equal(f"{function.name}: arguments", [_python_shape(t) for t in python.argtypes], wanted)
    result = None if python.restype is None else _python_shape(python.restype)
    equal(
        f"{function.name}: result",
        result,
        None if types.resolve(function.result) == VOID else _c_shape(types, function.result),
    )


def _c_shape(types: PyTypes, ctype: Type) -> str:
    """The parts of a type that matter in a call: its class, size and sign, and a struct's name.

    Worked out here from C's side, without the tables that the generator has for Python's.
    """
    ctype = types.resolve(ctype)
    if isinstance(ctype, Pointer) or ctype == Named("va_list"):
        return "pointer"
    if isinstance(ctype, Array):
        return f"{_c_shape(types, ctype.of)}[{ctype.length}]"
    assert not isinstance(ctype, FunctionType)
    if ctype.tag == "enum" or ctype.name in types.enums:
        enum = types.enums.get(ctype.bare)
        return _c_shape(types, Named(enum.type)) if enum else "int32"
    if ctype.name in ("bool", "char", "wchar_t", "float", "double"):
        return ctype.name
    if ctype.name == "long double":
        return _python_shape(ctypes.c_longdouble)
    if ctype.name in BUILTINS:
        sizes = {"int": 32, "unsigned int": 32, "short": 16, "unsigned short": 16}
        sizes |= {"long long": 64, "unsigned long long": 64, "signed char": 8, "unsigned char": 8}
        sizes |= {"size_t": 64, "ptrdiff_t": 64, "intptr_t": 64, "uintptr_t": 64, "ssize_t": 64}
        sizes |= dict.fromkeys(("long", "unsigned long"), 8 * ctypes.sizeof(ctypes.c_long))
        sizes |= {"time_t": 64, "unsigned char": 8}
        digits = "".join(c for c in ctype.name if c.isdigit())
        unsigned = ctype.name.startswith(("u", "size_t"))
        return f"{'u' if unsigned else ''}int{sizes.get(ctype.name) or digits}"
    return f"struct {types.name(ctype.bare)}"


def _python_shape(python: Any) -> str:
    """The same of a ctypes type."""
    if issubclass(python, ctypes.Array):
        return f"{_python_shape(python._type_)}[{python._length_}]"
    if issubclass(python, ctypes.Structure | ctypes.Union):
        return f"struct {python.__name__}"
    code = getattr(python, "_type_", None)
    if not isinstance(code, str) or code in "PzZ":
        return "pointer"
    names = {
        "?": "bool",
        "c": "char",
        "u": "wchar_t",
        "f": "float",
        "d": "double",
        "g": "long double",
    }
    if code in names:
        return names[code]
    return f"{'u' if code.isupper() else ''}int{8 * ctypes.sizeof(python)}"


def import_raw(path: Path) -> ModuleType:
    """The module ``_raw.py``, or one that imports that from beside it, at ``path``: not as a part
    of the package. A user's set imports its base by name alone."""
    package = ModuleType("_raw_to_verify")
    package.__path__ = [str(path.parent)]
    spec = importlib.util.spec_from_file_location(f"{package.__name__}.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CodegenError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[package.__name__] = package
    beside = {file.stem for file in path.parent.glob("_raw*.py")}
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CodegenError(f"{path} cannot be imported: {error!r}") from error
    finally:
        sys.path.remove(str(path.parent))
        made = [n for n in sys.modules if n.partition(".")[0] in {package.__name__, *beside}]
        for each in (module, *map(sys.modules.pop, made)):
            each.__package__ = ""  # as of one on its own, which has no library
    return module


# -- the library


class _Info(ctypes.Structure):
    """Dl_info of <dlfcn.h>"""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def by_library(api: Api, path: Path) -> Report:
    """Look up every function of ``api`` in the libllama at ``path`` and the libraries that it
    loads, or in the library of ``api`` next to it."""
    report = Report("library")
    if api.base:
        path = path.with_name(path.name.replace(api.base.library, api.library, 1))
        if not path.is_file():  # ggml's libraries have a version of their own
            path = path.with_name(re.sub(r"(\.so|\.dylib|\.dll)\b.*", r"\1", path.name))
        if not path.is_file():
            report.faults.append(f"there is no {path.name} beside lib{api.base.library}")
            return report
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CodegenError(f"{path} cannot be loaded as a library: {error}") from error
    owners: Counter[str] = Counter()
    missing = []
    for function in api.functions:
        symbols = function.symbols or (function.name,)
        owner = _owner(library, symbols[-(sys.platform == "win32")])
        if owner is None:
            missing.append(function)
        else:
            owners[owner] += 1
    report.counts = {"functions of " + owner: n for owner, n in owners.most_common()}
    if missing:
        names = ", ".join(f.name for f in missing)
        report.notes.append(f"declared but exported by none: {names}")
    # The first set has the headers of other libraries too: its own is the last one.
    own = {h.name for h in (api.headers if api.base else api.headers[-1:])}
    report.faults += [
        f"{f.name} is not in the library ({f.place})" for f in missing if f.place.header in own
    ]
    return report


def _owner(library: ctypes.CDLL, name: str) -> str | None:
    """The file name, without version, of the library that exports ``name``."""
    try:
        address = ctypes.cast(library[name], ctypes.c_void_p)
    except AttributeError:
        return None
    if sys.platform == "win32":
        return Path(library._name).stem
    info = _Info()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Info)]
    if not dladdr(address, ctypes.byref(info)) or info.file is None:
        return "?"
    return Path(info.file.decode()).name.split(".")[0]
