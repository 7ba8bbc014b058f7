"""`make history` and the step to another tag, on small cases."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import generate, history, source
from codegen.api import Api
from codegen.errors import CodegenError
from tests.support.python import ROOT, codegen


def test_tags_are_spread_with_both_ends_and_the_pin() -> None:
    pin = source.pinned_tag()
    tags = [f"b{n}" for n in range(100)] + [pin, "b999999"]
    chosen = history.spread(tags, 10)
    assert (chosen[0], chosen[-1]) == ("b0", "b999999")
    assert pin in chosen
    assert chosen == [tag for tag in tags if tag in chosen]
    assert 10 <= len(chosen) <= 11
    with pytest.raises(CodegenError):
        history.spread(tags, 1)


def test_more_tags_than_there_are_gives_all() -> None:
    assert history.spread(["b1", "b2", "b3"], 10) == ["b1", "b2", "b3"]


def test_a_wrong_struct_fails_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = generate.read_apis

    def with_swapped_fields(tree: source.Tree) -> list[Api]:
        api, *others = right(tree)
        structs = []
        for s in api.structs:
            if s.name == "llama_model_params":
                names = [f.name for f in s.fields]
                i, j = names.index("vocab_only"), names.index("check_tensors")
                fields = list(s.fields)
                fields[i] = replace(fields[i], name="check_tensors")
                fields[j] = replace(fields[j], name="vocab_only")
                s = replace(s, fields=tuple(fields))
            structs.append(s)
        return [replace(api, structs=tuple(structs)), *others]

    monkeypatch.setattr(generate, "read_apis", with_swapped_fields)
    said: list[str] = []
    assert not history.run([source.pinned_tag()], said.append)
    assert "NO" in said[1]
    assert any("vocab_only" in line for line in said[2:])


def test_a_tag_that_cannot_be_had_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    assert not history.run(["b1"], said.append)
    assert said[-1] == "1 tags, 1 failed: b1"


def test_a_step_to_another_tag_moves_the_pin_and_is_recorded(tmp_path: Path) -> None:
    for folder in ("codegen", "llama_cpp", "templates"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    done = codegen("regen", "--tag", "b11063", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    step = f"{source.pinned_tag()} -> b11063: "
    assert step in done.stdout
    assert step in (tmp_path / "CHANGELOG.md").read_text("utf-8")
    assert 'tag = "b11063"' in (tmp_path / "codegen" / "upstream.toml").read_text("utf-8")
    assert 'TAG = "b11063"' in (tmp_path / "llama_cpp" / "_raw.py").read_text("utf-8")
