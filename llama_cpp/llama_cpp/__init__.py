"""Not a package of ours: an error for programs that ask for llama-cpp-python's module of this name.

Where pip has installed llama-cpp-python over this package, its ``__init__`` imports its
``llama_cpp.py`` first, and Python prefers this folder.
"""

from pathlib import Path as _Path

_folder = _Path(__file__).parents[1]
if (_folder / "llama_cpp.py").is_file():
    raise ImportError(
        f"llama-py and llama-cpp-python are both installed in {_folder}: they have the same import "
        "name, and have overwritten files of each other. Keep each in a virtual environment of its "
        "own. To mend this one: pip uninstall -y llama-cpp-python libllama-py, and then pip "
        "install the one that you want",
        name="llama_cpp",
        path=str(_folder),
    )
raise ImportError(
    "llama_cpp.llama_cpp is a module of llama-cpp-python, and this is llama-py: its C API is "
    "llama_cpp._raw; see 'From llama-cpp-python' in the documentation",
    name=__name__,
)
