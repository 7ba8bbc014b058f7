"""The licences of the libraries that auditwheel adds to a wheel, such as gcc's OpenMP runtime.

Their texts come from this machine's packages: Debian's or an RPM's.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from llama_cpp.engine.folders import capture
from llama_cpp.errors import LlamaError


def add(wheel: Path, engine: Path, root: Path = Path("/")) -> bool:
    """Add the licences of ``wheel``'s foreign libraries to its ``engine``, and return whether there
    were any; then the wheel must be built again. ``root`` is the root of the system.

    Raises `LlamaError` if a licence has no text.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(r"\.libs/[^/]+$", name)]
    for name in names:
        library = _original(Path(name).name, engine)
        package, texts = _of(library, root)
        target = engine / "licenses" / package
        target.mkdir(parents=True, exist_ok=True)
        for text in texts:
            shutil.copyfile(text, target / text.name)
    return bool(names)


def _original(name: str, engine: Path) -> Path:
    """The file that auditwheel has copied as ``name``, which contains its digest."""
    for path in sorted(engine.iterdir()):
        for found in re.findall(r"=> (/.+) \(0x", _output("ldd", path)):
            library = Path(found).resolve()
            digest = hashlib.sha256(library.read_bytes()).hexdigest()[:8]
            if name == library.name.replace(".", f"-{digest}.", 1):
                return library
    raise LlamaError(f"the origin of {name}, which auditwheel put into the wheel, is unknown")


def _of(library: Path, root: Path) -> tuple[str, list[Path]]:
    """The package of ``library``, and the files with its licence."""
    package, texts = _debian(library, root) or _rpm(library, root) or ("", [])
    if not package:
        raise LlamaError(f"{library} is in the wheel, and neither dpkg nor rpm knows its package")
    if not texts:
        raise LlamaError(f"{library} is in the wheel, and its package {package} has no licence")
    return package, texts


def _debian(library: Path, root: Path) -> tuple[str, list[Path]] | None:
    # A package may list a file of /usr by its older name.
    for path in (library, Path("/", *library.parts[2:])):
        listed = _output("dpkg-query", "--admindir", root / "var/lib/dpkg", "--search", path)
        if listed:
            break
    else:
        return None
    package = listed.partition(":")[0]
    text = root / "usr/share/doc" / package / "copyright"
    if not text.is_file():
        return package, []
    # It refers to files of every Debian for the text of common licences.
    common = root / "usr/share/common-licenses"
    named = re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", text.read_text("utf-8"))
    return package, [text, *sorted({(common / name).resolve(strict=True) for name in named})]


def _rpm(library: Path, root: Path) -> tuple[str, list[Path]] | None:
    rpm = ("rpm", "--root", root.resolve())
    known = _output(*rpm, "--query", "--queryformat", "%{NAME} %{SOURCERPM}\n", "--file", library)
    if not known:
        return None
    package, source = known.split()[:2]
    # Another package of the same source may have the licence: libgcc has that of libgomp.
    listed = _output(*rpm, "--query", "--all", "--queryformat", "%{NAME} %{SOURCERPM}\n")
    pairs = [line.split() for line in listed.splitlines()]
    same = sorted(name for name, of in pairs if of == source and name != package)
    for name in (package, *same):
        paths = _output(*rpm, "--query", "--licensefiles", name).splitlines()
        texts = [root / path.lstrip("/") for path in paths]
        if texts and all(text.is_file() for text in texts):
            return package, texts
    return package, []


def _output(*command: str | Path) -> str:
    """The output of a command; empty if it fails or is not installed."""
    try:
        done = capture(*command)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
