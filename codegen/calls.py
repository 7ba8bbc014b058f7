"""The witness ``calls``: values passed from Python arrive in C, and values from C in Python.

It writes a small C library from the API. For every function the library has one of the same
signature, which checks each argument and returns a marked value; for every callback type it has a
function that calls such a callback and one that returns a C function to call through it. Structs
that are passed by value are marked and checked field by field.

The calls are made in a separate process, because wrong signatures crash it.
"""

from __future__ import annotations

import _ctypes
import ctypes
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .api import (
    VOID,
    Api,
    Array,
    FunctionType,
    Named,
    Pointer,
    Type,
    Value,
    c_declaration,
    dump,
    load,
)
from .pytypes import BUILTINS, PyTypes, identifier
from .render import jinja_environment, python_types
from .verify import Report, c_literal, compile_c, import_raw

if TYPE_CHECKING:
    from .clang import Unit

_PREFIX = "llama_py_"


@dataclass(frozen=True)
class Mark:
    """A scalar inside a value: the path to it, the same path in C, and the expected content."""

    steps: tuple[str | int, ...]
    c_steps: str
    value: Value
    sort: str  # "text" for a C string, "chars" for an array of char, "" for all other scalars

    @property
    def c_value(self) -> str:
        return c_literal(self.value)


@dataclass(frozen=True)
class Signature:
    """A function or callback type, with the marks of each argument and of the result."""

    name: str
    python: str  # its name in _raw
    type: FunctionType
    arguments: tuple[tuple[Mark, ...], ...]
    result: tuple[Mark, ...]

    @property
    def void(self) -> bool:
        return self.type.result == VOID

    def declaration(self, name: str) -> str:
        """A function ``name`` of this type, with the parameters a0, a1, ..."""
        params = [c_declaration(p, f"a{i}") for i, p in enumerate(self.type.params)]
        params += ["..."] * self.type.variadic
        return c_declaration(self.type.result, f"{name}({', '.join(params) or 'void'})")

    def pointer(self, name: str) -> str:
        """A pointer ``name`` to a function of this type."""
        return c_declaration(Pointer(self.type), name)


