"""The contents of the packages: the pure wheel, one with an engine, the source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

import llama_cpp
from checks.__main__ import CHECKS
from llama_cpp import LlamaLibrary, _raw, _version
from release import check_wheel
from tests.support.python import ROOT


def build(folder: Path, kind: str, root: Path = ROOT, **env: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder],
        cwd=root, env={**os.environ, **env}, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pure"), "wheel")


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata(wheel: Path, name: str) -> Message:
    (path,) = (path for path in names(wheel) if path.endswith(f".dist-info/{name}"))
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(path).decode())


def test_the_version_carries_the_tag_of_llama_cpp() -> None:
    version = Version(llama_cpp.__version__)
    assert f"b{version.micro}" == _raw.TAG
    assert version.local is None, "the index takes no local version"


@pytest.mark.parametrize(
    ("raw", "post", "version"),
    [
        ('TAG = "b11434"\n', ("b11434", 0), "0.1.11434"),
        ('TAG = "b11434"\n', ("b11434", 2), "0.1.11434.post2"),
        ('TAG = "b11435"\n', ("b11434", 2), "0.1.11435"),
        ('TAG = ""\n', ("b11434", 2), "0.1.0"),
    ],
)
def test_a_second_release_of_a_tag(raw: str, post: tuple[str, int], version: str) -> None:
    made = _version._version(f"import ctypes\n{raw}", post)
    assert made == version
    assert str(Version(made)) == made, "it is not as the index writes it"


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        (f"v{llama_cpp.__version__}", 0),
        (llama_cpp.__version__, 1),
        (f"v{llama_cpp.__version__}.post9", 1),
        ("v0.1.1", 1),
        ("", 1),
    ],
)
def test_a_release_has_the_tag_of_its_version(tag: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "release.check_tag", tag],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert code == 0 or f"v{llama_cpp.__version__}:" in done.stderr


def test_the_pure_wheel(pure: Path) -> None:
    name, version, _, tags = parse_wheel_filename(pure.name)
    assert (name, str(version)) == ("libllama-py", llama_cpp.__version__)
    assert [str(tag) for tag in tags] == ["py3-none-any"]
    assert metadata(pure, "WHEEL")["Root-Is-Purelib"] == "true"
    assert {path.split("/")[0] for path in names(pure)} == {
        "llama_cpp",
        "llama_py_codegen",
        f"libllama_py-{version}.dist-info",
    }
    assert "llama_cpp/py.typed" in names(pure)
    inside = {path for path in names(pure) if path.startswith("llama_cpp/")}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "llama_cpp").rglob("*")
        if path.suffix in (".py", ".pyi", ".cmake", ".dat", ".typed")
    }
    assert inside == source


def test_a_wheel_needs_no_package(pure: Path) -> None:
    needed = metadata(pure, "METADATA").get_all("Requires-Dist") or []
    assert [text for text in needed if "extra ==" not in text] == []
    assert metadata(pure, "METADATA")["Requires-Python"] == ">=3.10"


@pytest.mark.parametrize(
    ("package", "license"),
    [("ggml", "MIT"), ("libgomp1", "MIT AND (GPL-3.0-or-later WITH GCC-exception-3.1)")],
)
def test_a_wheel_with_an_engine(tmp_path: Path, package: str, license: str) -> None:
    engine = tmp_path / "engine"
    (engine / "licenses" / package).mkdir(parents=True)
    (engine / "licenses" / package / "copyright").write_text("words")
    (engine / "libllama.so").write_bytes(b"library")
    (engine / "llama-server").write_bytes(b"program")
    (engine / "llama-server").chmod(0o755)
    wheel = build(
        tmp_path / "dist", "wheel", LLAMA_PY_ENGINE=str(engine), LLAMA_PY_PLATFORM="linux_mips"
    )
    assert [str(tag) for tag in parse_wheel_filename(wheel.name)[3]] == ["py3-none-linux_mips"]
    assert metadata(wheel, "WHEEL")["Root-Is-Purelib"] == "false"
    assert metadata(wheel, "METADATA")["License-Expression"] == license
    assert {"llama_cpp/lib/libllama.so", "llama_cpp/lib/llama-server"} < set(names(wheel))
    with zipfile.ZipFile(wheel) as archive:
        mode = archive.getinfo("llama_cpp/lib/llama-server").external_attr >> 16
    assert mode & 0o111 == 0o111, "it could not be run"


@pytest.fixture(scope="module")
def with_engine(library: LlamaLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel with the engine that the tests have: for this machine alone, but else a whole one."""
    folder = tmp_path_factory.mktemp("engine")
    versions = shutil.ignore_patterns("*.so.*.*.*")  # the shorter names are links to these
    shutil.copytree(library.path.parent, folder / "engine", ignore=versions)
    return build(folder / "dist", "wheel", LLAMA_PY_ENGINE=str(folder / "engine"))


