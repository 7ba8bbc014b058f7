"""Headers that are broken or mean harm: one clear line and exit code 2, or a correct result."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

from codegen import render, source, verify
from codegen.__main__ import main
from codegen.clang import TARGETS
from codegen.errors import CodegenError
from codegen.parse import parse
from tests.support.python import codegen


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A llama.cpp tree as small as one can be."""
    root = tmp_path / "tree"
    (root / "include").mkdir(parents=True)
    (root / "ggml" / "include").mkdir(parents=True)
    (root / "ggml" / "include" / "ggml.h").write_text("#pragma once\nint ggml(void);\n")
    _write(root, '#include "ggml.h"\nint llama(void);\n')
    return root


def _write(tree: Path, text: str) -> None:
    (tree / "include" / "llama.h").write_text(text, "utf-8")


def _regen(tree: Path) -> int:
    return main(["regen", "--llama-cpp", str(tree), "--out", str(tree.parent / "out")])


def _refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the generator, which must refuse; returns its message."""
    assert _regen(tree) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) < 400
    assert not (tree.parent / "out").exists()
    return err


def test_that_the_small_tree_itself_is_fine(tree: Path) -> None:
    assert _regen(tree) == 0
    assert "llama" in verify.import_raw(tree.parent / "out" / "_raw.py").FUNCTIONS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('#include "nowhere.h"\n', "llama.h:1: 'nowhere.h' file not found"),
        ("#include <unistd.h>\n", "llama.h:1: 'unistd.h' file not found"),
        ("#include nothing\n", "llama.h:1: expected"),
        ("int f(void)\nint g(void);\n", "llama.h:1: expected ';' after"),
        ("int f(unknown_t x);\n", "llama.h:1: unknown type name 'unknown_t'"),
        ("struct s { int x;\n", "llama.h:1: expected '}'"),
        ("int f(int\n", "llama.h:1: expected"),
        ("#ifndef LLAMA_H\nint f(void);\n", "llama.h:1: unterminated conditional directive"),
        ("#endif\n", "llama.h:1: #endif without #if"),
        ("/* no end\n", "llama.h:1: unterminated /* comment"),
        ("class llama { public: int x; };\n", "llama.h:1: unknown type name 'class'"),
        ("template <typename T> T f(T);\n", "llama.h:1: unknown type name 'template'"),
        ("namespace llama { int f(); }\n", "llama.h:1: unknown type name 'namespace'"),
        ('#error "one\\n two"\n', "llama.h:1: "),
        ('#include "llama.h"\nint f(void);\n', "llama.h:1: #include nested too deeply"),
        ("", "llama.h: the header declares nothing"),
        ("int f(void);\nint f(int x);\n", "llama.h:2: conflicting types for 'f'"),
        ("struct s { struct s inside; };\n", "llama.h:1: field has incomplete type"),
        ("enum e { A, A };\n", "llama.h:1: redefinition of enumerator 'A'"),
        ("int a[-1];\n", "llama.h:1: "),
        ("_Static_assert(0, \"no\\n\\\"\\\"\\\"\");\n", "llama.h:1: static assertion failed"),
        ("int " + "(" * 5000 + "f" + ")" * 5000 + ";\n", "llama.h:1: bracket nesting level"),
        ("int " + "*" * 3000 + "f(void);\n", "deeply"),
    ],
)  # fmt: skip
def test_that_an_error_in_the_header_is_one_line(
    tree: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tree, text)
    assert said in _refused(tree, capsys)


def test_that_a_long_chain_of_names_is_followed_to_its_end(tree: Path) -> None:
    chain = "".join(f"typedef t{i} t{i + 1};\n" for i in range(3000))
    _write(tree, f"int plain(void);\ntypedef int t0;\n{chain}int last(t3000 x);\n")
    assert _regen(tree) == 0
    module = verify.import_raw(tree.parent / "out" / "_raw.py")
    assert {"plain", "last"} <= module.FUNCTIONS.keys()


def test_that_an_endless_chain_of_includes_ends(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tree, '#include "ggml.h"\n')
    (tree / "ggml" / "include" / "ggml.h").write_text('#include "llama.h"\n')
    assert "#include nested too deeply" in _refused(tree, capsys)


def _llama_h() -> bytes:
    root = source.fetch_headers(source.pinned_tag())
    return (root / "include" / "llama.h").read_bytes()


@pytest.mark.parametrize("part", range(30))
def test_that_a_cut_header_is_refused(
    tree: Path, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    header = _llama_h()
    root = source.fetch_headers(source.pinned_tag())
    for path in (root / "ggml" / "include").glob("*.h"):
        (tree / "ggml" / "include" / path.name).write_bytes(path.read_bytes())
    # Any place before the last #endif, which closes the guard around all.
    cut = header.rindex(b"#endif") * (part + 1) // 30 - part
    (tree / "include" / "llama.h").write_bytes(header[:cut])
    assert "llama.h" in _refused(tree, capsys)


@pytest.mark.parametrize("seed", range(5))
def test_that_binary_junk_is_refused(
    tree: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "include" / "llama.h").write_bytes(random.Random(seed).randbytes(20_000))
    _refused(tree, capsys)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_that_another_encoding_is_refused(
    tree: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "include" / "llama.h").write_bytes("int f(void);\n".encode(encoding))
    _refused(tree, capsys)


@pytest.mark.parametrize(
    "name", ["odd name.h", "quote'.h", '"""\\nimport os\\n""".h', "ünicode.h", "tab\t.h", "$(id).h"]
)
def test_that_a_header_with_an_odd_name_is_refused(
    tree: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "include" / name).write_text("int f(void);\n")
    _write(tree, f"#include <{name}>\n")
    assert "cannot be called" in _refused(tree, capsys)


def test_that_a_header_that_is_a_folder_is_refused(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "include" / "part.h").mkdir()
    _write(tree, '#include "part.h"\n')
    assert "llama.h:1: 'part.h' file not found" in _refused(tree, capsys)


def test_that_a_main_header_that_is_a_folder_is_refused(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "include" / "llama.h").unlink()
    (tree / "include" / "llama.h").mkdir()
    assert "is not a llama.cpp tree" in _refused(tree, capsys)


@pytest.mark.parametrize(
    ("target", "said"), [("nowhere", "not found"), ("part.h", "Too many levels")]
)
def test_that_an_unreadable_header_is_refused(
    tree: Path, target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # A dangling link and a link to itself: even root cannot read these.
    (tree / "include" / "part.h").symlink_to(target)
    _write(tree, '#include "part.h"\n')
    text = _refused(tree, capsys)
    assert text.startswith("error: llama.h:1: ")
    assert said in text


@pytest.mark.parametrize("name", ["", "nowhere", "file"])
def test_that_what_is_no_tree_is_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "tree").mkdir()
    assert main(["regen", "--llama-cpp", str(tmp_path / "tree" / name), "--out", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_that_a_tree_with_an_odd_path_works(tmp_path: Path, tree: Path) -> None:
    odd = tmp_path / "a \"b\" 'c' ü\n#d"
    tree.rename(odd)
    assert _regen(odd) == 0


HOSTILE_STRINGS = [
    '"', "'", '"""', "'''", "\\", '\\\\"', "\n", "\r\n", "\t", "*/", "/*", "//", "{{ 1 }}",
    "{% raw %}", "{# #}", "${x}", "`id`", "%s%n", '"""\nimport os\nos.abort()\n"""',
    "'); __import__('os').abort(); ('", "# seal: b1 sha256:0", "\u2028", "\u202e", "\U0001f600",
    "\x7f", "\\N{BULLET}", "\\x41", "?" "?/", "</script>",
]  # fmt: skip


