"""Installing the engine: releases from a local server, builds from small CMake projects."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import _raw, engine
from llama_cpp.engine import building as _engine_build
from llama_cpp.engine import command
from llama_cpp.engine import find as _installed
from llama_cpp.errors import LlamaDownloadError, LlamaEngineError, LlamaHashError
from tests.support.httpserver import Served, serve
from tests.support.python import PROGRAMS, run_command

TAG = "b11434"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses shell scripts as programs")

SERVER = b'#!/bin/sh\n[ -f "$(dirname "$0")/libllama.so.0" ] && echo \'version: 1 (fake)\'\n'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LLAMA_PY_RELEASES", "LLAMA_PY_RELEASES_API", "CC", "CXX", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path / "cache" / "llama-py"


def release_file(server: bytes = SERVER, top: str = f"llama-{TAG}") -> bytes:
    """A release archive, laid out as upstream's: everything in one folder, links kept."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (
            ("llama-server", server),
            ("libllama.so.0.6.0", b"library"),
            ("libggml-cpu-haswell.so", b"library"),
            ("LICENSE", b"MIT"),
        ):
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content)
            info.mode = 0o755
            tar.addfile(info, io.BytesIO(content))
        for name, target in (
            ("libllama.so", "libllama.so.0"),
            ("libllama.so.0", "libllama.so.0.6.0"),
        ):
            info = tarfile.TarInfo(f"{top}/{name}")
            info.type = tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(info)
    return buffer.getvalue()


