"""libllama: finding it, checking that it matches the bindings, and its functions."""

from __future__ import annotations

import ctypes
import importlib
import os
import struct
import sys
import threading
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import _raw
from .. import _std as std
from ..engine.find import INSTALL, cache_root, preferred_engine
from ..engine.machine import spinning_briefly
from ..errors import LlamaABIError, LlamaError, LlamaLibraryError, LlamaMissingFunctionError
from . import fork, log


def _file_name(stem: str) -> str:
    """This system's name for the file of the library ``stem``."""
    if sys.platform == "win32":
        return f"{stem}.dll"
    return f"lib{stem}.dylib" if sys.platform == "darwin" else f"lib{stem}.so"


_NAMES = {stem: _file_name(stem) for stem in ("llama", "ggml", "ggml-cpu", "ggml-base")}
# Only a checkout can build the engine of bindings that were made from a folder of headers.
_MATCHING = "`make engine`" if _raw.TAG.startswith("local-") else INSTALL
_PT_LOAD = 1  # elf.h: a part of the file that is mapped into memory

if TYPE_CHECKING:
    from pathlib import Path

    from .. import _raw_mtmd

    class _Functions(_raw.LibraryFunctions, _raw_mtmd.LibraryFunctions):
        """All C functions, with their types: the stubs have them, Python does not."""
else:
    _Functions = object


class _Calls(_Functions):
    """The C functions as attributes, each looked up when it is first used."""

    def __init__(self, path: Path, dlls: list[ctypes.CDLL]) -> None:
        self._path = path
        self._dlls = dlls
        self._beside: dict[str, ctypes.CDLL] = {}

    def _dlls_of(self, function: _raw.Function) -> list[ctypes.CDLL]:
        """The libraries that may have ``function``. Those next to libllama load on first use."""
        stem = function.library
        if stem == _raw.LIBRARY:
            return self._dlls
        if stem not in self._beside:
            dll = _load_beside(self._path, function)
            # Like the others: with or without releasing the GIL.
            self._beside[stem] = type(self._dlls[0])(dll._name, handle=dll._handle)
        return [self._beside[stem]]

    if not TYPE_CHECKING:  # hints come from the generated stub

        def __getattr__(self, name: str) -> Any:
            function = _function(name)
            if function is None:
                why = _raw.LEFT_OUT.get(name, "no header declares it")
                raise AttributeError(f"llama.cpp {_raw.TAG} has no function {name!r}: {why}")
            for dll in self._dlls_of(function):
                try:
                    bound = function.bind(dll)
                except AttributeError:
                    continue
                function.warn(stacklevel=2)
                setattr(self, name, bound)
                return bound
            raise LlamaMissingFunctionError(
                f"{_beside(self._path, function.library)} has no function {name!r}, which the "
                f"bindings for llama.cpp {_raw.TAG} know from its header"
            )


