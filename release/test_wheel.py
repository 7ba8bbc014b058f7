"""The contents of the wheel with an engine: the needed files, and the licences of others' files."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

import llama_cpp
from llama_cpp import LlamaLibrary
from llama_cpp.errors import LlamaError
from release import check_wheel, companion, contents, licenses
from release.companion import COMPANIONS


def needed(path: Path) -> set[str]:
    """The dependencies that the linker wrote into a file, by binutils."""
    text = subprocess.run(
        ["readelf", "--dynamic", "--wide", path],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", text))


@pytest.fixture
def engine(library: LlamaLibrary, tmp_path: Path) -> Path:
    """The tests' engine as a wheel's: no links, and the wheel's programs alone."""
    folder = tmp_path / "engine"
    folder.mkdir()
    source = library.path.parent
    asked = {path.name: path for path in source.iterdir() if not path.is_symlink()}
    programs = {name: path for name, path in asked.items() if name in contents.PROGRAMS}
    names = {name for path in asked.values() if ".so" in path.name for name in needed(path)}
    libraries = {path.name: path for path in source.glob("*.so")}
    libraries |= {name: source / name for name in names if (source / name).exists()}
    for name, path in (programs | libraries).items():
        shutil.copy2(path, folder / name)
    return folder


def files(engine: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in engine.iterdir() if path.is_file()}


def test_what_nothing_needs_is_left_out(engine: Path) -> None:
    before = set(files(engine))
    contents.leave_out(engine)
    left = set(files(engine))
    assert "libllama-quantize-impl.so" in before - left
    # A file's own dependencies are the same by binutils.
    ahead = left & {"libllama.so", "libmtmd.so", "libggml-rpc.so", *contents.PROGRAMS}
    ahead |= {name for name in left if name.startswith("libggml-cpu")}
    reached = set(ahead)
    while ahead:
        found = needed(engine / ahead.pop()) & before
        ahead |= found - reached
        reached |= found
    assert reached == left
    assert contents.unneeded(files(engine)) == set()


@pytest.mark.parametrize("what", ["program", "library", "backend", "common"])
def test_an_engine_that_lacks_a_file_makes_no_wheel(engine: Path, what: str) -> None:
    pattern = {
        "program": "ggml-rpc-server",
        "library": "libmtmd.so",
        "backend": "libggml-cpu*",
        "common": "libllama-common.so*",
    }[what]
    gone = list(engine.glob(pattern))
    for path in gone:
        path.unlink()
    with pytest.raises(LlamaError, match=gone[0].stem.split(".")[0]):
        contents.leave_out(engine)


def test_windows_own_libraries_are_taken_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose names are written in any case."""
    monkeypatch.setattr("sys.platform", "win32")
    files = {
        "llama.dll": b"\0ggml.dll\0MSVCP140.dll\0KERNEL32.dll\0",
        "ggml.dll": b"\0ggml-base.dll\0",
        "ggml-base.dll": b"\0VCRUNTIME140.dll\0",
        "ggml-cpu-x64.dll": b"\0VCOMP140.DLL\0",
        "ggml-rpc.dll": b"",
        "mtmd.dll": b"\0llama.dll\0",
        "llama-server.exe": b"",
        "ggml-rpc-server.exe": b"",
        "msvcp140.dll": b"\0VCRUNTIME140_1.dll\0",
        "vcruntime140.dll": b"",
        "vcruntime140_1.dll": b"",
        "vcomp140.dll": b"",
        "concrt140.dll": b"",
    }
    assert contents.unneeded(files) == {"concrt140.dll"}
    del files["ggml-base.dll"]
    with pytest.raises(LlamaError, match=r"lacks ggml-base\.dll$"):
        contents.unneeded(files)


def a_wheel(path: Path, engine: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(path / "a-1-py3-none-any.whl", "w") as archive:
        for name, data in files(engine).items():
            archive.writestr(f"llama_cpp/lib/{name}", data)
        archive.writestr("llama_cpp/lib/engine.json", "{}")
        archive.writestr("llama_cpp/lib/licenses/LICENSE", "text")
        for name, data in more.items():
            archive.writestr(name, data)
    return path / "a-1-py3-none-any.whl"


def test_a_wheel_is_looked_at(
    engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    contents.leave_out(engine)
    contents.check(a_wheel(tmp_path, engine))
    for name in ("llama_cpp/lib/libllama-more.so", "llama_cpp/lib/llama-simple", "a.libs/libz.so"):
        wheel = a_wheel(tmp_path, engine, **{name: b"content"})
        with pytest.raises(LlamaError, match=f"needs {Path(name).name}$"):
            contents.check(wheel)
        monkeypatch.setattr("sys.argv", ["check_wheel", str(wheel)])
        assert check_wheel.main() == 1
        assert Path(name).name in capsys.readouterr().err


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_is_one_file_beside_the_engine_of_its_version(
    name: str, engine: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    shutil.copyfile(engine / "libggml-rpc.so", plugin / "libggml-a.so")
    wheel = companion.package(name, plugin, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(n).decode() for n in names if n.endswith("/METADATA"))
    inside = [n for n in names if ".dist-info/" not in n]
    assert inside == ["llama_cpp/lib/libggml-a.so"]
    assert f"\nName: libllama-py-{name}\n" in metadata
    assert f"\nRequires-Dist: libllama-py=={llama_cpp.__version__}\n" in metadata
    assert not wheel.stem.endswith("-any")


@pytest.mark.parametrize(
    ("devices", "beside", "right"),
    [
        ("CPU; not cuda (libcuda.so.1: cannot open)", "libllama-py-cuda12", True),
        ("CPU; none of cuda", "libllama-py-cuda12", True),
        ("CPU; not cuda (libcuda.so.1: cannot open)", "package", False),
        ("CPU", "libllama-py-cuda12", False),
    ],
)
def test_a_companion_without_a_driver_must_be_named(devices: str, beside: str, right: bool) -> None:
    found = {"what": "devices", "status": "note", "text": devices}
    findings = [found, {"what": beside, "status": "ok", "text": ""}]
    said = check_wheel.judged(json.dumps({"findings": findings}), "cuda")
    assert said == devices if right else said.startswith("WRONG: cuda is not named")


# -- licences


def grafted(engine: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A wheel into which auditwheel has put OpenMP's runtime, and where that is from."""
    (library,) = {
        Path(found).resolve()
        for path in engine.glob("libggml-base.so*")
        for found in re.findall(r"=> (\S+libgomp\S+) ", licenses._output("ldd", path))
    }
    digest = hashlib.sha256(library.read_bytes()).hexdigest()[:8]
    name = f"libllama_py.libs/{library.name.replace('.', f'-{digest}.', 1)}"
    return a_wheel(tmp_path, engine, **{name: library.read_bytes()}), library