class _Marks:
    """Makes the marks, each with a different value."""

    def __init__(self, types: PyTypes) -> None:
        self.types = types
        self.number = 0

    def signature(self, name: str, python: str, ctype: FunctionType, callback: bool) -> Signature:
        self.number = 0
        if self.types.resolve(ctype.result) == VOID:
            ctype = FunctionType(ctype.params, VOID, ctype.variadic)
        return Signature(
            name,
            python,
            ctype,
            tuple(tuple(self.of(p)) for p in ctype.params),
            () if ctype.result == VOID else tuple(self.of(ctype.result, text=callback)),
        )

    def of(
        self, ctype: Type, steps: tuple[str | int, ...] = (), c_steps: str = "", text: bool = False
    ) -> Iterator[Mark]:
        """``text``: a string even without const, as in the result of a callback."""
        ctype = self.types.resolve(ctype)
        struct = self.types.struct(ctype)
        self.number += 1
        n = self.number
        if isinstance(ctype, Array):
            if self.types.resolve(ctype.of) == Named("char"):
                yield Mark(steps, c_steps, f"{n:04}"[-ctype.length :], "chars")
                return
            for i in sorted({0, 1, ctype.length - 1} & set(range(ctype.length))):
                yield from self.of(ctype.of, (*steps, i), f"{c_steps}[{i}]")
        elif struct is not None:
            # The members of a union overlay each other, so one of them stands for all.
            for f in struct.fields[:1] if struct.union else struct.fields:
                if f.anonymous:
                    yield from self.of(f.type, steps, c_steps)
                else:
                    yield from self.of(f.type, (*steps, identifier(f.name)), f"{c_steps}.{f.name}")
        elif isinstance(ctype, Pointer):
            is_text = self.types.resolve(ctype.to) == Named("char") and (ctype.const or text)
            value: Value = f"text {n}" if is_text else 0x10000 * n
            yield Mark(steps, c_steps, value, "text" if is_text else "")
        else:
            assert isinstance(ctype, Named)
            yield Mark(steps, c_steps, self._number(ctype, n), "")

    def _number(self, ctype: Named, n: int) -> Value:
        """A number that any other type would change: it uses the sign and the upper half, and a
        double does not fit into a float."""
        if self.types.enum(ctype) or ctype.tag == "enum":
            return n % 100
        if ctype.name == "bool":
            return n % 2
        if ctype.name in ("char", "wchar_t"):
            return 65 + n % 26
        if ctype.name == "float":
            return n + 0.5
        if ctype.name in ("double", "long double"):
            return n + 0.1
        python = getattr(ctypes, BUILTINS[ctype.name][0])
        bits = 8 * ctypes.sizeof(python)
        n = n % 64
        value = (1 << (bits - 1)) + (0 if bits == 8 else 1 << (bits // 2)) + n
        return value - (1 << bits) if python(-1).value < 0 else value


def signatures(api: Api) -> tuple[list[Signature], list[Signature]]:
    """The signatures of the functions, and of the callback types."""
    types = python_types(api)
    marks = _Marks(types)
    functions = [
        marks.signature(f.name, f.name, f.type, callback=False)
        for f in api.functions
        if _can_be_made(types, f.type)
    ]
    callbacks = []
    for t in types.aliases:
        ctype = types.callback(t.type) or types.resolve(t.type)
        if isinstance(ctype, FunctionType) and _can_be_made(types, ctype):
            callbacks.append(marks.signature(t.name, types.value(t.name), ctype, callback=True))
    for (struct, field), name in types.field_callbacks.items():
        ctype = next(f.type for f in types.structs[struct].fields if f.name == field)
        assert isinstance(ctype, Pointer)
        assert isinstance(ctype.to, FunctionType)
        if _can_be_made(types, ctype.to):
            callbacks.append(marks.signature(f"{struct}.{field}", name, ctype.to, callback=True))
    return functions, callbacks


def _can_be_made(types: PyTypes, ctype: FunctionType) -> bool:
    """Whether Python can make the arguments; it cannot make a va_list."""
    return Named("va_list") not in map(types.resolve, (ctype.result, *ctype.params))


def c_text(api: Api, header: str) -> str:
    """The library in C."""
    functions, callbacks = signatures(api)
    environment = jinja_environment()
    environment.filters |= {"c_literal": c_literal, "c_declaration": c_declaration}
    return environment.get_template("calls.c.j2").render(
        api=api, header=header, functions=functions, callbacks=callbacks, prefix=_PREFIX
    )


def by_calls(api: Api, unit: Unit, raw: Path) -> Report:
    """Make every call with the types of the module at ``raw``."""
    report = Report("calls")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "calls.c").write_text(c_text(api, unit.include_name), "utf-8")
        for some in (api, api.base) if api.base else (api,):
            (folder / some.file).write_text(dump(some), "utf-8")
        library = folder / "calls.so"
        report.faults += compile_c(
            unit, ["-shared", "-fPIC", str(folder / "calls.c"), "-o", str(library)]
        )
        if report.faults:
            return report
        files = [folder / api.file, library, raw.resolve()]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", __name__, *map(str, files)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    calling = "importing it"
    for line in done.stdout.splitlines():
        what, _, rest = line.partition(" ")
        if what == "call":
            calling = rest
        elif what == "fault":
            report.faults.append(json.loads(rest))
        elif what == "counts":
            report.counts = json.loads(rest)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        report.faults.append(f"{calling}: the process ended with {done.returncode} {last}".strip())
    return report


# -- in the process of its own


def _main(api_json: str, library: str, raw: str) -> None:
    api = load(Path(api_json))
    functions, callbacks = signatures(api)
    caller = _Caller(python_types(api), ctypes.CDLL(library), import_raw(Path(raw)))
    for signature in functions:
        caller.try_out(signature, caller.function)
    for i, signature in enumerate(callbacks):
        caller.number = i
        caller.try_out(signature, caller.callback)
    print("counts", json.dumps(caller.counts), flush=True)


class _Caller:
    def __init__(self, types: PyTypes, library: ctypes.CDLL, module: ModuleType) -> None:
        self.types = types
        self.library = library
        self.module = module
        self.number = 0
        self.counts = Counter(
            dict.fromkeys(
                (
                    "functions", "structs passed by value", "structs returned by value",
                    "callback types called from C", "callback types called from Python",
                ),
                0,
            )
        )  # fmt: skip
        library.llama_py_fault.restype = ctypes.c_char_p

    def try_out(self, signature: Signature, how: Any) -> None:
        print("call", signature.name, flush=True)
        faults: list[str] = []
        try:
            how(signature, faults)
        except Exception as error:
            faults.append(f"{signature.name}: {type(error).__name__}: {error}")
        while True:
            text = self.library.llama_py_fault()
            if text is None:
                break
            faults.append(text.decode())
        for fault in faults:
            print("fault", json.dumps(fault), flush=True)

    def function(self, signature: Signature, faults: list[str]) -> None:
        declared = self.module.FUNCTIONS.get(signature.python)
        if declared is None:
            faults.append(f"{signature.name} is missing in Python")
            return
        function = self.library[f"{_PREFIX}call_{signature.name}"]
        function.restype = declared.restype
        function.argtypes = declared.argtypes
        self._call(signature, function, declared.argtypes, declared.restype, faults)
        self.counts["functions"] += 1
        self._count_structs(signature)

    def callback(self, signature: Signature, faults: list[str]) -> None:
        """Both ways: C calls a Python function, Python calls a C function."""
        python = getattr(self.module, signature.python, None)
        if python is None:
            faults.append(f"{signature.name}: the type {signature.python} is missing in Python")
            return
        struct = self.types.struct(signature.type.result)
        if struct is None:  # ctypes can call one that returns a struct, but not be one
            self._be_called(signature, python, faults)
            self.counts["callback types called from C"] += 1
        give = self.library[f"{_PREFIX}give_{self.number}"]
        give.restype = ctypes.c_void_p
        function = python(give())
        self._call(signature, function, python._argtypes_, python._restype_, faults)
        self.counts["callback types called from Python"] += 1
        self._count_structs(signature)

    def _count_structs(self, signature: Signature) -> None:
        self.counts["structs passed by value"] += sum(
            self.types.struct(p) is not None for p in signature.type.params
        )
        self.counts["structs returned by value"] += (
            self.types.struct(signature.type.result) is not None
        )

    def _call(
        self, signature: Signature, function: Any, argtypes: Any, restype: Any, faults: list[str]
    ) -> None:
        """Call a C function that checks its arguments, and check its result."""
        if len(argtypes) != len(signature.arguments):
            faults.append(
                f"{signature.name} has {len(argtypes)} parameters in Python and "
                f"{len(signature.arguments)} in C"
            )
            return
        result = function(*map(_made, argtypes, signature.arguments))
        if not self.library.llama_py_reached():
            faults.append(f"{signature.name} was called but not reached")
        _compare(f"{signature.name}: the result", result, signature.result, faults)

    def _be_called(self, signature: Signature, python: Any, faults: list[str]) -> None:
        seen: list[Exception | None] = []

        def called(*arguments: Any) -> Any:
            try:
                if len(arguments) != len(signature.arguments):
                    raise TypeError(f"it gets {len(arguments)} arguments")
                for i, (argument, marks) in enumerate(
                    zip(arguments, signature.arguments, strict=True), start=1
                ):
                    _compare(f"{signature.name}: argument {i} in Python", argument, marks, faults)
                seen.append(None)
            except Exception as error:
                seen.append(error)
            if signature.void:
                return None
            value = _made(python._restype_, signature.result)
            # A plain pointer as a result must be a number.
            return value.value if isinstance(value, ctypes.c_void_p) else value

        invoke = self.library[f"{_PREFIX}invoke_{self.number}"]
        invoke.argtypes = [ctypes.c_void_p]
        invoke.restype = None
        callback = python(called)
        invoke(ctypes.cast(callback, ctypes.c_void_p))
        if len(seen) != 1 or seen[0] is not None:
            faults.append(f"{signature.name}: called from C: {seen[0] if seen else 'never'}")


def _made(python: Any, marks: tuple[Mark, ...]) -> Any:
    """A value of the ctypes type ``python`` with ``marks`` in it."""
    if len(marks) == 1 and not marks[0].steps:
        return _scalar(python, marks[0])
    value = python()
    for mark in marks:
        inner, ctype = value, python
        for step in mark.steps[:-1]:
            inner, ctype = _inner(inner, step), _inner_type(ctype, step)
        last = mark.steps[-1]
        scalar = _scalar(_inner_type(ctype, last), mark)
        if isinstance(last, str):
            setattr(inner, last, scalar)
        elif mark.sort == "chars":
            inner[last].value = scalar
        else:
            inner[last] = scalar
    return value


def _inner(value: Any, step: str | int) -> Any:
    return getattr(value, step) if isinstance(step, str) else value[step]


def _inner_type(python: Any, step: str | int) -> Any:
    """The type of a field, also of one in an anonymous member, or of an element."""
    if isinstance(step, int):
        return python._type_
    fields = {name: ctype for name, ctype, *_ in python._fields_}
    if step in fields:
        return fields[step]
    for name in getattr(python, "_anonymous_", ()):
        if hasattr(fields[name], step):
            return _inner_type(fields[name], step)
    raise AttributeError(f"{python.__name__} has no field {step}")


def _scalar(python: Any, mark: Mark) -> Any:
    value = mark.value
    if isinstance(value, str):
        if mark.sort == "text" and getattr(python, "_type_", None) != "z":
            raise TypeError(f"{python.__name__} stands for a C string")
        return value.encode()
    code = getattr(python, "_type_", None)
    if code == "c":
        return bytes([int(value)])
    if code == "u":
        return chr(int(value))
    if isinstance(code, str) and code not in "PzZO":
        return value
    return ctypes.cast(ctypes.c_void_p(int(value)), python)


def _compare(what: str, value: Any, marks: tuple[Mark, ...], faults: list[str]) -> None:
    for mark in marks:
        got = value
        for step in mark.steps:
            got = _inner(got, step)
        got = _plain(got)
        if got != mark.value:
            faults.append(f"{what}{mark.c_steps} is {got!r} instead of {mark.value!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, ctypes.Array):
        value = value.value
    if isinstance(value, str):
        return ord(value)
    if isinstance(value, bytes):
        # One char is a number to C. Strings and arrays have a text as their mark.
        return value[0] if len(value) == 1 and not value.isdigit() else value.decode()
    if isinstance(value, ctypes.c_void_p):
        return value.value
    if isinstance(value, ctypes._Pointer | _ctypes.CFuncPtr):
        return ctypes.cast(value, ctypes.c_void_p).value
    return value


if __name__ == "__main__":
    _main(*sys.argv[1:])