def _c_string(text: str) -> str:
    # A deprecation takes the simple escapes only, and `??/` would be a backslash.
    simple = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "?": "\\?"}
    return '"' + "".join(simple.get(c, c) for c in text) + '"'


def test_that_strings_arrive_as_they_are(tree: Path) -> None:
    lines = [f"#define S{i} {_c_string(text)}" for i, text in enumerate(HOSTILE_STRINGS)]
    _write(tree, "\n".join(lines) + "\nint f(void);\n")
    assert _regen(tree) == 0
    module = verify.import_raw(tree.parent / "out" / "_raw.py")
    for i, text in enumerate(HOSTILE_STRINGS):
        assert getattr(module, f"S{i}") == text
    # The C compiler reads the same in the assertions made of them.
    unit = source.resolve(folder=str(tree)).unit
    assert verify.by_compiler(parse(unit, "b0"), unit).faults == []


@pytest.mark.parametrize("hint", [text for text in HOSTILE_STRINGS if text])
def test_that_the_text_of_a_deprecation_goes_nowhere(tree: Path, hint: str) -> None:
    text = f"use __import__('os').abort() {hint} use llama"
    _write(
        tree, f"int llama(void);\n__attribute__((deprecated({_c_string(text)}))) int old(void);\n"
    )
    assert _regen(tree) == 0
    module = verify.import_raw(tree.parent / "out" / "_raw.py")
    assert module.DEPRECATED == {"old": None}
    written = [path for path in (tree.parent / "out").rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert "abort" not in path.read_text("utf-8")


# Names that a parameter, field, macro, type and constant may have without breaking the module
NAMES = [
    "CFUNCTYPE", "POINTER", "Structure", "Union", "Function", "TAG", "_enum", "c_int", "c_void_p",
    "FUNCTIONS", "DEPRECATED", "DEFAULTS", "HEADERS", "warnings", "name", "self", "library",
    "default_library", "_none_if_null", "IntEnum", "IntFlag", "globals", "getattr",
    "isinstance", "issubclass", "type", "object", "property", "staticmethod", "print", "exec",
    "eval", "__import__", "__name__", "__doc__", "__file__", "__builtins__", "int_", "bytes", "str",
    "None", "True", "False", "class", "lambda", "async", "match", "import", "ImportError", "FILE_",
    "Any", "Callable", "Final", "deprecated", "LibraryFunctions", "_Field", "_T", "f", "tuple",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_that_names_of_the_module_are_safe(tree: Path, name: str) -> None:
    """Each may be anything but a function; then it has that name, or is refused by it."""
    kinds = {
        "parameter": f"int call(int {name});",
        "field": f"struct s {{ int {name}; }}; int call(struct s x);",
        "macro": f"#define {name} 3\nint call(int x);",
        "constant": f"enum e {{ {name} = 3 }}; int call(enum e x);",
        "struct": f"struct {name} {{ int x; }}; int call(struct {name} x);",
        "handle": f"struct {name}; int call(struct {name} * x);",
        "typedef": f"typedef int {name}; int call({name} x);",
        "callback": f"typedef int (*{name})(int); int call({name} x);",
        "enum": f"enum {name} {{ A }}; int call(enum {name} x);",
        "function": f"int {name}(int x); int call(int x);",
    }
    unit = source.resolve(folder=str(tree)).unit
    raw = tree / "_raw.py"
    for text in kinds.values():
        _write(tree, text + "\n")
        refusal = ""
        try:
            api = parse(unit, "b0", TARGETS[:1])
            files = render.render_templates(api)
        except CodegenError as error:
            refusal = str(error)
        if refusal:
            assert refusal.startswith("llama.h:")
            assert name in refusal
            continue
        raw.write_text(files["_raw.py"], "utf-8")
        module = verify.import_raw(raw)
        assert verify.by_ctypes(api, module).faults == []
        assert list(module.FUNCTIONS)[-1] == "call"
        assert isinstance(module.call, module.Function) or name == "Function"
        assert module.FUNCTIONS["call"].argtypes
        with pytest.raises(ImportError, match="on its own"):
            module.FUNCTIONS["call"]()
        for file in files.values():
            ast.parse(file)


def test_that_the_command_itself_prints_one_line(tree: Path) -> None:
    _write(tree, "int f(\n")
    done = codegen("regen", "--llama-cpp", tree, "--out", tree / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: llama.h:1: expected")
    assert done.stderr.count("\n") == 1
