"""The daily workflow's make targets, with a llama.cpp of tomorrow in a local repository."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from codegen import origins, source
from tests.support.python import ROOT, run_command
from tests.support.upstream import change, copied

TAG = "b999999"
_NAMES = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
_ENVIRONMENT: dict[str, str | None] = {
    **{"LLAMA_CPP": None, "PYTHONPATH": None},
    **{f"GIT_{name}": "x@y" for name in _NAMES},
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple/",  # the sources that there are all fail first
}


class Project:
    """A clone of this project, its origin, and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.programs = folder / "programs"
        self.environment = _ENVIRONMENT | {
            origins.MIRROR: str(folder / "upstream.git"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
        }
        upstream = change(copied(folder / "upstream"))
        self.run("git", "init", "--quiet", cwd=upstream)
        self.commit(upstream)
        self.run("git", "tag", TAG, cwd=upstream)
        self.run("git", "clone", "--quiet", "--bare", upstream, f"{upstream}.git", cwd=folder)
        self.run("git", "config", "uploadpack.allowFilter", "true", cwd=folder / "upstream.git")
        for name in ("codegen", "llama_cpp", "templates"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        for name in ("Makefile", "CHANGELOG.md", "pyproject.toml", ".gitignore"):
            shutil.copy(ROOT / name, self.root)
        self.run("git", "init", "--quiet", "--initial-branch=main")
        self.commit(self.root)
        self.run("git", "init", "--quiet", "--bare", folder / "origin.git")
        self.run("git", "remote", "add", "origin", folder / "origin.git")

    def commit(self, folder: Path) -> None:
        self.run("git", "add", "--all", cwd=folder)
        self.run("git", "commit", "--quiet", "--message", "one", cwd=folder)

    def run(self, *command: object, cwd: Path | None = None, code: int = 0) -> str:
        done = run_command(*command, cwd=cwd or self.root, env=self.environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def make(self, *arguments: str, code: int = 0) -> str:
        # The environment is the tests' own, and is not made anew for the copied files.
        venv = Path(sys.executable).parent.parent
        fixed = (f"VENV={venv}", "-o", f"{venv}/.ready", "--silent")
        return self.run("make", *fixed, *arguments, code=code)

    def program(self, name: str, text: str) -> None:
        """Put a shell script before the programs on PATH."""
        self.programs.mkdir(exist_ok=True)
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_steps_of_the_daily_workflow(project: Project, tmp_path: Path) -> None:
    assert project.make("pin") == f"{source.pinned_tag()}\n"
    assert project.make("latest") == f"{TAG}\n"
    assert "upstream.git" in project.make("lag", "ARGS=--max-age 9")
    report = tmp_path / "report.md"
    project.make("upstream", f"TAG={TAG}", f"REPORT={report}")
    for name in ("llama_sampler_init_steady", "n_foresight", "LLAMA_VOCAB_TYPE_TOMORROW"):
        assert name in report.read_text("utf-8").replace("\\", "")
    project.make("tried", f"REPORT={report}", "STEPS=pin nothing", code=2)
    text = report.read_text("utf-8")
    assert f"## make pin: passed\n\n```text\n{TAG}\n```\n" in text
    assert re.search(
        r"## make nothing: FAILED\n\n```text\nmake\[\d\]: \*\*\* No rule to make", text
    )
    assert f"up to date with {TAG}" in project.make("check")
    project.program("gh", f'printf "%s\\n" "$@" > {tmp_path}/gh')
    project.make("propose", f"TAG={TAG}", f"REPORT={report}")
    subject = project.run("git", "-C", tmp_path / "origin.git", "log", "-1", "--format=%s", "--all")
    assert subject == f"Follow llama.cpp to {TAG}\n"
    assert (tmp_path / "gh").read_text().splitlines() == [
        "pr", "create", "--title", f"Follow llama.cpp to {TAG}", "--body-file", str(report),
    ]  # fmt: skip
    assert project.run("git", "status", "--porcelain") == ""


def test_a_network_that_goes_away_at_any_step_leaves_the_tree_as_it_is(
    project: Project, tmp_path: Path
) -> None:
    real = shutil.which("git")
    regen = (sys.executable, "-m", "codegen", "regen", "--tag", "latest")
    for allowed in range(20):
        # git counts its calls down, and then finds no network.
        (tmp_path / "calls").write_text("." * allowed)
        project.program(
            "git",
            f'test -s {tmp_path}/calls || {{ echo "no network" >&2; exit 128; }}\n'
            f'sed -i s/.// {tmp_path}/calls\nexec {real} "$@"',
        )
        done = run_command(*regen, cwd=project.root, env=project.environment)
        (project.programs / "git").unlink()
        if done.returncode == 0:
            break
        assert done.returncode == 2
        assert "no network" in done.stderr
        assert done.stderr.count("\n") == 1
        assert project.run("git", "status", "--porcelain") == ""
        assert not list((tmp_path / "cache").glob("llama-py/b*"))
    assert allowed > 5
    assert f'tag = "{TAG}"' in (project.root / "codegen" / "upstream.toml").read_text("utf-8")
