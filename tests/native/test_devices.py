"""The devices of a library, and which of them a model is loaded on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from llama_cpp import LlamaLibrary, LlamaModel, _raw, devices
from llama_cpp.model import LlamaDevice
from tests.support.python import run_example, run_program, run_python

KIND = _raw.ggml_backend_dev_type_enum


def test_the_devices_have_a_cpu_with_memory(library: LlamaLibrary) -> None:
    found = devices(library)
    assert len({device.name for device in found}) == len(found)
    (cpu,) = (device for device in found if device.type is KIND.GGML_BACKEND_DEVICE_TYPE_CPU)
    assert (cpu.name, cpu.buffer_type) == ("CPU", "CPU")
    assert cpu.description
    assert cpu.memory_total > 1 << 30
    assert 0 < cpu.memory_free <= cpu.memory_total
    assert cpu.library is library
    assert "'CPU'" in repr(cpu)


def test_devices_are_equal_by_name_and_library() -> None:
    assert devices() == devices()
    assert len({*devices(), *devices()}) == len(devices())
    assert devices()[0] != "CPU"


def test_a_model_goes_where_it_is_told(tiny_path: Callable[..., Path]) -> None:
    for chosen in ([], ["CPU"], devices()):
        model = LlamaModel.from_file(tiny_path("llama"), devices=chosen)
        assert model.n_layer == 2


def test_a_device_of_another_library_is_refused(
    tiny_path: Callable[..., Path], library: LlamaLibrary, tmp_path: Path
) -> None:
    for file in library.path.parent.glob("*.*"):
        shutil.copy(file, tmp_path)
    done = run_program("devices_of_two_libraries", tmp_path, tiny_path("llama"))
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "True False"
    assert f"is of another library: {tmp_path}" in second


def test_a_device_keeps_its_library() -> None:
    code = """if True:
        import gc
        from llama_cpp import LlamaLibrary, devices
        device = devices(LlamaLibrary())[0]
        gc.collect()
        print(device.memory_total > 0, isinstance(device.library, LlamaLibrary))
    """
    assert run_python(code) == (0, "True True\n", "")


def test_the_class_is_exported() -> None:
    assert isinstance(devices()[0], LlamaDevice)


def test_the_example_lists_them(model_path: Path) -> None:
    done = run_example("devices", "-m", model_path, "--device", "CPU")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^CPU +CPU +\d+ of \d+ MiB free, ", done.stdout, re.MULTILINE)
    assert re.search(r"^CPU +-?\d+ MiB taken$", done.stdout, re.MULTILINE)
