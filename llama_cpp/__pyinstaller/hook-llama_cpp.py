"""PyInstaller's hook: the modules, which are imported by name, and the engine.

The engine is the one that this environment uses: it must be there when the program is made.
"""

import logging

from PyInstaller.utils.hooks import collect_submodules

from llama_cpp._raw import TAG
from llama_cpp.engine.find import INSTALL, engine_info, preferred_engine

_logger = logging.getLogger("PyInstaller.llama_cpp")
_APART = tuple(f"llama_cpp.{n}" for n in ("cli", "langchain", "lm_eval", "ray", "__pyinstaller"))
# A program that imports these has them by that: they bring much.
hiddenimports = collect_submodules("llama_cpp", filter=lambda name: not name.startswith(_APART))
binaries: list[tuple[str, str]] = []
datas: list[tuple[str, str]] = []

_folder = preferred_engine(TAG)
if _folder is None:
    _logger.warning("llama-py: no engine to put into the program; first %s", INSTALL)
else:
    _info = engine_info(_folder)
    if _info is not None and _info.cpu_features:
        _logger.warning(
            "llama-py: the engine in %s was built for this machine's CPU; the program may not run "
            "on others",
            _folder,
        )
    for _file in _folder.rglob("*"):
        if _file.is_file():
            _place = "llama_cpp/lib/" + _file.parent.relative_to(_folder).as_posix()
            (datas if _file.suffix == ".json" else binaries).append((str(_file), _place))
