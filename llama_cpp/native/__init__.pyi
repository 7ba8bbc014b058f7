"""The public names of `llama_cpp.native`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

from .library import LlamaLibrary as LlamaLibrary
# seal: any sha256:52087514ade432f55539f7c296519ca14d2ad405dc1920b9aef9a47dd5d7b2af
