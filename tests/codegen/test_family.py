"""A user's own sets of bindings, and the omissions of a set."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from codegen import render, rules, source, verify
from codegen.__main__ import main
from codegen.clang import Unit
from codegen.parse import parse
from llama_cpp import LlamaLibrary, _raw, _raw_ext, _raw_rpc
from tests.support.codeblocks import blocks
from tests.support.python import ROOT, run_command, run_python

HEADER = """
#include <string.h>
struct ggml_tensor;
typedef struct box_s box;
#ifdef __cplusplus
struct counter { int n = 0; int twice() const { return 2 * n; } };
int overloaded(int x);
int overloaded(float x);
int reference(int & x);
int count(const counter * c);
int add(int a, int b);
extern "C" {
#endif
int add_c(int a, int b);
int look(const struct ggml_tensor * tensor, box * b);
_Complex float odd(void);
int load(int a);
#ifdef __cplusplus
}
#endif
"""


def own(folder: Path, options: str, header: str = HEADER) -> int:
    """Run the generator on a tree that is not llama.cpp's."""
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "one.h").write_text(header)
    text = f'[[bindings]]\nmodule = "_raw_one"\nlibrary = "one"\nheader = "one.h"\n{options}\n'
    (folder / "own.toml").write_text(text)
    out = ["--out", str(folder / "out")]
    tree = ["--bindings", str(folder / "own.toml"), "--llama-cpp", str(folder / "tree")]
    return main(["regen", *tree, *out]) or main(
        ["verify", *tree, "--raw", str(folder / "out" / "_raw_one.py")]
    )


def imported(folder: Path) -> ModuleType:
    return verify.import_raw(folder / "out" / "_raw_one.py")


@pytest.mark.parametrize("language", ["c", "c++"])
def test_that_a_set_of_ones_own_is_generated_verified_and_called(
    tmp_path: Path, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own(tmp_path, f'base = "llama_cpp._raw"\nlanguage = "{language}"') == 0
    assert "left out odd (one.h:" in capsys.readouterr().out
    module = imported(tmp_path)
    assert module.ggml_tensor is _raw.ggml_tensor
    assert module.FUNCTIONS["look"].argtypes[0] is ctypes.POINTER(_raw.ggml_tensor)
    source = tmp_path / ("one.cpp" if language == "c++" else "one.c")
    bodies = "int add_c(int a, int b) { return a + b; }\nint load(int a) { return a + 1; }\n"
    if language == "c++":
        bodies += "int add(int a, int b) { return a * b; }\n"
    source.write_text(f'#include "tree/one.h"\n{bodies}')
    library = tmp_path / "one.so"
    compiler = "c++" if language == "c++" else "cc"
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    module.load_(str(library))
    assert (module.add_c(3, 4), module.load(3)) == (7, 4)
    if language == "c++":
        assert module.add(3, 4) == 12
        assert {"overloaded", "reference"} <= module.LEFT_OUT.keys()
        assert ctypes.sizeof(module.counter) == 4


def test_that_a_required_name_must_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own(tmp_path, 'require = ["od*"]') == 2
    assert "one.h:16: odd cannot be bound: '_Complex float'" in capsys.readouterr().err
    assert own(tmp_path, 'require = ["nothing"]') == 2
    assert "nothing called nothing is declared" in capsys.readouterr().err
    assert own(tmp_path, 'require = ["add_c", "box_s"]') == 0


_BLOCKS = [b.code for b in blocks(ROOT / "docs" / "regeneration.md") if b.language == "toml"]


@pytest.mark.parametrize("text", _BLOCKS, ids=["whisper.cpp", "rwkv.cpp"])
def test_that_the_files_on_the_page_are_of_this_kind(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    sets = source.bindings(tmp_path / "own.toml")
    for binding in sets:
        header = tmp_path / "tree" / binding.header
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f"int {binding.library}_one(void);\n")
    out = tmp_path / "out"
    tree = ["--bindings", str(tmp_path / "own.toml"), "--llama-cpp", str(tmp_path / "tree")]
    assert main(["regen", *tree, "--out", str(out)]) == 0
    assert main(["verify", *tree, "--raw", str(out / f"{sets[0].module}.py")]) == 0
    for binding in sets:
        code = f"import sys; sys.path.append({str(out)!r}); import {binding.module} as module\n"
        printed = run_python(f"{code}print(*module.FUNCTIONS)").stdout
        assert printed == f"{binding.library}_one\n"


@pytest.mark.parametrize("options", ['base = "nowhere"', 'unknown = "x"', "= 3"])
def test_that_a_wrong_file_is_an_error_of_one_line(
    tmp_path: Path, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own(tmp_path, options) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_that_an_omitted_name_gives_its_reason_when_it_is_used() -> None:
    with pytest.raises(AttributeError, match=r"GGML_PAD.*only the preprocessor can expand it"):
        _ = _raw.GGML_PAD  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"has no 'nothing'$"):
        _ = _raw.nothing  # type: ignore[attr-defined]
    assert "llama_get_memory_breakdown" in _raw_ext.LEFT_OUT


def test_that_functions_with_cpp_linkage_and_of_a_backend_are_called() -> None:
    library = LlamaLibrary.default()
    for name in (*_raw_ext.FUNCTIONS, *_raw_rpc.FUNCTIONS):
        assert library.has(name), name
    q8_0 = library.llama_ftype_get_default_type(_raw.LLAMA_FTYPE_MOSTLY_Q8_0)
    assert q8_0 == _raw.GGML_TYPE_Q8_0
    assert library.ggml_backend_rpc_reg()
    with pytest.raises(AttributeError, match="GGML_PAD"):
        _ = library.GGML_PAD


def test_that_a_header_means_the_same_to_a_cpp_compiler() -> None:
    folder = Path(__file__).parent / "headers"
    for name in (
        "anonymous_nested",
        "extern_c",
        "packed",
        "opaque_alias",
        "system_types",
        "arrays",
    ):
        c, cpp = (
            rules.bindable(parse(Unit(folder, f"{name}.h", (), language=language), "b0"))
            for language in ("c", "c++")
        )
        assert (c.structs, c.enums, c.typedefs) == (cpp.structs, cpp.enums, cpp.typedefs)
        assert [f.type for f in c.functions] == [f.type for f in cpp.functions]
        assert not verify.by_compiler(cpp, Unit(folder, f"{name}.h", (), language="c++")).faults


def test_that_the_system_s_own_headers_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "one.h").write_text(
        "#include <sys/stat.h>\n#include <pthread.h>\nint look(struct stat * s, off_t at, "
        "pthread_mutex_t * m);\n#define COMPILER __GNUC__\n"
    )
    unit = Unit(tmp_path, "one.h", (), system=True)
    api = rules.bindable(parse(unit, "b0"), render.reserved())
    assert [f.prototype for f in api.functions] == [
        "int look(struct stat *s, long at, pthread_mutex_t *m)"
    ]
    assert {o.name for o in api.omissions} == {"COMPILER"}
    assert verify.by_compiler(api, unit).faults == []


def test_that_a_generated_module_needs_only_its_base(tmp_path: Path) -> None:
    assert own(tmp_path, "", "int one(void);\n#define TWO 2\n") == 0
    path = f"import sys; sys.path.insert(0, {str(tmp_path / 'out')!r})\n"
    code = f"{path}import _raw_one\nprint(_raw_one.TWO)\n_raw_one.one()"
    done = run_command(sys.executable, "-IS", "-c", code)
    assert done.stdout == "2\n"
    assert "call its load(path)" in done.stderr