def debian(root: Path, library: Path, text: str | None) -> None:
    """A system of Debian's kind, whose package libgomp1 has ``library``."""
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "libgomp1.list").write_text(f"/.\n{library}\n")
    (root / "var/lib/dpkg/status").write_text(
        "Package: libgomp1\nStatus: install ok installed\nMaintainer: a <a@example.org>\n"
        "Architecture: all\nVersion: 1\nDescription: a\n\n"
    )
    if text is not None:
        (root / "usr/share/doc/libgomp1").mkdir(parents=True)
        (root / "usr/share/doc/libgomp1/copyright").write_text(text)
    (root / "usr/share/common-licenses").mkdir(parents=True)
    (root / "usr/share/common-licenses/GPL-3").write_text("the words")
    (root / "usr/share/common-licenses/GPL").symlink_to("GPL-3")


def test_the_licence_of_this_machines_openmp(engine: Path, tmp_path: Path) -> None:
    wheel, _ = grafted(engine, tmp_path)
    assert licenses.add(wheel, engine)
    texts = "".join(path.read_text("utf-8") for path in (engine / "licenses").rglob("*.*"))
    texts += "".join(path.read_text("utf-8") for path in (engine / "licenses").glob("*/*"))
    assert "GCC RUNTIME LIBRARY EXCEPTION" in texts.upper()
    assert "TERMS AND CONDITIONS" in texts


def test_the_licence_of_a_debian_package(engine: Path, tmp_path: Path) -> None:
    wheel, library = grafted(engine, tmp_path)
    debian(tmp_path / "root", library, "See `/usr/share/common-licenses/GPL'.\n")
    assert licenses.add(wheel, engine, tmp_path / "root")
    found = {path.name: path.read_text() for path in (engine / "licenses/libgomp1").iterdir()}
    assert found == {
        "copyright": "See `/usr/share/common-licenses/GPL'.\n",
        "GPL-3": "the words",
    }


def test_a_library_without_a_licence_makes_no_wheel(engine: Path, tmp_path: Path) -> None:
    wheel, library = grafted(engine, tmp_path)
    with pytest.raises(LlamaError, match=r"libgomp.* neither dpkg nor rpm"):
        licenses.add(wheel, engine, tmp_path / "empty")
    debian(tmp_path / "root", library, None)
    with pytest.raises(LlamaError, match=r"libgomp.* libgomp1 has no licence"):
        licenses.add(wheel, engine, tmp_path / "root")
    other = a_wheel(tmp_path, engine, **{"libllama_py.libs/libgomp-00000000.so.1": b"?"})
    with pytest.raises(LlamaError, match=r"the origin of libgomp-00000000.* is unknown"):
        licenses.add(other, engine)


def test_a_wheel_with_nothing_of_others_is_left_alone(engine: Path, tmp_path: Path) -> None:
    assert not licenses.add(a_wheel(tmp_path, engine), engine)
    assert not (engine / "licenses").exists()


# rpm's answers in manylinux_2_28: libgomp has no licence text, but libgcc of the same source has.
RPM = """#!/bin/sh
case "$*" in
*--file*) echo "libgomp gcc-8.5.0-1.src.rpm" ;;
*--all*) printf '%s\\n' "bash bash-4.4.src.rpm" "libgomp gcc-8.5.0-1.src.rpm" \\
    "libgcc gcc-8.5.0-1.src.rpm" "cpp gcc-8.5.0-1.src.rpm" ;;
*"--licensefiles libgcc") echo /usr/share/licenses/libgcc/COPYING.RUNTIME ;;
esac
"""


def test_the_licence_of_an_rpm(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, _ = grafted(engine, tmp_path)
    program = tmp_path / "bin/rpm"
    program.parent.mkdir()
    program.write_text(RPM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    root = tmp_path / "root"
    with pytest.raises(LlamaError, match=r"its package libgomp has no licence"):
        licenses.add(wheel, engine, root)
    text = root / "usr/share/licenses/libgcc/COPYING.RUNTIME"
    text.parent.mkdir(parents=True)
    text.write_text("the exception")
    assert licenses.add(wheel, engine, root)
    assert (engine / "licenses/libgomp/COPYING.RUNTIME").read_text() == "the exception"
