"""The pipeline from the pinned header to the generated files."""

from __future__ import annotations

import filecmp
import importlib
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import api, clang, contents, generate, render, source
from codegen.api import Array, FunctionType, Named, Pointer
from codegen.errors import CodegenError
from codegen.server import model
from tests.support.python import ROOT, codegen, run_command

GENERATED = [ROOT / "llama_cpp" / name for name in render.GENERATED]


@pytest.fixture(scope="session")
def tree() -> source.Tree:
    return source.resolve(tag=source.pinned_tag())


@pytest.fixture(scope="session")
def parsed(tree: source.Tree) -> api.Api:
    return generate.read_api(tree)


@pytest.fixture(scope="session")
def every(tree: source.Tree) -> list[api.Api]:
    """The API of each set of bindings."""
    return generate.read_apis(tree)


@pytest.fixture
def headers(tree: source.Tree, tmp_path: Path) -> Path:
    """A tree with the parts of the pinned one that the generator reads."""
    root = tmp_path / "llama.cpp"
    for folder in {folder for b in source.bindings() for folder in b.include} | {"src"}:
        (root / folder).mkdir(parents=True)
        for pattern in ("*.h", "llama*.cpp", "mtmd*.cpp"):
            for path in (tree.root / folder).glob(pattern):
                shutil.copy(path, root / folder)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's own code in another folder."""
    root = tmp_path / "elsewhere" / "project"
    for folder in ("codegen", "llama_cpp", "templates"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


# -- contents


def test_everything_that_the_headers_declare_is_there(parsed: api.Api) -> None:
    """The declarations that test_report.py does not count."""
    root = source.fetch_headers(source.pinned_tag())
    texts = {p.name: p.read_text("utf-8") for i in ("", "ggml") for p in (root / i).glob("*/*.h")}
    text = "".join(texts[header.name] for header in parsed.headers)
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    deprecated = re.findall(r"^(?!#).*\b(?:GGML_)?DEPRECATED\(", text, re.MULTILINE)
    assert sum(f.deprecated for f in parsed.functions) == len(deprecated) > 40
    callbacks = [t for t in parsed.typedefs if isinstance(t.type, Pointer) and "fn(" in str(t.type)]
    pointers = re.findall(r"\btypedef\b[^;{]*?\(\s*\*\s*\w+\s*\)", text)
    assert len(callbacks) == len(pointers) > 20


def test_every_deprecation_names_its_replacement_but_the_one_that_has_none(parsed: api.Api) -> None:
    functions = {f.name for f in parsed.functions}
    without = {f.name for f in parsed.functions if f.deprecated and not f.replacement}
    assert without == {"llama_set_warmup"}
    assert {f.replacement for f in parsed.functions if f.replacement} <= functions


def test_the_defaults_are_read_from_the_source(parsed: api.Api) -> None:
    assert set(parsed.defaults) == {
        f.name
        for f in parsed.functions
        if f.name.endswith("_default_params") and f.place.header == "llama.h"
    }
    assert parsed.defaults["llama_context_default_params"]["n_batch"] == 2048


def test_a_tree_without_sources_only_lacks_the_defaults(headers: Path, parsed: api.Api) -> None:
    shutil.rmtree(headers / "src")
    found = generate.read_api(source.Tree(headers, parsed.tag))
    assert found.defaults == {}
    assert found.functions == parsed.functions


def test_the_names_that_c_uses_twice_keep_both_meanings() -> None:
    from llama_cpp import _raw

    for name, kind in {
        "llama_vocab_type": "enum",
        "llama_pooling_type": "enum",
        "ggml_backend_dev_type": "enum",
        "ggml_backend_graph_copy": "struct",
    }.items():
        assert isinstance(getattr(_raw, name), _raw.Function)
        assert isinstance(getattr(_raw, f"{name}_{kind}"), type)
        assert f"{name}_{kind}" in (_raw.__doc__ or "")


# -- the notation of types


@pytest.mark.parametrize(
    ("text", "c"),
    [
        ("int32_t", "int32_t x"),
        ("*const char", "const char *x"),
        ("**const char", "const char **x"),
        ("*const *char", "char *const *x"),
        ("[4]int64_t", "int64_t x[4]"),
        ("*[4]float", "float (*x)[4]"),
        ("*fn(*void, ...) bool", "bool (*x)(void *, ...)"),
        ("*fn() void", "void (*x)(void)"),
        ("*fn(*fn(int) void) *fn() char", "char (*(*x)(void (*)(int)))(void)"),
        ("enum ggml_type", "enum ggml_type x"),
    ],
)
def test_a_type_is_read_and_written(text: str, c: str) -> None:
    ctype = api.parse_type(text)
    assert str(ctype) == text
    assert api.c_declaration(ctype, "x") == c


@pytest.mark.parametrize("text", ["", "*", "int)", "fn(int", "[x]int"])
def test_a_text_that_is_not_a_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"type|invalid literal"):
        api.parse_type(text)


