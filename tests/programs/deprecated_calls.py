"""Calls a deprecated function six times, and prints the warnings."""

import warnings

from llama_cpp import LlamaLibrary, _raw

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    library = LlamaLibrary.default()
    params = _raw.llama_model_default_params()
    for _ in range(3):
        _raw.llama_load_model_from_file(b"/no/such/file", params)
    for _ in range(3):
        library.llama_load_model_from_file(b"/no/such/file", params)
for warning in seen:
    print(warning.category.__name__, warning.filename, warning.message)
