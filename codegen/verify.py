"""Witnesses for the generated bindings that are not the generator.

    compiler  the C compiler, which is given every size, offset, value and signature to agree with
    ctypes    the imported ``_raw`` itself: what ctypes made of the generated code
    library   the symbols of a built engine

Each counts what it checked and lists what it found wrong.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2

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
    Value,
    c_declaration,
)
from .errors import CodegenError
from .parse import Unit
from .pytypes import BUILTINS, PyTypes, identifier
from .render import TEMPLATES

WITNESSES = ("compiler", "ctypes", "library")


@dataclass
class Report:
    """What a witness says."""

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
    compiler = _compiler()
    if compiler is None:
        report.faults.append("there is no C compiler (set CC, or leave it out: --without compiler)")
        return report
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "layout.c"
        source.write_text(layout(api, unit), "utf-8")
        command = [
            compiler, "-std=c11", "-O1", "-Wall", "-Werror", "-Wno-deprecated-declarations",
            "-Wno-unused", "-fmax-errors=0" if _is_gcc(compiler) else "-ferror-limit=0",
            *(f"-I{path}" for path in unit.folders),
            "-c", str(source), "-o", str(Path(folder) / "layout.o"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    report.notes.append(f"{Path(compiler).name}, against {unit.header} and what it includes")
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if ": error: " in line]
        report.faults += [e.partition(": error: ")[2] for e in errors] or [done.stderr.strip()]
    return report


def _compiler() -> str | None:
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def _is_gcc(compiler: str) -> bool:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return "clang" not in done.stdout.lower()


def _counts(api: Api) -> dict[str, int]:
    named = [s for s in api.structs if not s.opaque and not _made_up(s, api)]
    return {
        "functions": len(api.functions),
        "structs": len(named),
        "fields": sum(len(s.fields) for s in api.structs),
        "enum constants": sum(len(e.constants) for e in api.enums),
        "constants": len(api.macros),
        "typedefs": len(api.typedefs),
    }


def _made_up(struct: Struct, api: Api) -> bool:
    """Whether the name is ours: the struct is part of another and has none in C."""
    return not struct.tagged and any(
        isinstance(f.type, Named) and f.type.bare == struct.name and f.type.tag
        for s in api.structs
        for f in s.fields
    )


def layout(api: Api, unit: Unit) -> str:
    """The C file that holds the assertions."""
    structs = []
    for s in api.structs:
        if s.opaque or _made_up(s, api):
            continue
        keyword = "union " if s.union else "struct "
        c_name = (keyword if s.tagged else "") + s.name
        structs.append(
            SimpleNamespace(
                name=s.name, c_name=c_name, size=s.size, align=s.align,
                fields=list(_c_fields(api, s, "", 0)),
            )
        )  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {
        "c_literal": _c_literal,
        "c_declaration": c_declaration,
        "c_parameters": _c_parameters,
    }
    tags = {s.name for s in api.structs} | {e.name for e in api.enums}
    return environment.get_template("layout.c.j2").render(
        api=api,
        headers=[Path(unit.header).name],
        structs=structs,
        typedefs=[
            (t.name, c_declaration(Pointer(t.type)))
            for t in api.typedefs
            if not (isinstance(t.type, Named) and t.type.bare == t.name and t.name in tags)
        ],
    )


def _c_fields(api: Api, struct: Struct, prefix: str, base: int) -> Iterator[SimpleNamespace]:
    """The fields by the names that C has for them; those of an unnamed member count as its own."""
    for f in struct.fields:
        inner = next(
            (
                s
                for s in api.structs
                if isinstance(f.type, Named) and f.type.tag and s.name == f.type.bare
            ),
            None,
        )
        unnamed = inner is not None and _made_up(inner, api)
        if unnamed and inner is not None:
            deeper = prefix if f.anonymous else f"{prefix}{f.name}."
            yield from _c_fields(api, inner, deeper, base + f.offset)
        if not f.anonymous:
            yield SimpleNamespace(
                name=prefix + f.name,
                offset=base + f.offset,
                size=f.size,
                pointer_type=None if unnamed else c_declaration(Pointer(f.type)),
            )


def _c_literal(value: Value) -> str:
    if isinstance(value, str):
        quoted = "".join(
            c if c.isascii() and c.isprintable() and c not in '"\\?' else f"\\{ord(c):03o}"
            for c in value
        )
        return f'"{quoted}"'
    if isinstance(value, int) and value > 2**31 - 1:
        return f"{value}ull" if value > 2**63 - 1 else f"{value}ll"
    return repr(value)


def _c_parameters(function: Function) -> str:
    params = [c_declaration(p.type) for p in function.params] + ["..."] * function.variadic
    return ", ".join(params) or "void"


# -- ctypes


def by_ctypes(api: Api, module: ModuleType) -> Report:
    """Compare what ctypes says of the imported ``_raw`` with the API."""
    types = PyTypes(api)
    report = Report("ctypes", _counts(api))

    def equal(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            report.faults.append(f"{what} is {got} in Python and {wanted} in C")

    for m in api.macros:
        equal(m.name, getattr(module, m.name, None), m.value)
    for e in api.enums:
        for name, value in e.constants:
            equal(name, getattr(module, identifier(name), None), value)
            if e.name:
                member = getattr(getattr(module, types.name(e.name), None), identifier(name), None)
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
        None if function.result == Named("void") else _c_shape(types, function.result),
    )


def _c_shape(types: PyTypes, ctype: Type) -> str:
    """What matters of a type in a call: its class, size and sign, and what a struct is called.

    Worked out here from C's side, without the tables that the generator has for Python's.
    """
    ctype = types.resolve(ctype)
    if isinstance(ctype, Pointer):
        return "pointer"
    if isinstance(ctype, Array):
        return f"{_c_shape(types, ctype.of)}[{ctype.length}]"
    assert not isinstance(ctype, FunctionType)
    if ctype.tag == "enum":
        return "int32"
    if ctype.name == "bool":
        return "bool"
    if ctype.name == "char":
        return "char"
    if ctype.name in ("float", "double"):
        return ctype.name
    if ctype.name in BUILTINS:
        sizes = {"int": 32, "unsigned int": 32, "short": 16, "unsigned short": 16}
        sizes |= {"long long": 64, "unsigned long long": 64, "signed char": 8, "unsigned char": 8}
        sizes |= {"size_t": 64, "ptrdiff_t": 64, "intptr_t": 64, "uintptr_t": 64}
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
    if code in "?cfd":
        return {"?": "bool", "c": "char", "f": "float", "d": "double"}[code]
    return f"{'u' if code.isupper() else ''}int{8 * ctypes.sizeof(python)}"


def import_raw(path: Path) -> ModuleType:
    """The module ``_raw.py`` at ``path``, on its own."""
    spec = importlib.util.spec_from_file_location("_raw_to_verify", path)
    if spec is None or spec.loader is None:
        raise CodegenError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CodegenError(f"{path} cannot be imported: {error!r}") from error
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
    """Look up every function of ``api`` in the library at ``path`` and in those beside it."""
    report = Report("library")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CodegenError(f"{path} cannot be loaded as a library: {error}") from error
    owners: Counter[str] = Counter()
    missing = []
    for function in api.functions:
        owner = _owner(library, function.name)
        if owner is None:
            missing.append(function)
        else:
            owners[owner] += 1
    report.counts = {"functions of " + owner: n for owner, n in owners.most_common()}
    if missing:
        names = ", ".join(f.name for f in missing)
        report.notes.append(f"declared but exported by none: {names}")
    main = Path(api.headers[-1].name).name
    report.faults += [
        f"{f.name} is not in the library ({f.place})" for f in missing if f.place.header == main
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
