"""Which libclang parses: the one of the package ``libclang``, else the system's. The package has
none for musl on ARM, nor for riscv64, ppc64le and s390x."""

from __future__ import annotations

import re
from pathlib import Path

from clang import cindex

from .errors import CodegenError

_FOLDERS = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/llvm*/lib", "/usr/lib/*-linux-*",
    "/opt/homebrew/opt/llvm/lib",
)  # fmt: skip
_OLDEST = 18  # 16 evaluates no macro that is a string
_VERSION = re.compile(r"llvm-?(\d+)|libclang-(\d+)|\.so\.(\d+)")


def choose(folders: tuple[str, ...] = _FOLDERS) -> Path | None:
    """Have the newest libclang of the system's ``folders`` used where the package has none.

    ``LIBCLANG_LIBRARY_PATH`` names another folder than the package's. Returns the system's library,
    None if it is not needed. Raises CodegenError if there is none, or it cannot be loaded.
    """
    config = cindex.Config
    if config.loaded or config.library_file or any(Path(config.library_path).glob("*clang*")):
        return None
    found = [
        path
        for folder in folders
        for path in Path("/").glob(f"{folder.lstrip('/')}/libclang*")
        if re.search(r"libclang(-\d+)?(\.so|\.dylib)", path.name)
    ]
    if not found:
        raise CodegenError(
            "the package libclang has no library for this machine, and the system has none: "
            "install it (Debian: libclang1, Alpine: clang-libclang), or set LIBCLANG_LIBRARY_PATH "
            "to its folder"
        )
    newest = max(found, key=_version)
    config.set_library_file(str(newest))
    config.set_compatibility_check(False)  # an older one lacks functions that nothing here calls
    try:
        version = config().lib.clang_getClangVersion
    except cindex.LibclangError as error:
        raise CodegenError(f"{newest}: {error}") from error
    version.restype = cindex._CXString
    text = cindex._CXString.from_result(version(), version, ())
    if int(re.sub(r".*?version (\d+).*", r"\1", text, flags=re.DOTALL)) < _OLDEST:
        raise CodegenError(f"{newest} is of {text}: {_OLDEST} or newer is needed")
    return newest


def _version(path: Path) -> int:
    groups = [int(n) for found in _VERSION.findall(str(path)) for n in found if n]
    return max(groups, default=0)
