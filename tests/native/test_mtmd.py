"""libmtmd, the second set of bindings: its declarations, and calls that need no model."""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
from pathlib import Path

import pytest

from codegen import calls, generate, source, verify
from codegen.__main__ import main
from codegen.api import Api
from codegen.errors import CodegenError
from llama_cpp import LlamaLibrary, _raw, _raw_mtmd
from llama_cpp.errors import LlamaABIError
from llama_cpp.native.library import _beside
from tests.support.apis import changed
from tests.support.python import ROOT, bare, codegen, run_command, run_python

MODULE = ROOT / "llama_cpp" / "_raw_mtmd.py"
BINDING = next(b for b in source.bindings() if b.module == "_raw_mtmd")


@pytest.fixture(scope="module")
def api() -> Api:
    return next(a for a in generate.committed_apis() if a.module == BINDING.module)


@pytest.fixture(scope="module")
def tree() -> source.Tree:
    return source.resolve(tag=source.pinned_tag())


@pytest.fixture(scope="module")
def text(tree: source.Tree) -> str:
    """The C of the two headers: no comment, no directive, nothing for C++ alone."""
    text = "".join((tree.root / "tools" / "mtmd" / name).read_text("utf-8") for name in HEADERS)
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    text = re.sub(
        r"^#ifdef __cplusplus$(?:(?!^#if).)*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE
    )
    return re.sub(r"^ *#[^\n]*", "", text, flags=re.MULTILINE)


HEADERS = ("mtmd.h", "mtmd-helper.h")


# -- contents


def test_everything_that_the_headers_declare_is_there(text: str, api: Api) -> None:
    functions = re.findall(r"\bMTMD_API\b[^;()]*?(\w+)\s*\(", text)
    assert set(_raw_mtmd.FUNCTIONS) == set(functions) != set()
    assert tuple(_raw_mtmd.HEADERS) == HEADERS
    deprecated = re.findall(r"\bDEPRECATED\(MTMD_API[^;()]*?(\w+)\s*\(", text)
    assert sorted(_raw_mtmd.DEPRECATED) == sorted(deprecated)
    structs = re.findall(r"\bstruct (\w+) *\{", text)
    assert {s.name for s in api.structs if not s.opaque} == set(structs)
    handles = set(re.findall(r"\bstruct (\w+);", text)) - set(structs)
    assert {s.name for s in api.structs if s.opaque} == handles
    assert all(issubclass(getattr(_raw_mtmd, name), ctypes.Structure) for name in structs)
    assert all(issubclass(getattr(_raw_mtmd, name), ctypes.c_void_p) for name in handles)
    bodies = re.findall(r"\benum \w+ *\{(.*?)\}", text, re.DOTALL)
    constants = {word for body in bodies for word in re.findall(r"\bMTMD_\w+", body)}
    assert {name for e in api.enums for name, _ in e.constants} == constants
    assert all(isinstance(getattr(_raw_mtmd, name), int) for name in constants)
    callbacks = re.findall(r"\btypedef[^;{]*?\(\* *(\w+)\)", text)
    assert callbacks
    assert all(issubclass(getattr(_raw_mtmd, name), ctypes._CFuncPtr) for name in callbacks)


def test_the_types_of_the_base_are_its_own() -> None:
    assert _raw_mtmd.TAG == _raw.TAG
    for name in ("llama_model", "llama_context", "llama_token", "ggml_log_callback", "Function"):
        assert getattr(_raw_mtmd, name) is getattr(_raw, name)
    assert not set(_raw.FUNCTIONS) & set(_raw_mtmd.FUNCTIONS)
    assert not set(_raw.HEADERS) & set(_raw_mtmd.HEADERS)


def test_it_imports_without_packages_or_library(tmp_path: Path) -> None:
    done = bare("from llama_cpp import _raw_mtmd; print(len(_raw_mtmd.FUNCTIONS))", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(_raw_mtmd.FUNCTIONS)}\n", "")


