"""C types as ctypes expressions, and as type hints.

Everything is spelled from the names that the header uses (``llama_token``, ``int32_t``), never
from what a platform makes of them, so that one file serves all 64-bit targets.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from functools import cached_property

from .api import (
    Api,
    Array,
    Enum,
    Function,
    FunctionType,
    Named,
    Place,
    Pointer,
    Struct,
    Type,
    Typedef,
)
from .errors import CodegenError

# C name -> (ctypes name, hint)
BUILTINS = {
    "bool": ("c_bool", "bool"),
    "char": ("c_char", "bytes"),
    "signed char": ("c_byte", "int"),
    "unsigned char": ("c_ubyte", "int"),
    "short": ("c_short", "int"),
    "unsigned short": ("c_ushort", "int"),
    "int": ("c_int", "int"),
    "unsigned int": ("c_uint", "int"),
    "long long": ("c_longlong", "int"),
    "unsigned long long": ("c_ulonglong", "int"),
    "int8_t": ("c_int8", "int"),
    "int16_t": ("c_int16", "int"),
    "int32_t": ("c_int32", "int"),
    "int64_t": ("c_int64", "int"),
    "uint8_t": ("c_uint8", "int"),
    "uint16_t": ("c_uint16", "int"),
    "uint32_t": ("c_uint32", "int"),
    "uint64_t": ("c_uint64", "int"),
    "size_t": ("c_size_t", "int"),
    "ptrdiff_t": ("c_ssize_t", "int"),
    "intptr_t": ("c_ssize_t", "int"),
    "uintptr_t": ("c_size_t", "int"),
    "float": ("c_float", "float"),
    "double": ("c_double", "float"),
}

# Declared by the stub headers only: passed on, never looked into.
FOREIGN_HANDLES = ("FILE",)

# What Python's enums have themselves, and their members therefore cannot be
_OF_ENUMS = (
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag",
    "is_integer", "mro", "name", "numerator", "real", "to_bytes", "value",
)  # fmt: skip


def identifier(name: str) -> str:
    """``name`` as a Python identifier: a keyword gets an underscore behind it."""
    return f"{name}_" if keyword.iskeyword(name) else name


class PyTypes:
    """How the types of one `Api` are called in Python.

    ``reserved`` are the names that the generated modules need for themselves. The types of the
    API's base are known as well: they have the names that they have there.
    """

    def __init__(self, api: Api, reserved: frozenset[str] = frozenset()) -> None:
        self.api = api
        self.reserved = reserved
        self.base = PyTypes(api.base, reserved) if api.base else None
        self.structs = {s.name: s for s in api.structs}
        self.enums = {e.name: e for e in api.enums if e.name}
        if self.base:
            self.structs = self.base.structs | self.structs
            self.enums = self.base.enums | self.enums
        self.typedefs = api.aliases
        self.functions = {f.name for f in api.functions}

    # -- names

    @cached_property
    def aliases(self) -> list[Typedef]:
        """The typedefs that mean something in Python: not `typedef struct x x`."""
        return [
            t
            for t in self.api.typedefs
            if not (isinstance(t.type, Named) and t.type.tag and t.type.bare == t.name)
        ]

    @cached_property
    def ordinary(self) -> set[str]:
        """What C calls ordinary identifiers, and macros: all that is not a tag."""
        constants = {name for e in self.api.enums for name, _ in e.constants}
        macros = {m.name for m in self.api.macros}
        own = self.functions | constants | macros | {t.name for t in self.aliases}
        return own | self.base.ordinary if self.base else own

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Type -> its name in Python, for the types that share theirs with something else.

        C keeps tags apart from all other names; Python has one namespace. The tag gives way.
        """
        names = dict(self.base.renamed) if self.base else {}
        enums = [e.name for e in self.api.enums if e.name]
        structs = [s.name for s in self.api.structs]
        for types, suffix in ((enums, "_enum"), (structs, "_struct")):
            for name in types:
                if name in self.ordinary:
                    names[name] = name + suffix
        return names

    def name(self, name: str) -> str:
        """The Python name of the struct, union or enum that C calls ``name``."""
        return self.renamed.get(name) or self.value(name)

    def value(self, name: str) -> str:
        """The Python name of the macro or typedef that C calls ``name``."""
        taken = keyword.iskeyword(name) or name in self.reserved
        return f"{name}_" if taken or re.fullmatch("__.*__", name) else name

    def member(self, name: str) -> str:
        """The Python name of an enum's constant."""
        return f"{name}_" if name in _OF_ENUMS else self.value(name)

    def alias(self, name: str) -> str:
        """The Python name of what the typedef ``name`` stands for."""
        target = self.typedefs[name]
        same = isinstance(target, Named) and target.tag and target.bare == name
        return self.name(name) if same else self.value(name)

    @cached_property
    def field_callbacks(self) -> dict[tuple[str, str], str]:
        """(struct, field) -> name of the callback's type, for function pointers without one."""
        taken = self.ordinary | self.structs.keys() | self.enums.keys()
        names = {}
        for s in self.api.structs:
            for f in s.fields:
                if isinstance(f.type, Pointer) and isinstance(f.type.to, FunctionType):
                    name = f"{self.name(s.name)}_{f.name}"
                    names[s.name, f.name] = name + "_t" * (name in taken)
        return names

    def check_names(self) -> dict[str, tuple[str, Place]]:
        """All names in Python, each with what it is and where that stands. Raise CodegenError
        where two things would have the same one, or one cannot have its own."""
        seen = self.base.check_names() if self.base else {}

        def claim(python: str, name: str, place: Place) -> None:
            other, where = seen.setdefault(python, (name, place))
            if (other, where) != (name, place):
                raise CodegenError(
                    f"{place}: {name} and {other} ({where}) would both be {python} in Python"
                )

        for f in self.api.functions:
            # Functions keep their names whatever happens: a library is asked for them.
            if self.value(f.name) != f.name:
                raise CodegenError(f"{f.place}: a function cannot be called {f.name} in Python")
            claim(f.name, f"function {f.name}", f.place)
        for m in self.api.macros:
            claim(self.value(m.name), f"macro {m.name}", m.place)
        for t in self.aliases:
            claim(self.value(t.name), f"typedef {t.name}", t.place)
        for e in self.api.enums:
            if e.name:
                claim(self.name(e.name), f"enum {e.name}", e.place)
            for name, _ in e.constants:
                if re.fullmatch("__.*|_.*_", self.member(name)):
                    raise CodegenError(f"{e.place}: an enum of Python cannot have {name}")
                claim(self.member(name), f"constant {name}", e.place)
        for s in self.api.structs:
            claim(self.name(s.name), f"struct {s.name}", s.place)
            fields: set[str] = set()
            for name in self._field_names(s):
                if re.fullmatch("_.*_", name):
                    raise CodegenError(
                        f"{s.place}: ctypes keeps the name {s.name}.{name} for itself"
                    )
                if identifier(name) in fields:
                    raise CodegenError(
                        f"{s.place}: {s.name} has two fields that would be {identifier(name)}"
                    )
                fields.add(identifier(name))
        for (struct, field), python in self.field_callbacks.items():
            claim(python, f"the type of {struct}.{field}", self.structs[struct].place)
        return seen

    def _field_names(self, struct: Struct) -> Iterator[str]:
        """The names of the fields, those of an anonymous one included."""
        for f in struct.fields:
            yield f.name
            inner = self.struct(f.type) if f.anonymous else None
            if inner:
                yield from self._field_names(inner)

    @cached_property
    def mentioned(self) -> set[str]:
        """The names of all types that anything refers to."""
        names: set[str] = set()

        def look(ctype: Type) -> None:
            if isinstance(ctype, Named):
                names.add(ctype.name)
            elif isinstance(ctype, Pointer):
                look(ctype.to)
            elif isinstance(ctype, Array):
                look(ctype.of)
            else:
                for part in (ctype.result, *ctype.params):
                    look(part)

        for t in self.api.typedefs:
            look(t.type)
        for s in self.api.structs:
            for field in s.fields:
                look(field.type)
        for f in self.api.functions:
            look(f.type)
        return names

    @cached_property
    def imported(self) -> list[str]:
        """The Python names of the base's types that this API refers to, and of what these stand
        for, as hints say it."""
        names: set[str] = set()

        def need(ctype: Type) -> None:
            base = self.base
            if isinstance(ctype, Pointer):
                need(ctype.to)
            elif isinstance(ctype, Array):
                need(ctype.of)
            elif base and isinstance(ctype, Named):
                if ctype.name in base.typedefs:
                    names.add(base.alias(ctype.name))
                    need(base.typedefs[ctype.name])
                elif ctype.bare in base.structs or ctype.bare in base.enums:
                    names.add(base.name(ctype.bare))
                elif ctype.name in FOREIGN_HANDLES and ctype.name in base.mentioned:
                    names.add(ctype.name)

        for name in self.mentioned:
            need(Named(name))
        return sorted(names)

    # -- kinds

    def resolve(self, ctype: Type) -> Type:
        """``ctype`` without typedefs at its top."""
        while isinstance(ctype, Named) and not ctype.tag and ctype.name in self.typedefs:
            ctype = self.typedefs[ctype.name]
        return ctype

    def struct(self, ctype: Type) -> Struct | None:
        """The struct or union that ``ctype`` is, None if it is none."""
        ctype = self.resolve(ctype)
        if isinstance(ctype, Named) and ctype.tag != "enum":
            return self.structs.get(ctype.bare)
        return None

    def enum(self, ctype: Type) -> Enum | None:
        """The enum that ``ctype`` is, None if it is none."""
        ctype = self.resolve(ctype)
        return self.enums.get(ctype.bare) if isinstance(ctype, Named) else None

    def handle(self, ctype: Type) -> str | None:
        """The handle class for a pointer to something opaque, None for any other type."""
        ctype = self.resolve(ctype)
        if not isinstance(ctype, Pointer):
            return None
        to = self.resolve(ctype.to)
        if isinstance(to, Named) and to.bare in FOREIGN_HANDLES:
            return to.bare
        struct = self.struct(to)
        return self.name(struct.name) if struct and struct.opaque else None

    def callback(self, ctype: Type) -> FunctionType | None:
        """The function type behind a function pointer, None for any other type."""
        ctype = self.resolve(ctype)
        if isinstance(ctype, Pointer):
            to = self.resolve(ctype.to)
            return to if isinstance(to, FunctionType) else None
        return None

    def integer(self, ctype: Type) -> bool:
        """Whether ``ctype`` is an integer, enums and bool excluded."""
        ctype = self.resolve(ctype)
        return isinstance(ctype, Named) and BUILTINS.get(ctype.name, ("", ""))[1] == "int"

    # -- ctypes expressions

    def expression(self, ctype: Type) -> str:
        """``ctype`` as an argument, a result or a field."""
        if isinstance(ctype, Array):
            return f"{self.expression(ctype.of)} * {ctype.length}"
        if isinstance(ctype, Pointer):
            return self._pointer(ctype)
        if isinstance(ctype, FunctionType):
            return self.prototype(ctype)
        if ctype.name == "void":
            return "None"
        if ctype.name in BUILTINS:
            return BUILTINS[ctype.name][0]
        target = self.typedefs.get(ctype.name)
        same = isinstance(target, Named) and target.tag == "enum" and target.bare == ctype.name
        if ctype.tag == "enum" or ctype.name in self.enums or same:
            return "c_int"  # before typedefs: its name is that of Python's class, in C and here
        if target is not None:
            return self.alias(ctype.name)
        struct = self.structs.get(ctype.bare)
        if struct is None:
            raise CodegenError(f"unknown type {ctype}")
        if struct.opaque:
            raise CodegenError(f"{ctype} is only declared and cannot be passed by value")
        return self.name(struct.name)

    def _pointer(self, ctype: Pointer) -> str:
        handle = self.handle(ctype)
        if handle:
            return handle
        to = self.resolve(ctype.to)
        if isinstance(to, FunctionType):
            # ctypes has no functions but by pointer, so both have the same type.
            return self.expression(ctype.to)
        if to == Named("void"):
            return "c_void_p"
        if to == Named("char") and ctype.const:
            # Without const it is a buffer to write to, which bytes are not.
            return "c_char_p"
        return f"POINTER({self.expression(ctype.to)})"

    def prototype(self, ctype: FunctionType) -> str:
        """The ctypes type of a callback.

        ctypes takes a Python function for it only if the result is a plain value, so a pointer
        comes back as an address; one that returns a struct can be called but not written.
        """
        result = self.resolve(ctype.result)
        text = "c_void_p" if isinstance(result, Pointer) else self.expression(ctype.result)
        if isinstance(result, Pointer) and self.resolve(result.to) == Named("char"):
            text = "c_char_p"
        return f"CFUNCTYPE({', '.join([text, *map(self.expression, ctype.params)])})"

    # -- hints, as _raw.pyi has them

    def result_hint(self, ctype: Type) -> str:
        """What a function that returns ``ctype`` gives to Python."""
        handle = self.handle(ctype)
        if handle:
            return f"{handle} | None"
        return self._hint(ctype)

    def argument_hint(self, ctype: Type) -> str:
        """What a function that takes ``ctype`` accepts from Python."""
        handle = self.handle(ctype)
        if handle:
            return f"{handle} | None"
        if self.callback(ctype):
            return f"{self._callback_name(ctype)} | None"
        resolved = self.resolve(ctype)
        if isinstance(resolved, Pointer):
            to = self.resolve(resolved.to)
            if to == Named("void"):
                return "_Address"
            if to == Named("char") and resolved.const:
                return "bytes | None"
            return f"_PointerArg[{self.ctypes_class(resolved.to)}]"
        enum = self.enum(ctype)
        if enum:
            return f"{self.name(enum.name)} | int"
        return self._hint(ctype)

    def received_hint(self, ctype: Type) -> str:
        """What a Python callback is given for a parameter of ``ctype``."""
        return self.handle(ctype) or self._hint(ctype)

    def field_hint(self, ctype: Type) -> tuple[str, str]:
        """What reading a field of ``ctype`` gives, and what it can be set to."""
        handle = self.handle(ctype)
        if handle:
            return handle, f"{handle} | None"
        resolved = self.resolve(ctype)
        if isinstance(resolved, Array):
            hint = self._hint(resolved)
            text = self.resolve(resolved.of) == Named("char")
            return hint, hint if text else f"{hint} | tuple[Any, ...]"
        if self.enum(ctype):
            hint = self.argument_hint(ctype)
            return hint, hint
        if isinstance(resolved, Pointer) and not self.callback(ctype):
            hint = self._hint(ctype)
            if hint.startswith("_Pointer["):
                element = hint.removeprefix("_Pointer[").removesuffix("]")
                return hint, f"{hint} | Array[{element}] | None"
            return hint, hint
        return self._hint(ctype), self.argument_hint(ctype)

    def callback_hint(self, ctype: FunctionType) -> tuple[str, str]:
        """The parameters and the result of a Python function for a callback."""
        result = self.resolve(ctype.result)
        params = ", ".join(map(self.received_hint, ctype.params))
        if not isinstance(result, Pointer):
            return params, self._hint(ctype.result)
        text = self.resolve(result.to) == Named("char")
        return params, "bytes | None" if text else "int | None"

    def _hint(self, ctype: Type) -> str:
        callback = self.callback(ctype)
        if callback:
            return self._callback_name(ctype)
        resolved = self.resolve(ctype)
        if isinstance(resolved, Array):
            if self.resolve(resolved.of) == Named("char"):
                return "bytes"
            return f"Array[{self.ctypes_class(resolved.of)}]"
        if isinstance(resolved, Pointer):
            to = self.resolve(resolved.to)
            if to == Named("void"):
                return "int | None"
            if to == Named("char") and resolved.const:
                return "bytes | None"
            return f"_Pointer[{self.ctypes_class(resolved.to)}]"
        assert isinstance(resolved, Named), resolved
        if resolved.name == "void":
            return "None"
        if resolved.tag == "enum" or resolved.name in self.enums:
            return "int"
        if resolved.name in BUILTINS:
            return BUILTINS[resolved.name][1]
        return self.name(resolved.bare)

    def ctypes_class(self, ctype: Type) -> str:
        """The ctypes class of ``ctype``, as a hint has it."""
        resolved = self.resolve(ctype)
        handle = self.handle(ctype)
        if handle:
            return handle
        if isinstance(resolved, Array):
            return f"Array[{self.ctypes_class(resolved.of)}]"
        if isinstance(resolved, Pointer) and not self.callback(ctype):
            expression = self._pointer(resolved)
            if expression.startswith("POINTER("):
                return f"_Pointer[{self.ctypes_class(resolved.to)}]"
            return expression
        if self.callback(ctype):
            return self._callback_name(ctype)
        return self.expression(ctype)

    def _callback_name(self, ctype: Type) -> str:
        """The name of a callback's type, or what all of them are."""
        while True:
            if isinstance(ctype, Pointer):
                ctype = ctype.to
            if not isinstance(ctype, Named):
                return "_FunctionPointer"
            target = self.typedefs[ctype.name]
            if isinstance(target, FunctionType) or (
                isinstance(target, Pointer) and isinstance(target.to, FunctionType)
            ):
                return self.alias(ctype.name)
            ctype = target


def parameter_names(function: Function) -> list[str]:
    """The parameters' names in Python; what has none in C is counted."""
    names: list[str] = []
    for i, p in enumerate(function.params):
        name = identifier(p.name or f"arg{i}")
        while name in names:
            name += "_"
        names.append(name)
    return names
