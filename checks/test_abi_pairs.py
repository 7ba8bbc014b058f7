"""Bindings of one tag on the engine of another: either all is right, or a clear refusal.

Each pair runs in a process of its own, so that a crash is seen as one.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from checks import engines
from codegen import diff, generate, source
from codegen.api import Api
from examples.fetch_model import fetch_model
from tests.support.python import PROGRAMS

pytestmark = pytest.mark.engines

# The first two fit each other, the third fits the pin in one direction, and nothing else fits.
TAGS = ("b9873", "b10068", "b11063", source.pinned_tag())
PAIRS = [(a, b) for a in TAGS for b in TAGS if a != b]

# Prints what came out as JSON on the last line.
PROGRAM = str(PROGRAMS / "sixteen_tokens.py")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {tag: engines.package(tag, tmp_path_factory.mktemp(tag)) for tag in TAGS}


@cache
def api(tag: str) -> Api:
    return generate.read_api(source.resolve(tag=tag))


@cache
def outcome(folder: Path, tag: str) -> dict[str, Any]:
    done = engines.run(folder, engines.engine(tag), PROGRAM, str(fetch_model()), timeout=120)
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("tag", TAGS)
def test_bindings_and_engine_of_one_tag_fit(packages: dict[str, Path], tag: str) -> None:
    assert len(outcome(packages[tag], tag)["tokens"]) == 16


@pytest.mark.parametrize(("bindings", "engine"), PAIRS, ids=[f"{a}-on-{b}" for a, b in PAIRS])
def test_foreign_engines_work_or_are_refused(
    packages: dict[str, Path], bindings: str, engine: str
) -> None:
    result = outcome(packages[bindings], engine)
    gone, structs = lost(bindings, engine)
    if not gone and not structs:
        assert result == outcome(packages[engine], engine)
        return
    for name in gone | structs:
        assert name in result["refused"]
    assert f"not llama.cpp {bindings}" in result["refused"]


def lost(old: str, new: str) -> tuple[set[str], set[str]]:
    """The functions of llama.h that bindings of ``old`` miss in the engine of ``new``, and the
    structs passed by value whose layout is another there, by the generator's own diff."""
    before, after = api(old), api(new)
    header = before.headers[-1].name
    changes = diff.compare(before, after).changes
    removed = {
        f.name for f in before.functions
        if f.place.header == header and not f.deprecated
    } - {f.name for f in after.functions}  # fmt: skip
    asked = before.defaults.keys() - (set() if new == source.pinned_tag() else engines.WITHOUT)
    returned = {str(f.result).rpartition(" ")[2] for f in before.functions if f.name in asked}
    changed = {c.name for c in changes if c.what == "struct" and c.kind == "abi"} & returned
    return removed, changed


def test_the_command_in_a_refusal_makes_matching_bindings(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    tag, prefix = "b11063", tmp_path / "a prefix"
    shutil.copytree(source.fetch_headers(tag) / "include", prefix / "include")
    for header in (source.fetch_headers(tag) / "ggml" / "include").glob("*.h"):
        shutil.copy(header, prefix / "include")
    (prefix / "lib").mkdir()
    library = Path(shutil.copy(engines.engine(tag), prefix / "lib"))
    done = engines.run(packages[source.pinned_tag()], library, PROGRAM, "")
    refused = json.loads(done.stdout.splitlines()[-1])["refused"]
    command = re.search(r"`llama-py (bindings .*?)`", refused)
    assert command is not None
    words = [*shlex.split(command[1]), "--out", str(tmp_path / "made")]
    assert words[1:3] == ["--llama-cpp", str(prefix)]
    made = subprocess.run(
        [sys.executable, "-m", "llama_cpp.cli", *words],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert f"LLAMA_CPP_LIB={prefix / 'lib'}" in made.stdout
    assert outcome(packages[tag], tag)["tokens"] == tokens_of(tmp_path / "made", library)


def tokens_of(folder: Path, library: Path) -> list[int]:
    done = engines.run(folder, library, PROGRAM, str(fetch_model()), timeout=120)
    assert done.returncode == 0, done.stderr
    tokens: list[int] = json.loads(done.stdout.splitlines()[-1])["tokens"]
    return tokens
