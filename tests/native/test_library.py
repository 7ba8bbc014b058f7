"""Finding libllama, refusing other files, and its functions."""

from __future__ import annotations

import ctypes
import ctypes.util
import inspect
import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from codegen import source
from llama_cpp import LlamaContext, LlamaLibrary, LlamaModel, _raw, _raw_mtmd
from llama_cpp.errors import LlamaABIError, LlamaLibraryError, LlamaMissingFunctionError
from llama_cpp.native import headers as headers_of_c
from llama_cpp.native.library import _NAMES
from tests.support.python import PROGRAMS, ROOT, run_command, run_program, run_python

NAME = _NAMES["llama"]


# -- the functions


def test_every_function_of_llama_h_resolves_and_is_typed(library: LlamaLibrary) -> None:
    functions = _raw.HEADERS["llama.h"]
    assert functions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for function in functions:
            for calls in (library, library.short):
                bound = getattr(calls, function.__name__)
                assert tuple(bound.argtypes) == function.argtypes, function.__name__
                assert bound.restype is function.restype, function.__name__


def test_a_context_for_a_model_is_refused_before_c_is_entered(
    library: LlamaLibrary, ctx: LlamaContext
) -> None:
    with pytest.raises(ctypes.ArgumentError):
        library.llama_model_n_params(ctx.handle)  # type: ignore[arg-type]
    with pytest.raises(ctypes.ArgumentError):
        _raw.llama_free(ctx.model.handle)  # type: ignore[arg-type]
    assert ctx.model.n_params > 0


def test_a_null_handle_is_none(library: LlamaLibrary) -> None:
    params = library.llama_model_default_params()
    assert library.llama_model_load_from_file(b"/no/such/file", params) is None


def test_a_ctrl_c_that_the_program_catches_does_not_end_it_later() -> None:
    """It comes where the types of a function are made, on its first use."""
    assert run_program("ctrl_c_on_first_use") == (0, "interrupted\n", "")


def test_a_deprecated_function_warns_once_and_names_its_replacement() -> None:
    done = run_program("deprecated_calls")
    assert done.returncode == 0, done.stderr
    text = "llama_load_model_from_file is deprecated: use llama_model_load_from_file instead"
    # Once through the module and once through the library, and where the program calls it.
    program = PROGRAMS / "deprecated_calls.py"
    assert done.stdout.splitlines()[0] == f"DeprecationWarning {program} {text}"
    assert len(done.stdout.splitlines()) <= 2


def test_a_function_that_the_library_lacks_is_an_error_when_it_is_called(
    library: LlamaLibrary,
) -> None:
    name = "ggml_threadpool_get_n_threads"  # declared in ggml.h, and defined nowhere
    assert name in _raw.FUNCTIONS
    assert not library.has(name)
    with pytest.raises(LlamaMissingFunctionError, match=name) as raised:
        _raw.ggml_threadpool_get_n_threads(None)
    assert str(library.path) in str(raised.value)
    assert _raw.TAG in str(raised.value)
    assert not hasattr(library, name)


def test_an_undeclared_name_is_an_attribute_error(library: LlamaLibrary) -> None:
    with pytest.raises(AttributeError, match="llama_modle_free"):
        library.llama_modle_free  # noqa: B018
    assert not library.has("llama_modle_free")
    assert not library.has("strlen"), "a function of a dependency is not one of the API"


# -- finding


def test_a_path_may_be_a_file_or_a_folder(library: LlamaLibrary, tmp_path: Path) -> None:
    assert LlamaLibrary(library.path).path == library.path
    assert LlamaLibrary(str(library.path.parent)).path == library.path
    build = tmp_path / "build" / "bin"
    build.mkdir(parents=True)
    (build / NAME).symlink_to(library.path)
    assert LlamaLibrary(tmp_path).path == library.path
    assert repr(library.path.name)[1:-1] in repr(LlamaLibrary(tmp_path))


@pytest.mark.parametrize("path", ["/no/such/folder", "/no/such/libllama.so", str(ROOT / "tests")])
def test_a_path_without_a_library_is_refused(path: str) -> None:
    with pytest.raises(LlamaLibraryError, match=r"the path .*(does not exist|is a folder without)"):
        LlamaLibrary(path)