def test_types_are_values() -> None:
    assert api.parse_type("*fn([2]char) int") == Pointer(
        FunctionType((Array(Named("char"), 2),), Named("int"))
    )


def test_the_api_comes_back_from_json(every: list[api.Api], tmp_path: Path) -> None:
    for one in every:
        path = tmp_path / one.file
        path.write_text(api.dump(one), "utf-8")
        assert api.load(path) == one


def test_that_lines_which_move_change_one_line_of_the_data() -> None:
    one = api.load(render.API_JSON)
    assert one.server
    moved = [replace(f, place=api.Place(f.place.header, f.place.line + 1)) for f in one.functions]
    options = tuple(replace(o, place=f"{o.place}1") for o in one.server.options)
    for before, after in (
        (api.dump(one), api.dump(replace(one, functions=tuple(moved)))),
        (model.dump(one.server), model.dump(replace(one.server, options=options))),
    ):
        lines = zip(before.split("\n"), after.split("\n"), strict=True)
        assert sum(a != b for a, b in lines) == 1


# -- up to date, and deterministic


def test_that_the_generated_files_are_up_to_date(every: list[api.Api]) -> None:
    assert generate.stale(generate.planned(every)) == ""


def test_that_the_api_data_gives_the_generated_files_without_a_tree() -> None:
    committed = generate.committed_apis()
    assert [a.module for a in committed] == [b.module for b in source.bindings()]
    assert generate.stale(generate.planned(committed)) == ""


def test_two_runs_from_two_folders_give_the_same_bytes(
    headers: Path, project: Path, tmp_path: Path
) -> None:
    first = codegen("regen", "--tag", source.pinned_tag(), "--out", tmp_path / "a")
    assert first.returncode == 0, first.stderr
    second = codegen("regen", "--llama-cpp", headers, "--out", tmp_path / "b", cwd=project)
    assert second.returncode == 0, second.stderr
    names = list(render.GENERATED)
    same, different, missing = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, False)
    assert (sorted(same), different, missing) == (sorted(names), [], [])
    for name, path in zip(names, GENERATED, strict=True):
        assert path.read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_regen_in_place_changes_nothing(project: Path) -> None:
    done = codegen("regen", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "\nnothing to do: " in done.stdout


def test_no_path_of_a_machine_is_in_a_generated_file(tree: source.Tree) -> None:
    paths = re.compile(
        "|".join(map(re.escape, {str(tree.root), str(ROOT), str(Path.home()), sys.prefix}))
        + r"|/(?:home|tmp|Users|usr)/|[A-Z]:\\\\"
    )
    data = [ROOT / "codegen" / api.api_file(b.module) for b in source.bindings()]
    for path in [*GENERATED, *data]:
        found = paths.search(path.read_text("utf-8"))
        assert found is None, f"{path.name}: {found and found[0]}"


def _word(name: str) -> str:
    """A word of the generated file, to be edited."""
    if name.endswith("__init__.pyi"):
        return "Generated from the table"
    words = {"_raw_mtmd": "mtmd_bitmap", "_raw_rpc": "ggml_backend_rpc", "server/_": "cache"}
    return next((word for start, word in words.items() if name.startswith(start)), "llama_")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((name, _word(name)) for name in render.GENERATED),
        ("api.json", "llama_sampler"),
        ("api_mtmd.json", "mtmd_bitmap"),
    ],
)
def test_an_edit_of_a_generated_file_is_found(project: Path, name: str, word: str) -> None:
    path = project / ("codegen" if name.endswith(".json") else "llama_cpp") / name
    text = path.read_text("utf-8")
    assert word in text
    path.write_text(text.replace(word, "edited", 1), "utf-8")
    done = codegen("check", cwd=project)
    assert done.returncode == 1
    assert "edited" in done.stdout
    assert name in done.stdout
    assert path.read_text("utf-8") != text, "check must not write"


