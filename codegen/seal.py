"""Content seals: a generated file's last line has the hash of all above it.

So an edit by hand is found with the standard library alone, where nothing can be generated anew.
The seal is no lock: who means to edit can make a new one. It catches the slip.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .contents import PACKAGE as _PACKAGE
from .contents import stubs

# Files made from the first set of bindings only
OF_THE_FIRST = ("_params.py", "model/_getters.py", "sampling/_samplers.py")

# Files made from the server's sources
OF_THE_SERVER = ("server/_fields.py", "server/_options.py")

_UPSTREAM = Path(__file__).with_name("upstream.toml")
_SEAL = re.compile(r"# seal: (?P<tag>\S+) sha256:(?P<digest>[0-9a-f]{64})\n\Z")


def generated(upstream: Path = _UPSTREAM) -> tuple[str, ...]:
    """The names of the generated files of the package."""
    # No TOML reader: the standard library has none before Python 3.11.
    modules = re.findall(r'^module = "(\w+)"$', upstream.read_text("utf-8"), re.MULTILINE)
    raw = (f"{name}{end}" for name in modules for end in (".py", ".pyi"))
    return (*raw, *OF_THE_FIRST, *OF_THE_SERVER, *stubs())


GENERATED = generated()


# The tag in the seal of files that do not depend on a header
ANY_TAG = "any"


def sealed(text: str, tag: str) -> str:
    """``text`` with its seal, as generated for ``tag``."""
    return f"{text}# seal: {tag} sha256:{_digest(text, tag)}\n"


def _digest(text: str, tag: str) -> str:
    return hashlib.sha256(f"{tag}\n{text}".encode()).hexdigest()


def faults(folder: Path = _PACKAGE, upstream: Path = _UPSTREAM) -> list[str]:
    """The faults of the generated files in ``folder``, one line each."""
    pin = re.search(r'^tag = "([\w.-]+)"$', upstream.read_text("utf-8"), re.MULTILINE)
    tag = pin[1] if pin else "?"
    names = generated(upstream)
    found = [fault for name in names if (fault := _fault(folder / name, tag))]
    left = set(sealed_files(folder)) - {folder / name for name in names}
    return found + [f"{path}: is not generated any more; run make regen" for path in sorted(left)]


def sealed_files(folder: Path) -> list[Path]:
    """The files below ``folder`` that end in a seal."""
    paths = (path for path in folder.rglob("*.py*") if path.suffix in (".py", ".pyi"))
    return [path for path in sorted(paths) if _SEAL.search(path.read_text("utf-8", "replace"))]


def _fault(path: Path, pin: str) -> str | None:
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read: {error}"
    start = text.rfind("\n", 0, -1) + 1
    body, match = text[:start], _SEAL.fullmatch(text, start)
    if match is None:
        return f"{path}: has no seal as its last line; run make regen"
    if match["digest"] != _digest(body, match["tag"]):
        return f"{path}: was edited by hand; change the header or templates/ and run make regen"
    if match["tag"] not in (pin, ANY_TAG):
        return f"{path}: was generated for {match['tag']}, the pin is {pin}; run make regen"
    return None
