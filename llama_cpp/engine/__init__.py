"""Where a libllama comes from: the engine of a tag, in the user's cache.

Official release binaries where they can be had, otherwise built from a llama.cpp source tree with
cmake and ninja. One relocatable folder holds the libraries and the programs together:
`<cache>/<tag>/engine/`, with an `engine.json` that says where they came from. An engine with a GPU
backend has a folder of its own, such as `engine-vulkan`, and is used where there is one.

    python -m llama_cpp.engine install --tag b11434 [--source DIR]
    python -m llama_cpp.engine where --tag b11434
"""

from .._lazy import contents

__getattr__, __dir__, __all__ = contents(
    __name__,
    {
        "building": "build",
        "command": "main",
        "find": "EngineInfo cpu_features engine_dir engine_folder engine_info",
        "releases": "install_release release_asset",
    },
)