def test_an_edit_of_a_template_is_found(project: Path) -> None:
    path = project / "templates" / "_raw.py.j2"
    path.write_text(path.read_text("utf-8").replace("# Constants", "# Constants!"), "utf-8")
    done = codegen("check", cwd=project)
    assert done.returncode == 1
    assert "\n+# Constants!\n" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("#define LLAMA_SESSION_VERSION 11", "#define LLAMA_SESSION_VERSION 12", "= 12"),
        ("int32_t n_gpu_layers;", "int16_t n_gpu_layers;", "c_int16"),
        ("// C interface", "// C interfacE", "llama.h"),  # a comment: the header's hash changes
    ],
)
def test_an_edit_of_the_header_is_found(headers: Path, old: str, new: str, shown: str) -> None:
    header = headers / "include" / "llama.h"
    text = header.read_text("utf-8")
    assert old in text
    header.write_text(text.replace(old, new, 1), "utf-8")
    done = codegen("check", "--llama-cpp", headers)
    assert done.returncode == 1
    assert shown in done.stdout


def test_check_finds_an_unchanged_copy_of_the_header_up_to_date(headers: Path) -> None:
    done = codegen("check", "--llama-cpp", headers)
    assert (done.returncode, done.stdout) == (0, f"up to date with {source.pinned_tag()}\n")


def test_raw_can_be_imported_on_its_own(tmp_path: Path, headers: Path) -> None:
    out = tmp_path / "out"
    assert codegen("regen", "--llama-cpp", headers, "--out", out).returncode == 0
    written = [p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()]
    assert sorted(written) == sorted(render.GENERATED)
    program = "import _raw; print(_raw.TAG, len(_raw.FUNCTIONS)); _raw.llama_max_devices()"
    code = f"import sys; sys.path.insert(0, {str(out)!r}); {program}"
    done = run_command(sys.executable, "-I", "-c", code)
    from llama_cpp import _raw

    assert done.stdout == f"{source.pinned_tag()} {len(_raw.FUNCTIONS)}\n"
    assert "ImportError: _raw was imported on its own and has no library" in done.stderr


# -- tables of contents


def test_each_package_has_the_names_of_its_stub_and_each_once() -> None:
    for place, text in contents.stubs().items():
        package = importlib.import_module(".".join(["llama_cpp", *Path(place).parent.parts]))
        names = re.findall(r"^from \S+ import \w+ as (\w+)$", text, re.MULTILINE)
        assert sorted(n for n in names if not n.startswith("_")) == package.__all__
        assert len(set(names)) == len(names)
        assert [name for name in names if getattr(package, name, None) is None] == []


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('{"a": "Name", "b": "Other Name"}', "Name is there twice"),
        ('{"a": NAMES}', "is not plain data"),
        ('{"a": 5}', "is not plain data"),
    ],
)
def test_a_table_that_says_a_name_twice_or_computes_is_refused(
    table: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "__init__.py").write_text(f"x = contents(__name__, {table})\n")
    with pytest.raises(CodegenError, match=why):
        contents.stubs(tmp_path)


def test_an_edit_of_a_table_of_contents_is_found(project: Path) -> None:
    table = project / "llama_cpp" / "model" / "__init__.py"
    table.write_text(table.read_text().replace('"LlamaVocab"', '"LlamaVocab Invented"'))
    done = codegen("check", "--offline", cwd=project)
    assert done.returncode == 1
    assert "\n+from .vocab import Invented as Invented\n" in done.stdout
    assert done.stdout.count("\n+++ ") + done.stdout.startswith("+++ ") == 1


# -- properties


def _with_function(old: str, new: api.Function | None) -> api.Api:
    """The API with ``new`` in the place of the function ``old``, or without it."""
    base = generate.committed_apis()[0]
    functions = [new if f.name == old else f for f in base.functions]
    return replace(base, functions=tuple(f for f in functions if f is not None))


