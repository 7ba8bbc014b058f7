"""Parts of the standard library that are imported on first use, because importing `Llama` is much
faster without them: ``std.Path(name)``, ``std.json.loads(text)``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import json as json
    import shlex as shlex
    from pathlib import Path as Path
else:
    import importlib

    def __getattr__(name):
        if name not in ("json", "shlex", "Path"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module("pathlib" if name == "Path" else name)
        globals()[name] = module.Path if name == "Path" else module
        return globals()[name]