class LlamaLibrary(_Calls):
    """A loaded libllama, with every function of the C API as an attribute.

    ``path`` is the library's file, or a folder with it. Without ``path`` the first of these that
    exists is loaded: the file or folder in the environment variable ``LLAMA_CPP_LIB``; an engine
    with a GPU backend in the cache; the engine inside the installed package; the engine in the
    cache (``make engine``); the system's own. The current folder is never searched.

    ``library.llama_decode(...)`` lets other Python threads run meanwhile. ``library.short`` has
    the same functions without that, for calls of a few microseconds: releasing the GIL takes far
    longer than the call as soon as another thread wants it.

    Raises LlamaLibraryError when there is no library or it cannot be loaded, and LlamaABIError
    when it is not the llama.cpp that the bindings were generated for.
    """

    short: _Calls
    """The same functions, called without releasing the GIL."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        found = find_library(path)
        with _lock, spinning_briefly():
            dlls = _load(found)
        super().__init__(found, dlls)
        self.short = _Calls(found, [ctypes.PyDLL(d._name, handle=d._handle) for d in dlls])
        _check_abi(found, dlls[0])
        _set_up(self)
        cpu = _cpu_backend(self)
        if cpu is not None:
            self._dlls.append(cpu)
            self.short._dlls.append(ctypes.PyDLL(cpu._name, handle=cpu._handle))
        fork.watch(self, self._dlls)

    @property
    def path(self) -> Path:
        """The file that was loaded."""
        return self._path

    @classmethod
    def default(cls) -> LlamaLibrary:
        """The default library. It is loaded on the first call."""
        global _default
        with _lock:
            if _default is None:
                _default = cls()
            return _default

    @classmethod
    def chosen(cls, library: LlamaLibrary | None) -> LlamaLibrary:
        """``library``, or the default one for None. Raises TypeError for other values."""
        if not isinstance(library, LlamaLibrary | None):
            raise TypeError(f"library must be a LlamaLibrary, not {library!r}")
        return library or LlamaLibrary.default()

    def has(self, name: str) -> bool:
        """Whether the library, or one next to it, has the function ``name`` of the C API."""
        function = _function(name)
        try:
            return function is not None and any(
                _exports(dll, function.symbol) for dll in self._dlls_of(function)
            )
        except LlamaError:
            return False  # the library with the function is missing

    def __repr__(self) -> str:
        return f"LlamaLibrary({str(self._path)!r})"


_default: LlamaLibrary | None = None
_lock = threading.RLock()
fork.renew_lock(globals(), "_lock", threading.RLock)
_prepared: set[Path] = set()


@cache
def _other_modules() -> list[ModuleType]:
    """The generated modules with the declarations of other libraries."""
    import pkgutil  # here: few programs look for names outside _raw

    names = [info.name for info in pkgutil.iter_modules([str(std.Path(__file__).parents[1])])]
    return [importlib.import_module(f"llama_cpp.{n}") for n in names if n.startswith("_raw_")]


def _function(name: str) -> _raw.Function | None:
    """The declaration of the C function ``name``."""
    if name in _raw.FUNCTIONS:
        return _raw.FUNCTIONS[name]
    if name.startswith("__"):
        return None  # Python asks for many of these: no reason to import anything
    return next((m.FUNCTIONS[name] for m in _other_modules() if name in m.FUNCTIONS), None)


def _exports(dll: ctypes.CDLL, name: str) -> bool:
    try:
        ctypes.c_char.in_dll(dll, name)  # an object for the function would take longer
    except ValueError:
        return False
    return True


def _set_up(library: LlamaLibrary) -> None:
    """Send the library's log to Python, and register its backends: once for each library."""
    with _lock:
        if library.path in _prepared:
            return
        log.attach(library.llama_log_set, library.llama_max_devices)
        with log.heard(), spinning_briefly():
            if library.has("ggml_backend_reg_count") and library.ggml_backend_reg_count() == 0:
                # The engine has its backends in separate files, like the official releases. Load
                # them before the library does: it also searches the current folder.
                library.ggml_backend_load_all_from_path(os.fsencode(library.path.parent))
                if library.ggml_backend_reg_count() == 0:
                    raise LlamaLibraryError(
                        f"{library.path.parent} has no backend (ggml-cpu) that runs on this "
                        f"machine; run {INSTALL}"
                    )
            library.llama_backend_init()
        _prepared.add(library.path)


