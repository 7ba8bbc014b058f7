"""The packages in requirements/: all that pyproject.toml asks for, with versions and hashes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.quick

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMPANIONS = ("vulkan", "cuda12", "cuda13", "rocm")
ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / "requirements" / f"{name}.txt" for name in ("dev", "peer", "release", "clients")]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NAME = PYPROJECT["project"]["name"]
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str | dict[str, str]]] = PYPROJECT["dependency-groups"]
SYSTEMS = [
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.1", **system}
    for minor in range(10, 15)
    for system in (
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
    )
]


def wrong_lines(text: str) -> list[str]:
    """The lines that are not a package with one version and hashes, for any index."""
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    locked = r"[\w.-]+==[\w.]+( ; [^#:\\@/]+?)?(\s+--hash=sha256:[0-9a-f]{64})+"
    return [line for line in text.splitlines() if not re.fullmatch(locked, line)]


def versions(text: str, system: dict[str, str]) -> dict[str, str]:
    """The version of each package on a system."""
    environment = {**default_environment(), **system}
    found: dict[str, str] = {}
    for line in re.findall(r"^[\w.-]+==[^\\\n]+", text, re.MULTILINE):
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate(environment):
            name = canonicalize_name(wanted.name)
            assert name not in found, f"{name} twice"
            (found[name],) = (one.version for one in wanted.specifier)
    return found


def asked(names: set[str], system: dict[str, str]) -> list[Requirement]:
    """The packages that these extras and groups ask for on a system."""
    environment = {**default_environment(), **system}
    wanted = []
    for line in (line for name in sorted(names) for line in {**EXTRAS, **GROUPS}[name]):
        requirement = Requirement(
            line if isinstance(line, str) else f"{NAME}[{line['include-group']}]"
        )
        if requirement.name == NAME:
            wanted += asked(requirement.extras, system)
        elif requirement.marker is None or requirement.marker.evaluate(environment):
            wanted.append(requirement)
    return wanted


def unmet(names: set[str], text: str) -> list[str]:
    """The packages that these extras and groups ask for and the lock lacks, on any system."""
    return [
        f"{wanted} on {system['sys_platform']} {system['python_version']}"
        for system in SYSTEMS
        for locked in [versions(text, system)]
        for wanted in asked(names, system)
        for version in [locked.get(canonicalize_name(wanted.name))]
        if version is None or not wanted.specifier.contains(version, prereleases=True)
    ]


def test_there_are_no_other_locks() -> None:
    assert sorted((ROOT / "requirements").glob("*.txt")) == sorted(LOCKS)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_versions_and_hashes_and_no_address(path: Path) -> None:
    text = path.read_text("utf-8")
    assert wrong_lines(text) == []
    header = [line for line in text.splitlines() if line.startswith("#")]
    assert header[1:] == ["#    make lock"], "nothing of the machine that it was made on"


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "--find-links /wheels",
        "rich==14.0.0",
        f"rich>=14 --hash=sha256:{'0' * 64}",
        f"rich @ https://example.org/rich.whl --hash=sha256:{'0' * 64}",
        f"rich==14.0.0 --hash=sha256:{'0' * 63}",
    ],
)
def test_a_line_that_is_no_lock_is_found(line: str) -> None:
    assert wrong_lines(f"# by uv\nclick==8.2.0 \\\n    --hash=sha256:{'1' * 64}\n{line}\n") == [
        line
    ]


def test_the_locks_have_every_package_of_the_extras_and_groups() -> None:
    dev, _, release, _ = (path.read_text("utf-8") for path in LOCKS)
    assert unmet({"all", "dev"}, dev) == []
    assert unmet({"codegen", "engine", "release"}, release) == []


def test_the_locks_agree() -> None:
    for system in SYSTEMS:
        # clients.txt is apart: its packages hold others back.
        dev, *others = (versions(path.read_text("utf-8"), system) for path in LOCKS[:-1])
        for other in others:
            shared = other.keys() & dev.keys()
            assert shared
            assert {name: other[name] for name in shared} == {name: dev[name] for name in shared}


def test_a_package_missing_from_a_lock_is_found() -> None:
    dev = LOCKS[0].read_text("utf-8")
    without = re.sub(r"^rich==", "poor==", dev, flags=re.MULTILINE)
    assert len(unmet({"cli"}, without)) == len(SYSTEMS)
    old = re.sub(r"^rich==[\d.]+", "rich==1.0", dev, flags=re.MULTILINE)
    assert len(unmet({"cli"}, old)) == len(SYSTEMS)


def test_all_has_every_extra_and_dev_every_group() -> None:
    (everything,) = EXTRAS["all"]
    assert Requirement(everything).extras == EXTRAS.keys() - {"all", "eval", *COMPANIONS}
    for name in COMPANIONS:  # for one kind of graphics card each
        assert EXTRAS[name] == [f"{NAME}-{name}"]
    included = {line["include-group"] for line in GROUPS["dev"] if isinstance(line, dict)}
    assert included == GROUPS.keys() - {"dev", "release"}
