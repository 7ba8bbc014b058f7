"""C types as ctypes expressions, and as type hints.

Everything is spelled from the names that the header uses (``llama_token``, ``int32_t``), never
not from a platform's own types, so that one file serves all 64-bit targets.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from .api import (
    Api,
    Array,
    Enum,
    Field,
    Function,
    FunctionType,
    Macro,
    Named,
    Place,
    Pointer,
    Struct,
    Type,
    Typedef,
    element,
    uses,
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
    "long": ("c_long", "int"),
    "unsigned long": ("c_ulong", "int"),
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
    "ssize_t": ("c_ssize_t", "int"),
    "ptrdiff_t": ("c_ssize_t", "int"),
    "time_t": ("c_int64", "int"),
    "wchar_t": ("c_wchar", "str"),
    "intptr_t": ("c_ssize_t", "int"),
    "uintptr_t": ("c_size_t", "int"),
    "float": ("c_float", "float"),
    "double": ("c_double", "float"),
    "long double": ("c_longdouble", "float"),
}

# Imported only where they are used
RARE = {"long", "unsigned long", "long double", "wchar_t"}

# The system's own: passed on, never looked into. A va_list is passed by its address on each target.
FOREIGN_HANDLES = ("FILE", "va_list")

# Attributes of a struct that ctypes reads
_OF_STRUCTS = {
    "_fields_", "_anonymous_", "_pack_", "_align_", "_layout_", "_swappedbytes_", "_b_base_",
    "_b_needsfree_", "_objects", "_as_parameter_",
}  # fmt: skip

# Names of Python's own enums, which members therefore cannot have
_OF_ENUMS = (
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag",
    "is_integer", "mro", "name", "numerator", "real", "to_bytes", "value",
)  # fmt: skip


def identifier(name: str) -> str:
    """``name`` as a Python identifier: a keyword gets an underscore behind it."""
    return f"{name}_" if keyword.iskeyword(name) else name


class Fault(NamedTuple):
    """A declaration that has no Python form, or a ``part`` of it (a constant of an enum, the
    fields of a struct), and the reason."""

    value: Function | Macro | Typedef | Enum | Struct
    part: str
    reason: str


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
        """C's ordinary identifiers, and macros: all names except tags."""
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
                    while names[name] in self.ordinary:
                        names[name] += suffix
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
        """The Python name of the target of the typedef ``name``."""
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
                    while name in taken:
                        name += "_t"
                    names[s.name, f.name] = name
        return names

    def check_names(self) -> None:
        """Raise CodegenError if Python cannot have a name."""
        for value, _, reason in self.name_faults():
            raise CodegenError(f"{value.place}: {value.name}: {reason}")

    @cached_property
    def names(self) -> dict[str, tuple[str, Place]]:
        """All names in Python, each with its first declaration and that one's place."""
        names = dict(self.base.names) if self.base else {}
        for _, _, python, what in self._claims():
            names.setdefault(python, what)
        return names

    def name_faults(self) -> list[Fault]:
        """The names that Python cannot have, or that are already taken."""
        faults = []
        for value, part, python, what in self._claims():
            first = self.names[python]
            if isinstance(value, Function) and python != value.name:
                # They keep their names whatever happens: a library is asked for them.
                faults.append(Fault(value, "", f"a function cannot be called {value.name}"))
            elif isinstance(value, Enum) and re.fullmatch("__.*|_.*_", python):
                faults.append(Fault(value, part, f"an enum of Python cannot have {part}"))
            elif first != what:
                reason = f"it would be {python} in Python, as is {first[0]} ({first[1]})"
                faults.append(Fault(value, part, reason))
        return faults + [f for s in self.api.structs for f in self._field_faults(s)]

    def _claims(self) -> Iterator[tuple[Any, str, str, tuple[str, Place]]]:
        """Each declaration, its named part, the name in Python, and a description."""
        for f in self.api.functions:
            yield f, "", self.value(f.name), (f"function {f.name}", f.place)
        for t in self.aliases:
            yield t, "", self.value(t.name), (f"typedef {t.name}", t.place)
        for e in self.api.enums:
            if e.name:
                yield e, "", self.name(e.name), (f"enum {e.name}", e.place)
        for s in self.api.structs:
            yield s, "", self.name(s.name), (f"struct {s.name}", s.place)
        for e in self.api.enums:
            for name, _ in e.constants:
                yield e, name, self.member(name), (f"constant {name}", e.place)
        for (struct, field), python in self.field_callbacks.items():
            s = self.structs[struct]
            yield s, "fields", python, (f"the type of {struct}.{field}", s.place)
        for m in self.api.macros:
            yield m, "", self.value(m.name), (f"macro {m.name}", m.place)

    def _field_faults(self, struct: Struct) -> Iterator[Fault]:
        fields: set[str] = set()
        for name in map(identifier, self._field_names(struct)):
            if name in _OF_STRUCTS or re.fullmatch("__.*__", name):
                yield Fault(struct, "fields", f"ctypes keeps the name {name} for itself")
            elif name in fields:
                yield Fault(struct, "fields", f"two fields would be {name}")
            fields.add(name)

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

        types = [t.type for t in self.api.typedefs] + [f.type for f in self.api.functions]
        for ctype in types:
            names |= {named.name for named, _ in uses(ctype)}
        for s in self.api.structs:
            names |= {named.name for field in s.fields for named, _ in uses(field.type)}
        return names

    @cached_property
    def imported(self) -> list[str]:
        """The Python names of the base's types that this API refers to, and of their targets, as
        used in hints."""
        names: set[str] = set()

        def need(ctype: Type) -> None:
            base, ctype = self.base, element(ctype)
            if base and isinstance(ctype, Named):
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
        if ctype == Named("va_list"):
            return "va_list"
        if not isinstance(ctype, Pointer):
            return None
        to = self.resolve(ctype.to)
        if isinstance(to, Named) and to.bare in FOREIGN_HANDLES:
            return to.bare
        struct = self.struct(to)
        return self.name(struct.name) if struct and struct.opaque else None

    def is_pointer(self, ctype: Type) -> bool:
        """Whether ``ctype``, or each element of it, is a pointer."""
        ctype = self.resolve(ctype)
        return isinstance(ctype, Pointer) or (
            isinstance(ctype, Array) and self.is_pointer(ctype.of)
        )

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
        if ctype.name in FOREIGN_HANDLES:
            return ctype.name
        target = self.typedefs.get(ctype.name)
        same = isinstance(target, Named) and target.tag == "enum" and target.bare == ctype.name
        if ctype.tag == "enum" or ctype.name in self.enums or same:
            # Before typedefs: its name is that of Python's class, in C and here.
            enum = self.enums.get(ctype.bare)
            return BUILTINS[enum.type][0] if enum else "c_int"
        if target is not None:
            return self.alias(ctype.name)
        struct = self.structs.get(ctype.bare)
        if struct is None:
            raise CodegenError(f"unknown type {ctype}")
        return self.name(struct.name)

    def bit_field(self, field: Field, bits: int) -> str:
        """The expressions for a bit-field. C's enums have no sign there, and ctypes reads a whole
        c_bool."""
        enum = self.enum(field.type)
        ctype = Named(f"unsigned {enum.type.removeprefix('unsigned ')}") if enum else field.type
        ctype = Named("unsigned char") if self.resolve(ctype) == Named("bool") else ctype
        return f"{self.expression(ctype)}, {bits}"

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
        """The hint of a function's result of type ``ctype``."""
        handle = self.handle(ctype)
        if handle:
            return f"{handle} | None"
        return self._hint(ctype)

    def argument_hint(self, ctype: Type) -> str:
        """The hint of an argument for a parameter of type ``ctype``."""
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
        """The hint of a callback's parameter of type ``ctype``."""
        return self.handle(ctype) or self._hint(ctype)

    def field_hint(self, ctype: Type) -> tuple[str, str]:
        """The hints for reading and for setting a field of type ``ctype``."""
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
            if self.resolve(resolved.of) in (Named("char"), Named("wchar_t")):
                return "bytes" if self.resolve(resolved.of) == Named("char") else "str"
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
        """The name of a callback's type, or the common base of all."""
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
    """The parameters' names in Python; unnamed ones are numbered."""
    names: list[str] = []
    for i, p in enumerate(function.params):
        name = identifier(p.name or f"arg{i}")
        while name in names:
            name += "_"
        names.append(name)
    return names