class Upstream:
    """The release page and the files, on one local server."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.asset = f"llama-{TAG}-bin-ubuntu-x64.tar.gz"
        self.offer(release_file())

    def offer(self, content: bytes, digest: str | None = "right", name: str | None = None) -> None:
        if digest == "right":
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        asset = {"name": name or self.asset, "digest": digest}
        other = {"name": "cudart.zip", "digest": None}
        page = {"tag_name": TAG, "assets": [other, asset]}
        self.served.files[f"/api/{TAG}"] = json.dumps(page).encode()
        self.served.files[f"/files/{TAG}/{self.asset}"] = content


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    with serve() as served:
        monkeypatch.setenv("LLAMA_PY_RELEASES", f"{served.url}/files")
        monkeypatch.setenv("LLAMA_PY_RELEASES_API", f"{served.url}/api/")
        yield Upstream(served)


def leftovers(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / TAG).iterdir() if p.name != ".engine.lock")


# --- releases ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "machine", "backend", "asset"),
    [
        ("linux", "x86_64", None, "llama-b1-bin-ubuntu-x64.tar.gz"),
        ("linux", "aarch64", None, "llama-b1-bin-ubuntu-arm64.tar.gz"),
        ("linux", "s390x", None, "llama-b1-bin-ubuntu-s390x.tar.gz"),
        ("linux", "x86_64", "vulkan", "llama-b1-bin-ubuntu-vulkan-x64.tar.gz"),
        ("darwin", "arm64", None, "llama-b1-bin-macos-arm64.tar.gz"),
        ("darwin", "x86_64", None, "llama-b1-bin-macos-x64.tar.gz"),
        ("win32", "AMD64", None, "llama-b1-bin-win-cpu-x64.zip"),
        ("win32", "ARM64", None, "llama-b1-bin-win-cpu-arm64.zip"),
        ("win32", "AMD64", "vulkan", "llama-b1-bin-win-vulkan-x64.zip"),
        ("linux", "x86_64", "cuda", "llama-b1-bin-ubuntu-cuda-*-x64.tar.gz"),
        ("linux", "aarch64", "cuda-13.4", "llama-b1-bin-ubuntu-cuda-13.4-arm64.tar.gz"),
        ("linux", "x86_64", "hip", "llama-b1-bin-ubuntu-rocm-*-x64.tar.gz"),
        ("linux", "x86_64", "sycl", "llama-b1-bin-ubuntu-sycl-fp32-x64.tar.gz"),
        ("linux", "x86_64", "sycl-fp16", "llama-b1-bin-ubuntu-sycl-fp16-x64.tar.gz"),
        ("win32", "AMD64", "cuda-12.4", "llama-b1-bin-win-cuda-12.4-x64.zip"),
        ("win32", "AMD64", "hip", "llama-b1-bin-win-rocm-*-x64.zip"),
        ("win32", "AMD64", "sycl", "llama-b1-bin-win-sycl-x64.zip"),
        ("darwin", "arm64", "metal", "llama-b1-bin-macos-arm64.tar.gz"),
        ("linux", "riscv64", None, None),
        ("freebsd14", "amd64", None, None),
        ("linux", "aarch64", "hip", None),
        ("linux", "x86_64", "metal", None),
        ("darwin", "x86_64", "metal", None),
        ("darwin", "arm64", "vulkan", None),
    ],
)
def test_release_files_are_named_as_upstream_names_them(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    backend: str | None,
    asset: str | None,
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    if asset is not None:
        assert engine.release_asset("b1", backend) == asset
        return
    with pytest.raises(LlamaEngineError, match="no release binaries"):
        engine.release_asset("b1", backend)


def test_install_release(upstream: Upstream, cache: Path) -> None:
    folder = engine.install_release(TAG)
    assert folder == cache / TAG / "engine" == engine.engine_dir(TAG)
    assert sorted(p.name for p in folder.iterdir()) == [
        "LICENSE",
        "engine.json",
        "libggml-cpu-haswell.so",
        "libllama.so",
        "libllama.so.0",
        "libllama.so.0.6.0",
        "llama-server",
    ]
    assert (folder / "libllama.so").readlink() == Path("libllama.so.0")
    info = engine.engine_info(folder)
    assert info is not None
    assert (info.tag, info.origin, info.version) == (TAG, "release", "version: 1 (fake)")
    assert info.source == f"{upstream.served.url}/files/{TAG}/{upstream.asset}"
    assert leftovers(cache) == ["engine"]
    seen = len(upstream.served.requests)
    assert engine.install_release(TAG) == folder
    assert len(upstream.served.requests) == seen


def test_arguments_go_before_the_environment(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, api = os.environ["LLAMA_PY_RELEASES"], os.environ["LLAMA_PY_RELEASES_API"]
    monkeypatch.setenv("LLAMA_PY_RELEASES", "http://127.0.0.1:9")
    monkeypatch.setenv("LLAMA_PY_RELEASES_API", "http://127.0.0.1:9")
    engine.install_release(TAG, base_url=files, api_url=api)


ASSET = f"llama-{TAG}-bin-ubuntu-x64.tar.gz"
CANNOT_RUN = release_file(b"#!/bin/sh\necho 'GLIBC_9.9 not found' >&2\nexit 1\n")
NO_DIGEST = (LlamaDownloadError, "states no SHA-256")
NO_RELEASE = (LlamaDownloadError, "not a release description")
# The offered file, or a path with its replaced contents
WRONG_RELEASES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"digest": "sha256:" + "0" * 64}, LlamaHashError, "expected SHA-256 0000"),
    *(({"digest": digest}, *NO_DIGEST) for digest in (None, "", "md5:abc", "sha256:")),
    ({"name": "llama-other.tar.gz"}, LlamaDownloadError, f"has no file {ASSET}"),
    ({"content": CANNOT_RUN}, LlamaEngineError, r"does not run .*GLIBC_9\.9 not found"),
    ({"content": b"\x7fELFnot really"}, LlamaDownloadError, "cannot unpack"),
    ({"content": release_file(b"\x7fELFnot really")}, LlamaEngineError, "does not start"),
    *(
        ({f"/api/{TAG}": page}, *NO_RELEASE)
        for page in (b"<html>", b"[]", b"{}", b'{"assets": [1]}', b"\xff")
    ),
    ({f"/api/{TAG}": None}, LlamaDownloadError, "404"),
    ({f"/files/{TAG}/{ASSET}": None}, LlamaDownloadError, "404"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG_RELEASES)
def test_a_release_that_is_wrong_is_not_installed(
    upstream: Upstream, cache: Path, wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    if wrong.keys() & {"content", "digest", "name"}:
        upstream.offer(**{"content": release_file(), **wrong})
    else:
        upstream.served.files |= wrong
        upstream.served.files = {k: v for k, v in upstream.served.files.items() if v is not None}
    with pytest.raises(error, match=message):
        engine.install_release(TAG)
    fetched = f"/files/{TAG}/{upstream.asset}" in [path for path, _ in upstream.served.requests]
    assert not fetched or message != NO_DIGEST[1]
    assert leftovers(cache) == []
    assert engine.engine_dir(TAG) is None


def archive_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(f"folder/{name}")
        tar.addfile(info, io.BytesIO())
    return buffer.getvalue()


def test_cuda_is_the_newest_with_its_libraries_or_the_one_that_is_named(
    upstream: Upstream, cache: Path
) -> None:
    names = [f"llama-{TAG}-bin-ubuntu-cuda-{v}-x64.tar.gz" for v in ("9.9", "13.4", "12.8")]
    files = {name: release_file() for name in names}
    files[f"cudart-{names[1]}"] = archive_of("libcudart.so.13")
    page = [
        {"name": name, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
        for name, content in files.items()
    ]
    upstream.served.files[f"/api/{TAG}"] = json.dumps({"tag_name": TAG, "assets": page}).encode()
    upstream.served.files |= {f"/files/{TAG}/{name}": data for name, data in files.items()}

    folder = engine.install_release(TAG, backend="cuda")
    assert folder == cache / TAG / "engine-cuda" == engine.engine_dir(TAG, "cuda")
    assert {"libcudart.so.13", "libllama.so", "llama-server"} < {p.name for p in folder.iterdir()}
    info = engine.engine_info(folder)
    assert info is not None
    assert info.source.endswith(names[1])
    assert _installed.preferred_engine(TAG) == folder
    assert engine.engine_dir(TAG) is None

    assert engine.install_release(TAG, backend="cuda-12.8") == folder
    info = engine.engine_info(folder)
    assert info is not None
    assert (info.backend, info.source.rpartition("/")[2]) == ("cuda-12.8", names[2])
    assert not (folder / "libcudart.so.13").exists()
    seen = len(upstream.served.requests)
    assert engine.install_release(TAG, backend="cuda") == folder, "any of CUDA was asked for"
    assert len(upstream.served.requests) == seen

    with pytest.raises(LlamaDownloadError, match=r"cuda-11\.0.*it has .*cuda-12\.8"):
        engine.install_release(TAG, backend="cuda-11.0")


def test_an_engine_with_a_gpu_goes_before_the_one_in_the_package(
    upstream: Upstream, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = engine.install_release(TAG)
    assert _installed.preferred_engine(TAG) == plain
    monkeypatch.setattr(_installed, "__file__", str(tmp_path / "engine" / "find.py"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libllama.so").touch()
    assert _installed.preferred_engine(TAG) == tmp_path / "lib"
    upstream.asset = f"llama-{TAG}-bin-ubuntu-vulkan-x64.tar.gz"
    upstream.offer(release_file())
    assert engine.main(["install", "--tag", TAG, "--backend", "vulkan"]) == 0
    assert _installed.preferred_engine(TAG) == cache / TAG / "engine-vulkan"
    assert engine.main(["where", "--tag", TAG, "--backend", "vulkan"]) == 0
    assert len(_installed.installed_engines()) == 2


def test_where_names_the_engine_that_is_loaded(
    upstream: Upstream, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.asset = f"llama-{TAG}-bin-ubuntu-vulkan-x64.tar.gz"
    upstream.offer(release_file())
    with_gpu = engine.install_release(TAG, backend="vulkan")
    for arguments in (["--tag", TAG], ["--tag", TAG, "--backend", "vulkan"]):
        assert engine.main(["where", *arguments]) == 0
        assert capsys.readouterr().out == f"{with_gpu}\n"
    shutil.copytree(with_gpu.parent, cache / "b1")
    assert engine.main(["where", "--tag", "b1"]) == 0
    assert capsys.readouterr().out == f"{cache / 'b1' / with_gpu.name}\n"


@pytest.mark.parametrize("tag", ["", "../x", "a/b", ".hidden", "b1 x"])
def test_a_tag_cannot_lead_out_of_the_cache(tag: str) -> None:
    with pytest.raises(LlamaEngineError, match=r"not a llama\.cpp tag"):
        engine.engine_dir(tag)


# --- which CPU --------------------------------------------------------------------------------


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "engine.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_engine_tuned_for_another_cpu_is_not_used_but_replaced(
    upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = engine.install_release(TAG)
    rewrite(folder, origin="source", cpu_features=["avx9000"])
    assert engine.engine_dir(TAG) is None
    assert engine.main(["where", "--tag", TAG]) == 1
    assert "another CPU" in capsys.readouterr().err
    engine.install_release(TAG)
    assert "lacks avx9000" in capsys.readouterr().err
    info = engine.engine_info(folder)
    assert info is not None
    assert info.origin == "release"


def test_an_engine_tuned_for_this_cpu_is_used(upstream: Upstream) -> None:
    folder = engine.install_release(TAG)
    assert engine.cpu_features()
    rewrite(folder, cpu_features=sorted(engine.cpu_features()))
    assert engine.engine_dir(TAG) == folder


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_manifest_that_cannot_be_read_means_not_installed(upstream: Upstream, text: str) -> None:
    folder = engine.install_release(TAG)
    (folder / "engine.json").write_text(text)
    assert engine.engine_dir(TAG) is None
    assert engine.install_release(TAG) == folder
    assert engine.engine_dir(TAG) == folder


def test_cpu_features_of_a_mac() -> None:
    intel = "machdep.cpu.features: FPU SSE4.2 AVX1.0\nmachdep.cpu.leaf7_features: AVX2 SMEP\n"
    arm = "hw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_SME: 0\nhw.ncpu: 8\n"
    assert _installed._darwin_features(intel) == {"sse4.2", "avx1.0", "avx2"}
    assert _installed._darwin_features(arm) == {"FEAT_I8MM"}


# --- building ---------------------------------------------------------------------------------

# A minimal tree with the parts that engine.py expects of llama.cpp.
PROJECT = """
cmake_minimum_required(VERSION 3.14...3.28)
project("llama.cpp" C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_library(llama llama.cpp)
set_target_properties(llama PROPERTIES VERSION 0.6.0 SOVERSION 0)
add_library(mtmd mtmd.cpp)
add_library(llama-common one.cpp two.cpp)
add_executable(llama-server server.cpp)
target_link_libraries(llama-server llama llama-common)
add_executable(ggml-rpc-server server.cpp)
target_link_libraries(ggml-rpc-server llama llama-common)
"""
SOURCES = {
    "CMakeLists.txt": PROJECT,
    "include/llama.h": "",
    "llama.cpp": "int f() { return 0; }\n",
    "mtmd.cpp": "int h() { return 0; }\n",
    "one.cpp": "static int same = 0; int one() { return same; }\n",
    "two.cpp": "static int other = 0; int two() { return other; }\n",
    "server.cpp": '#include <cstdio>\nint f(); int one(); int two();\nint main() { puts("version: '
    '7"); return f() + one() + two(); }\n',
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source of it"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_build(source: Path, cache: Path, tmp_path: Path) -> None:
    folder = engine.build(source, TAG)
    assert folder == engine.engine_dir(TAG)
    info = engine.engine_info(folder)
    assert info is not None
    assert (info.origin, info.version) == ("source", "version: 7")
    assert info.compiler
    assert "-DGGML_NATIVE=ON" in info.options
    assert set(info.cpu_features) == engine.cpu_features()
    assert sorted(p.name for p in folder.iterdir()) == [
        "engine.json",
        "ggml-rpc-server",
        "include",
        "libllama-common.so",
        "libllama.so",
        "libllama.so.0",
        "libllama.so.0.6.0",
        "libmtmd.so",
        "llama-server",
    ]
    assert leftovers(cache) == ["engine", "engine-build.log"]
    assert "unity_0" in (cache / TAG / "engine-build.log").read_text()
    # The folder works wherever it is put.
    moved = folder.rename(tmp_path / "elsewhere")
    done = subprocess.run([moved / "llama-server"], capture_output=True, text=True, check=True)
    assert done.stdout == "version: 7\n"


def test_sources_that_clash_in_a_group_are_compiled_one_by_one(
    source: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "two.cpp").write_text("static int same = 0; int two() { return same; }\n")
    engine.build(source, TAG)
    assert "compiling llama-common's one by one" in capsys.readouterr().err
    assert engine.engine_dir(TAG)
    # The groups of the other targets stay, and so do their finished files.
    again = (cache / TAG / "engine-build.log").read_text().rpartition("LLAMA_PY_APART")[2]
    assert "/one.cpp.o" in again
    assert "mtmd.dir/mtmd.cpp.o" not in again


AMX = """
#include <immintrin.h>
struct Config { unsigned char palette, start, rest[14]; short widths[16]; unsigned char rows[16]; };
void configure() {
    alignas(64) Config config = {};
    config.palette = 1;
    for (int i = 0; i < 8; i++) config.rows[i] = 'Z';
    _tile_loadconfig(&config);
}
"""
AMX_PROJECT = """
add_library(ggml-cpu STATIC ggml-cpu/amx/mmq.cpp)
target_compile_options(ggml-cpu PRIVATE -mamx-tile)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is a part of x86-64")
def test_the_compiler_keeps_the_whole_configuration_of_amx(source: Path, tmp_path: Path) -> None:
    """GCC 12.2 left all of it out but the first 8 bytes: then a prompt ends the process."""
    (source / "ggml/src/ggml-cpu/amx").mkdir(parents=True)
    (source / "ggml/src/ggml-cpu/amx/mmq.cpp").write_text(AMX)
    (source / "ggml/src/CMakeLists.txt").write_text(AMX_PROJECT)
    (source / "CMakeLists.txt").write_text(PROJECT + "add_subdirectory(ggml/src)\n")
    tree, options = tmp_path / "tree", _engine_build.cmake_options(source, TAG)
    _engine_build.compile_tree(
        source, tree, options, tmp_path / "log", label="AMX", targets=["ggml-cpu"]
    )
    assert b"ZZZZ" in (tree / "ggml/src/libggml-cpu.a").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a toolkit is found in other ways")
@pytest.mark.parametrize("portable", [False, True])
def test_an_engine_for_cuda_finds_the_toolkit_that_built_it(
    source: Path, tmp_path: Path, portable: bool
) -> None:
    """Otherwise it uses the CPU, without a word, where the loader does not know the folder."""
    (source / "ggml/src/ggml-cuda").mkdir(parents=True)
    (source / "ggml/src/ggml-cuda/CMakeLists.txt").write_text(
        "set(CUDAToolkit_LIBRARY_DIR /opt/toolkit/lib)\nadd_library(ggml-cuda SHARED one.cpp)\n"
    )
    (source / "ggml/src/ggml-cuda/one.cpp").write_text("int cuda() { return 0; }\n")
    (source / "CMakeLists.txt").write_text(PROJECT + "add_subdirectory(ggml/src/ggml-cuda)\n")
    tree = tmp_path / "tree"
    options = _engine_build.cmake_options(source, TAG, "cuda", portable=portable)
    _engine_build.compile_tree(
        source, tree, options, tmp_path / "log", label="CUDA", targets=["ggml-cuda"]
    )
    path = b"$ORIGIN" if portable else b"$ORIGIN:/opt/toolkit/lib"
    assert path + b"\0" in (tree / "bin/libggml-cuda.so").read_bytes()


def test_a_broken_tree_shows_the_compilers_error_and_keeps_the_log(
    source: Path, cache: Path
) -> None:
    (source / "llama.cpp").write_text("int f() { return missing; }\n")
    with pytest.raises(LlamaEngineError, match=r"missing.* was not declared") as caught:
        engine.build(source, TAG)
    log = cache / TAG / "engine-build.log"
    assert str(log) in str(caught.value)
    assert "was not declared" in log.read_text()
    assert leftovers(cache) == ["engine-build.log"]


def test_a_tree_that_cannot_be_built(source: Path, cache: Path, tmp_path: Path) -> None:
    (source / "CMakeLists.txt").write_text(PROJECT + 'message(FATAL_ERROR "what is this")\n')
    with pytest.raises(LlamaEngineError, match=r"cmake failed(.|\n)*what is this"):
        engine.build(source, TAG)
    assert leftovers(cache) == ["engine-build.log"]
    with pytest.raises(LlamaEngineError, match=r"not a llama\.cpp source tree"):
        engine.build(tmp_path, TAG)


def test_no_compiler(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("llama_cpp.engine.building._tool", lambda name: name)
    with pytest.raises(LlamaEngineError, match=r"no C compiler found .*apt install g"):
        engine.build(source, TAG)
    script = tmp_path / "bin" / "cc"
    script.write_text("#!/bin/sh\necho mine 1.0\n")
    script.chmod(0o755)
    with pytest.raises(LlamaEngineError, match=r"no C\+\+ compiler found"):
        engine.build(source, TAG)
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(LlamaEngineError, match=r"tried CXX=no-such-compiler -m64"):
        engine.build(source, TAG)


def test_no_cmake(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(LlamaEngineError, match=r"pip install 'libllama-py\[engine\]'"):
        engine.build(source, TAG)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "vulcan"}, "unknown backend 'vulcan'.*vulkan"),
        ({"backend": "cuda-12.8"}, "use backend='cuda'"),
        ({"jobs": 0}, "at least 1"),
    ],
)
def test_wrong_arguments(source: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(LlamaEngineError, match=message):
        engine.build(source, TAG, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("cuda", r"needs nvcc, .* CUDA toolkit"),
        ("vulkan", r"needs glslc, .*libvulkan-dev glslc"),
        ("hip", r"needs hipconfig, .*ROCm"),
        ("sycl", r"needs icpx, .*oneAPI"),
        ("metal", r"macOS alone"),
    ],
)
def test_no_toolkit(
    source: Path, monkeypatch: pytest.MonkeyPatch, backend: str, message: str
) -> None:
    monkeypatch.setattr(_engine_build, "program", lambda name, path=None: None)
    monkeypatch.setattr(_engine_build, "_tool", lambda name: name)
    monkeypatch.setattr(_engine_build, "system_compiler", lambda: "a compiler")
    monkeypatch.setattr(Path, "is_file", lambda path: path.is_relative_to(source))
    monkeypatch.setattr(os, "environ", {**os.environ, "CUDACXX": "", "VULKAN_SDK": ""})
    with pytest.raises(LlamaEngineError, match=message):
        engine.build(source, TAG, backend=backend)