def test_importing_the_base_leaves_it_alone(tmp_path: Path) -> None:
    done = bare(
        "from llama_cpp import _raw\nfrom llama_cpp.native import library\n"
        "library._function('llama_decode'), hasattr(library, '__x__')\n"
        "print([m for m in sys.modules if 'mtmd' in m])",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# -- the witnesses


def test_that_all_witnesses_agree(capsys: pytest.CaptureFixture[str]) -> None:
    library = LlamaLibrary.default().path
    assert main(["verify", "--tag", source.pinned_tag(), "--lib", str(library)]) == 0
    said = capsys.readouterr().out.partition("_raw_mtmd for libmtmd\n")[2]
    count = len(_raw_mtmd.FUNCTIONS)
    for witness in ("compiler", "ctypes", "calls", "library"):
        assert re.search(rf"^{witness}: agrees \({count} functions", said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("pattern", "replacement", "name"),
    [
        (
            r'(\("image_min_tokens", c_int\),)(\s*)(\("image_max_\w+", c_int\),)',
            r"\3\2\1",
            "image_m",
        ),
        (r"(\nmtmd_bitmap_init: [^\n]*?)c_uint32", r"\1c_float", "mtmd_bitmap_init"),
        (r"\nmtmd_tokenize: ", "\nmtmd_tokenized: ", "mtmd_tokenize"),
    ],
)
def test_that_a_planted_fault_is_named(
    pattern: str, replacement: str, name: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    planted, count = re.subn(pattern, replacement, MODULE.read_text("utf-8"), count=1)
    assert count == 1
    (tmp_path / MODULE.name).write_text(planted, "utf-8")
    raw = Path(shutil.copy(MODULE.with_name("_raw.py"), tmp_path))
    arguments = ["--tag", source.pinned_tag(), "--raw", str(raw), "--without", "compiler"]
    assert main(["verify", *arguments]) == 1
    base, _, said = capsys.readouterr().out.partition("_raw_mtmd for libmtmd\n")
    assert "FAULT" not in base
    ctypes_said, _, calls_said = said.partition("\ncalls: ")
    for witness in (ctypes_said, calls_said):
        assert "FAULT" in witness
        assert name in witness


def test_that_the_compiler_and_the_library_find_faults(api: Api, tree: source.Tree) -> None:
    unit = tree.unit_of(BINDING)
    small = changed(api, "structs", "mtmd_caps", size=8)
    assert any("mtmd_caps: size" in fault for fault in verify.by_compiler(small, unit).faults)
    library = LlamaLibrary.default().path
    renamed = changed(api, "functions", "mtmd_encode", name="mtmd_enc")
    assert ["mtmd_enc " in fault for fault in verify.by_library(renamed, library).faults] == [True]
    elsewhere = verify.by_library(api, Path("/nowhere/libllama.so")).faults
    assert elsewhere == ["there is no libmtmd.so beside libllama"]


def test_that_every_callback_is_called(api: Api, tree: source.Tree) -> None:
    counts = calls.by_calls(api, tree.unit_of(BINDING), MODULE).counts
    assert counts["callback types called from C"] == 3
    assert counts["structs returned by value"] > 5


# -- calls


def test_a_function_is_found_in_its_library_when_it_is_called() -> None:
    done = run_python(
        "from llama_cpp import _raw_mtmd as m\n"
        "loaded = lambda: any('mtmd' in line for line in open('/proc/self/maps'))\n"
        "from llama_cpp import LlamaLibrary; LlamaLibrary.default()\n"
        "print(loaded(), m.mtmd_default_marker(), loaded())\n"
        "print(isinstance(m.mtmd_default_marker, m.Function))"
    )
    assert (done.stdout, done.stderr) == ("False b'<__media__>' True\nFalse\n", "")


def test_the_default_parameters_arrive(library: LlamaLibrary) -> None:
    params = _raw_mtmd.mtmd_context_params_default()
    assert params.media_marker == _raw_mtmd.mtmd_default_marker()
    assert params.image_marker is None
    assert params.flash_attn_type == _raw.LLAMA_FLASH_ATTN_TYPE_AUTO
    assert (params.image_min_tokens, params.image_max_tokens) == (-1, -1)
    assert params.use_gpu is True
    assert params.batch_max_tokens == 1024
    video = _raw_mtmd.mtmd_helper_init_opt_default().video_params
    assert (video.fps_target, video.timestamp_interval_ms) == (4.0, 5000)


def test_a_bitmap_holds_what_it_is_given(library: LlamaLibrary) -> None:
    pixels = bytes(range(2 * 3 * 3))
    bitmap = _raw_mtmd.mtmd_bitmap_init(2, 3, (ctypes.c_ubyte * len(pixels))(*pixels))
    assert isinstance(bitmap, _raw_mtmd.mtmd_bitmap)
    assert _raw_mtmd.mtmd_bitmap_get_nx(bitmap) == 2
    assert _raw_mtmd.mtmd_bitmap_get_ny(bitmap) == 3
    size = _raw_mtmd.mtmd_bitmap_get_n_bytes(bitmap)
    assert bytes(_raw_mtmd.mtmd_bitmap_get_data(bitmap)[:size]) == pixels
    assert not _raw_mtmd.mtmd_bitmap_is_audio(bitmap)
    _raw_mtmd.mtmd_bitmap_set_id(bitmap, b"a picture")
    # By a library's own attributes, with and without the GIL
    for which in (library, library.short):
        assert which.mtmd_bitmap_get_id(bitmap) == b"a picture"  # type: ignore[attr-defined]
    _raw_mtmd.mtmd_bitmap_free(bitmap)


def test_chunks_are_listed(library: LlamaLibrary) -> None:
    empty = _raw_mtmd.mtmd_input_chunks_init()
    assert _raw_mtmd.mtmd_input_chunks_size(empty) == 0
    _raw_mtmd.mtmd_input_chunks_free(empty)
    chunks = _raw_mtmd.mtmd_test_create_input_chunks()
    kinds = [
        _raw_mtmd.mtmd_input_chunk_get_type(_raw_mtmd.mtmd_input_chunks_get(chunks, i))
        for i in range(_raw_mtmd.mtmd_input_chunks_size(chunks))
    ]
    assert _raw_mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT in kinds
    assert _raw_mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE in kinds
    assert _raw_mtmd.mtmd_helper_get_n_tokens(chunks) > 0
    _raw_mtmd.mtmd_input_chunks_free(chunks)


def test_a_handle_of_another_kind_is_refused(library: LlamaLibrary) -> None:
    chunks = _raw_mtmd.mtmd_input_chunks_init()
    model = _raw.llama_model(1)
    for wrong in (chunks, model):
        with pytest.raises(ctypes.ArgumentError):
            _raw_mtmd.mtmd_bitmap_get_nx(wrong)  # type: ignore[arg-type]
    with pytest.raises(ctypes.ArgumentError):
        library.llama_model_n_params(chunks)  # type: ignore[arg-type]
    _raw_mtmd.mtmd_input_chunks_free(chunks)


def test_a_deprecated_function_warns(library: LlamaLibrary) -> None:
    done = run_python(
        "import warnings; warnings.simplefilter('error')\n"
        "from llama_cpp import _raw_mtmd\n"
        "try: _raw_mtmd.mtmd_encode(None, None)\n"
        "except DeprecationWarning as warning: print(warning)"
    )
    assert done.stdout == "mtmd_encode is deprecated: use mtmd_encode_chunk instead\n"


def test_a_missing_libmtmd_is_named(library: LlamaLibrary, tmp_path: Path) -> None:
    for file in library.path.parent.glob("lib*.so*"):
        if "mtmd" not in file.name:
            shutil.copy(file, tmp_path)
    done = run_python(
        "import sys\n"
        "from llama_cpp import LlamaLibrary, _raw_mtmd\n"
        "from llama_cpp.errors import LlamaMissingFunctionError\n"
        "library = LlamaLibrary(sys.argv[1])\n"
        "print(library.has('mtmd_free'), library.has('llama_free'))\n"
        "for call in (library, library.short):\n"
        "    try: call.mtmd_default_marker()\n"
        "    except LlamaMissingFunctionError as error: print(error)",
        tmp_path,
    )
    first, *errors = done.stdout.splitlines()
    assert first == "False True", done.stderr
    assert len(errors) == 2
    for error in errors:
        assert "'mtmd_default_marker' is in libmtmd.so, which is not next to" in error
        assert str(tmp_path) in error


def test_a_libmtmd_with_other_structs_is_refused(
    library: LlamaLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = _raw_mtmd.DEFAULTS["mtmd_helper_video_init_params_default"]
    other = LlamaLibrary(library.path)
    monkeypatch.setitem(defaults, "timestamp_interval_ms", 1)
    with pytest.raises(LlamaABIError, match="timestamp_interval_ms reads 5000 instead of 1"):
        other.mtmd_default_marker()  # type: ignore[attr-defined]
    monkeypatch.undo()
    assert other.mtmd_default_marker() == b"<__media__>"  # type: ignore[attr-defined]


def test_a_cut_off_libmtmd_is_refused(library: LlamaLibrary, tmp_path: Path) -> None:
    for file in library.path.parent.glob("lib*.so*"):
        shutil.copy(file, tmp_path)
    cut = _beside(tmp_path / library.path.name, "mtmd")
    cut.write_bytes(cut.read_bytes()[:100_000])
    done = run_python(
        "import sys\nfrom llama_cpp import LlamaLibrary\n"
        "LlamaLibrary(sys.argv[1]).mtmd_default_marker()",
        tmp_path,
    )
    assert "LlamaLibraryError" in done.stderr
    assert "is cut off at 100000 bytes" in done.stderr


# -- by configuration


def _tree(tree: source.Tree, folder: Path) -> Path:
    for name in ("include", "ggml/include", "src"):
        (folder / name).mkdir(parents=True)
        for path in (*(tree.root / name).glob("*.h"), *(tree.root / name).glob("llama.cpp")):
            shutil.copy(path, folder / name)
    return folder


def test_no_code_knows_a_set_of_bindings_by_its_name() -> None:
    files = [*(ROOT / "codegen").glob("*.py"), *(ROOT / "templates").iterdir()]
    files.append(ROOT / "llama_cpp" / "_raw.py")
    assert len(files) > 15
    assert [p.name for p in files if "mtmd" in p.read_text("utf-8").lower()] == []


def test_a_tree_without_the_header_lacks_the_module_only(
    tree: source.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _tree(tree, tmp_path / "tree")
    done = codegen("regen", "--llama-cpp", root, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    note = f"note: the tree has no {BINDING.header}: _raw_mtmd is left out\n"
    assert note in done.stderr
    files = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    names = {"_raw.py", "_raw.pyi", "_params.py", "_samplers.py", "_getters.py", "__init__.pyi"}
    names |= {
        "_fields.py",
        "_options.py",
        *(f"_raw_{s}.py{i}" for s in ("rpc", "ext") for i in ("", "i")),
    }
    assert files == names
    done = codegen("check", "--llama-cpp", root)
    assert done.returncode == 1
    assert "-## `_raw_mtmd`, for libmtmd\n" in done.stdout
    with pytest.raises(CodegenError, match="which _raw_mtmd is made from"):
        generate.read_apis(source.Tree(root, source.pinned_tag()))
    with pytest.raises(CodegenError, match="which _raw_mtmd is made from"):
        generate.read_apis(source.Tree(root, "b1"), whole=True)


def test_an_entry_for_a_header_of_the_base_is_refused(
    tree: source.Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = source.Binding("_raw_gguf", "ggml-base", "ggml/include/gguf.h", ("ggml/include",))
    sets = (source.bindings()[0], gguf)
    monkeypatch.setattr(generate, "bindings", lambda: sets)
    with pytest.raises(CodegenError, match=r"gguf\.h is in _raw already"):
        generate.read_apis(tree)


def test_an_entry_in_the_configuration_makes_another_module(
    tree: source.Tree, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for folder in ("codegen", "llama_cpp", "templates"):
        shutil.copytree(
            ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    with (project / "codegen" / "upstream.toml").open("a") as file:
        file.write(
            '\n[[bindings]]\nmodule = "_raw_extra"\nlibrary = "extra"\n'
            'header = "tools/extra/extra.h"\ninclude = ["tools/extra", "include", "ggml/include"]\n'
        )
    root = _tree(tree, tmp_path / "tree")
    (root / "tools" / "extra").mkdir(parents=True)
    (root / "tools" / "extra" / "extra.h").write_text(
        '#include "llama.h"\n#define EXTRA 7\n'
        "struct extra_batch { struct llama_batch inner; FILE * f; enum llama_vocab_type type; };\n"
        "struct llama_n_ctx { int tag; };\n"  # where the base has a function
        "struct extra_batch extra_get(const struct llama_context * ctx, struct llama_n_ctx n,\n"
        "    enum llama_vocab_type type, ggml_log_callback callback);\n"
    )
    done = codegen("regen", "--llama-cpp", root, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "_raw_extra" not in done.stderr
    assert "wrote llama_cpp/_raw_extra.py\n" in done.stdout
    assert "wrote codegen/api_extra.json\n" in done.stdout
    assert "removed llama_cpp/_raw_mtmd.py\n" in done.stdout
    assert codegen("check", "--llama-cpp", root, cwd=project).returncode == 0
    assert "## `_raw_extra`, for libextra" in (project / "codegen" / "report.md").read_text()
    done = codegen("verify", "--llama-cpp", root, cwd=project)
    assert done.returncode == 0, done.stdout
    assert "calls: agrees (1 functions, 1 structs passed by value, 1 structs" in done.stdout
    stub = [project / "llama_cpp" / f"{name}.pyi" for name in ("_raw", "_raw_extra")]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *stub]
    typed = run_command(*mypy, cwd=tmp_path)
    assert typed.returncode == 0, typed.stdout
    module = verify.import_raw(project / "llama_cpp" / "_raw_extra.py")
    assert module.EXTRA == 7
    assert [f.__name__ for f in module.FUNCTIONS.values()] == ["extra_get"]
    assert module.extra_get.argtypes[1] is module.llama_n_ctx_struct


def test_the_data_of_two_tags_are_compared(tree: source.Tree, tmp_path: Path) -> None:
    data = ROOT / "codegen" / "api_mtmd.json"
    for path in (data, data.with_name("api.json")):
        shutil.copy(path, tmp_path)
    other = tmp_path / data.name
    other.write_text(data.read_text("utf-8").replace('["nx", "uint32_t"]', '["nx", "uint64_t"]', 1))
    done = codegen("diff", data, other)
    assert "function mtmd_bitmap_init: signature changed" in done.stdout
    # Against a whole tree, a file stands for its module alone.
    done = codegen("diff", source.pinned_tag(), other)
    assert "breaks the ABI: 1 function; breaks source: nothing" in done.stdout
    (tmp_path / "api.json").unlink()
    done = codegen("diff", data, other)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