def _function(name: str) -> api.Function:
    return next(f for f in generate.committed_apis()[0].functions if f.name == name)


def test_a_property_is_what_the_header_and_the_data_say() -> None:
    text = render.render_templates(generate.committed_apis()[0])["model/_getters.py"]
    assert "def n_embd(self) -> int:" in text
    assert "def bos(self) -> int | None:" in text
    assert "def add_bos(self) -> bool:" in text
    assert "def rope_type(self) -> _raw.llama_rope_type:" in text
    assert "def rope_freq_scale_train(self) -> float:" in text
    assert "def description(self) -> str:" in text
    assert "to be looked at" not in render.report(generate.committed_apis())


def test_a_new_function_of_a_model_is_in_the_report_and_no_property() -> None:
    swa = _function("llama_model_n_swa")
    one = _with_function("llama_model_save_to_file", replace(swa, name="llama_model_n_new"))
    said = render.report([one])
    assert "### Properties of `LlamaModel` to be looked at" in said
    assert "int32_t llama_model_n_new(const struct llama_model *model)` (llama.h:" in said
    assert "n_new" not in render.render_templates(one)["model/_getters.py"]


def test_a_removed_function_is_in_the_report_and_not_a_property() -> None:
    one = _with_function("llama_model_n_swa", None)
    assert "- `llama_model_n_swa` is mentioned, and this llama.cpp does not" in render.report([one])
    assert "n_swa" not in render.render_templates(one)["model/_getters.py"]


@pytest.mark.parametrize("other", ["llama_model_cls_label", "llama_model_get_vocab"])
def test_a_function_that_is_no_property_any_more_stops_the_generator(other: str) -> None:
    one = _with_function("llama_model_n_swa", replace(_function(other), name="llama_model_n_swa"))
    with pytest.raises(
        CodegenError, match=r"llama_model_n_swa.* is not a property of LlamaModel any"
    ):
        render.render_templates(one)


# -- where a tree comes from


def test_an_environment_variable_names_the_tree(
    headers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CPP", str(headers))
    assert source.resolve().root == headers.resolve()
    assert source.resolve(tag=source.pinned_tag()).tag == source.pinned_tag()


def test_a_checkout_around_the_project_is_the_tree(
    headers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setattr(source, "PROJECT", headers / "bindings" / "python")
    assert source.resolve().root == headers


def test_a_folder_that_is_not_a_tree_is_refused(tmp_path: Path) -> None:
    done = codegen("check", "--llama-cpp", tmp_path)
    assert done.returncode == 2
    assert "is not a llama.cpp tree" in done.stderr
    assert done.stderr.count("\n") == 1


def test_declarations_that_differ_between_targets_are_left_out(headers: Path) -> None:
    header = headers / "include" / "llama.h"
    text = header.read_text("utf-8")
    header.write_text(text.replace("int32_t n_gpu_layers;", "long n_gpu_layers;", 1), "utf-8")
    done = codegen("check", "--llama-cpp", headers)
    assert "n_gpu_layers" in done.stdout  # bound for each target by itself

    header.write_text(
        text.replace(
            "int32_t n_gpu_layers;",
            "\n#ifdef _WIN32\nint16_t n_gpu_layers;\n#else\nint32_t n_gpu_layers;\n#endif\n",
            1,
        ),
        "utf-8",
    )
    done = codegen("check", "--llama-cpp", headers)
    assert done.returncode == 1
    assert re.search("llama_model_params.*(targets|only a handle)", done.stdout)  # left out


def test_parsing_reads_no_header_of_this_machine(headers: Path) -> None:
    header = headers / "include" / "llama.h"
    header.write_text("#include <sys/stat.h>\n" + header.read_text("utf-8"), "utf-8")
    done = codegen("check", "--llama-cpp", headers)
    assert done.returncode == 2
    assert done.stderr == "error: llama.h:1: 'sys/stat.h' file not found\n"


def test_all_targets_are_64_bit() -> None:
    assert len(clang.TARGETS) >= 4
    assert all(t.startswith(("x86_64", "aarch64", "arm64")) for t in clang.TARGETS)
