"""Each witness finds its kind of fault: one is planted, and `verify` names it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import calls, source, verify
from codegen.__main__ import main
from codegen.api import Api, Named, load
from codegen.clang import Unit
from codegen.render import API_JSON
from tests.support.apis import changed
from tests.support.python import ROOT

RAW = ROOT / "llama_cpp" / "_raw.py"

# Faults planted in _raw.py: pattern, replacement, the witnesses that find it, and the name in it
FAULTS = {
    "swapped fields": (
        r'(\("n_ctx", c_uint32\),)(\s*)(\("n_batch", c_uint32\),)', r"\3\2\1",
        {"ctypes", "calls"}, "n_ctx",
    ),
    "changed enum value": (
        r'"LLAMA_VOCAB_TYPE_BPE": 2\b', '"LLAMA_VOCAB_TYPE_BPE": 7',
        {"ctypes"}, "LLAMA_VOCAB_TYPE_BPE",
    ),
    "changed constant": (
        r"LLAMA_SESSION_VERSION = \d+", "LLAMA_SESSION_VERSION = 1",
        {"ctypes"}, "LLAMA_SESSION_VERSION",
    ),
    "int for size_t": (
        r'(\nggml_new_buffer: [^\n]*)c_size_t', r"\1c_int",
        {"ctypes", "calls"}, "ggml_new_buffer",
    ),
    "int for size_t as a result": (
        r"\nllama_max_devices: c_size_t", "\nllama_max_devices: c_int",
        {"ctypes", "calls"}, "llama_max_devices",
    ),
    "float for double": (
        r'(\nggml_set_f32: [^\n]*?)c_float', r"\1c_double",
        {"ctypes", "calls"}, "ggml_set_f32",
    ),
    "lost parameter": (
        r"(\nllama_n_ctx: c_uint32), llama_context", r"\1",
        {"ctypes", "calls"}, "llama_n_ctx",
    ),
    "renamed function": (
        r"\nllama_decode: ", "\nllama_decoded: ",
        {"ctypes", "calls"}, "llama_decode",
    ),
    "small float struct as bytes": (
        r"ggml_opt_optimizer_params_sgd\._fields_ = \(.*?\n\)",
        'ggml_opt_optimizer_params_sgd._fields_ = (("alpha", c_int), ("wd", c_int))',
        {"ctypes", "calls"}, "sgd",
    ),
    "callback with another parameter": (
        r"llama_progress_callback = CFUNCTYPE\(c_bool, c_float,",
        "llama_progress_callback = CFUNCTYPE(c_bool, c_double,",
        {"calls"}, "llama_progress_callback",
    ),
    "callback with another result": (
        r"ggml_abort_callback = CFUNCTYPE\(c_bool,", "ggml_abort_callback = CFUNCTYPE(None,",
        {"calls"}, "ggml_abort_callback",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Api:
    return load(API_JSON)


@pytest.fixture(scope="module")
def unit() -> Unit:
    return source.resolve(tag=source.pinned_tag()).unit


def test_that_all_agree_on_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--tag", source.pinned_tag()]) == 0
    out = capsys.readouterr().out
    for witness in ("compiler", "ctypes", "calls"):
        assert f"{witness}: agrees" in out
    assert not re.search(r"\b0 functions", out)


@pytest.mark.parametrize("fault", FAULTS)
def test_that_a_fault_in_the_module_is_named(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern, replacement, witnesses, name = FAULTS[fault]
    text, count = re.subn(pattern, replacement, RAW.read_text("utf-8"), count=1, flags=re.DOTALL)
    assert count == 1
    planted = tmp_path / "_raw.py"
    planted.write_text(text, "utf-8")
    tag = source.pinned_tag()
    assert main(["verify", "--tag", tag, "--raw", str(planted), "--without", "compiler"]) == 1
    out = capsys.readouterr().out
    for witness in ("ctypes", "calls"):
        _, found, rest = out.partition(f"{witness}: ")
        assert found
        said = rest.partition("\ncalls: ")[0] if witness == "ctypes" else rest
        assert ("FAULT" in said and name in said) == (witness in witnesses), said


def _swapped(api: Api) -> Api:
    struct = next(s for s in api.structs if s.name == "llama_context_params")
    first, second, *rest = struct.fields
    assert first.size == second.size
    fields = (replace(first, name=second.name), replace(second, name=first.name), *rest)
    return changed(api, "structs", struct.name, fields=fields)


def _int_for_size(api: Api) -> Api:
    function = next(f for f in api.functions if f.name == "ggml_new_buffer")
    params = tuple(
        replace(p, type=Named("int")) if p.type == Named("size_t") else p for p in function.params
    )
    return changed(api, "functions", function.name, params=params)


def _enum_value(api: Api) -> Api:
    enum = next(e for e in api.enums if e.name == "llama_vocab_type")
    constants = tuple((n, v + (n == "LLAMA_VOCAB_TYPE_BPE")) for n, v in enum.constants)
    return changed(api, "enums", enum.name, constants=constants)


def _callback(api: Api) -> Api:
    typedef = next(t for t in api.typedefs if t.name == "ggml_abort_callback")
    other = next(t for t in api.typedefs if t.name == "llama_progress_callback")
    return changed(api, "typedefs", typedef.name, type=other.type)


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        (_swapped, "llama_context_params.n_ctx: offset"),
        (_enum_value, "LLAMA_VOCAB_TYPE_BPE"),
        (_int_for_size, "ggml_new_buffer: "),
        (_callback, "ggml_abort_callback: type"),
        (lambda api: changed(api, "functions", "llama_decode", name="llama_dec"), "llama_dec"),
        (lambda api: changed(api, "macros", "GGUF_MAGIC", value="GGUG"), "GGUF_MAGIC"),
        (lambda api: changed(api, "macros", "GGUF_VERSION", value=1), "GGUF_VERSION"),
        (lambda api: changed(api, "macros", "GGML_TENSOR_SIZE", value=1), "GGML_TENSOR_SIZE"),
        (lambda api: changed(api, "structs", "llama_batch", size=64), "llama_batch: size"),
        (lambda api: changed(api, "structs", "llama_batch", align=4), "llama_batch: alignment"),
        (lambda api: changed(api, "functions", "llama_n_ctx", result=Named("int")), "llama_n_ctx"),
    ],
)  # fmt: skip
def test_that_the_compiler_names_a_fault_in_the_api(
    plant: object, name: str, api: Api, unit: Unit
) -> None:
    assert verify.by_compiler(api, unit).faults == []
    report = verify.by_compiler(plant(api), unit)  # type: ignore[operator]
    assert any(name in fault for fault in report.faults), report.faults
    assert "FAULT" in str(report)


def test_that_the_library_names_a_function_that_it_lacks(api: Api) -> None:
    from llama_cpp import LlamaLibrary

    library = LlamaLibrary.default().path
    assert verify.by_library(api, library).faults == []
    renamed = changed(api, "functions", "llama_decode", name="llama_decoded")
    faults = verify.by_library(renamed, library).faults
    assert len(faults) == 1
    assert "llama_decoded" in faults[0]


def test_that_a_missing_compiler_is_a_fault(
    unit: Unit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    tag = source.pinned_tag()
    assert main(["verify", "--tag", tag]) == 1
    assert "there is no C compiler" in capsys.readouterr().out
    assert main(["verify", "--tag", tag, "--without", "compiler", "--without", "calls"]) == 0


def test_that_every_callback_and_struct_is_called(api: Api, unit: Unit) -> None:
    report = calls.by_calls(api, unit, RAW)
    assert report.faults == []
    functions, callbacks = calls.signatures(api)
    assert report.counts["functions"] == len(functions) == len(api.functions)
    assert report.counts["callback types called from Python"] == len(callbacks)
    structs = [s for s in callbacks if str(s.type.result).startswith("struct ")]
    assert report.counts["callback types called from C"] == len(callbacks) - len(structs)


def test_that_a_crash_is_a_fault(unit: Unit, api: Api, tmp_path: Path) -> None:
    text = RAW.read_text("utf-8")
    planted = tmp_path / "_raw.py"
    text += "import os\nFUNCTIONS = type('F', (), {'get': lambda self, name: os.abort()})()\n"
    planted.write_text(text, "utf-8")
    faults = calls.by_calls(api, unit, planted).faults
    assert len(faults) == 1
    assert "the process ended with -6" in faults[0]