def test_a_backend_is_an_option_of_cmake_and_a_folder_of_its_own(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDACXX", "nvcc")
    monkeypatch.delenv("CUDAARCHS", raising=False)
    folder = engine.build(source, TAG, backend="cuda")
    assert folder == cache / TAG / "engine-cuda"
    info = engine.engine_info(folder)
    assert info is not None
    assert info.backend == "cuda"
    assert {"-DGGML_CUDA=ON", "-DGGML_BACKEND_DL=ON", "-DGGML_NATIVE=OFF"} < set(info.options)
    assert "-DCMAKE_CUDA_ARCHITECTURES=native" in info.options
    assert "-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON" in info.options
    assert info.cpu_features == [], "its code for the CPU is chosen when it is loaded"
    monkeypatch.setenv("CUDAARCHS", "86;90")
    assert "-DCMAKE_CUDA_ARCHITECTURES=86;90" in _engine_build.cmake_options(source, TAG, "cuda")
    assert "-DGGML_NATIVE=ON" in _engine_build.cmake_options(source, TAG, "metal")
    assert "-DCMAKE_CXX_COMPILER=icpx" in _engine_build.cmake_options(source, TAG, "sycl")


def test_an_engine_for_other_machines_has_code_for_every_cpu(source: Path) -> None:
    options = _engine_build.cmake_options(source, TAG, portable=True)
    wanted = ("GGML_NATIVE=OFF", "GGML_BACKEND_DL=ON", "GGML_CPU_ALL_VARIANTS=ON", "GGML_RPC=ON")
    assert {f"-D{option}" for option in wanted} < set(options)
    options = _engine_build.cmake_options(source, TAG, "cuda", portable=True)
    assert not any("USE_LINK_PATH" in option for option in options), "nobody else has the folder"


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under nohup, which is for builds that take long."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with command._ended_cleanly():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_compilers_and_leaves_nothing(
    source: Path, cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    begun = tmp_path / "begun"
    slow = tmp_path / "slow.sh"
    slow.write_text(
        f"#!/bin/sh\necho $$ > '{begun}.new'\nmv '{begun}.new' '{begun}'\nexec sleep 60\n"
    )
    slow.chmod(0o755)
    (source / "CMakeLists.txt").write_text(
        PROJECT + f'add_custom_command(TARGET llama PRE_BUILD COMMAND "{slow}")\n'
    )
    command = [sys.executable, "-m", "llama_cpp.engine", "install", "--tag", TAG]
    process = subprocess.Popen(
        [*command, "--from", "source", "--source", source], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not begun.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, noise = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in noise
    assert leftovers(cache) == ["engine-build.log"]
    cmdline = Path(f"/proc/{begun.read_text().strip()}/cmdline")
    assert not (cmdline.exists() and cmdline.read_bytes().startswith(b"sleep"))


# --- the command line -------------------------------------------------------------------------


def test_install_prefers_the_release(
    upstream: Upstream, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine.main(["install", "--tag", TAG, "--source", str(source)]) == 0
    assert "(from release" in capsys.readouterr().out
    assert engine.main(["install", "--tag", TAG]) == 0
    assert "already in" in capsys.readouterr().out
    assert engine.main(["where", "--tag", TAG]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "engine"


def test_install_falls_back_to_the_source_or_says_why_in_one_line(
    upstream: Upstream, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.served.files.clear()
    assert engine.main(["install", "--tag", TAG]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no release binaries (and no --source DIR to build from): http")
    assert err.count("\n") == 1
    assert engine.main(["install", "--tag", TAG, "--source", str(source)]) == 0
    out, err = capsys.readouterr()
    assert "no release binaries: " in err
    assert "(from source" in out


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid"])
def test_without_a_network_that_is_the_reason(
    host: str, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scheme = "http" if host[0].isdigit() else "https"
    monkeypatch.setenv("LLAMA_PY_RELEASES_API", f"{scheme}://{host}")
    assert engine.main(["install", "--tag", TAG]) == 1
    assert f"{host}/{TAG}: the network does not reach it (" in capsys.readouterr().err


def test_an_error_of_the_system_is_one_line(
    source: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = engine.engine_folder(TAG).with_name("engine-build.log")
    log.mkdir(parents=True)
    assert engine.main(["install", "--tag", TAG, "--from", "source", "--source", str(source)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"error: [Errno 21] Is a directory: '{log}'"


def test_where_finds_the_engine_in_the_package(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_installed, "__file__", str(tmp_path / "engine" / "find.py"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libllama.so").touch()
    assert engine.main(["where"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'lib'}\n"
    assert engine.main(["where", "--tag", "b1"]) == 1, "it is of another llama.cpp"
    assert engine.main(["where", "--backend", "cuda"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["install", "--tag", TAG, "--from", "source"], ["install", "--from", "here"], ["remove"]],
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        engine.main(arguments)
    assert caught.value.code == 2


def test_the_default_tag_is_that_of_the_bindings(
    upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine.main(["where"]) == 1
    assert f"the engine {_raw.TAG} is not installed" in capsys.readouterr().err


# --- who else may write there -----------------------------------------------------------------


AS_ANOTHER = PROGRAMS / "cache_of_another_user.py"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder another user's")
@pytest.mark.parametrize(
    ("owner", "mode", "user", "said"),
    [
        (0, "700", 0, ""),
        (0, "755", 12345, ""),
        (12345, "700", 12345, ""),
        (12345, "755", 12346, "belongs to user 12345"),
        (12345, "755", 0, "belongs to user 12345"),
        (12345, "722", 12345, "chmod go-w"),
        (12345, "1777", 12345, "chmod go-w"),
        (12345, "770", 12345, "chmod go-w"),
    ],
)
def test_a_cache_that_others_may_write_to_is_refused(
    tmp_path: Path, owner: int, mode: str, user: int, said: str
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # which another user may enter
        Path(name).chmod(0o755)
        root = Path(name, "llama-py")
        root.mkdir()
        env = {"XDG_CACHE_HOME": name}
        done = run_command(sys.executable, AS_ANOTHER, root, owner, mode, user, env=env)
    assert done.returncode == 0, done.stderr
    assert (said in done.stdout and "LlamaError" in done.stdout) if said else name in done.stdout


def test_programs_of_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (".", "bin", "far"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "ninja").write_text("#!/bin/sh\n")
        (tmp_path / folder / "ninja").chmod(0o755)
    monkeypatch.setenv("PATH", f":.:bin:{tmp_path}/far")
    assert _installed.program("ninja") == f"{tmp_path}/far/ninja"
    assert _installed.program("nothing") is None


@pytest.mark.parametrize("index", ["http://10.0.0.1/simple", "file:///simple", "ftp://x/simple"])
def test_an_index_is_asked_over_https_only(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    from codegen import package_index
    from codegen.errors import CodegenError

    monkeypatch.setenv("PIP_INDEX_URL", index)
    with pytest.raises(CodegenError, match="must be an https address"):
        package_index.find_file("pip", "pip.whl")


def test_a_companion_s_file_alone_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be installed with the wheel that has no engine."""
    monkeypatch.setattr(_installed, "__file__", str(tmp_path / "llama_cpp/engine/find.py"))
    inside = tmp_path / "llama_cpp/lib"
    inside.mkdir(parents=True)
    (inside / "libggml-vulkan.so").touch()
    assert _installed.engine_inside() is None
    (inside / "libllama.so").touch()
    assert _installed.engine_inside() == inside
