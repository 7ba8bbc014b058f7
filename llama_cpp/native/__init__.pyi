"""The public names of `llama_cpp.native`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .library import LlamaLibrary as LlamaLibrary
# seal: b11434 sha256:1346b9efcc96a11c4733d6c7e1c188d035fa0912198e8b2e951f0e1fae581b1e
