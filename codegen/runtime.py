"""Code of the generated modules besides declarations: everything after the line is copied."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from ctypes import CDLL, c_void_p
from typing import Any

# ---


def _none_if_null(result: Any, function: Any, arguments: Any) -> Any:
    """A null handle is None, so that a failed call reads as one."""
    return result or None


class _Help:
    """The text that `help` shows for a C function or type, made when it is read."""

    def __init__(self, question: str) -> None:
        self.question = question

    def __get__(self, instance: object, owner: type) -> Any:
        if not _of_the_package():
            return None
        headers = importlib.import_module(".native.headers", __package__)
        return getattr(headers, self.question)(getattr(instance, "__name__", owner.__name__))


def _of_the_package() -> bool:
    """Whether the library is llama.cpp's, which the package finds."""
    return bool(__package__) and "CDLL" not in globals()


def _explain(kind: Any) -> None:
    """Have `help` show the header's text for the class ``kind`` and its objects."""
    kind.__doc__ = _Help("explain")


def _value(name: str, module: dict[str, Any]) -> Any:
    """A name that ``module`` has not made yet: an enumeration, or one of its constants."""
    for (enum, kind), constants in module["_ENUMS"].items():
        if name == enum or name in constants:
            bases: Any = importlib.import_module("enum")
            made = getattr(bases, kind)(enum, constants, module=module["__name__"])
            _explain(made)
            made = module.setdefault(enum, made)  # another thread may have been faster
            for member, value in made.__members__.items():
                module.setdefault(member, value)
            return module[name]
    if name in module["FUNCTIONS"]:
        module[name] = module["FUNCTIONS"][name]
        return module[name]
    if name == "__all__":
        return [n for n in _names(module) if not n.startswith("_")]
    reason = f" ({module['LEFT_OUT'][name]})" if name in module["LEFT_OUT"] else ""
    raise AttributeError(f"{module['__name__']} has no {name!r}{reason}")


def _names(module: dict[str, Any]) -> Iterator[str]:
    """The names that ``module`` has, or makes when they are asked for."""
    enums = module["_ENUMS"].items()
    made = (name for (enum, _), constants in enums for name in (enum, *constants))
    return iter(sorted({*module, *made, *module["FUNCTIONS"]}))


def _signatures(text: str) -> dict[str, str]:
    """The lines of ``text``, of one function each, by its name."""
    lines = text.split("\n")
    return {line.partition(":")[0].partition(" ")[0]: line for line in lines if line}


class _Made(Mapping["str", "Any"]):
    """The values of ``source`` as ``make`` converts them, each on first access."""

    def __init__(self, source: Mapping[str, str], make: Callable[[str], Any]) -> None:
        self._source, self._make = source, make
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._made:
            self._made[key] = self._make(self._source[key])
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __contains__(self, key: object) -> bool:
        return key in self._source


class Function:
    """A C function by name: its types, and a call that goes to the default library."""

    __slots__ = ("__name__", "_bound", "_module", "_signature", "_types", "symbol")
    __signature__: Any = _Help("signature")

    def __init__(self, line: str, module: dict[str, Any]) -> None:
        names, _, signature = line.partition(": ")
        # With C++ linkage it has another name in a library, and yet another in one for Windows.
        self.__name__, *symbols = names.split()
        self.symbol = symbols[-(sys.platform == "win32")] if symbols else self.__name__
        self._signature = signature
        self._module = module
        self._types: tuple[Any, ...] | None = None
        self._bound: Any = None

    @property
    def restype(self) -> Any:
        """The ctypes type of the result, None for void."""
        return self._resolve()[0]

    @property
    def argtypes(self) -> tuple[Any, ...]:
        """The ctypes types of the parameters."""
        return self._resolve()[1:]

    @property
    def library(self) -> str:
        """The library that has it: ``llama`` for libllama."""
        return str(self._module["LIBRARY"])

    def _resolve(self) -> tuple[Any, ...]:
        if self._types is None:
            # Compiled, because Python takes a Ctrl-C that comes out of the evaluation of a string
            # for one that nobody caught, and ends the process by it in the end.
            code = compile(self._signature, self.__name__, "eval")
            types: tuple[Any, ...] = eval(code, self._module)
            self._types = types
        return self._types

    def bind(self, library: CDLL) -> Any:
        """This function in ``library`` (a ctypes library), ready to call. AttributeError if the
        library has none."""
        bound = library[self.symbol]  # by item, because by attribute ctypes shares the object
        bound.__name__ = self.__name__
        kind: type[Any] = type(bound)  # of this library alone
        if "__signature__" not in vars(kind):
            _explain(kind)
            kind.__signature__ = _Help("signature")
        bound.restype = self.restype
        bound.argtypes = self.argtypes
        if isinstance(self.restype, type) and issubclass(self.restype, c_void_p):
            bound.errcheck = _none_if_null
        return bound

    def warn(self, stacklevel: int) -> None:
        """Warn if the header marks this function as deprecated."""
        name = self.__name__
        deprecated = self._module["DEPRECATED"]
        if name in deprecated:
            instead = deprecated[name]
            hint = f"use {instead} instead" if instead else "llama.cpp names no replacement"
            warnings.warn(
                f"{name} is deprecated: {hint}", DeprecationWarning, stacklevel=stacklevel + 1
            )

    def __call__(self, *arguments: Any) -> Any:
        if self._bound is None:
            self.warn(stacklevel=2)
            library = self._module.get("_library")
            own = self.bind(library) if library else None
            self._bound = own or getattr(default_library(), self.__name__)
            # From now on the module's name is the C function itself.
            self._module[self.__name__] = self._bound
        return self._bound(*arguments)

    def __repr__(self) -> str:
        return f"<C function {self.__name__}, not looked up yet>"


_explain(Function)


def default_library() -> Any:
    """The library that this module's functions call: the one that the package finds."""
    if not _of_the_package():
        raise ImportError(
            f"{__name__} was imported on its own and has no library: call its load(path), or bind "
            "a function with FUNCTIONS[name].bind(ctypes.CDLL(path))"
        )
    library = importlib.import_module(".native.library", __package__)
    return library.LlamaLibrary.default()