def test_a_wheel_in_a_clean_environment(with_engine: Path, model_path: Path) -> None:
    python = Path(sys.executable)
    row, text = check_wheel.one(python, with_engine, model_path, doctor=False)
    installed, first, place, served, _ = row
    assert 0 < float(installed) <= float(first)
    assert place.split()[0] == "llama_cpp/lib"
    assert served == "2 answers, 6 refusals"
    assert len(text.split()) > 3


def test_the_check_sees_a_server_that_ends(
    with_engine: Path, model_path: Path, tmp_path: Path
) -> None:
    shutil.unpack_archive(with_engine, tmp_path, "zip")
    server = tmp_path / "llama_cpp/lib/llama-server"
    server.write_text("#!/bin/sh\nexit 3\n", "utf-8")
    server.chmod(0o755)
    done = subprocess.run(
        [sys.executable, check_wheel.__file__.replace("check_wheel", "_serve"), model_path],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "LlamaServerStartError" in done.stderr


def test_the_source_has_the_files_to_make_and_test_a_wheel(pure: Path, tmp_path: Path) -> None:
    made = build(tmp_path / "source", "sdist")
    assert str(parse_sdist_filename(made.name)[1]) == llama_cpp.__version__
    with tarfile.open(made) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Makefile", "release/wheel.py", "codegen/upstream.toml", "tests/misuse/cases.py"):
        assert name in inside
    assert not [name for name in inside if re.search(r"\.(so|gguf|whl)$", name)]
    shutil.unpack_archive(made, tmp_path, filter="data")
    again = build(tmp_path / "again", "wheel", root=tmp_path / made.name.removesuffix(".tar.gz"))
    assert sorted(names(again)) == sorted(names(pure))


def _each(command: str, matrix: dict[str, Any]) -> list[str]:
    """The command with each value of the job's matrix that it names."""
    found = re.search(r"\$\{\{ matrix\.(\w+) \}\}", command)
    if found is None:
        return [command]
    rests = (command.replace(found[0], value) for value in matrix[found[1]])
    return [made for rest in rests for made in _each(rest, matrix)]


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def commands(path: Path) -> list[str]:
    """The commands of a workflow."""
    return [
        command
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
        for step in job["steps"]
        if "run" in step and "runs-on" in job
        for command in _each(step["run"], job.get("strategy", {}).get("matrix", {}))
    ]


def made(command: str) -> set[str]:
    """The targets of make in a command."""
    lines = re.findall(r"^make (.+)", command, re.MULTILINE)
    return {word for line in lines for word in line.split() if "=" not in word}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path: Path) -> None:
    assert commands(path)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for command in commands(path):
        assert made(command) <= {*targets, ".venv/.ready"}
        for module in re.findall(r"python -m (release\.\w+)", command):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_each_check_beside_the_tests_runs_in_a_workflow() -> None:
    every = [command for path in WORKFLOWS for command in commands(path)]
    run = {target for command in every for target in made(command)}
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = guide.partition("| to check | run |")[2].partition("\n\n")[0]
    checks = set(re.findall(r"`make ([a-z-]+)`", table))
    assert {"misuse", "docs"} < checks
    assert checks - run == {"bench", "gpu-check"}, "a person looks at those"
    named = set(re.findall(r"NAME=([a-z-]+)", table)) - {"rpc"}
    runs = re.compile(r"^make checks NAME=(\S+)$", re.MULTILINE)
    steps = (ROOT / "Makefile").read_text("utf-8").partition("\nSTEPS ?=")[2].partition("\n")[0]
    tried = set(re.findall(r"checks NAME=([a-z-]+)", steps))  # by `make tried`, in a workflow
    assert named == set(CHECKS) == tried | {name for c in every for name in runs.findall(c)}


def test_the_release_waits_for_every_wheel_and_has_no_password() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    publish = jobs.pop("publish")
    assert set(publish["needs"]) == set(jobs)
    assert publish["permissions"] == {"id-token": "write"}
    (check,) = (step for step in jobs["pure"]["steps"] if step.get("run") == "make check-tag")
    assert check["if"] == publish["if"]
    assert check["env"] == {"GIT_TAG": "${{ github.ref_name }}"}
    assert "secrets." not in text
