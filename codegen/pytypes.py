"""C types as ctypes expressions, and as type hints.

Everything is spelled from the names that the header uses (``llama_token``, ``int32_t``), never
from what a platform makes of them, so that one file serves all 64-bit targets.
"""

from __future__ import annotations

import keyword
from functools import cached_property

from .api import Api, Array, Enum, Function, FunctionType, Named, Pointer, Struct, Type
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


def identifier(name: str) -> str:
    """``name`` as a Python identifier: a keyword gets an underscore behind it."""
    if not name.isascii() or not name.isidentifier():
        raise CodegenError(f"{name!r} cannot be a name in Python")
    return f"{name}_" if keyword.iskeyword(name) else name


class PyTypes:
    """How the types of one `Api` are called in Python."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.structs = {s.name: s for s in api.structs}
        self.enums = {e.name: e for e in api.enums}
        self.typedefs = {t.name: t.type for t in api.typedefs}
        self.functions = {f.name for f in api.functions}

    # -- names

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Type -> its name in Python, for the types that share theirs with a function.

        C keeps tags and functions apart; Python has one namespace. The function keeps the name.
        """
        taken = self.functions | self.structs.keys() | self.enums.keys() | self.typedefs.keys()
        names = {}
        for types, suffix in ((self.enums, "_enum"), (self.structs, "_struct")):
            for name in types:
                if name in self.functions:
                    if name + suffix in taken:
                        raise CodegenError(f"{name} and {name}{suffix} are both taken")
                    names[name] = name + suffix
        return names

    def name(self, name: str) -> str:
        """The Python name of the struct, enum or typedef that C calls ``name``."""
        return self.renamed.get(name) or identifier(name)

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
            raise CodegenError(f"a function cannot be passed by value: {ctype}")
        if ctype.name == "void":
            return "None"
        if ctype.name in BUILTINS:
            return BUILTINS[ctype.name][0]
        if ctype.tag == "enum":
            return "c_int"
        if ctype.name in self.typedefs:
            return identifier(ctype.name)
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
            return self.prototype(to)
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
        if isinstance(ctype, Array):
            hint = self._hint(ctype)
            text = self.resolve(ctype.of) == Named("char")
            return hint, hint if text else f"{hint} | tuple[Any, ...]"
        if self.enum(ctype):
            hint = self.argument_hint(ctype)
            return hint, hint
        resolved = self.resolve(ctype)
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
        if isinstance(ctype, Array):
            if self.resolve(ctype.of) == Named("char"):
                return "bytes"
            return f"Array[{self.ctypes_class(ctype.of)}]"
        callback = self.callback(ctype)
        if callback:
            return self._callback_name(ctype)
        resolved = self.resolve(ctype)
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
        if resolved.tag == "enum":
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
        while isinstance(ctype, Named):
            target = self.typedefs[ctype.name]
            if isinstance(target, Pointer):
                return identifier(ctype.name)
            ctype = target
        return "_FunctionPointer"


def parameter_names(function: Function) -> list[str]:
    """The parameters' names in Python; what has none in C is counted."""
    return [identifier(p.name or f"arg{i}") for i, p in enumerate(function.params)]