class _Place(ctypes.Structure):
    """``Dl_info`` of dlfcn.h."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _cpu_backend(library: LlamaLibrary) -> ctypes.CDLL | None:
    """The library with the CPU backend, if there are several variants of it: the one that was
    chosen for this CPU has the functions of ggml-cpu.h."""
    if sys.platform == "win32" or library.has("ggml_backend_cpu_init"):
        return None
    if not library.has("ggml_backend_reg_by_name"):
        return None
    cpu = library.ggml_backend_reg_by_name(b"CPU")
    if not cpu:
        return None
    function = library.ggml_backend_reg_get_proc_address(cpu, b"ggml_backend_set_n_threads")
    place = _Place()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Place))
    if not function or not dladdr(function, ctypes.byref(place)) or not place.file:
        return None
    return _open_quietly(std.Path(os.fsdecode(place.file)))


# -- finding


def find_library(path: str | os.PathLike[str] | None) -> Path:
    """The file of libllama: ``path``, or the first found in the order of `LlamaLibrary`."""
    if path is not None:
        return _in(std.Path(path), "the path")
    named = os.environ.get("LLAMA_CPP_LIB")
    if named:
        return _in(std.Path(named), "LLAMA_CPP_LIB")
    name = _NAMES["llama"]
    folder = preferred_engine(_raw.TAG)
    if folder is not None:
        return (folder / name).resolve()
    system = _system_library(name)
    if system is not None:
        return system
    raise LlamaLibraryError(
        f"no {name} was found: not inside the package, no engine {_raw.TAG} in "
        f"{cache_root()}, and none on the system. Run {INSTALL}, "
        "or set LLAMA_CPP_LIB to your own"
    )


def _in(path: Path, what: str) -> Path:
    """The library at ``path``, or in the folder ``path``."""
    name = _NAMES["llama"]
    if path.is_dir():
        for folder in (path, path / "bin", path / "lib", path / "build" / "bin"):
            if (folder / name).is_file():
                return (folder / name).resolve()
        raise LlamaLibraryError(f"{what} {str(path)!r} is a folder without {name}")
    if not path.is_file():
        raise LlamaLibraryError(f"{what} {str(path)!r} does not exist")
    return path.resolve()


def _system_library(name: str) -> Path | None:
    prefixes = ["/opt/homebrew/lib", "/usr/local/lib"] if sys.platform == "darwin" else []
    for prefix in prefixes:
        if (std.Path(prefix) / name).is_file():
            return std.Path(prefix) / name
    # On Linux this gives a bare file name, which the loader searches in the system's folders only.
    from ctypes.util import find_library  # here: it imports subprocess and much else

    found = find_library("llama")
    if not found:
        return None
    named = os.environ.get("LD_LIBRARY_PATH")
    for folder in named.replace(";", ":").split(":") if named else ():
        if not std.Path(folder).is_absolute() and std.Path(folder, found).exists():
            raise LlamaLibraryError(
                f"LD_LIBRARY_PATH contains {folder!r}, so {found} of the current folder would be "
                "loaded: remove it, or set LLAMA_CPP_LIB to the right library"
            )
    return std.Path(found)


def _load(path: Path) -> list[ctypes.CDLL]:
    """The library, and those next to it with the rest of the API."""
    if sys.platform == "win32" and path.is_absolute():
        os.add_dll_directory(str(path.parent))
    rest = [path.with_name(_NAMES[stem]) for stem in ("ggml", "ggml-cpu", "ggml-base")]
    for file in (path, *rest):
        if file.is_file():
            _check_whole(file)
    # Load its dependencies first, so that LD_LIBRARY_PATH cannot replace them.
    for dependency in _needed(path):
        _open_quietly(dependency)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        # Built without a relative search path: load its dependencies first, in order.
        for dependency in reversed(rest):
            if dependency.is_file():
                _open_quietly(dependency, ctypes.RTLD_GLOBAL)
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            raise LlamaLibraryError(f"{path} cannot be loaded as a library: {error}") from error
    others = [_open_quietly(file) for file in rest if path.is_absolute() and file.is_file()]
    return [library, *(dll for dll in others if dll is not None)]


def _needed(path: Path) -> list[Path]:
    """The libraries next to libllama at ``path`` that it depends on, dependencies first. Only
    Linux needs this: other systems find them by their place."""
    ggml = path.with_name(_NAMES["ggml"])
    if sys.platform != "linux" or not path.is_absolute() or not ggml.is_file():
        return []
    names = ggml.read_bytes()  # among much else; it is small
    backends = [
        file
        for file in sorted(path.parent.glob("libggml-*.so"))
        if file.name.encode() in names and file.name != _NAMES["ggml-base"]
    ]
    return [path.with_name(_NAMES["ggml-base"]), *backends, ggml]


def _beside(path: Path, stem: str) -> Path:
    """The file of the library ``stem`` that belongs to the libllama at ``path``."""
    return path if stem == _raw.LIBRARY else path.with_name(_file_name(stem))


def _load_beside(path: Path, function: _raw.Function) -> ctypes.CDLL:
    """The library with ``function``, which belongs to the libllama at ``path``.

    It is from the same build as libllama, which has been checked, so a missing function is only
    an error when it is called. Its structs are checked here.
    """
    file = _beside(path, function.library)
    what = f"{function.__name__!r} is in {file.name}"
    if path.is_absolute():
        if not file.is_file():
            raise LlamaMissingFunctionError(f"{what}, which is not next to {path}")
        _check_whole(file)
    try:
        dll = ctypes.CDLL(str(file))
    except OSError as error:
        raise LlamaLibraryError(f"{what}, which cannot be loaded: {error}") from error
    wrong = [
        text
        for module in _other_modules()
        if function.library == module.LIBRARY
        for name in module.DEFAULTS
        for text in _struct_differences(dll, module, name)
    ]
    if wrong:
        raise LlamaABIError(
            f"{file} is not from llama.cpp {_raw.TAG}, which the bindings were generated for: "
            f"{'; '.join(wrong)}. Get an engine of {_raw.TAG} by {_MATCHING}"
        )
    return dll


def _check_whole(path: Path) -> None:
    """Raise LlamaLibraryError for a truncated ELF file: the system's loader, which maps it into
    memory, would end the process by SIGBUS."""
    with path.open("rb") as file:
        start = file.read(64)
        if start[:6] != b"\x7fELF\x02\x01" or len(start) < 64:
            return  # not 64-bit little-endian ELF: the loader says so
        (offset,) = struct.unpack_from("<Q", start, 32)
        entry_size, count = struct.unpack_from("<HH", start, 54)
        file.seek(offset)
        table = file.read(entry_size * count)
        size = path.stat().st_size
    whole = len(table) == entry_size * count and entry_size >= 56
    for i in range(count if whole else 0):
        kind, _, begin, _, _, length = struct.unpack_from("<IIQQQQ", table, i * entry_size)
        whole = whole and (kind != _PT_LOAD or begin + length <= size)
    if not whole:
        raise LlamaLibraryError(
            f"{path} cannot be loaded as a library: it is cut off at {size} bytes. Copy it "
            f"again, or install it again by {INSTALL}"
        )


def _open_quietly(path: Path, mode: int = ctypes.DEFAULT_MODE) -> ctypes.CDLL | None:
    # Global only if the library could not be found otherwise: libraries that are loaded later, such
    # as another engine's, would use its functions instead of their own.
    try:
        return ctypes.CDLL(str(path), mode=mode)
    except OSError:
        return None  # the main library's own error says more


# -- checking


def _check_abi(path: Path, dll: ctypes.CDLL) -> None:
    """Refuse a library whose structs or functions are not those of the bindings.

    A binary does not show the parameters of its functions: a tag that changed those, and neither a
    struct nor a name, passes. From b9093 to b11549 that happened once, between b10216 and b10338.
    """
    if not _exports(dll, "llama_model_default_params"):
        raise LlamaLibraryError(f"{path} is not libllama: it has no llama_model_default_params")
    # A linker drops uncalled functions of a static engine; the user may list them.
    without = {*_raw.DEPRECATED, *os.environ.get("LLAMA_CPP_WITHOUT", "").split(",")}
    missing = [
        f.__name__
        for f in _raw.HEADERS["llama.h"]
        if f.__name__ not in without and not _exports(dll, f.__name__)
    ]
    wrong = [text for name in _raw.DEFAULTS for text in _struct_differences(dll, _raw, name)]
    if wrong or missing:
        problems = list(wrong)
        if missing:
            more = f" and {len(missing) - 40} more" * (len(missing) > 40)
            problems.append("no function " + ", ".join(missing[:40]) + more)
        shown = "; ".join(problems)
        tree = _tree_of(path)
        source = f"--llama-cpp {std.shlex.quote(str(tree))}" if tree else "--tag with its tag"
        hint = f"`llama-py bindings {source}`"
        if not wrong:
            hint += f". If only these were left out, set LLAMA_CPP_WITHOUT={','.join(missing)}"
        raise LlamaABIError(
            f"{path} is not llama.cpp {_raw.TAG}, which the bindings were generated for: {shown}. "
            f"Get an engine of {_raw.TAG} by {_MATCHING}, or generate the bindings for this one: "
            f"{hint}"
        )


def _tree_of(path: Path) -> Path | None:
    """The folder with the headers of the library at ``path``, if one is at hand."""
    named = os.environ.get("LLAMA_CPP")
    # A source tree with the library in build/bin, or the prefix that it was installed under.
    for root in [*([std.Path(named)] if named else []), *path.parents[:3]]:
        if (root / "include" / "llama.h").is_file():
            return root
    return None


def _struct_differences(dll: ctypes.CDLL, module: ModuleType, name: str) -> list[str]:
    """The differences between the struct returned by the function ``name`` and that in ``module``.

    The call gets more room than either needs, so that a larger struct does no harm. The returned
    values must be the recorded defaults, each in its own place.
    """
    kind = module.FUNCTIONS[name].restype
    size = ctypes.sizeof(kind)
    if size <= 16 or not _exports(dll, name):
        return []  # returned in registers, not in memory
    label = kind.__name__
    room = size + 512
    if _is_x86():
        data, written = _written(dll, name, room)
        end = max(written, default=-1) + 1
        fields = [getattr(kind, field[0]) for field in kind._fields_]
        needed = {i for f in fields for i in range(f.offset, f.offset + f.size)}
        if end > size or not needed <= written:
            if needed and max(needed) < end <= size:  # only padding is left out
                return [f"{label} has other fields there"]
            return [f"{label} is about {end} bytes there and {size} here"]
    else:
        data = _returned(dll, name, room)
    there = kind.from_buffer_copy(data[:size])
    differences = []
    for field, expected in module.DEFAULTS[name].items():
        got = getattr(there, field)
        got = int(bool(got)) if not isinstance(got, int | float) else got
        if got != expected:
            differences.append(f"{label}.{field} reads {got!r} instead of {expected!r}")
    return differences[:3]


def _is_x86() -> bool:
    if sys.platform != "win32":
        return os.uname().machine == "x86_64"
    import platform  # here: it imports subprocess

    return platform.machine().lower() in ("x86_64", "amd64")


def _returned(dll: ctypes.CDLL, name: str, room: int) -> bytes:
    class Oversized(ctypes.Structure):
        _fields_ = (("data", ctypes.c_ubyte * room),)

    function = dll[name]
    function.argtypes = ()
    function.restype = Oversized
    return bytes(function())


def _written(dll: ctypes.CDLL, name: str, room: int) -> tuple[bytes, set[int]]:
    """The function's result, and the bytes that it writes.

    On x86-64 a struct of this size is returned through a pointer that the caller passes as the
    first argument, so the memory around it can be inspected: a byte that is the same over two
    backgrounds was written.
    """
    function = dll[name]
    function.argtypes = (ctypes.c_void_p,)
    function.restype = ctypes.c_void_p
    results = []
    for background in (b"\x00", b"\xff"):
        buffer = ctypes.create_string_buffer(background * room, room)
        function(ctypes.addressof(buffer))
        results.append(buffer.raw)
    first, second = results
    return first, {i for i in range(room) if first[i] == second[i]}
