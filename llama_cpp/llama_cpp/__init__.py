"""Not a package of ours: an error for programs that ask for llama-cpp-python's module of this name.

Where pip has installed llama-cpp-python over this package, its ``__init__`` imports its
``llama_cpp.py`` first, and Python prefers this folder.
"""

from pathlib import Path as _Path

from .._lazy import refuse_mixture as _refuse_mixture

_refuse_mixture(str(_Path(__file__).parents[1]))
raise ImportError(
    "llama_cpp.llama_cpp is a module of llama-cpp-python, and this is llama-py: its C API is "
    "llama_cpp._raw; see 'From llama-cpp-python' in the documentation",
    name=__name__,
)