@pytest.fixture
def place(library: LlamaLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package with every place that is searched empty; the engine to put there."""
    shutil.copytree(ROOT / "llama_cpp", tmp_path / "site" / "llama_cpp")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LLAMA_CPP_LIB", raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return tmp_path


def found(place: Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = run_command(sys.executable, "-c", FIND, cwd=cwd or place, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FIND = """
import llama_cpp.native.library
try:
    print(llama_cpp.native.library.find_library(None))
except llama_cpp.errors.LlamaLibraryError as error:
    print("error:", error)
"""


def test_the_search_takes_the_first_place_that_has_a_library(place: Path) -> None:
    def put(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / NAME).write_bytes(b"library")
        return folder / NAME

    assert found(place).startswith("error: no lib")
    inside = put(place / "site" / "llama_cpp" / "lib")
    assert found(place) == str(inside)
    named = put(place / "named")
    assert found(place, {"LLAMA_CPP_LIB": str(named)}) == str(named)
    assert found(place, {"LLAMA_CPP_LIB": str(named.parent)}) == str(named)
    assert found(place, {"LLAMA_CPP_LIB": ""}) == str(inside), "an empty value is none"
    # A wrong value is an error: another library must not replace the one that the user named.
    assert "LLAMA_CPP_LIB" in found(place, {"LLAMA_CPP_LIB": "/no/such/file"})


def test_the_cache_comes_after_the_package(library: LlamaLibrary, place: Path) -> None:
    engine = place / "cache" / "llama-py" / _raw.TAG / "engine"
    engine.parent.mkdir(parents=True)
    engine.symlink_to(library.path.parent)
    assert found(place) == str(library.path)


def test_the_current_folder_is_never_searched(place: Path) -> None:
    for folder in (".", "lib", "bin", "build/bin"):
        (place / folder).mkdir(parents=True, exist_ok=True)
        (place / folder / NAME).write_bytes(b"library")
    assert found(place).startswith("error: no lib")


# -- files that are not libllama


def refusal(path: Path) -> tuple[str, str]:
    """How the library at ``path`` is refused, in a process of its own: the error and its text."""
    done = run_program("load_library", path)
    assert done.returncode == 0, f"died with {done.returncode}: {done.stderr[-2000:]}"
    assert done.stderr == ""
    name, _, text = done.stdout.partition("\n")
    return name, text


@pytest.mark.parametrize("text", ["not a library\n", ""])
def test_a_text_file_is_no_library(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    name, said = refusal(tmp_path / NAME)
    assert name == "LlamaLibraryError"
    assert "cannot be loaded" in said


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_a_truncated_library_is_refused(library: LlamaLibrary, tmp_path: Path, part: float) -> None:
    data = library.path.read_bytes()
    (tmp_path / NAME).write_bytes(data[: int(len(data) * part)])
    name, text = refusal(tmp_path / NAME)
    assert name == "LlamaLibraryError"
    assert "cannot be loaded" in text


def test_another_library_is_not_libllama() -> None:
    libm = ctypes.util.find_library("m")
    assert libm
    folders = [Path(f) for f in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64")]
    path = next(folder / libm for folder in folders if (folder / libm).exists())
    name, text = refusal(path)
    assert name == "LlamaLibraryError"
    assert "is not libllama" in text


DEFAULTS = """
struct STRUCT FUNCTION(void) {
    struct STRUCT p; memset(&p, 0, sizeof p);
    VALUES
    return p;
}
"""


@pytest.fixture(scope="module")
def headers() -> Path:
    """The source tree of the pinned tag."""
    from codegen import source

    return source.resolve().root


def build_fake(
    root: Path,
    folder: Path,
    old: str = "",
    new: str = "",
    without: tuple[str, ...] = (),
    more: str = "",
) -> Path:
    """A libllama with nothing in it but its default parameters and ``more``, ``old`` in llama.h
    replaced."""
    header = (root / "include" / "llama.h").read_text()
    assert old in header
    (folder / "llama.h").write_text(header.replace(old, new, 1))
    text = '#include "llama.h"\n#include <string.h>\nstatic void nothing(void) {}\n'
    for function in (f.__name__ for f in _raw.HEADERS["llama.h"]):
        if function in _raw.DEFAULTS:
            values = [f"p.{field} = {v};" for field, v in _raw.DEFAULTS[function].items()]
            struct = _raw.FUNCTIONS[function].restype.__name__
            text += (
                DEFAULTS.replace("STRUCT", struct)
                .replace("FUNCTION", function)
                .replace("VALUES", " ".join(values))
            )
        elif function not in without:
            text += f'__asm__(".globl {function}\\n.set {function}, nothing");\n'
    (folder / "fake.c").write_text(text + more)
    command = [
        "cc",
        "-shared",
        "-fPIC",
        "-w",
        "-o",
        NAME,
        "fake.c",
        "-I.",
        f"-I{root}/ggml/include",
    ]
    done = run_command(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / NAME


def test_the_fake_library_itself_passes_the_check(headers: Path, tmp_path: Path) -> None:
    # Otherwise the tests below would pass for a reason of their own.
    from llama_cpp.native.library import _check_abi

    path = build_fake(headers, tmp_path)
    _check_abi(path, ctypes.CDLL(str(path)))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("uint32_t n_ctx; ", "uint64_t llama_new; uint32_t n_ctx; ", "llama_context_params"),
        ("bool kv_unified;", "bool kv_unified; uint64_t more[4];", "llama_context_params is about"),
        ("int32_t  n_threads;       ", "int64_t n_threads;", "llama_context_params"),
        ("uint32_t n_batch; ", "uint32_t n_gone; uint32_t n_batch; ", "llama_context_params"),
        ("bool vocab_only; ", "bool llama_new; bool vocab_only; ", "llama_model_params"),
    ],
    ids=["first", "longer", "wider", "inserted", "in the padding"],
)
def test_a_libllama_with_other_structs_is_refused(
    headers: Path, tmp_path: Path, old: str, new: str, named: str
) -> None:
    name, text = refusal(build_fake(headers, tmp_path, old, new))
    assert name == "LlamaABIError"
    assert named in text
    assert _raw.TAG in text
    assert "make engine" in text
    assert "llama-py bindings" in text


def test_a_libllama_with_swapped_fields_is_refused(headers: Path, tmp_path: Path) -> None:
    header = (headers / "include" / "llama.h").read_text()
    lines = header.splitlines(keepends=True)
    i = next(i for i, line in enumerate(lines) if "uint32_t n_batch;" in line)
    assert "uint32_t n_ubatch;" in lines[i + 1]
    pair = lines[i] + lines[i + 1]
    name, text = refusal(build_fake(headers, tmp_path, pair, lines[i + 1] + lines[i]))
    assert name == "LlamaABIError"
    assert "llama_context_params.n_batch reads 512 instead of 2048" in text


def test_a_libllama_without_a_function_is_refused(headers: Path, tmp_path: Path) -> None:
    name, text = refusal(build_fake(headers, tmp_path, without=("llama_decode", "llama_free")))
    assert name == "LlamaABIError"
    assert "no function llama_free, llama_decode" in text


BACKENDS = """
#include <stdio.h>
static int count = 0;
size_t ggml_backend_reg_count(void) { return count; }
void ggml_backend_load_all_from_path(const char * path) {
    printf("from %s\\n", path); fflush(stdout); count = NUMBER;
}
void llama_backend_init(void) {
    if (!count) { printf("from the current folder\\n"); fflush(stdout); }
}
size_t llama_max_devices(void) { return 1; }
void llama_log_set(void * f, void * d) {}
"""


@pytest.mark.parametrize("number", [0, 1])
def test_backends_are_never_looked_for_in_the_current_folder(
    headers: Path, tmp_path: Path, number: int
) -> None:
    """libllama does so where none is registered: as in the official releases."""
    ours = ("llama_backend_init", "llama_max_devices", "llama_log_set")
    more = BACKENDS.replace("NUMBER", str(number))
    for name in ours:
        more = more.replace(f" {name}(", f" {name}_(") + f'\n__asm__(".set {name}, {name}_");'
    more = "".join(f'__asm__(".globl {name}");\n' for name in ours) + more
    path = build_fake(headers, tmp_path, without=ours, more=more)
    done = run_python("import llama_cpp; llama_cpp.LlamaLibrary(r'%s')" % path)  # noqa: UP031
    assert done.stdout == f"from {tmp_path}\n"
    assert (done.returncode == 0) == bool(number)
    assert number or "has no backend (ggml-cpu) that runs on this machine" in done.stderr


MAPPED = """
import llama_cpp, pathlib
llama_cpp.LlamaLibrary.default()
maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
print(*sorted({line.split()[-1] for line in maps if "libggml" in line}), sep="\\n")
"""


@pytest.mark.parametrize("entries", ["{place}", ":", "."])
def test_an_engine_gets_its_own_libraries_whatever_the_search_path_says(
    library: LlamaLibrary, tmp_path: Path, entries: str
) -> None:
    engine = library.path.parent
    theirs = sorted(engine.glob("libggml*.so.0"))
    assert len(theirs) >= 3
    for file in theirs:
        shutil.copy(file, tmp_path)
    env = {"LD_LIBRARY_PATH": entries.format(place=tmp_path), "LLAMA_CPP_LIB": str(library.path)}
    done = run_command(
        sys.executable, "-c", MAPPED, cwd=tmp_path, env={**env, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert {Path(line).parent for line in done.stdout.splitlines()} == {engine}


def test_a_search_path_with_the_current_folder_does_not_choose_the_library(place: Path) -> None:
    """Where the system has a libllama, which the linker finds here for us."""
    (place / "libllama.so").touch()
    (place / "stub.py").write_text(
        "import ctypes.util; ctypes.util.find_library = lambda name: f'lib{name}.so'\n" + FIND
    )
    for path, expected in ((":", "error: LD_LIBRARY_PATH contains ''"), ("", "libllama.so")):
        done = run_command(sys.executable, "stub.py", cwd=place, env={"LD_LIBRARY_PATH": path})
        assert done.stdout.startswith(expected), done.stderr


def test_the_error_of_another_abi_is_a_library_error() -> None:
    assert issubclass(LlamaABIError, LlamaLibraryError)
    assert issubclass(LlamaMissingFunctionError, AttributeError)


def test_a_model_remembers_its_library(library: LlamaLibrary, model: LlamaModel) -> None:
    assert model.library is library


def test_help_shows_the_text_of_the_header() -> None:
    """Before a call and after it, on a library, and for structs and enums."""
    text = inspect.getdoc(_raw.llama_decode) or ""
    assert text.startswith("int32_t llama_decode(struct llama_context *ctx, struct llama_batch")
    header = (source.resolve().root / "include/llama.h").read_text().splitlines()
    line = next(i for i, code in enumerate(header, 1) if "int32_t llama_decode(" in code)
    assert f"llama.h, line {line}, of llama.cpp {_raw.TAG}" in text
    codes = [code.strip() for code in header[:line] if "could not find a KV slot" in code]
    assert codes[-1] in text
    assert str(inspect.signature(_raw.llama_decode)).startswith("(ctx: ")
    library = LlamaLibrary.default()
    assert library.llama_decode.__doc__ == text
    _raw.llama_max_devices()
    assert "llama_max_devices(void)" in (_raw.llama_max_devices.__doc__ or "")
    assert "int32_t n_gpu_layers;" in (_raw.llama_model_params.__doc__ or "")
    assert "LLAMA_ROPE_TYPE_NEOX" in (_raw.llama_rope_type.__doc__ or "")
    assert "mtmd_context_params" in (_raw_mtmd.mtmd_context_params.__doc__ or "")


def test_help_finds_every_function_at_its_line() -> None:
    def found(name: str) -> bool:
        _, line, text = (headers_of_c.explain(name) or "").partition(":\n\n")
        return bool(line) and re.search(rf"\b{name}\b", text) is not None

    names = _raw.FUNCTIONS.keys() | _raw_mtmd.FUNCTIONS.keys()
    assert {name for name in names if not found(name)} == set()
